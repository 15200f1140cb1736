"""Log records of the whole fleet, bounded by bytes and by number: overall, and per device.

So a chatterer cannot push the others out. What is dropped is the oldest, and is counted.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import islice
from sys import getsizeof
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from pydantic_core import from_json, to_json

from fleetview.core.shelf import Shelf
from fleetview.core.streams import Hole, Stream, Tally
from fleetview_agent.wire import Address, Level, normalize

if TYPE_CHECKING:
    from collections.abc import Iterator, KeysView

    from fleetview.core.received import Received
    from fleetview_agent.wire import LogBatch

DEFAULT_MAX_BYTES = 64 * 1024 * 1024
DEFAULT_MAX_RECORDS = 1_000_000
DEFAULT_DEVICE_SHARE = 0.25
ENTRY_OVERHEAD_BYTES = 220
"""What an entry costs beside its text, its row in a view included: the growth of a process over a million entries."""
UNTOLD_SHARE = 1 / 16
"""Of the bytes, for dropped records that wait for somebody to look: they take memory still, and do not count any more."""
MAX_SERVICES = 1024
"""Names of services of which there is one text for all records."""
MAX_STREAMS = 4
"""Streams kept of one device; an older one is forgotten, for a spool that was lost does not come back."""


@dataclass(slots=True, eq=False)
class Entry:
    """One record as kept."""

    number: int
    """Counts up by one for every record kept, in order of arrival."""
    address: Address
    time_ms: int
    time_is_receipt: bool
    level: Level
    service: str
    trace_id: str | None
    message: str
    raw: bytes
    """The record as JSON, all its fields as received."""
    received_ms: int
    stream: str | None
    seq: int | None
    hole: Hole | None = None
    """The numbers that are missing right before this record."""
    dropped: bool = False

    @property
    def size_bytes(self) -> int:
        """What it counts against the bounds."""
        trace = 0 if self.trace_id is None else getsizeof(self.trace_id)
        return ENTRY_OVERHEAD_BYTES + getsizeof(self.raw) + getsizeof(self.message) + len(self.service) + trace

    def fields(self) -> dict[str, Any]:
        """All fields as received."""
        found = from_json(self.raw)
        return found if isinstance(found, dict) else {}

    def extra(self) -> dict[str, Any]:
        """The fields beside time, level, service, trace and message, as received."""
        return normalize(self.fields(), self.received_ms).extra()


@dataclass(slots=True)
class _Device:
    entries: deque[Entry]
    streams: dict[str, Stream]
    bytes: int = 0
    unnumbered: int = 0


class Dropped:
    """What a logbook dropped since somebody who shows its records last looked."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.bytes = 0
        self.overflown = False
        """There were more than are worth keeping: look at everything anew."""

    def take(self) -> list[Entry]:
        """What was dropped, and forget it."""
        found, self.entries, self.bytes = self.entries, [], 0
        return found

    def add(self, entry: Entry, max_bytes: float) -> None:
        """Remember that it was dropped, or that there is no room to remember."""
        self.bytes += entry.size_bytes
        if self.bytes > max_bytes:
            self.entries, self.bytes, self.overflown = [], 0, True
        elif not self.overflown:
            self.entries.append(entry)


