"""`fleetview control`: runs a tenant's rollouts, without a screen."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fleetview.cli.asked import NO
from fleetview.cli.text import narrate
from fleetview.config import ConfigError, resolve
from fleetview.core.text import clean
from fleetview.garbage import spare_collections
from fleetview.paths import state_dir

if TYPE_CHECKING:
    from fleetview.config import Context, Flags
    from fleetview.control.controller import ControllerRun
    from fleetview.feeds.prometheus import Prometheus

DEFAULT_TENANT = "default"


def control(
    flags: Flags,
    *,
    tenant: Annotated[
        str | None,
        typer.Option(envvar="FLEETVIEW_TENANT", metavar="NAME", help="Whose rollouts; else the tenant of --scope."),
    ] = None,
    journal: Annotated[
        Path | None,
        typer.Option(
            envvar="FLEETVIEW_JOURNAL", metavar="FILE", help="What must survive a crash; else in the state folder."
        ),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="One round, and leave.")] = False,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Lead, although another controller seems to: devices obey the later one.")
    ] = False,
) -> int:
    """Run a tenant's rollouts until Ctrl-C. While no controller runs, nothing advances."""
    from fleetview.control.journal import JournalError  # noqa: PLC0415 (60 ms for those who only want help)

    spare_collections()
    context = resolve(flags)
    if context.read_only:
        narrate(f"{context.title} is read-only ({context.origins['read_only']}): no rollout is run from here")
        return NO
    name = tenant or context.scope.tenant or DEFAULT_TENANT
    if context.tls is not None:
        context.tls.context()  # a file that cannot be used is a matter of configuration, and no reason to try again
    path = journal if journal is not None else state_dir() / "control" / f"{name}.db"
    try:
        return asyncio.run(_control(context, name, path, once=once, take_over=take_over))
    except JournalError as err:
        narrate(str(err))
        return NO


async def _control(context: Context, tenant: str, path: Path, *, once: bool, take_over: bool) -> int:
    from fleetview.control.controller import ControllerRun, DeposedError  # noqa: PLC0415 (see above)
    from fleetview.control.journal import Journal  # noqa: PLC0415 (see above)
    from fleetview_agent.wire import Topics, WireError  # noqa: PLC0415 (see above)

    try:
        Topics(context.root).controller(tenant)
    except WireError as err:
        raise ConfigError([f"--tenant: {err}"]) from None
    journal = Journal(path)
    try:
        run = ControllerRun(
            context,
            tenant,
            journal,
            prometheus=_prometheus(context),
            insists=take_over,
            tell=lambda words: narrate(clean(words)),
        )
        if once:
            await run.once()
            return 0
        return await _until_stopped(run)
    except DeposedError as err:
        narrate(f"{err}: this one ends")
        return NO
    finally:
        journal.close()


def _prometheus(context: Context) -> Prometheus | None:
    if context.prometheus_access is None:
        return None
    from fleetview.feeds.prometheus import Prometheus  # noqa: PLC0415 (the HTTP client, for who has whom to ask)

    return Prometheus(context.prometheus_access)


async def _until_stopped(run: ControllerRun) -> int:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(name, ended.set)
    running = asyncio.create_task(run.run(), name="controller")
    waiting = asyncio.create_task(ended.wait(), name="end")
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        waiting.cancel()
        running.result()
        return 0
    running.cancel()
    await asyncio.wait({running})
    narrate("stopped: nothing advances until a controller runs again")
    return 0
