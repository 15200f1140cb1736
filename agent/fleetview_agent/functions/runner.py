"""Runs functions: does what `lives` decides, listens to their triggers, and tells what comes of that."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import logging
import random
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from fleetview_agent.functions.lives import Action, Call, Dropped, FunctionLives, Run, Unload
from fleetview_agent.functions.process import LoadedFunction, load
from fleetview_agent.functions.schedule import Schedule
from fleetview_agent.modules.lifecycle import Became
from fleetview_agent.modules.output import Sink
from fleetview_agent.modules.process import SpawnError
from fleetview_agent.modules.spec import ModuleSpec
from fleetview_agent.wire import ModuleInfo, ModuleState, format_time

_log = logging.getLogger(__name__)

MOST_INPUT_BYTES = 64 * 1024
"""Of a message: the input of a call may wait in memory."""
_REPORT_INTERVAL_S = 10.0
"""Between two words about calls of a function that are dropped."""
_SPARE_S = 1.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What functions are told of, and tell, the modules around them."""

    modules: Callable[[], Sequence[ModuleInfo]]
    became: Callable[[Became, bool], None]
    """With whether it is quiet: that functions come and go is no news by itself, and may happen every second."""
    group_began: Callable[[int], None]
    group_ended: Callable[[int], None]
    listen: Callable[[str, Callable[[str, bytes], None]], Callable[[], None]]
    """Hear of the messages below a topic, from now until what is returned is called."""


