"""Runs the modules of a device: does what `modules.lifecycle` decides, and tells it what comes of that.

Each process has a task that lasts as long as it does. All else is a plain call on the event loop, so that the end of a
process is acted upon the moment the kernel tells it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from fleetview_agent.modules.guard import Guard
from fleetview_agent.modules.lifecycle import (
    Action,
    Became,
    BecameReady,
    BecameUnwell,
    Ended,
    Event,
    Lives,
    Start,
    Stop,
)
from fleetview_agent.modules.output import Output, Sink
from fleetview_agent.modules.probes import Question
from fleetview_agent.modules.process import ModuleProcess, Outlets, SpawnError, spawn, status_words
from fleetview_agent.modules.spec import ModuleSpec
from fleetview_agent.wire import ModuleInfo, ModuleState

_log = logging.getLogger(__name__)

_LEVELS: Mapping[ModuleState, int] = {"backoff": logging.WARNING, "failed": logging.ERROR}
_SPARE_S = 2.0
"""At a stop, beyond what modules may take: the kernel needs a moment to clear away a large process."""


class Supervisor:
    """The modules of one session of the agent. `run` keeps them until `stop`."""

    def __init__(
        self,
        specs: Mapping[str, ModuleSpec],
        *,
        session: str,
        sink: Sink,
        rng: random.Random,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._specs = specs
        self._session = session
        self._sink = sink
        self._on_change = on_change
        self._lives = Lives(specs, rng=rng)
        self._guard: Guard | None = None
        self._processes: dict[str, ModuleProcess] = {}
        self._outputs: dict[str, Output] = {}
        self._dropped_before = 0
        """Lines of processes that have ended."""
        self._to_end: set[str] = set()
        """Told to end before they were there."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._defect: BaseException | None = None
        self._news = asyncio.Event()
        self._changed = asyncio.Event()
        """Of whoever waits for the next change of a state; another one for each change."""
        self._all_ended = asyncio.Event()

    def infos(self) -> Sequence[ModuleInfo]:
        """How the modules are."""
        return self._lives.infos()

    @property
    def dropped_lines(self) -> int:
        """Lines that modules wrote and that were too much, since the session began."""
        return self._dropped_before + sum(output.dropped for output in self._outputs.values())

    async def run(self) -> None:
        """Keep them, for ever."""
        self._begin_guard()
        try:
            self._obey(self._lives.advance(time.monotonic()))
            while True:
                await self._something_happens()
                self._obey(self._lives.advance(time.monotonic()))
        finally:
            await self._abandon()

    def _begin_guard(self) -> None:
        if self._guard is None and any(spec.command is not None for spec in self._specs.values()):
            self._guard = Guard(self._session)

    async def _something_happens(self) -> None:
        due_s = self._lives.next_due_s()
        try:
            async with asyncio.timeout(None if due_s is None else max(0.0, due_s - time.monotonic())):
                await self._news.wait()
        except TimeoutError:
            return
        self._news.clear()
        if self._defect is not None:
            raise self._defect

    async def stop(self) -> None:
        """End all modules, each after those that depend on it; return when they are gone, or have had their time."""
        self._obey(self._lives.stop(time.monotonic()))
        if self._lives.all_ended:
            return
        try:
            leaving = [running.spec for name, running in self._processes.items() if name not in self._specs]
            graces_s = sum(spec.stop_grace_s for spec in (*self._specs.values(), *leaving))
            async with asyncio.timeout(graces_s + _SPARE_S):
                await self._all_ended.wait()
        except TimeoutError:
            _log.error("modules do not end: they are left to the kernel", extra={"modules": sorted(self._processes)})

    def restart(self, name: str) -> None:
        """Restart a module because somebody asked. Raises ValueError, in words, when there is nothing to restart."""
        self._obey(self._lives.restart(name, time.monotonic()))
        self._news.set()

    def reconfigure(self, specs: Mapping[str, ModuleSpec], also: Collection[str] = ()) -> None:
        """Make these the modules, restarting as few as can be, and those of `also`.

        What is gone ends, each module after those that depend on it; what is new starts in its order. The specs must be
        without flaws.
        """
        before, self._specs = self._specs, specs
        for name, running in self._processes.items():
            if name in before and name in specs and specs[name].runs_like(before[name]):
                running.spec = specs[name]
        self._begin_guard()
        self._obey(self._lives.reconfigure(specs, time.monotonic(), also))
        self._news.set()
        self._on_change()

    async def settled(self, name: str) -> ModuleInfo:
        """Wait until a module runs, or is in trouble; how it is then."""
        while True:
            infos = (info for info in self._lives.infos() if info.name == name)
            info = next(infos, ModuleInfo(name=name, state="stopped", reason="taken out of the configuration"))
            if info.state not in {"waiting", "starting"}:
                return info
            await self._changed.wait()

    async def _abandon(self) -> None:
        """Leave nothing behind, in no order: after `stop` there is nothing left."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._guard is not None:
            self._guard.close()
        self._all_ended.set()

    # What is decided, and what comes of it

    def _obey(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case Start(name):
                    task = asyncio.create_task(self._live(name, self._specs[name]), name=f"module {name}")
                    self._tasks.add(task)
                    task.add_done_callback(self._on_task_done)
                case Stop(name) if name in self._processes:
                    self._processes[name].ask_to_end()
                case Stop(name):
                    self._to_end.add(name)
                case Became(name, state, reason):
                    words = f"module {name} is {state}" + (f": {reason}" if reason else "")
                    _log.log(_LEVELS.get(state, logging.INFO), words, extra={"module_name": name, "state": state})
                    changed, self._changed = self._changed, asyncio.Event()
                    changed.set()
                    self._on_change()
        if self._lives.all_ended:
            self._all_ended.set()

    def _tell(self, name: str, event: Event) -> None:
        self._obey(self._lives.apply(name, event, time.monotonic()))
        self._news.set()

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (err := task.exception()) is not None:
            self._defect = err
            self._news.set()

    async def _live(self, name: str, spec: ModuleSpec) -> None:
        """One process, from its beginning to its end."""
        mark = f"{self._session}/{name}"
        questions = [None if probe is None else Question(probe, spec, mark) for probe in (spec.ready, spec.healthy)]
        output = self._outputs[name] = Output(name, self._sink)
        try:
            status = await self._process(name, spec, output, questions)
        except SpawnError as err:
            end = Ended(str(err))
        else:
            end = Ended(status_words(status, spec.limits), clean=status == 0)
        finally:
            output.close()
            self._dropped_before += output.dropped
            del self._outputs[name]
            self._to_end.discard(name)
        self._tell(name, end)

    async def _process(self, name: str, spec: ModuleSpec, output: Output, questions: Sequence[Question | None]) -> int:
        mark = f"{self._session}/{name}"
        started_s = time.monotonic()
        process = await spawn(spec.command or [], spec, mark, Outlets(output.stdout, output.stderr))
        running = self._processes[name] = ModuleProcess(process, spec, mark)
        asking: asyncio.Task[None] | None = None
        try:
            if self._guard is not None:
                self._guard.add(running.group)
            output.begin()
            if name in self._to_end:
                running.ask_to_end()
            asking = asyncio.create_task(self._ask(name, started_s, *questions), name=f"probes of {name}")
            asking.add_done_callback(self._on_task_done)
            return await running.ended()
        finally:
            if asking is not None:
                asking.cancel()
            running.clear_away()
            if self._guard is not None:
                self._guard.remove(running.group)
            del self._processes[name]

    async def _ask(self, name: str, started_s: float, ready: Question | None, healthy: Question | None) -> None:
        words = None if ready is None else await ready.until_yes(started_s)
        if words is not None:
            self._tell(name, BecameUnwell(f"not ready: {words}"))
            return
        self._tell(name, BecameReady())
        if healthy is not None:
            self._tell(name, BecameUnwell(f"not healthy: {await healthy.until_no(started_s)}"))
