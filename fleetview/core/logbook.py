"""Log records of the whole fleet, bounded by bytes: overall, and per device so that a chatterer cannot push the others out.

What is dropped is the oldest, and is counted.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json, to_json

from fleetview.core.streams import Hole, Stream, Tally
from fleetview_agent.wire import Address, Level, normalize

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fleetview.core.received import Received
    from fleetview_agent.wire import LogBatch

DEFAULT_MAX_BYTES = 64 * 1024 * 1024
DEFAULT_DEVICE_SHARE = 0.25
ENTRY_OVERHEAD_BYTES = 420
"""What an entry costs beside its text, measured over 100,000 entries with tracemalloc."""
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
        return ENTRY_OVERHEAD_BYTES + len(self.raw) + len(self.message) + len(self.service)

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


class Logbook:
    """The records that are kept, in order of arrival."""

    def __init__(self, max_bytes: int = DEFAULT_MAX_BYTES, device_share: float = DEFAULT_DEVICE_SHARE) -> None:
        self.max_bytes = max_bytes
        self.max_device_bytes = int(max_bytes * device_share)
        self.bytes = 0
        self.received = 0
        """Records taken in, duplicates not counted."""
        self.duplicates = 0
        self.evicted = 0
        """Records dropped because of the bounds."""
        self._entries: deque[Entry] = deque()
        self._dropped = 0
        self._dropped_bytes = 0
        """Of entries that stand in the middle and are only marked as dropped."""
        self._devices: dict[Address, _Device] = {}

    def __len__(self) -> int:
        return len(self._entries) - self._dropped

    def __iter__(self) -> Iterator[Entry]:
        return (entry for entry in self._entries if not entry.dropped)

    @property
    def last_number(self) -> int:
        """The number of the newest record; 0 before the first."""
        return self.received

    def newer_than(self, number: int) -> list[Entry]:
        """The records that came after the one with this number, oldest first."""
        found = []
        for entry in reversed(self._entries):
            if entry.number <= number:
                break
            if not entry.dropped:
                found.append(entry)
        found.reverse()
        return found

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
        entry = Entry(
            number=self.received,
            address=address,
            time_ms=record.time_ms,
            time_is_receipt=record.time_is_receipt,
            level=record.level,
            service=record.service,
            trace_id=record.trace_id,
            message=record.message,
            raw=to_json(raw, inf_nan_mode="strings"),
            received_ms=received_ms,
            stream=stream,
            seq=seq,
            hole=hole,
        )
        self._entries.append(entry)
        device.entries.append(entry)
        device.bytes += entry.size_bytes
        self.bytes += entry.size_bytes

    def _bound(self, device: _Device) -> None:
        while device.bytes > self.max_device_bytes and device.entries:
            entry = device.entries.popleft()
            self._drop(device, entry)
            self._dropped += 1
            self._dropped_bytes += entry.size_bytes
        while self.bytes > self.max_bytes and self._entries:
            oldest = self._entries.popleft()
            if oldest.dropped:
                self._dropped -= 1
                self._dropped_bytes -= oldest.size_bytes
                continue
            owner = self._devices[oldest.address]
            owner.entries.popleft()  # the oldest of all is the oldest of its device
            self._drop(owner, oldest)
        # An eighth: rarely enough that sweeping costs little per record, and soon enough that the bound means something.
        if self._dropped_bytes * 8 > self.max_bytes:
            self._entries = deque(self)
            self._dropped = self._dropped_bytes = 0

    def _drop(self, device: _Device, entry: Entry) -> None:
        entry.dropped = True
        device.bytes -= entry.size_bytes
        self.bytes -= entry.size_bytes
        self.evicted += 1


def _own_up(stream: Stream, record: dict[str, Any]) -> None:
    first, count, reason = record.get("first_seq"), record.get("count"), record.get("reason")
    if isinstance(first, int) and isinstance(count, int) and count > 0:
        stream.own_up(first, count, reason if isinstance(reason, str) else None)
