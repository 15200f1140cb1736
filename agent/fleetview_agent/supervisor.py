"""Runs the modules of a device: does what `modules.lifecycle` decides, and tells it what comes of that.

Each process has a task that lasts as long as it does. All else is a plain call on the event loop, so that the end of a
process is acted upon the moment the kernel tells it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from typing import Any

from fleetview_agent.functions.runner import Functions, Surroundings
from fleetview_agent.modules.builtin import BuiltInTask, Context, Lent
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
    behind_is,
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
        lend: Callable[[Supervisor], Lent],
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._names = list(specs)
        self._specs = _kept_running(specs)
        self._session = session
        self._sink = sink
        self._lent = lend(self)
        self._on_change = on_change
        self._lives = Lives(self._specs, rng=rng)
        self._functions = Functions(
            _functions(specs),
            session=session,
            sink=sink,
            rng=rng,
            around=Surroundings(self._lives.infos, self._announce, self._group_began, self._group_ended, self._lent.listen),
        )
        self._guard: Guard | None = None
        self._processes: dict[str, ModuleProcess | BuiltInTask] = {}
        """What runs of each module: built-in ones have a task in place of a process."""
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
        found = {info.name: info for info in (*self._lives.infos(), *self._functions.infos())}
        return [found[name] for name in self._names]

    def groups(self) -> Mapping[str, int]:
        """The process groups of the modules that have one now."""
        found = {name: running.group for name, running in self._processes.items() if isinstance(running, ModuleProcess)}
        return found | self._functions.groups()

    def metrics(self) -> Mapping[str, float]:
        """What heartbeats tell of the modules in numbers."""
        return {"module_log_lines_dropped_total": self.dropped_lines, **self._functions.metrics()} if self._names else {}

    @property
    def dropped_lines(self) -> int:
        """Lines that modules wrote and that were too much, since the session began."""
        dropped = self._dropped_before + sum(output.dropped for output in self._outputs.values())
        return dropped + self._functions.dropped_lines

    async def run(self) -> None:
        """Keep them, for ever."""
        self._begin_guard()
        self._watch(self._functions.run(), "functions")
        try:
            self._obey(self._lives.advance(time.monotonic()))
            while True:
                await self._something_happens()
                self._obey(self._lives.advance(time.monotonic()))
        finally:
            await self._abandon()

    def _begin_guard(self) -> None:
        has_functions = len(self._names) > len(self._specs)
        if self._guard is None and (has_functions or any(spec.command is not None for spec in self._specs.values())):
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
        await self._functions.stop()
        self._obey(self._lives.stop(time.monotonic()))
        if self._lives.all_ended:
            return
        try:
            processes = ((name, each) for name, each in self._processes.items() if isinstance(each, ModuleProcess))
            leaving = [running.spec for name, running in processes if name not in self._specs]
            graces_s = sum(spec.stop_grace_s for spec in (*self._specs.values(), *leaving))
            async with asyncio.timeout(graces_s + _SPARE_S):
                await self._all_ended.wait()
        except TimeoutError:
            _log.error("modules do not end: they are left to the kernel", extra={"modules": sorted(self._processes)})

    def restart(self, name: str) -> None:
        """Restart a module because somebody asked. Raises ValueError, in words, when there is nothing to restart."""
        if self.is_function(name):
            self._functions.restart(name)
            return
        self._obey(self._lives.restart(name, time.monotonic()))
        self._news.set()

    def reconfigure(self, specs: Mapping[str, ModuleSpec], also: Collection[str] = ()) -> None:
        """Make these the modules, restarting as few as can be, and those of `also`.

        What is gone ends, each module after those that depend on it; what is new starts in its order. The specs must be
        without flaws.
        """
        before, self._specs = self._specs, _kept_running(specs)
        self._names = list(specs)
        for name, running in self._processes.items():
            runs_on = name in before and name in self._specs and specs[name].runs_like(before[name])
            if runs_on and isinstance(running, ModuleProcess):
                running.spec = specs[name]
        self._begin_guard()
        self._obey(self._lives.reconfigure(self._specs, time.monotonic(), also))
        self._functions.reconfigure(_functions(specs))
        self._news.set()
        self._on_change()

    def is_function(self, name: str) -> bool:
        """Whether it is a module of kind `function`, which does not run unless it is triggered."""
        return name in self._names and name not in self._specs

    def run_function(self, name: str, trigger: str, details: Mapping[str, object]) -> None:
        """Let a function run soon, with these details in its input. Raises ValueError for one that is not there."""
        self._functions.trigger(name, trigger, details)

    async def settled(self, name: str) -> ModuleInfo:
        """Wait until a module runs, or is in trouble; how it is then."""
        while True:
            infos = (info for info in self.infos() if info.name == name)
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
                    self._watch(self._live(name, self._specs[name]), f"module {name}")
                case Stop(name) if name in self._processes:
                    self._processes[name].ask_to_end()
                case Stop(name):
                    self._to_end.add(name)
                case Became():
                    self._announce(action)
                    self._functions.look()
        if self._lives.all_ended:
            self._all_ended.set()

    def _announce(self, news: Became, quiet: bool = False) -> None:  # noqa: FBT001, FBT002  (Surroundings.became)
        words = f"module {news.name} is {behind_is(news.state)}" + (f": {news.reason}" if news.reason else "")
        level = logging.DEBUG if quiet else _LEVELS.get(news.state, logging.INFO)
        _log.log(level, words, extra={"module_name": news.name, "state": news.state})
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        if not quiet:
            self._on_change()

    def _group_began(self, group: int) -> None:
        if self._guard is not None:
            self._guard.add(group)

    def _group_ended(self, group: int) -> None:
        if self._guard is not None:
            self._guard.remove(group)

    def _watch(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)

    def _tell(self, name: str, event: Event) -> None:
        self._obey(self._lives.apply(name, event, time.monotonic()))
        self._news.set()

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (err := task.exception()) is not None:
            self._defect = err
            self._news.set()

    async def _live(self, name: str, spec: ModuleSpec) -> None:
        """One process or task, from its beginning to its end."""
        end = await (self._built_in(name, spec) if spec.command is None else self._external(name, spec))
        self._to_end.discard(name)
        self._tell(name, end)

    async def _external(self, name: str, spec: ModuleSpec) -> Ended:
        mark = f"{self._session}/{name}"
        questions = [None if probe is None else Question(probe, spec, mark) for probe in (spec.ready, spec.healthy)]
        output = self._outputs[name] = Output(name, self._sink)
        try:
            status = await self._process(name, spec, output, questions)
        except SpawnError as err:
            return Ended(str(err))
        else:
            return Ended(status_words(status, spec.limits), clean=status == 0)
        finally:
            output.close()
            self._dropped_before += output.dropped
            del self._outputs[name]

    async def _process(self, name: str, spec: ModuleSpec, output: Output, questions: Sequence[Question | None]) -> int:
        mark = f"{self._session}/{name}"
        started_s = time.monotonic()
        process = await spawn(spec.command or [], spec, mark, Outlets(output.stdout, output.stderr))
        running = self._processes[name] = ModuleProcess(process, spec, mark)
        asking: asyncio.Task[None] | None = None
        try:
            self._group_began(running.group)
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
            self._group_ended(running.group)
            del self._processes[name]

    async def _built_in(self, name: str, spec: ModuleSpec) -> Ended:
        mark, began = f"{self._session}/{name}", asyncio.Event()
        ready, healthy = (None if probe is None else Question(probe, spec, mark) for probe in (spec.ready, spec.healthy))
        running = self._processes[name] = BuiltInTask(Context(name, self._lent, began.set))
        if name in self._to_end:
            running.ask_to_end()
        asking = asyncio.create_task(
            self._ask(name, time.monotonic(), ready, healthy, began=began), name=f"probes of {name}"
        )
        asking.add_done_callback(self._on_task_done)
        try:
            return await running.ended()
        finally:
            asking.cancel()
            del self._processes[name]

    async def _ask(
        self,
        name: str,
        started_s: float,
        ready: Question | None,
        healthy: Question | None,
        *,
        began: asyncio.Event | None = None,
    ) -> None:
        if began is not None:
            await began.wait()
        words = None if ready is None else await ready.until_yes(started_s)
        if words is not None:
            self._tell(name, BecameUnwell(f"not ready: {words}"))
            return
        self._tell(name, BecameReady())
        if healthy is not None:
            self._tell(name, BecameUnwell(f"not healthy: {await healthy.until_no(started_s)}"))


def _kept_running(specs: Mapping[str, ModuleSpec]) -> dict[str, ModuleSpec]:
    return {name: spec for name, spec in specs.items() if spec.kind != "function"}


def _functions(specs: Mapping[str, ModuleSpec]) -> dict[str, ModuleSpec]:
    return {name: spec for name, spec in specs.items() if spec.kind == "function"}
