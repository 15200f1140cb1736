"""What operators can ask for. Each verb is made of what it works on."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import get_args

from fleetview_agent import __version__
from fleetview_agent.commands import Answer, Verb
from fleetview_agent.config import LogLevel as LevelName
from fleetview_agent.loglevel import LogLevel
from fleetview_agent.modules.lifecycle import behind_is
from fleetview_agent.supervisor import Supervisor

RESTART_S = 60.0
"""For a module that is restarted, until the answer is that it does not run."""
LEVEL_S = 900.0
"""For another log level, unless the command says otherwise."""
LONGEST_LEVEL_S = 86_400.0
"""Whoever wants it for longer means the configuration."""


def ping(started_s: float) -> Verb:
    """Are you there? `started_s` is of the monotonic clock."""

    async def answers(_: Mapping[str, object], _id: str) -> AsyncIterator[Answer]:
        yield Answer(
            "succeeded", f"fleetview-agent {__version__}, up for {timedelta(seconds=int(time.monotonic() - started_s))}"
        )

    return answers


def restart_module(supervisor: Supervisor) -> Verb:
    """Restart the module `name`: accepted at first, and then whether it runs."""

    async def answers(args: Mapping[str, object], _id: str) -> AsyncIterator[Answer]:
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
        yield Answer("succeeded" if info.state in well else "failed", f"module {name} is {behind_is(info.state)}{why}")

    return answers


def set_log_level(levels: LogLevel) -> Verb:
    """Write from `level` on for `for_s` seconds; then it is again as configured, by itself."""

    async def answers(args: Mapping[str, object], command_id: str) -> AsyncIterator[Answer]:
        level, for_s = args.get("level"), args.get("for_s", LEVEL_S)
        names = get_args(LevelName)
        if not isinstance(level, str) or level.upper() not in names:
            yield Answer("failed", f"args.level: one of {', '.join(names)} expected, not {str(level)[:40]!r}")
            return
        is_number = isinstance(for_s, int | float) and not isinstance(for_s, bool)
        if not isinstance(for_s, int | float) or not is_number or not 1 <= for_s <= LONGEST_LEVEL_S or math.isnan(for_s):
            words = f"args.for_s: 1 to {LONGEST_LEVEL_S:.0f} seconds expected, not {str(for_s)[:40]!r}"
            yield Answer("failed", words)
            return
        levels.override(level.upper(), float(for_s), command_id)
        yield Answer("succeeded", f"log level is {level.upper()} for {for_s:g} s, and then as configured again")

    return answers
