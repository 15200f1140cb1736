"""`fleetview export`: makes a fleet visible to Prometheus."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Annotated

import typer

from fleetview.cli.text import narrate
from fleetview.config import ConfigError, Flags, resolve
from fleetview.core.text import clean
from fleetview.feeds.states import Backoff, LinkState, Refused, Up

if TYPE_CHECKING:
    from fleetview.config import Context
    from fleetview.export.exporter import Exporter

DEFAULT_LISTEN = "127.0.0.1:9109"
_LARGEST_PORT = 65_535

Listen = Annotated[
    str,
    typer.Option(
        envvar="FLEETVIEW_LISTEN",
        metavar="HOST:PORT",
        help="Where Prometheus scrapes. It asks nobody for a password: leave it on a private address.",
    ),
]
Shard = Annotated[
    str,
    typer.Option(
        "--shard", envvar="FLEETVIEW_SHARD", metavar="I/N", help="Only the I-th of N parts of the fleet, from 0/N."
    ),
]
Labels = Annotated[
    str,
    typer.Option(
        envvar="FLEETVIEW_LABELS",
        metavar="NAMES",
        help="Labels of the devices that their series have beside tenant, site, device and release: ring,region."
        " -release takes the release away.",
    ),
]


def export(flags: Flags, *, listen: Listen = DEFAULT_LISTEN, shard: Shard = "0/1", labels: Labels = "") -> int:
    """Serve the fleet's heartbeats as metrics, until Ctrl-C: /metrics has all, /metrics/TENANT those of one tenant."""
    host, port = _address(listen)
    exporter = _exporter(resolve(flags), shard, labels)
    asyncio.run(_serve(exporter, host, port))
    return 0


def _exporter(context: Context, shard: str, labels: str) -> Exporter:
    from fleetview.export.exporter import Exporter, Shard  # noqa: PLC0415 (80 ms for those who only want help)
    from fleetview.export.labels import LabelPlan  # noqa: PLC0415 (likewise)

    problems = []
    part, plan = Shard(), LabelPlan()
    try:
        part = Shard.parse(shard)
    except ValueError as err:
        problems.append(f"--shard: {err}")
    try:
        plan = LabelPlan(labels)
    except ValueError as err:
        problems.append(f"--labels: {err}")
    if problems:
        raise ConfigError(problems)
    if context.tls is not None:
        context.tls.context()  # a file that cannot be used is a matter of configuration, and no reason to try again
    return Exporter(context, plan=plan, shard=part, on_state=_tell)


def _address(listen: str) -> tuple[str, int]:
    host, colon, port = listen.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdecimal()) or int(port) > _LARGEST_PORT:
        raise ConfigError([f"--listen: {listen!r} is not HOST:PORT, such as {DEFAULT_LISTEN} or [::1]:9109"])
    return host.removeprefix("[").removesuffix("]"), int(port)


def _tell(state: LinkState) -> None:
    match state:
        case Up(refused_filters=refused):
            narrate("the link to the broker is up")
            for name, why in refused:
                narrate(f"the broker does not grant {name}: {clean(why)}")
        case Backoff(failure=failure) | Refused(failure=failure):
            narrate(f"no link to the broker: {clean(failure.words)}; trying again")


async def _serve(exporter: Exporter, host: str, port: int) -> None:
    try:
        where, number = await exporter.server.start(host, port)
    except OSError as err:
        raise ConfigError([f"--listen: cannot listen on {host}:{port}: {err.strerror or err}"]) from None
    shown = f"[{where}]" if ":" in where else where
    part = "" if exporter.shard.of == 1 else f", part {exporter.shard} of the fleet"
    narrate(f"serving http://{shown}:{number}/metrics{part}; Ctrl-C ends it")
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(name, ended.set)
    running = asyncio.create_task(exporter.run(), name="exporter")
    waiting = asyncio.create_task(ended.wait(), name="end")
    try:
        await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
    finally:
        await exporter.server.close()
        for task in (running, waiting):
            task.cancel()
        await asyncio.wait({running, waiting})
