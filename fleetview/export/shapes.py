"""Which numbers a heartbeat has. Devices of one kind share a shape, so that a device costs little more than its numbers.

A shape is made when a heartbeat of its kind is first seen, and forgotten with the last device that has it: so names that are
in use are bounded, but those of the past block nobody.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from fleetview.export import families
from fleetview.export.families import Family, escaped, metric_family
from fleetview_agent.wire import Heartbeat

MAX_NAMES = 2_000
"""Distinct names under `metrics`, and of modules, that a tenant's devices have now."""
MAX_METRICS = 128
"""Under `metrics` of one heartbeat."""
MAX_MODULES = 32
_MAX_SHARED = 50_000

_HEALTH = {"ok": 0.0, "degraded": 1.0, "critical": 2.0}

SeriesId = tuple[str, str]
"""The name, and the labels that tell several of one device apart."""


class Series(NamedTuple):
    """One number of a heartbeat."""

    family: Family
    label: str = ""
    """Its own label, with a comma behind it."""
    per_session: bool = False
    """By the contract it counts from 0 in each session; of other counters nobody knows whether a restart ends them."""

    @property
    def id(self) -> SeriesId:
        """What tells it apart from all others of the device."""
        return self.family.name, self.label


def _level(name: str) -> Series:
    return Series(families.LOGS, f'level="{name}",', per_session=True)


_FIXED = (
    Series(families.HEALTH),
    Series(families.UPTIME),
    Series(families.CPU),
    Series(families.MEMORY),
    Series(families.DISK),
    Series(families.TEMPERATURE),
    Series(families.CONFIG),
    _level("debug"),
    _level("info"),
    _level("warn"),
    _level("error"),
    Series(families.SPOOL_RECORDS),
    Series(families.SPOOL_BYTES),
    Series(families.SPOOL_OLDEST),
    Series(families.SPOOL_DROPPED),
    Series(families.RTT),
    Series(families.RECONNECTS, per_session=True),
)

_NO_RESOURCES = (None,) * 4
_NO_LOGS = (None,) * 4
_NO_SPOOL = (None,) * 4
_NO_LINK = (None,) * 2


class Key(NamedTuple):
    """What two heartbeats of the same shape have in common."""

    tenant: str
    absent: tuple[bool, ...] | None
    """Which of the fixed numbers are not there; None when all are."""
    modules: tuple[tuple[str, str], ...]
    metrics: tuple[str, ...]


class Numbers(NamedTuple):
    """A heartbeat's numbers in the order of its key."""

    key: Key
    values: list[float]
    dropped: int
    """Numbers beyond the bounds on one heartbeat, and those that are none."""


def numbers_of(tenant: str, body: Heartbeat) -> Numbers:
    """The numbers of a heartbeat, within the bounds on one."""
    resources, logs, spool, link = body.resources, body.logs, body.spool, body.link
    fixed: tuple[float | None, ...] = (
        None if body.health is None else _HEALTH[body.health],
        body.uptime_s,
        *(
            _NO_RESOURCES
            if resources is None
            else (resources.cpu, resources.memory, resources.disk, resources.temperature_c)
        ),
        body.config,
        *(_NO_LOGS if logs is None else (logs.debug, logs.info, logs.warn, logs.error)),
        *(_NO_SPOOL if spool is None else (spool.records, spool.bytes, spool.oldest_s, spool.dropped)),
        *(_NO_LINK if link is None else (None if link.rtt_ms is None else round(link.rtt_ms / 1000, 9), link.reconnects)),
    )
    values = [value for value in fixed if value is not None]
    absent = None if len(values) == len(fixed) else tuple([value is None for value in fixed])
    modules = body.modules[:MAX_MODULES]
    values += [1.0] * len(modules)
    values += [module.restarts for module in modules]
    metrics = body.metrics
    dropped = 2 * (len(body.modules) - len(modules))
    if len(metrics) > MAX_METRICS or not all(value is not None and value >= 0 for value in metrics.values()):
        kept = [(name, value) for name, value in metrics.items() if _counts(name, value)][:MAX_METRICS]
        dropped += len(metrics) - len(kept)
        metrics = dict(kept)
    values += [value for value in metrics.values() if value is not None]
    key = Key(tenant, absent, tuple([(module.name, module.state or "?") for module in modules]), tuple(metrics))
    return Numbers(key, values, dropped)


def _counts(name: str, value: float | None) -> bool:
    """Whether it is a number that can be what its name says: one negative counter would cost the whole scrape."""
    return value is not None and (value >= 0 or not name.endswith("_total"))