class Logbook:
    """The records that are kept, in order of arrival."""

    def __init__(
        self,
        max_bytes: int = DEFAULT_MAX_BYTES,
        device_share: float = DEFAULT_DEVICE_SHARE,
        max_records: int = DEFAULT_MAX_RECORDS,
    ) -> None:
        self.max_bytes = max_bytes
        self.max_records = max_records
        self.max_device_bytes = int(max_bytes * device_share)
        self.max_device_records = max(1, int(max_records * device_share))
        self.bytes = 0
        self.received = 0
        """Records taken in, duplicates not counted."""
        self.duplicates = 0
        self.evicted = 0
        """Records dropped because of the bounds."""
        self._entries: Shelf[Entry] = Shelf()
        self._devices: dict[Address, _Device] = {}
        self._services: dict[str, str] = {}
        self._watching: WeakSet[Dropped] = WeakSet()

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    @property
    def last_number(self) -> int:
        """The number of the newest record; 0 before the first."""
        return self.received

    def newer_than(self, number: int) -> list[Entry]:
        """The records that came after the one with this number, oldest first."""
        return [entry for some in self._entries.after(number) for entry in some]

    @property
    def addresses(self) -> KeysView[Address]:
        """The devices that sent records."""
        return self._devices.keys()

    def after(self, number: int) -> Iterator[list[Entry]]:
        """The same, some at a time; records may come and go between two of them."""
        return self._entries.after(number)

    def before(self, number: int) -> Iterator[list[Entry]]:
        """The records that came before the one with this number, some at a time from the newest on, each time in order."""
        return self._entries.before(number)

    def watch_dropped(self) -> Dropped:
        """Where all that is dropped from now on will stand, for as long as somebody holds it."""
        dropped = Dropped()
        self._watching.add(dropped)
        return dropped

    def of(self, address: Address, last: int | None = None) -> list[Entry]:
        """The records of a device, oldest first; the last few of them when `last` is given."""
        device = self._devices.get(address)
        if device is None:
            return []
        if last is None:
            return list(device.entries)
        return list(islice(reversed(device.entries), last))[::-1]

    def tally(self, address: Address) -> Tally:
        """What came of a device's records."""
        device = self._devices.get(address)
        if device is None:
            return Tally()
        streams = device.streams.values()
        return Tally(
            records=device.unnumbered + sum(stream.records for stream in streams),
            duplicates=sum(stream.duplicates for stream in streams),
            gaps=sum(stream.gaps for stream in streams),
            missing=sum(stream.missing for stream in streams),
        )

    def holes(self, address: Address) -> list[Hole]:
        """The holes in a device's numbers."""
        device = self._devices.get(address)
        return [] if device is None else [hole for stream in device.streams.values() for hole in stream.holes]

    def missing_before(self, entry: Entry) -> Hole | None:
        """What is missing right before a record by now: records that were missing may have come late."""
        hole, device = entry.hole, self._devices.get(entry.address)
        stream = device.streams.get(entry.stream) if device is not None and entry.stream is not None else None
        if hole is None or stream is None:
            return hole
        left = stream.still_missing(hole)
        return None if left is None else left._replace(since_ms=hole.since_ms)

    def add(self, address: Address, batch: LogBatch, received: Received, epoch: int = 0) -> Tally:
        """Take in the records of a message and return the device's tally.

        `epoch` counts how often the reader's link came back: what was missed in between is the reader's fault.
        """
        device = self._devices.get(address)
        if device is None:
            device = self._devices[address] = _Device(deque(), {})
        received_ms = int(received.unix_s * 1000)
        if batch.stream is None or batch.first_seq is None:
            device.unnumbered += len(batch.records)
            for record in batch.records:
                self._keep(device, address, record, received_ms)
        else:
            self._add_numbered(device, address, batch, received_ms, epoch)
        self._bound(device)
        return self.tally(address)

    def _add_numbered(self, device: _Device, address: Address, batch: LogBatch, received_ms: int, epoch: int) -> None:
        if batch.stream is None or batch.first_seq is None:
            return
        first = batch.first_seq
        stream = device.streams.get(batch.stream)
        if stream is None:
            if len(device.streams) >= MAX_STREAMS:
                del device.streams[next(iter(device.streams))]
            stream = device.streams[batch.stream] = Stream(first, epoch)
        gaps_before = stream.gaps
        end_before = stream.end
        new = stream.take(first, len(batch.records), epoch)
        self.duplicates += len(batch.records) - len(new)
        for offset in new:
            record = batch.records[offset]
            if record.get("event") == "gap":
                _own_up(stream, record)
        hole = stream.holes[-1] if stream.gaps > gaps_before and first > end_before else None
        if hole is not None and device.entries:
            hole = hole._replace(since_ms=device.entries[-1].time_ms)
        for offset in new:
            self._keep(
                device, address, batch.records[offset], received_ms, stream=batch.stream, seq=first + offset, hole=hole
            )
            hole = None

    def _keep(
        self,
        device: _Device,
        address: Address,
        raw: dict[str, Any],
        received_ms: int,
        *,
        stream: str | None = None,
        seq: int | None = None,
        hole: Hole | None = None,
    ) -> None:
        record = normalize(raw, received_ms)
        self.received += 1
        if len(self._services) > MAX_SERVICES:
            self._services.clear()
        entry = Entry(
            number=self.received,
            address=address,
            time_ms=record.time_ms,
            time_is_receipt=record.time_is_receipt,
            level=record.level,
            service=self._services.setdefault(record.service, record.service),
            trace_id=record.trace_id,
            message=record.message,
            raw=to_json(raw, inf_nan_mode="strings"),
            received_ms=received_ms,
            stream=stream,
            seq=seq,
            hole=hole,
        )
        self._entries.add(entry)
        device.entries.append(entry)
        device.bytes += entry.size_bytes
        self.bytes += entry.size_bytes

    def _bound(self, device: _Device) -> None:
        while device.entries and (device.bytes > self.max_device_bytes or len(device.entries) > self.max_device_records):
            self._drop(device)
        while self.bytes > self.max_bytes or len(self._entries) > self.max_records:
            oldest = self._entries.oldest()
            if oldest is None:
                break
            self._drop(self._devices[oldest.address])  # the oldest of all is the oldest of its device

    def _drop(self, device: _Device) -> None:
        entry = device.entries.popleft()
        self._entries.drop(entry.number)
        entry.dropped = True
        size = entry.size_bytes
        device.bytes -= size
        self.bytes -= size
        self.evicted += 1
        for dropped in self._watching:
            dropped.add(entry, self.max_bytes * UNTOLD_SHARE)


def _own_up(stream: Stream, record: dict[str, Any]) -> None:
    first, count, reason = record.get("first_seq"), record.get("count"), record.get("reason")
    if isinstance(first, int) and isinstance(count, int) and count > 0:
        stream.own_up(first, count, reason if isinstance(reason, str) else None)
