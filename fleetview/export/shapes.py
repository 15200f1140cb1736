"""Which numbers a heartbeat has. Devices of one kind share a shape, so that a device costs little more than its numbers.

A shape is made when a heartbeat of its kind is first seen, and forgotten with the last device that has it: so names that are
in use are bounded, but those of the past block nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from fleetview.export import families
from fleetview.export.families import Family, escaped, metric_family
from fleetview_agent.wire import Heartbeat

MAX_NAMES = 2_000
"""Distinct names under `metrics` of all devices of a tenant that live now."""
MAX_METRICS = 128
"""Under `metrics` of one heartbeat."""
MAX_MODULES = 32

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
    if len(metrics) > MAX_METRICS or None in metrics.values():
        kept = [(name, value) for name, value in metrics.items() if value is not None][:MAX_METRICS]
        dropped += len(metrics) - len(kept)
        metrics = dict(kept)
    values += [value for value in metrics.values() if value is not None]
    key = Key(tenant, absent, tuple([(module.name, module.state or "?") for module in modules]), tuple(metrics))
    return Numbers(key, values, dropped)


class Shape:
    """The series that heartbeats with one key make."""

    __slots__ = ("counters", "dropped", "holders", "key", "names", "picks", "prefixes", "series")

    def __init__(self, key: Key, kept: list[tuple[int, Series]], of: int, dropped: Counter[str], names: list[str]) -> None:
        self.key = key
        self.series = tuple(series for _, series in kept)
        self.picks = None if len(kept) == of else tuple(place for place, _ in kept)
        """Which of the numbers are taken; None for all."""
        self.prefixes = tuple(f"{series.family.name}{{{series.label}" for series in self.series)
        self.counters = tuple(
            (index, series.per_session) for index, series in enumerate(self.series) if series.family.kind == "counter"
        )
        self.dropped = dropped
        """Numbers of each heartbeat that are left out, by reason."""
        self.names = names
        """Names under `metrics` that it holds."""
        self.holders = 0


class Shapes:
    """The shapes of all devices, and the names that they hold."""

    def __init__(self, max_names: int = MAX_NAMES) -> None:
        self._shapes: dict[Key, Shape] = {}
        self._names: dict[str, Counter[str]] = {}
        self._max_names = max_names

    def __len__(self) -> int:
        return len(self._shapes)

    def names(self, tenant: str) -> int:
        """How many names under `metrics` a tenant's devices hold."""
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
        found: list[Series | None] = [
            series for series, absent in zip(_FIXED, key.absent or (False,) * len(_FIXED), strict=True) if not absent
        ]
        states: list[Series | None] = []
        restarts: list[Series | None] = []
        seen: set[str] = set()
        for name, state in key.modules:
            label = f'module="{escaped(name)}",'
            if label in seen:  # a second series of the same name and labels would cost Prometheus the whole scrape
                dropped["duplicate"] += 2
            states.append(None if label in seen else Series(families.MODULE_STATE, f'{label}state="{state}",'))
            restarts.append(None if label in seen else Series(families.MODULE_RESTARTS, label))
            seen.add(label)
        names: list[str] = []
        found += [*states, *restarts, *self._metrics(key, names, dropped)]
        kept = [(place, series) for place, series in enumerate(found) if series is not None]
        return Shape(key, kept, len(found), dropped, names)

    def _metrics(self, key: Key, names: list[str], dropped: Counter[str]) -> Iterable[Series | None]:
        held = self._names.get(key.tenant, Counter())
        room = self._max_names - len(held)
        for name in key.metrics:
            family = metric_family(name)
            if family is None:
                dropped["name"] += 1
                yield None
                continue
            if name not in held:
                if room <= 0:
                    dropped["names"] += 1
                    yield None
                    continue
                room -= 1
            names.append(name)
            yield Series(family)
