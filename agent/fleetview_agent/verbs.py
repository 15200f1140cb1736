"""What operators can ask for. Each verb is made of what it works on."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping

from fleetview_agent import __version__
from fleetview_agent.commands import Answer, Verb
from fleetview_agent.supervisor import Supervisor

RESTART_S = 60.0
"""For a module that is restarted, until the answer is that it does not run."""


def ping(started_s: float) -> Verb:
    """Are you there? `started_s` is of the monotonic clock."""

    async def answers(_: Mapping[str, object]) -> AsyncIterator[Answer]:
        yield Answer("succeeded", f"fleetview-agent {__version__}, up for {time.monotonic() - started_s:.0f} s")

    return answers


def restart_module(supervisor: Supervisor) -> Verb:
    """Restart the module `name`: accepted at first, and then whether it runs."""

    async def answers(args: Mapping[str, object]) -> AsyncIterator[Answer]:
        name = args.get("name")
        if not isinstance(name, str):
            yield Answer("failed", "args.name: the name of a module expected")
            return
        try:
            supervisor.restart(name)
        except ValueError as err:
            yield Answer("failed", str(err))
            return
        yield Answer("accepted", f"module {name} is being restarted")
        info = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RESTART_S):
                info = await supervisor.settled(name)
        if info is None:
            yield Answer("failed", f"module {name} does not run after {RESTART_S:g} s; it is still tried")
            return
        why = f": {info.reason}" if info.reason else ""
        well = {"running", "stopped"} if supervisor.is_function(name) else {"running"}
        yield Answer("succeeded" if info.state in well else "failed", f"module {name} is {info.state}{why}")

    return answers
