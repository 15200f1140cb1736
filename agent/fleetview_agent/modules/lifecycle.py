"""How the lives of modules go, and what each's does to the others. Decisions only: time is an argument.

    waiting ──▶ starting ──▶ running          `waiting`: for what it depends on; then its process is started at once
       ▲            │           │
       │            ├───────────┴──▶ backoff ──▶ waiting      it failed, and is started again after a while
       │            │           │       └──────▶ failed       too often, or it may not be restarted; until asked
       │            │           └──▶ stopped                  it ended by itself, as it may
       └────────────┴─ what it depends on does not run any more: that is no failure of its own

A module that waits longer than it should is in `backoff` too, to be seen; it starts as soon as it can all the same. While a
process is ending, its module is in the state that it goes to already, but is not started before that process is gone.
"""

from __future__ import annotations

import difflib
import random
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from fleetview_agent.modules.order import start_order
from fleetview_agent.modules.registry import why_not_run
from fleetview_agent.modules.restarts import MOST_FAILURES, WINDOW_S, Restarts, delay_s
from fleetview_agent.modules.spec import ModuleSpec
from fleetview_agent.wire import ModuleInfo, ModuleState

FORGIVEN_S = 2.0
"""A module that fails so shortly before what it depends on was most likely brought down by that: the news of the two deaths
may come in either order."""


_LONGEST_REASON = 300
"""Characters: a path can be longer than all else that a heartbeat says."""


@dataclass(frozen=True, slots=True)
class BecameReady:
    """The process does its work."""


@dataclass(frozen=True, slots=True)
class BecameUnwell:
    """The process does not become ready, or is not healthy any more, for this reason."""

    words: str


@dataclass(frozen=True, slots=True)
class Ended:
    """There is no process: it ended (`clean`: with status 0), or could not be started."""

    words: str
    clean: bool = False


Event = BecameReady | BecameUnwell | Ended


@dataclass(frozen=True, slots=True)
class Start:
    """Start a process of this module."""

    name: str


@dataclass(frozen=True, slots=True)
class Stop:
    """End the process of this module."""

    name: str


@dataclass(frozen=True, slots=True)
class Became:
    """The module has come into this state: to be told."""

    name: str
    state: ModuleState
    reason: str | None


Action = Start | Stop | Became


@dataclass(slots=True)
class _Module:
    name: str
    spec: ModuleSpec
    history: Restarts
    state: ModuleState = "waiting"
    reason: str | None = None
    starts: int = 0
    has_process: bool = False
    is_ending: bool = False
    """The process was told to end."""
    since_s: float = 0.0
    """When it came into its state."""
    due_s: float | None = None
    """When `waiting` or `backoff` ends by itself."""
    waits: int = 0
    """How often it has waited longer than it should, in a row."""
    dependants: list[_Module] = field(default_factory=list)

    @property
    def info(self) -> ModuleInfo:
        texts = {"version": self.spec.version, "reason": self.reason}
        known = {name: text for name, text in texts.items() if text is not None}
        return ModuleInfo(name=self.name, state=self.state, restarts=max(0, self.starts - 1), **known)


