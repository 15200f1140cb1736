"""Whether a device is well with a new configuration, compared with how it was before. Decisions only: time is an argument.

What was wrong before is not held against the configuration, unless it is of a module that it touches. Bad at once is what
does not mend itself: a module that is given up, one that fails again, health that becomes critical. All else that is new
may last for a while (GRACE_S), for starting something takes it out of balance.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from fleetview_agent.wire import Health, ModuleInfo, ModuleState

GRACE_S = 10.0
"""Longer than a module waits after its first failures (modules.restarts)."""
MOST_FAILURES = 2
"""Of one module. The first may be a port that its predecessor had not let go yet."""

_NUMBERS = re.compile(r"\d[\d.,]*")
_MODULE = "module "
"""How the reasons of health begin that the states of modules tell better."""


@dataclass(frozen=True, slots=True)
class Sample:
    """How the device is at one moment."""

    health: Health
    reasons: Sequence[str] = ()
    modules: Sequence[ModuleInfo] = ()

    def states(self) -> dict[str, ModuleState]:
        """Of the modules."""
        return {info.name: info.state for info in self.modules if info.state is not None}

    def troubles(self) -> dict[str, str]:
        """What is wrong apart from modules: what it is without its figures, and in words."""
        return {_NUMBERS.sub("#", reason): reason for reason in self.reasons if not reason.startswith(_MODULE)}


@dataclass(frozen=True, slots=True)
class Watch:
    """A configuration that is being tried."""

    before: Sample
    touched: Collection[str]
    """The modules that are new or other ones with it."""
    since_s: float
    until_s: float
    unwell_since_s: float | None = None
    failures: Mapping[str, int] = field(default_factory=dict)
    states: Mapping[str, ModuleState] = field(default_factory=dict)

    @property
    def grace_s(self) -> float:
        """How long what is wrong may last."""
        return min(GRACE_S, (self.until_s - self.since_s) / 2)


@dataclass(frozen=True, slots=True)
class Good:
    """The device was well for the whole window."""


@dataclass(frozen=True, slots=True)
class Bad:
    """It is not, for this reason."""

    reason: str


def look(watch: Watch, sample: Sample, now_s: float) -> Watch | Good | Bad:
    """What a look at the device amounts to: the watch goes on, or it has an end."""
    watch = counted(watch, sample)
    if (reason := next(_for_good(watch, sample), None)) is not None:
        return Bad(reason)
    is_over = now_s >= watch.until_s
    unwell = next(_for_now(watch, sample), None)
    if unwell is None:
        unready = next(_not_there_yet(watch, sample), None) if is_over else None
        if unready is not None:
            return Bad(unready)
        return Good() if is_over else replace(watch, unwell_since_s=None)
    since_s = now_s if watch.unwell_since_s is None else watch.unwell_since_s
    if is_over or now_s - since_s >= watch.grace_s:
        return Bad(unwell)
    return replace(watch, unwell_since_s=since_s)


def counted(watch: Watch, sample: Sample) -> Watch:
    """The watch with what has failed since the last look."""
    states = sample.states()
    failures = dict(watch.failures)
    for name, state in states.items():
        if state == "backoff" and watch.states.get(name) != "backoff":
            failures[name] = failures.get(name, 0) + 1
    return replace(watch, failures=failures, states=states)


class Wrong(NamedTuple):
    """What is wrong with a device that is watched."""

    words: str
    for_good: bool
    """It does not mend itself."""


def wrong(watch: Watch, sample: Sample) -> Wrong | None:
    """What is wrong at this moment, for those who watch in their own time; modules that are not there yet are."""
    if (reason := next(_for_good(watch, sample), None)) is not None:
        return Wrong(reason, for_good=True)
    reason = next(_for_now(watch, sample), None) or next(_on_their_way(watch, sample), None)
    return None if reason is None else Wrong(reason, for_good=False)


def _on_their_way(watch: Watch, sample: Sample) -> Iterator[str]:
    for info in _not_there(watch, sample):
        yield f"module {info.name} is {info.state}" + (f": {info.reason}" if info.reason else "")


def _held_against(watch: Watch, sample: Sample) -> Iterator[ModuleInfo]:
    """The modules whose state counts, each unless it was as bad before."""
    before = watch.before.states()
    for info in sample.modules:
        if info.name in watch.touched or before.get(info.name) not in {"backoff", "failed"}:
            yield info


def _for_good(watch: Watch, sample: Sample) -> Iterator[str]:
    for info in _held_against(watch, sample):
        if info.state == "failed" or watch.failures.get(info.name, 0) >= MOST_FAILURES:
            yield _in_words(info, watch.failures.get(info.name, 0))
    new = _new_troubles(watch, sample)
    if sample.health == "critical" and watch.before.health != "critical" and new:
        yield f"health became critical: {new[0]}"


def _for_now(watch: Watch, sample: Sample) -> Iterator[str]:
    for info in _held_against(watch, sample):
        if info.state == "backoff":
            yield _in_words(info, 1)
    yield from _new_troubles(watch, sample)


def _not_there_yet(watch: Watch, sample: Sample) -> Iterator[str]:
    for info in _not_there(watch, sample):
        why = f": {info.reason}" if info.reason else ""
        yield f"module {info.name} is still {info.state} after {watch.until_s - watch.since_s:g} s{why}"


def _not_there(watch: Watch, sample: Sample) -> Iterator[ModuleInfo]:
    before = watch.before.states()
    for info in _held_against(watch, sample):
        was_so = info.name not in watch.touched and before.get(info.name) == info.state
        if info.state in {"starting", "waiting"} and not was_so:
            yield info


def _new_troubles(watch: Watch, sample: Sample) -> list[str]:
    before = watch.before.troubles()
    return [words for what, words in sample.troubles().items() if what not in before]


def _in_words(info: ModuleInfo, failures: int) -> str:
    why = f": {info.reason}" if info.reason else ""
    often = f" for the {failures}nd time" if failures == MOST_FAILURES else ""
    return f"module {info.name} {'failed' if info.state == 'failed' else 'is in backoff'}{often}{why}"
