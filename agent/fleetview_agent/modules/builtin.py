"""Runs modules that are part of the agent, as tasks that live and die like the processes of others.

Each life gets a `Context`: what the agent lends it. What a module says there (metrics, findings) holds as long as it lives.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from fleetview_agent.config import AgentConfig
from fleetview_agent.health import Findings
from fleetview_agent.modules.lifecycle import Ended
from fleetview_agent.modules.registry import BUILT_IN
from fleetview_agent.spool import Depth, Record
from fleetview_agent.telemetry.counters import Counters
from fleetview_agent.wire import ModuleInfo, Resources

_log = logging.getLogger(__name__)

_ABANDONED_S = 1.0
"""For a task that is let go of to end: one that does not is a defect, which must not keep the agent from ending."""


class ModuleError(Exception):
    """Why a built-in module cannot go on, in words for a heartbeat: what, and the way out."""


@dataclass(slots=True)
class Board:
    """Where built-in modules put what heartbeats then say. By the module's name; taken down when the module ends."""

    metrics: dict[str, Mapping[str, float]] = field(default_factory=dict)
    """Under valid Prometheus names. A name that ends in `_total` must only count up within the session."""
    findings: dict[str, Findings] = field(default_factory=dict)
    counters: Counters = field(default_factory=Counters)
    """For what only counts up: these last as long as the session."""

    def take_down(self, name: str) -> None:
        """Forget what this module said."""
        self.metrics.pop(name, None)
        self.findings.pop(name, None)


@dataclass(frozen=True, slots=True)
class Lent:
    """What the agent lends to every built-in module. All of it belongs to the event loop."""

    config: Callable[[], AgentConfig]
    """The configuration of this moment."""
    folder: Path
    """Of the agent's state. Each module has a folder of its own in it."""
    board: Board
    vitals: Callable[[], Resources]
    """Not older than a few seconds."""
    metrics: Callable[[], Mapping[str, float | None]]
    """What a heartbeat carries under `metrics`."""
    spool: Callable[[], Depth]
    uptime_s: Callable[[], float]
    link_is_up: Callable[[], bool]
    modules: Callable[[], Sequence[ModuleInfo]]
    groups: Callable[[], Mapping[str, int]]
    """The process groups of external modules that have one."""
    on_modules: Callable[[Callable[[], object]], Callable[[], None]]
    """Calls back whenever a module has changed its state, until what it returned is called."""
    on_records: Callable[[Callable[[Sequence[Record]], object]], Callable[[], None]]
    """The same for all log records that go into the spool. Whoever is called back only takes note."""
    listen: Callable[[str, Callable[[str, bytes], None]], Callable[[], None]]
    """Calls back with topic and payload of each message below a topic (`+` and `#` as in subscriptions; retained ones not),
    until what it returned is called."""
    run: Callable[[str, str, Mapping[str, object]], None]
    """A function, for this trigger and with these details. Raises ValueError, in words."""
    publish: Callable[[str, bytes], Awaitable[None]]
    """With QoS 1, until the broker has it. Raises LinkError at once while there is no link."""
    restart: Callable[[str], None]
    """Another module. Raises ValueError, in words."""
    beat: Callable[[], None]
    """Send a heartbeat soon."""
    take_releases: Callable[[], Awaitable[None]]
    """For ever."""
    take: Callable[[Sequence[Record]], object]
    """Log records, into the spool. For a module's own words `logging` serves."""


@dataclass(frozen=True, slots=True)
class Context:
    """What one life of a built-in module gets."""

    name: str
    agent: Lent
    ready: Callable[[], None]
    """To be called once it does its work. Until then it is `starting`."""

    @property
    def folder(self) -> Path:
        """For what it keeps, made on demand. Raises OSError."""
        folder = self.agent.folder / "modules" / self.name
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        return folder

    def show(self, metrics: Mapping[str, float]) -> None:
        """Let heartbeats carry these, in place of what it showed before."""
        self.agent.board.metrics[self.name] = metrics

    def find(self, findings: Findings) -> None:
        """Let heartbeats judge the device by these, in place of what it found before. News are told at once."""
        if findings != self.agent.board.findings.get(self.name, Findings()):
            self.agent.board.findings[self.name] = findings
            self.agent.beat()


Program = Callable[[Context], Coroutine[Any, Any, None]]
"""A built-in module: runs until it is cancelled. Raises ModuleError, or by a defect anything else; both are failures."""


def program_of(name: str) -> Program:
    """The program of a built-in module, imported now. Raises LookupError for one that is not run."""
    place = BUILT_IN[name].program
    if place is None:
        raise LookupError(name)
    module, _, function = place.partition(":")
    return cast("Program", getattr(import_module(module), function))


class BuiltInTask:
    """One life of a built-in module."""

    def __init__(self, context: Context) -> None:
        self._context = context
        name = context.name
        self._task = asyncio.create_task(self._run(), name=f"built-in module {name}")

    async def _run(self) -> None:
        await program_of(self._context.name)(self._context)

    def ask_to_end(self) -> None:
        """It ends as soon as it can."""
        self._task.cancel()

    async def ended(self) -> Ended:
        """Wait for its end; how it came about."""
        try:
            await asyncio.wait({self._task})
        finally:
            if not self._task.done():
                self._task.cancel()
                await asyncio.wait({self._task}, timeout=_ABANDONED_S)
            self._context.agent.board.take_down(self._context.name)
        if self._task.cancelled():
            return Ended("stopped", clean=True)
        err = self._task.exception()
        while isinstance(err, BaseExceptionGroup) and len(err.exceptions) == 1:
            err = err.exceptions[0]
        match err:
            case None:
                return Ended("it ended by itself", clean=True)
            case ModuleError() as err:
                return Ended(str(err))
            case _:
                name = self._context.name
                _log.error("module %s ended in a defect", name, exc_info=err, extra={"module_name": name})
                return Ended(f"{type(err).__name__}: {err}")