class Lives:
    """All modules of a device. Every method returns what is to be done, in that order."""

    def __init__(self, specs: Mapping[str, ModuleSpec], *, rng: random.Random) -> None:
        self._modules: dict[str, _Module] = {}
        """Each behind those that it depends on."""
        self._leaving: dict[str, _Module] = {}
        """Not in the configuration any more, but still with a process."""
        self._names = list(specs)
        self._rng = rng
        self._stopping = False
        self._take_in(specs)

    def _take_in(self, specs: Mapping[str, ModuleSpec]) -> None:
        """Make `_modules` what these say; modules that are there already stay the same objects."""
        before = self._modules | self._leaving
        order = start_order({name: spec.depends_on for name, spec in specs.items()})
        self._modules = {name: before.get(name) or _Module(name, specs[name], Restarts(self._rng)) for name in order}
        gone = (module for name, module in before.items() if name not in specs)
        self._leaving = {module.name: module for module in gone if module.has_process}
        for name, module in self._modules.items():
            module.spec, module.dependants = specs[name], []
            for other in module.spec.depends_on:
                self._modules[other].dependants.append(module)
            if (words := why_not_run(name, module.spec)) is not None:
                module.state, module.reason = "stopped", words
        for module in self._leaving.values():
            module.dependants = [other for other in self._leaving.values() if module.name in other.spec.depends_on]
        self._names = list(specs)

    def infos(self) -> list[ModuleInfo]:
        """How they are, as heartbeats tell it, in the order of the configuration."""
        return [self._modules[name].info for name in self._names]

    def next_due_s(self) -> float | None:
        """When `advance` has something to do."""
        if self._stopping:
            return None  # nothing is started any more
        return min((module.due_s for module in self._modules.values() if module.due_s is not None), default=None)

    @property
    def all_ended(self) -> bool:
        """Whether no process is left."""
        return not self._leaving and not any(module.has_process for module in self._modules.values())

    def advance(self, now_s: float) -> list[Action]:
        """What the time brings. Also the beginning."""
        return list(self._settle(now_s))

    def apply(self, name: str, event: Event, now_s: float) -> list[Action]:
        """What has happened to the process of a module."""
        if name in self._leaving:
            if isinstance(event, Ended):
                self._leaving.pop(name).has_process = False
            return list(self._settle(now_s))
        module = self._modules[name]
        actions: list[Action] = []
        match event, module.state:
            case BecameReady(), "starting" if not module.is_ending:
                actions += _become(module, "running", None, now_s)
            case BecameUnwell(words), "starting" | "running" if not module.is_ending:
                actions += _fail(module, words, now_s)
                actions += _end(module)
            case Ended(words, clean), state:
                module.has_process = module.is_ending = False
                if state in {"starting", "running"}:
                    may_end = clean and module.spec.restart != "always"
                    actions += _become(module, "stopped", words, now_s) if may_end else _fail(module, words, now_s)
        return actions + list(self._settle(now_s))

    def restart(self, name: str, now_s: float) -> list[Action]:
        """Restart a module because somebody asked. Raises ValueError, in words, when there is nothing to restart."""
        module = self._modules.get(name)
        if module is None:
            near = difflib.get_close_matches(name, self._names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(self._names) or 'none'}"
            msg = f"no module is called {name[:64]!r}; {hint}"
            raise ValueError(msg)
        if (words := why_not_run(name, module.spec)) is not None:
            msg = f"module {name} cannot be restarted: {words}"
            raise ValueError(msg)
        module.history.reset()
        module.waits = 0
        actions = [*_wait(module, "restart asked for", now_s), *_end(module)]
        return actions + list(self._settle(now_s))

    def reconfigure(self, specs: Mapping[str, ModuleSpec], now_s: float, also: Collection[str] = ()) -> list[Action]:
        """Take other specs for those there were. Raises graphlib.CycleError, and then nothing has changed.

        The process of a module runs on unless it would be another by its spec, is among `also`, or what it depends on does
        not run on.
        """
        if self._stopping:
            return []
        before = {name: module.spec for name, module in self._modules.items()}
        self._take_in(specs)
        actions: list[Action] = []
        for name, module in self._modules.items():
            is_new = name not in before and not module.has_process
            if not is_new and (name in also or name not in before or not before[name].runs_like(module.spec)):
                module.history.reset()
                module.waits = 0
                if why_not_run(name, module.spec) is None:
                    actions += _wait(module, "reconfigured", now_s)
                actions += _end(module)
        return actions + list(self._settle(now_s))

    def stop(self, now_s: float) -> list[Action]:
        """End them all, each after those that depend on it. Nothing is started from now on."""
        self._stopping = True
        return list(self._settle(now_s))

    # What follows from what

    def _settle(self, now_s: float) -> Iterator[Action]:
        for module in self._leaving.values():
            yield from _wind_up(module, "taken out of the configuration", now_s)
        if self._stopping:
            for module in self._modules.values():
                yield from _wind_up(module, "the agent stops", now_s)
            return
        for module in self._modules.values():  # one pass is enough: nothing depends on what comes behind it
            yield from self._advance_one(module, now_s)

    def _advance_one(self, module: _Module, now_s: float) -> Iterator[Action]:
        obstacle = self._obstacle(module)
        is_due = module.due_s is not None and module.due_s <= now_s
        match module.state:
            case "starting" | "running" if obstacle is not None:
                yield from _wait(module, obstacle, now_s)
                yield from _end(module)
            case "backoff" | "failed" if obstacle is not None and not module.waits and _just_failed(module, now_s):
                module.history.forgive()
                yield from _wait(module, obstacle, now_s)
            case "backoff" if is_due or (module.waits and obstacle is None):
                yield from _wait(module, obstacle, now_s)
                yield from _start(module, obstacle, now_s)
            case "waiting" if obstacle is not None and is_due:
                words = f"waited {module.spec.wait_s:g} s: {obstacle}"
                yield from _become(module, "backoff", words, now_s)
                module.due_s = now_s + delay_s(module.waits, self._rng)
                module.waits += 1
            case "waiting":
                yield from _start(module, obstacle, now_s)

    def _obstacle(self, module: _Module) -> str | None:
        for name in module.spec.depends_on:
            other = self._modules[name]
            if other.state != "running":
                return f"{name} is {_IN_WORDS[other.state]}"
        return None


