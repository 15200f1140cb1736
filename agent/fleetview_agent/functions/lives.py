"""How functions come to run. Decisions only: time is an argument.

    stopped ──▶ waiting ──▶ running ──▶ stopped      a trigger fires; it may run; it is done, and has idled long enough
                               └──────▶ backoff ──▶ stopped     it failed: the next call has to wait a while
                                          └───────▶ failed      so often in a row that somebody has to look at it

One call of a function runs at a time, MOST_AT_ONCE in all; those that wait longest come first. A call that failed is not
made again: whoever triggered it may do so.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fleetview_agent.modules.lifecycle import Became
from fleetview_agent.modules.restarts import MOST_FAILURES, WINDOW_S, Restarts
from fleetview_agent.modules.spec import ModuleSpec
from fleetview_agent.wire import ModuleInfo, ModuleState

MOST_AT_ONCE = 4
NOT_LOADED = "not loaded: it waits for its trigger"


@dataclass(frozen=True, slots=True)
class Call:
    """One run of a function, asked for."""

    trigger: str
    """`rule NAME`, `every_s`, `cron` or `topic`."""
    input: Mapping[str, Any]
    at_s: float


@dataclass(frozen=True, slots=True)
class Run:
    """Load the function if it is not, and let it make this call."""

    name: str
    call: Call


@dataclass(frozen=True, slots=True)
class Unload:
    """End its process."""

    name: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """This call will not be made."""

    name: str
    call: Call
    why: str


Action = Run | Unload | Dropped | Became


_MAY_CHANGE = {"depends_on", "wait_s", "version", "on", "queue"}
"""What its process does not know of."""


@dataclass(slots=True)
class _Function:
    name: str
    spec: ModuleSpec
    history: Restarts
    state: ModuleState = "stopped"
    reason: str | None = NOT_LOADED
    calls: deque[Call] = field(default_factory=deque)
    is_busy: bool = False
    is_loaded: bool = False
    is_ending: bool = False
    due_s: float | None = None
    """When `backoff`, or idling, is over."""
    is_leaving: bool = False
    """It is not in the configuration any more; its process is still ending."""
    runs: int = 0
    failures: int = 0


class FunctionLives:
    """All functions of a device. Every method returns what is to be done, in that order.

    `obstacle` says why a function cannot run at present, or None.
    """

    def __init__(
        self, specs: Mapping[str, ModuleSpec], *, rng: random.Random, obstacle: Callable[[ModuleSpec], str | None]
    ) -> None:
        self._rng = rng
        self._obstacle = obstacle
        self._functions = {name: _Function(name, spec, Restarts(rng)) for name, spec in specs.items()}
        self._is_stopping = False

    def infos(self) -> list[ModuleInfo]:
        """How they are, as heartbeats tell it."""
        found = []
        for each in self._present():
            texts = {"version": each.spec.version, "reason": each.reason}
            known = {name: text for name, text in texts.items() if text is not None}
            found.append(ModuleInfo(name=each.name, state=each.state, restarts=0, **known))
        return found

    def totals(self) -> dict[str, tuple[int, int]]:
        """How many calls of each were made, and how many of these failed, since the session began."""
        return {each.name: (each.runs, each.failures) for each in self._present()}

    def _present(self) -> list[_Function]:
        return [each for each in self._functions.values() if not each.is_leaving]

    @property
    def all_unloaded(self) -> bool:
        """Whether no process is left."""
        return not any(each.is_loaded or each.is_busy for each in self._functions.values())

    def next_due_s(self) -> float | None:
        """When `advance` has something to do."""
        dues = [each.due_s for each in self._functions.values()]
        dues += [each.calls[0].at_s + each.spec.wait_s for each in self._functions.values() if each.state == "waiting"]
        return min((due_s for due_s in dues if due_s is not None), default=None)

    def trigger(self, name: str, call: Call, now_s: float) -> list[Action]:
        """A trigger has fired."""
        function = self._functions[name]
        if self._is_stopping:
            return [Dropped(name, call, "the agent stops")]
        if function.state == "failed":
            return [Dropped(name, call, "it failed too often")]
        if len(function.calls) >= function.spec.queue:
            return [Dropped(name, call, f"{len(function.calls)} calls wait already")]
        function.calls.append(call)
        return list(self._settle(now_s))

    def is_busy(self, name: str) -> bool:
        """Whether it makes a call."""
        return self._functions[name].is_busy

    def is_waiting(self, name: str, trigger: str) -> bool:
        """Whether a call of this trigger waits already."""
        return any(call.trigger == trigger for call in self._functions[name].calls)

    def returned(self, name: str, failure: str | None, now_s: float, *, is_gone: bool) -> list[Action]:
        """A call has been made, or `failure` tells why not. `is_gone`: the process has ended with it."""
        function = self._functions[name]
        function.is_busy = False
        function.runs += 1
        function.is_loaded = not is_gone
        was_asked, function.is_ending = function.is_ending, function.is_ending and not is_gone
        # told to end meanwhile: that it did not finish is no failure of its own
        actions = [] if was_asked else list(self._returned(function, failure, now_s))
        self._forget_those_that_left()
        return actions + list(self._settle(now_s))

    def gone(self, name: str, failure: str | None, now_s: float) -> list[Action]:
        """A process that made no call has ended; `failure`: by itself, and not as it should."""
        function = self._functions[name]
        was_asked = function.is_ending
        function.is_loaded = function.is_ending = False
        actions: list[Action] = []
        if not was_asked:
            actions += self._fail(function, failure, now_s) if failure else _become(function, "stopped", NOT_LOADED)
        self._forget_those_that_left()
        return actions + list(self._settle(now_s))

    def advance(self, now_s: float) -> list[Action]:
        """What the time brings; also what another module's state may have changed."""
        actions: list[Action] = []
        for function in self._functions.values():
            if function.due_s is None or function.due_s > now_s:
                continue
            function.due_s = None
            if function.state == "backoff":
                actions += _become(function, "stopped", f"last call: {function.reason}")
            elif function.is_loaded and not function.is_busy:
                actions += _become(function, "stopped", NOT_LOADED)
                actions += _unload(function)
        return actions + list(self._settle(now_s))

    def restart(self, name: str, now_s: float) -> list[Action]:
        """Forget failures and calls because somebody asked, and unload it."""
        function = self._functions[name]
        function.history.reset()
        function.due_s = None
        dropped = _drop_all(function, "a restart was asked for")
        actions = [*dropped, *_become(function, "stopped", NOT_LOADED), *_unload(function)]
        return actions + list(self._settle(now_s))

    def reconfigure(self, specs: Mapping[str, ModuleSpec], now_s: float) -> list[Action]:
        """Make these the functions. What is as it was runs on; calls wait on, where there is still a function for them."""
        actions: list[Action] = []
        for name, spec in specs.items():
            function = self._functions.setdefault(name, _Function(name, spec, Restarts(self._rng)))
            is_same = spec.model_dump(exclude=_MAY_CHANGE) == function.spec.model_dump(exclude=_MAY_CHANGE)
            function.spec, was_leaving, function.is_leaving = spec, function.is_leaving, False
            if not is_same or was_leaving:
                function.history.reset()
                function.due_s = None
                actions += [*_become(function, "stopped", NOT_LOADED), *_unload(function)]
        for function in self._present():
            if function.name not in specs:
                function.is_leaving, function.due_s = True, None
                dropped = _drop_all(function, "it was taken out of the configuration")
                actions += [*dropped, *_become(function, "stopped", None), *_unload(function)]
        self._forget_those_that_left()
        self._functions = {name: self._functions[name] for name in (*specs, *(self._functions.keys() - specs.keys()))}
        return actions + list(self._settle(now_s))

    def _forget_those_that_left(self) -> None:
        for function in list(self._functions.values()):
            if function.is_leaving and not function.is_loaded and not function.is_busy:
                del self._functions[function.name]

    def stop(self) -> list[Action]:
        """Unload them all. None runs from now on."""
        self._is_stopping = True
        actions: list[Action] = []
        for function in self._functions.values():
            function.due_s = None
            actions += _drop_all(function, "the agent stops")
            if function.state != "failed":
                actions += _become(function, "stopped", "the agent stops")
            actions += _unload(function)
        return actions

    # What follows from what

    def _returned(self, function: _Function, failure: str | None, now_s: float) -> Iterator[Action]:
        if failure is not None:
            yield from self._fail(function, failure, now_s)
            yield from _unload(function)
            return
        function.history.reset()
        if function.is_loaded:
            function.due_s = now_s + function.spec.idle_s
            yield from _become(function, "running", "loaded, and idle")
        else:
            yield from _become(function, "stopped", NOT_LOADED)

    def _fail(self, function: _Function, failure: str, now_s: float) -> Iterator[Action]:
        function.failures += 1
        wait_s = function.history.failed(now_s, 0.0)
        if wait_s is None:
            words = f"{failure}; failed {MOST_FAILURES} times within {WINDOW_S / 60:g} minutes"
            yield from _become(function, "failed", words)
            yield from _drop_all(function, "it failed too often")
        else:
            yield from _become(function, "backoff", failure)
            function.due_s = now_s + wait_s

    def _settle(self, now_s: float) -> Iterator[Action]:
        if self._is_stopping:
            return
        waiting = [each for each in self._functions.values() if each.calls and not each.is_busy and not each.is_ending]
        for function in sorted(waiting, key=lambda each: each.calls[0].at_s):
            if function.state in {"backoff", "failed"}:
                continue
            busy = sum(each.is_busy for each in self._functions.values())
            words = self._obstacle(function.spec)
            if words is None and busy >= MOST_AT_ONCE:
                words = f"{busy} functions run already"
            if words is None:
                yield from self._run(function)
            elif now_s - function.calls[0].at_s >= function.spec.wait_s:
                yield Dropped(function.name, function.calls.popleft(), f"waited {function.spec.wait_s:g} s: {words}")
                state: ModuleState = "waiting" if function.calls else "stopped"
                yield from _become(function, state, words if function.calls else NOT_LOADED)
                yield from self._idle(function, now_s)
            else:
                yield from _become(function, "waiting", words)

    def _idle(self, function: _Function, now_s: float) -> Iterator[Action]:
        if function.is_loaded and not function.calls:
            function.due_s = now_s + function.spec.idle_s
            yield from _become(function, "running", "loaded, and idle")

    def _run(self, function: _Function) -> Iterator[Action]:
        function.is_busy = True
        function.due_s = None
        yield from _become(function, "running", None)
        yield Run(function.name, function.calls.popleft())


def _become(function: _Function, state: ModuleState, reason: str | None) -> Iterator[Action]:
    is_news = state != function.state
    function.state, function.reason = state, reason and reason[:300]
    if is_news:
        yield Became(function.name, state, reason)


def _drop_all(function: _Function, why: str) -> Iterator[Action]:
    while function.calls:
        yield Dropped(function.name, function.calls.popleft(), why)


def _unload(function: _Function) -> Iterator[Action]:
    if (function.is_loaded or function.is_busy) and not function.is_ending:
        function.is_ending = True
        yield Unload(function.name)
