"""The numbers of each device's last heartbeat, and counters that go on across its restarts. Pure: time is an argument.

Counters. What Prometheus sees only ever grows while the exporter runs:

- A heartbeat that is older than the last one taken (late, duplicate, retained and sent again) changes nothing.
- A counter that is lower than before began anew: what it had reached is added from then on.
- `logs` and `reconnects` count since the session began, by the contract: a new session adds what was before even when the
  new number is already higher. Of the counters under `metrics` nobody knows whether they belong to the agent's session (its
  own processor time) or outlive it (bytes of a network card), so one that did not fall goes on: adding would double it.

Numbers end with the silence of their device: they are exposed while it is online by the rules of the contract, and no longer
than 3 H after they came even when the reader's own link is down and the rules' timers stand still. Nothing freezes.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from fleetview.core.device import Connectivity
from fleetview.core.presence import stale_after_s
from fleetview.export.labels import Held, LabelPlan, Labels
from fleetview.export.shapes import MAX_NAMES, SeriesId, Shape, Shapes, numbers_of

if TYPE_CHECKING:
    from fleetview.core.device import Device
    from fleetview.core.received import Received
    from fleetview_agent.wire import Address, Heartbeat

MAX_SERIES = 2_000_000
"""Numbers of heartbeats that are kept: 16 bytes each."""
_MAX_PARKED = 64


class Parked(NamedTuple):
    """A counter that the last heartbeat did not name. When it comes back it must not begin anew."""

    raw: float
    offset: float
    per_session: bool


class Record:
    """What is kept of one device."""

    __slots__ = (
        "device", "heard_mono", "heard_unix", "held", "labels", "labels_of", "offsets", "parked", "raws", "seq", "session",
        "shape", "values",
    )  # fmt: skip

    def __init__(self, device: Device) -> None:
        self.device = device
        self.labels = ""
        self.labels_of: tuple[object, object] | None = None
        self.held: Held = ()
        self.session: str | None = None
        self.seq = -1
        self.shape: Shape | None = None
        self.raws = array("d")
        """As the device sent them."""
        self.values = self.raws
        """As they are exposed; never changed in place, for a scrape that is under way reads them."""
        self.offsets: dict[int, float] | None = None
        self.parked: dict[SeriesId, Parked] | None = None
        self.heard_mono = -math.inf
        self.heard_unix: float | None = None

    def is_fresh(self, mono_s: float) -> bool:
        """Whether its numbers may be passed off as current."""
        device = self.device
        return device.connectivity is Connectivity.ONLINE and mono_s - self.heard_mono < stale_after_s(device.interval_s)


class Store:
    """The records of all devices, with what was left out of them."""

    def __init__(self, plan: LabelPlan | None = None, *, max_series: int = MAX_SERIES, max_names: int = MAX_NAMES) -> None:
        self.labels = Labels(plan or LabelPlan())
        self.shapes = Shapes(max_names)
        self.series: Counter[str] = Counter()
        """Numbers kept, by tenant."""
        self.heartbeats: Counter[str] = Counter()
        self.late: Counter[str] = Counter()
        self.dropped: Counter[tuple[str, str]] = Counter()
        """By tenant and reason. All these go with the last device of their tenant: names of tenants come from outside."""
        self._devices: Counter[str] = Counter()
        self._records: dict[Address, Record] = {}
        self._max_series = max_series
        self._kept = 0

    def record(self, device: Device) -> Record:
        """The record of a device, its labels up to date."""
        record = self._records.get(device.address)
        if record is None or record.device is not device:
            if record is not None:
                self.forget(record.device)
            record = self._records[device.address] = Record(device)
            self._devices[device.address.tenant] += 1
        now = (device.release, device.labels)
        before = record.labels_of
        if before is None or before[0] != now[0] or before[1] is not now[1]:
            self.labels.let_go(device.address.tenant, record.held)
            record.labels, record.held = self.labels.text(device)
            record.labels_of = now
        return record

    def forget(self, device: Device) -> None:
        """The device was removed from the fleet, and its series end for good."""
        record = self._records.get(device.address)
        if record is None or record.device is not device:
            return
        del self._records[device.address]
        tenant = device.address.tenant
        self.labels.let_go(tenant, record.held)
        self._count_kept(tenant, -len(record.raws))
        if record.shape is not None:
            self.shapes.let_go(record.shape)
        self._devices[tenant] -= 1
        if not self._devices[tenant]:
            self._forget_tenant(tenant)

    def _forget_tenant(self, tenant: str) -> None:
        for counter in (self._devices, self.heartbeats, self.late, self.labels.dropped):
            del counter[tenant]
        for key in [key for key in self.dropped if key[0] == tenant]:
            del self.dropped[key]

    def take(self, device: Device, body: Heartbeat, received: Received) -> None:
        """Take in a heartbeat after the fleet did, which knows by now which session is the current one."""
        tenant = device.address.tenant
        record = self.record(device)
        if not _is_news(record, body, received):
            self.late[tenant] += 1
            return
        key, values, over = numbers_of(tenant, body)
        before = record.shape
        moves = before is not None and before.key != key
        if before is not None and moves:
            self.shapes.let_go(before)  # first, so that the names it held are there for the new one
        shape = self.shapes.of(key)
        if self._kept + len(shape.series) - len(record.raws) > self._max_series and shape is not before:
            self.shapes.forget(shape)
            if before is not None and moves:
                self.shapes.hold(before)
            self.dropped[tenant, "series"] += len(values) + over
            return  # what was kept of the device ends with its time
        if over:
            self.dropped[tenant, "heartbeat"] += over
        for reason, count in shape.dropped.items():
            self.dropped[tenant, reason] += count
        self.heartbeats[tenant] += 1
        if shape is not before:
            self.shapes.hold(shape)
            if before is not None and not moves:
                self.shapes.let_go(before)
            self._reshape(record, shape)
        raws = array("d", values if shape.picks is None else [values[place] for place in shape.picks])
        _count(record, shape, raws, restarted=record.session not in {None, body.session})
        record.session, record.seq = body.session, body.seq
        age_s = max(0.0, received.unix_s - body.timestamp.timestamp()) if received.retained else 0.0
        record.heard_mono, record.heard_unix = received.mono_s - age_s, received.unix_s - age_s

    def _reshape(self, record: Record, shape: Shape) -> None:
        """Another set of numbers: put the counters of the old one aside, and those of the new one in their places."""
        tenant = record.device.address.tenant
        aside = record.parked or {}
        offsets = record.offsets or {}
        before = record.shape
        if before is not None:
            for index, per_session in before.counters:
                aside[before.series[index].id] = Parked(record.raws[index], offsets.get(index, 0.0), per_session)
        raws = array("d", bytes(8 * len(shape.series)))
        found: dict[int, float] = {}
        for index, _ in shape.counters:
            parked = aside.pop(shape.series[index].id, None)
            if parked is not None:
                raws[index] = parked.raw
                if parked.offset:
                    found[index] = parked.offset
        while len(aside) > _MAX_PARKED:
            del aside[next(iter(aside))]
            self.dropped[tenant, "parked"] += 1
        self._count_kept(tenant, len(raws) - len(record.raws))
        record.shape, record.raws, record.offsets, record.parked = shape, raws, found or None, aside or None

    def _count_kept(self, tenant: str, change: int) -> None:
        self._kept += change
        self.series[tenant] += change
        if not self.series[tenant]:
            del self.series[tenant]


def _is_news(record: Record, body: Heartbeat, received: Received) -> bool:
    if record.session is None:
        # The retained heartbeat of an older session is still the last that the device sent.
        return received.retained or body.session == record.device.session
    return body.session == record.device.session and (body.session != record.session or body.seq > record.seq)


def _count(record: Record, shape: Shape, raws: array[float], *, restarted: bool) -> None:
    """Put new numbers in the place of those before, and let counters go on."""
    offsets = record.offsets
    for index, per_session in shape.counters:
        before = record.raws[index]
        if raws[index] < before or (restarted and per_session and before):
            offsets = offsets or {}
            offsets[index] = offsets.get(index, 0.0) + before
    if restarted and record.parked:
        for name, parked in record.parked.items():
            if parked.per_session:
                record.parked[name] = Parked(0.0, parked.offset + parked.raw, per_session=True)
    record.raws = record.values = raws
    record.offsets = offsets
    if offsets:
        record.values = array("d", raws)
        for index, offset in offsets.items():
            total = raws[index] + offset
            record.values[index] = total if total < math.inf else raws[index]