def behind_is(state: ModuleState | None) -> str:
    """The state as it follows `module m is`: `running`, `in backoff`."""
    return "in backoff" if state == "backoff" else state or "in no known state"


_IN_WORDS: Mapping[ModuleState, str] = {
    "waiting": "waiting itself",
    "starting": "not ready yet",
    "backoff": "in backoff",
    "failed": "failed",
    "stopped": "stopped",
}


def _become(module: _Module, state: ModuleState, reason: str | None, now_s: float) -> Iterator[Action]:
    is_news = state != module.state
    module.reason = reason = reason and reason[:_LONGEST_REASON]
    if is_news or state == "backoff":
        module.state, module.since_s, module.due_s = state, now_s, None
    if is_news:
        yield Became(module.name, state, reason)


def _wait(module: _Module, reason: str | None, now_s: float) -> Iterator[Action]:
    yield from _become(module, "waiting", reason, now_s)
    module.due_s = now_s + module.spec.wait_s


def _start(module: _Module, obstacle: str | None, now_s: float) -> Iterator[Action]:
    if obstacle is not None:
        module.reason = obstacle
        module.due_s = module.due_s or now_s + module.spec.wait_s
        return
    if module.has_process:  # the one before is still ending
        module.due_s = None
        return
    module.starts += 1
    module.waits = 0
    module.has_process = True
    yield from _become(module, "starting", None, now_s)
    yield Start(module.name)


def _end(module: _Module) -> Iterator[Action]:
    if module.has_process and not module.is_ending:
        module.is_ending = True
        yield Stop(module.name)


def _fail(module: _Module, words: str, now_s: float) -> Iterator[Action]:
    ran_s = now_s - module.since_s if module.state == "running" else 0.0
    wait_s = module.history.failed(now_s, ran_s)
    if module.spec.restart == "never":
        yield from _become(module, "failed", words, now_s)
    elif wait_s is None:
        words = f"{words}; failed {MOST_FAILURES} times within {WINDOW_S / 60:g} minutes"
        yield from _become(module, "failed", words, now_s)
    else:
        yield from _become(module, "backoff", words, now_s)
        module.due_s = now_s + wait_s


def _just_failed(module: _Module, now_s: float) -> bool:
    return now_s - module.since_s <= FORGIVEN_S


def _wind_up(module: _Module, why: str, now_s: float) -> Iterator[Action]:
    if any(dependant.has_process for dependant in module.dependants):
        return
    if module.state not in {"failed", "stopped"}:
        yield from _become(module, "stopped", why, now_s)
    yield from _end(module)
