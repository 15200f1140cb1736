"""Conditions as trees. Each node that remembers something has a number of its own (`key`), by which `evaluate` keeps it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from fleetview_agent.regexes.checked import Regex
from fleetview_agent.wire.messages import ModuleState

Comparison = Literal[">", ">=", "<", "<=", "==", "!="]
Figure = Literal["cpu", "memory", "disk", "temperature_c", "uptime_s", "spool.records", "spool.bytes", "spool.dropped"]


@dataclass(frozen=True, slots=True)
class Vital:
    """A number that every device has."""

    name: Figure


@dataclass(frozen=True, slots=True)
class Metric:
    """A number of a heartbeat's `metrics`."""

    name: str


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast a counter rises, a second, within the last `window_s`."""

    key: int
    metric: str
    window_s: float


@dataclass(frozen=True, slots=True)
class FieldIs:
    """What a field of a log record has to be. `level` compares by rank, all else as texts."""

    field: str
    comparison: Literal[">", ">=", "<", "<=", "==", "!=", "~", "!~"]
    value: str
    regex: Regex | None = None


@dataclass(frozen=True, slots=True)
class Logs:
    """How many log records of such a kind there were within the last `window_s`. Counted up to `most`."""

    key: int
    fields: tuple[FieldIs, ...]
    window_s: float
    most: int


Number = Vital | Metric | Rate | Logs


@dataclass(frozen=True, slots=True)
class Compare:
    """A number against a bound."""

    number: Number
    comparison: Comparison
    bound: float


@dataclass(frozen=True, slots=True)
class ModuleIs:
    """A module is in a state, or (`negated`) is not."""

    module: str
    state: ModuleState
    negated: bool


@dataclass(frozen=True, slots=True)
class LinkIs:
    """The link to the broker is up, or down."""

    up: bool


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite."""

    inner: Condition


@dataclass(frozen=True, slots=True)
class All:
    """All of them hold."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Any:
    """One of them holds."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Lasting:
    """It has held for so long, without a break."""

    key: int
    inner: Condition
    duration_s: float


Condition = Compare | ModuleIs | LinkIs | Not | All | Any | Lasting


def conditions(condition: Condition) -> Iterator[Condition]:
    """It, and all that it is made of."""
    yield condition
    match condition:
        case Not(inner) | Lasting(_, inner, _):
            yield from conditions(inner)
        case All(parts) | Any(parts):
            for part in parts:
                yield from conditions(part)


def numbers(condition: Condition) -> Iterator[Number]:
    """All numbers that it compares."""
    for each in conditions(condition):
        if isinstance(each, Compare):
            yield each.number