class Shape:
    """The series that heartbeats with one key make."""

    __slots__ = ("counters", "dropped", "holders", "key", "names", "picks", "series")

    def __init__(self, key: Key, kept: list[tuple[int, Series]], of: int, dropped: Counter[str], names: list[str]) -> None:
        self.key = key
        self.series = tuple(series for _, series in kept)
        self.picks = None if len(kept) == of else tuple(place for place, _ in kept)
        """Which of the numbers are taken; None for all."""
        self.counters = tuple(
            (index, series.per_session) for index, series in enumerate(self.series) if series.family.kind == "counter"
        )
        self.dropped = dropped
        """Numbers of each heartbeat that are left out, by reason."""
        self.names = names
        """Names under `metrics`, and of modules, that it holds."""
        self.holders = 0


class Shapes:
    """The shapes of all devices, and the names that they hold."""

    def __init__(self, max_names: int = MAX_NAMES) -> None:
        self._shapes: dict[Key, Shape] = {}
        self._names: dict[str, Counter[str]] = {}
        self._series: dict[SeriesId, Series] = {}
        self._max_names = max_names

    def __len__(self) -> int:
        return len(self._shapes)

    def names(self, tenant: str) -> int:
        """How many names under `metrics`, and of modules, a tenant's devices hold."""
        return len(self._names.get(tenant, ()))

    def of(self, key: Key) -> Shape:
        """The shape with a key; it stays as long as somebody holds it."""
        shape = self._shapes.get(key)
        if shape is None or (shape.dropped["names"] and self.names(key.tenant) < self._max_names):
            shape = self._shapes[key] = self._make(key)
        return shape

    def hold(self, shape: Shape) -> None:
        """A device has this shape now."""
        if not shape.holders:
            held = self._names.setdefault(shape.key.tenant, Counter())
            held.update(shape.names)
            self._shapes.setdefault(shape.key, shape)
        shape.holders += 1

    def let_go(self, shape: Shape) -> None:
        """A device has it no longer."""
        shape.holders -= 1
        if shape.holders:
            return
        tenant = shape.key.tenant
        held = self._names[tenant]
        for name in shape.names:
            held[name] -= 1
            if not held[name]:
                del held[name]
        if not held:
            del self._names[tenant]
        self.forget(shape)

    def forget(self, shape: Shape) -> None:
        """Without holders a shape is of no use."""
        if not shape.holders and self._shapes.get(shape.key) is shape:
            del self._shapes[shape.key]

    def _make(self, key: Key) -> Shape:
        dropped: Counter[str] = Counter()
        names = _Names(self._names.get(key.tenant, Counter()), self._max_names)
        absent = key.absent or (False,) * len(_FIXED)
        found: list[Series | None] = [series for series, missing in zip(_FIXED, absent, strict=True) if not missing]
        found += self._modules(key, names, dropped)
        for name in key.metrics:
            family = metric_family(name)
            if family is None:
                dropped["name"] += 1
            elif not names.take(name):
                dropped["names"] += 1
                family = None
            found.append(None if family is None else self._shared(Series(family)))
        kept = [(place, series) for place, series in enumerate(found) if series is not None]
        return Shape(key, kept, len(found), dropped, names.taken)

    def _modules(self, key: Key, names: _Names, dropped: Counter[str]) -> list[Series | None]:
        states: list[Series | None] = []
        restarts: list[Series | None] = []
        seen: set[str] = set()
        for name, state in key.modules:
            label = f'module="{escaped(name)}",'
            if label in seen:  # a second series of the same name and labels would cost Prometheus the whole scrape
                reason: str | None = "duplicate"
            else:
                reason = None if names.take(label) else "names"
            seen.add(label)
            if reason is not None:
                dropped[reason] += 2
            kept = reason is None
            states.append(self._shared(Series(families.MODULE_STATE, f'{label}state="{state}",')) if kept else None)
            restarts.append(self._shared(Series(families.MODULE_RESTARTS, label)) if kept else None)
        return states + restarts

    def _shared(self, series: Series) -> Series:
        """One copy of a series for all shapes that have it: modules in many states make many shapes of the same series."""
        found = self._series.get(series.id)
        if found is None:
            if len(self._series) >= _MAX_SHARED:
                self._series.clear()
            found = self._series[series.id] = series
        return found


class _Names:
    """Names that a new shape may take beside those that a tenant's devices hold already."""

    def __init__(self, held: Counter[str], at_most: int) -> None:
        self._held = held
        self._room = at_most - len(held)
        self.taken: list[str] = []

    def take(self, name: str) -> bool:
        """Whether there is room for it."""
        if name not in self._held:
            if self._room <= 0:
                return False
            self._room -= 1
        self.taken.append(name)
        return True
