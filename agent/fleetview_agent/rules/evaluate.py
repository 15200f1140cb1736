"""Whether a condition holds. Decisions only: time is an argument.

Three answers: yes, no, and None where a number is not there. No data is no data: it neither makes a rule fire nor ends it,
and what was to last begins anew.
"""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from fleetview_agent.rules.tree import (
    All,
    Any,
    Compare,
    Comparison,
    Condition,
    FieldIs,
    Lasting,
    LinkIs,
    Logs,
    Metric,
    ModuleIs,
    Not,
    Number,
    Rate,
    Vital,
    numbers,
)
from fleetview_agent.spool import Record
from fleetview_agent.wire.messages import ModuleState

_MOST_SAMPLES = 120
"""Of a rate's window."""
_LEAST_COVERED = 0.5
"""Of its window, before a rate says something: over a moment it would be a guess."""
_RANKS = {"DEBUG": 0, "INFO": 1, "WARN": 2, "ERROR": 3}
_OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}


@dataclass(frozen=True, slots=True)
class Moment:
    """What is known at a time. `now_s` is of a monotonic clock."""

    now_s: float
    figures: Mapping[str, float | None] = field(default_factory=dict)
    """Vitals by the names of `tree.Figure`."""
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    modules: Mapping[str, ModuleState | None] = field(default_factory=dict)
    link_is_up: bool | None = None


@dataclass(slots=True)
class _Window:
    """Samples of a counter, oldest first."""

    samples: deque[tuple[float, float]] = field(default_factory=deque)

    def rate(self, now_s: float, value: float, window_s: float) -> float | None:
        """Take a sample; how fast the counter rises a second, or None as long as that cannot be told."""
        last_s = self.samples[-1][0] if self.samples else float("-inf")
        if now_s - last_s >= window_s / _MOST_SAMPLES:
            self.samples.append((now_s, value))
        while len(self.samples) > 1 and now_s - self.samples[1][0] >= window_s:
            self.samples.popleft()
        first_s, before = self.samples[0]
        if now_s - first_s < window_s * _LEAST_COVERED:
            return None
        risen = 0.0
        for _, each in [*list(self.samples)[1:], (now_s, value)]:
            risen += each - before if each >= before else each  # it began anew
            before = each
        return risen / (now_s - first_s)


class Memory:
    """What one condition remembers."""

    def __init__(self, condition: Condition) -> None:
        self.condition = condition
        self._since_s: dict[int, float] = {}
        self._windows: dict[int, _Window] = {}
        self._logs = {each.key: each for each in numbers(condition) if isinstance(each, Logs)}
        self._seen: dict[int, deque[float]] = {key: deque(maxlen=logs.most) for key, logs in self._logs.items()}

    @property
    def listens(self) -> bool:
        """Whether it has to be told of log records."""
        return bool(self._logs)

    def note(self, record: Record, now_s: float) -> bool:
        """Take note of a log record; whether it is one that is counted."""
        found = False
        for key, logs in self._logs.items():
            if all(_is(record, each) for each in logs.fields):
                self._seen[key].append(now_s)
                found = True
        return found

    def holds(self, moment: Moment) -> bool | None:
        """Whether the condition holds now. None: that cannot be told. To be asked in order of time."""
        return self._holds(self.condition, moment)

    def _holds(self, condition: Condition, moment: Moment) -> bool | None:
        match condition:
            case Compare(number, comparison, bound):
                return _compared(self._value(number, moment), comparison, bound)
            case ModuleIs(module, state, negated):
                found = moment.modules.get(module)
                return None if found is None else (found == state) is not negated
            case LinkIs(up):
                return None if moment.link_is_up is None else moment.link_is_up is up
            case Not(inner):
                answer = self._holds(inner, moment)
                return None if answer is None else not answer
            case All(parts):  # all are asked, for those that remember have to see each moment
                return _all([self._holds(part, moment) for part in parts])
            case Any(parts):
                opposite = _all([_not(self._holds(part, moment)) for part in parts])
                return _not(opposite)
            case Lasting(key, inner, duration_s):
                return self._lasts(key, self._holds(inner, moment), moment.now_s, duration_s)

    def _lasts(self, key: int, answer: bool | None, now_s: float, duration_s: float) -> bool | None:  # noqa: FBT001
        if not answer:
            self._since_s.pop(key, None)
            return answer
        return now_s - self._since_s.setdefault(key, now_s) >= duration_s

    def _value(self, number: Number, moment: Moment) -> float | None:
        match number:
            case Vital(name):
                return moment.figures.get(name)
            case Metric(name):
                return moment.metrics.get(name)
            case Rate(key, name, window_s):
                value = moment.metrics.get(name)
                if value is None:
                    self._windows.pop(key, None)
                    return None
                return self._windows.setdefault(key, _Window()).rate(moment.now_s, value, window_s)
            case Logs(key, _, window_s, _):
                seen = self._seen[key]
                while seen and moment.now_s - seen[0] >= window_s:
                    seen.popleft()
                return len(seen)

    def values(self, moment: Moment) -> dict[str, float | str | None]:
        """What the numbers of the condition are now, for a person to read. Changes nothing."""
        found: dict[str, float | str | None] = {}
        for number in numbers(self.condition):
            match number:
                case Vital(name):
                    found[name] = moment.figures.get(name)
                case Metric(name) | Rate(_, name, _):
                    found[f"metrics.{name}"] = moment.metrics.get(name)
                case Logs(key, _, _, _):
                    found["log"] = len(self._seen[key])
        return found


def _compared(value: float | None, comparison: Comparison, bound: float) -> bool | None:
    return None if value is None else _OPERATORS[comparison](value, bound)


def _not(answer: bool | None) -> bool | None:  # noqa: FBT001
    return None if answer is None else not answer


def _all(answers: Sequence[bool | None]) -> bool | None:
    if False in answers:
        return False
    return None if None in answers else True


def _is(record: Record, wanted: FieldIs) -> bool:
    value = record.get(wanted.field)
    if wanted.field == "level":
        rank = _RANKS.get(str(value))
        return rank is not None and _OPERATORS[wanted.comparison](rank, _RANKS[wanted.value])
    text = value if isinstance(value, str) else "" if value is None else str(value)
    match wanted.comparison:
        case "==":
            return text == wanted.value
        case "!=":
            return text != wanted.value
        case "~":
            return wanted.regex is not None and wanted.regex.found_in(text)
        case _:
            return wanted.regex is not None and not wanted.regex.found_in(text)