class Functions:
    """The functions of one session of the agent. `run` keeps them until `stop`."""

    def __init__(
        self,
        specs: Mapping[str, ModuleSpec],
        *,
        session: str,
        sink: Sink,
        rng: random.Random,
        around: Surroundings,
    ) -> None:
        self._specs = specs
        self._session = session
        self._sink = sink
        self._around = around
        self._lives = FunctionLives(specs, rng=rng, obstacle=self._obstacle)
        self._loaded: dict[str, LoadedFunction] = {}
        self._to_end: set[str] = set()
        """Told to end before they were loaded."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count(1)
        self._defect: BaseException | None = None
        self._news = asyncio.Event()
        self._unloaded = asyncio.Event()
        self._dropped_before = 0
        self._told: dict[str, ModuleState] = {}
        self._schedules: dict[str, Schedule] = {}
        self._deaf: dict[tuple[str, str], Callable[[], None]] = {}
        """What ends listening, by function and topic."""
        self._unreported: dict[str, tuple[int, float]] = {}
        """Calls that were dropped without a word, and when the last word was, by function."""

    def infos(self) -> Sequence[ModuleInfo]:
        """How the functions are."""
        return self._lives.infos()

    def groups(self) -> dict[str, int]:
        """The process groups of those that are loaded."""
        return {name: loaded.group for name, loaded in self._loaded.items()}

    @property
    def dropped_lines(self) -> int:
        """Lines that functions wrote and that were too much, since the session began."""
        return self._dropped_before + sum(loaded.dropped for loaded in self._loaded.values())

    def metrics(self) -> dict[str, float]:
        """How often each ran, and failed."""
        figures: dict[str, float] = {}
        for name, (runs, failures) in self._lives.totals().items():
            plain = "".join(char if char.isalnum() else "_" for char in name)
            figures |= {f"function_{plain}_calls_total": runs, f"function_{plain}_failures_total": failures}
        return figures

    def trigger(self, name: str, trigger: str, details: Mapping[str, Any]) -> None:
        """Let a function run soon, with these details in its input. Raises ValueError for one that is not there."""
        if name not in self._specs:
            msg = f"no function is called {name!r}; there are: {', '.join(self._specs) or 'none'}"
            raise ValueError(msg)
        now = format_time(datetime.now(UTC))
        call = Call(trigger, {"v": 1, "function": name, "trigger": trigger, "at": now, **details}, time.monotonic())
        self._obey(self._lives.trigger(name, call, time.monotonic()))
        self._news.set()

    def restart(self, name: str) -> None:
        """Forget failures and calls of a function because somebody asked, and unload it."""
        self._obey(self._lives.restart(name, time.monotonic()))
        self._news.set()

    def reconfigure(self, specs: Mapping[str, ModuleSpec]) -> None:
        """Make these the functions while others run on. The specs must be without flaws."""
        self._specs = specs
        self._obey(self._lives.reconfigure(specs, time.monotonic()))
        self._set_triggers()
        self._news.set()

    def look(self) -> None:
        """Another module has changed its state."""
        self._news.set()

    async def run(self) -> None:
        """Keep them, for ever."""
        self._set_triggers()
        try:
            while True:
                self._tick()
                self._obey(self._lives.advance(time.monotonic()))
                try:
                    async with asyncio.timeout(self._wait_s()):
                        await self._news.wait()
                except TimeoutError:
                    continue
                self._news.clear()
                if self._defect is not None:
                    raise self._defect
        finally:
            for stop in self._deaf.values():
                stop()
            await self._abandon()

    async def stop(self) -> None:
        """Unload them all; return when they are gone, or have had their time."""
        self._obey(self._lives.stop())
        most_s = max((spec.stop_grace_s for spec in self._specs.values()), default=0.0)
        try:
            async with asyncio.timeout(most_s + _SPARE_S):
                while not self._lives.all_unloaded:
                    self._unloaded.clear()
                    await self._unloaded.wait()
        except TimeoutError:
            _log.error("functions do not end: they are left to the kernel", extra={"modules": sorted(self._loaded)})

    async def _abandon(self) -> None:
        for loaded in self._loaded.values():
            loaded.end.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, *(loaded.end for loaded in self._loaded.values()), return_exceptions=True)

    # Triggers

    def _set_triggers(self) -> None:
        """Listen and look at the clock as the specs say; what is as it was goes on."""
        wanted = {(name, topic) for name, spec in self._specs.items() for topic in spec.on.topics}
        for name, topic in self._deaf.keys() - wanted:
            self._deaf.pop((name, topic))()
        for name, topic in wanted - self._deaf.keys():
            self._deaf[name, topic] = self._around.listen(topic, partial(self._on_message, name))
        before, self._schedules = self._schedules, {}
        for name, spec in self._specs.items():
            kept = before.get(name)
            is_same = kept is not None and kept.triggers == spec.on
            self._schedules[name] = kept if kept is not None and is_same else Schedule(spec.on, time.monotonic())

    def _tick(self) -> None:
        for name, schedule in self._schedules.items():
            for trigger in schedule.due(time.monotonic(), datetime.now(UTC)):
                if not self._lives.is_waiting(name, trigger):  # one that waits will do for both
                    self.trigger(name, trigger, {})

    def _wait_s(self) -> float | None:
        now_s, now = time.monotonic(), datetime.now(UTC)
        waits = [schedule.wait_s(now_s, now) for schedule in self._schedules.values()]
        due_s = self._lives.next_due_s()
        waits.append(None if due_s is None else max(0.0, due_s - now_s))
        return min((wait_s for wait_s in waits if wait_s is not None), default=None)

    def _on_message(self, name: str, topic: str, payload: bytes) -> None:
        if len(payload) > MOST_INPUT_BYTES:
            words = "a message is too large for function %s: %d bytes, %d are allowed"
            _log.warning(words, name, len(payload), MOST_INPUT_BYTES, extra={"module_name": name, "topic": topic})
            return
        try:
            body = {"payload": payload.decode()}
        except UnicodeDecodeError:
            body = {"payload_base64": base64.b64encode(payload).decode()}
        self.trigger(name, "topic", {"topic": topic, **body})

    def _obstacle(self, spec: ModuleSpec) -> str | None:
        states = {info.name: info.state for info in self._around.modules()} if spec.depends_on else {}
        found = ((name, states.get(name, "not there")) for name in spec.depends_on)
        return next((f"{name} is {state}" for name, state in found if state != "running"), None)

    # What is decided, and what comes of it

    def _obey(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case Run(name, call):
                    self._begin(self._make(name, self._specs[name], call), name)
                case Unload(name) if name in self._loaded:
                    self._loaded[name].unload()
                case Unload(name):
                    self._to_end.add(name)
                case Dropped(name, call, why):
                    self._report_dropped(name, call, why)
                case Became(name, state, _):
                    before, self._told[name] = self._told.get(name, "stopped"), state
                    self._around.became(action, {before, state} <= {"running", "stopped"})
        if self._lives.all_unloaded:
            self._unloaded.set()

    def _begin(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=f"function {name}")
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (err := task.exception()) is not None:
            self._defect = err
            self._news.set()

    def _report_dropped(self, name: str, call: Call, why: str) -> None:
        count, last_s = self._unreported.get(name, (0, float("-inf")))
        count += 1
        if time.monotonic() - last_s >= _REPORT_INTERVAL_S:
            extra = {"module_name": name, "trigger": call.trigger, "count": count, "event": "function_calls_dropped"}
            _log.warning("dropped %d call%s of function %s: %s", count, "" if count == 1 else "s", name, why, extra=extra)
            count, last_s = 0, time.monotonic()
        self._unreported[name] = count, last_s

    async def _make(self, name: str, spec: ModuleSpec, call: Call) -> None:
        """One call, from its beginning to its end."""
        call_id = str(next(self._numbers))
        began_s = time.monotonic()
        try:
            loaded = self._loaded.get(name)
            if loaded is None or loaded.end.done():
                self._forget(name)
                loaded = await self._load(name, spec)
        except SpawnError as err:
            self._to_end.discard(name)
            self._returned(name, str(err), call_id, call, began_s, is_gone=True)
            return
        data = json.dumps({**call.input, "id": call_id}, ensure_ascii=False, default=str).encode()
        failure = await loaded.make(call_id, data)
        self._returned(name, failure, call_id, call, began_s, is_gone=loaded.end.done())

    def _returned(self, name: str, failure: str | None, call_id: str, call: Call, began_s: float, *, is_gone: bool) -> None:
        if is_gone:
            self._forget(name)
        took_s = round(time.monotonic() - began_s, 3)
        extra = {"module_name": name, "trigger": call.trigger, "call": call_id, "took_s": took_s}
        if failure is None:
            _log.info("function %s is done after %g s", name, took_s, extra=extra)
        else:
            _log.error("function %s failed: %s", name, failure, extra=extra)
        self._obey(self._lives.returned(name, failure, time.monotonic(), is_gone=is_gone))
        self._news.set()

    async def _load(self, name: str, spec: ModuleSpec) -> LoadedFunction:
        loaded = await load(name, spec, f"{self._session}/{name}", self._sink)
        self._around.group_began(loaded.group)
        self._loaded[name] = loaded
        if name in self._to_end:
            self._to_end.discard(name)
            loaded.unload()
        loaded.end.add_done_callback(partial(self._on_end, name, loaded))
        return loaded

    def _on_end(self, name: str, loaded: LoadedFunction, end: asyncio.Task[str | None]) -> None:
        self._around.group_ended(loaded.group)
        if end.cancelled() or self._loaded.get(name) is not loaded or self._lives.is_busy(name):
            return  # whoever makes a call takes note of it
        self._forget(name)
        self._obey(self._lives.gone(name, end.result(), time.monotonic()))
        self._news.set()

    def _forget(self, name: str) -> None:
        loaded = self._loaded.pop(name, None)
        if loaded is not None:
            self._dropped_before += loaded.dropped
