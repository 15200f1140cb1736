"""Where log records wait until the broker has them.

`Spool` is the seam: whoever appends (the agent's own log, the tail) and whoever ships knows only it. `MemorySpool` keeps
records in memory, bounded in number and bytes, and so loses them with the process; followed files make up for that, as
their positions are saved only up to `settled_through`.

Numbers: every record gets the next number of the stream on arrival. What has to be dropped is always the oldest record that
is not on its way, so that drops make runs; a run leaves a hole in the numbers and one gap record, with a number of its own,
that owns up to it. Gap records themselves are never dropped, only counted against the bounds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic_core import PydanticSerializationError, to_json

MAX_RECORD_BYTES = 64 * 1024
"""Of one record as JSON: half of what a batch may weigh, so that any record fits into some batch."""
_KEPT_MESSAGE = 16 * 1024

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of consecutive numbers, on their way."""

    first_seq: int
    records: tuple[bytes, ...]
    """Each as JSON."""

    @property
    def last_seq(self) -> int:
        """The number of the last record."""
        return self.first_seq + len(self.records) - 1

    @property
    def size_bytes(self) -> int:
        """What the records weigh together, with a comma each."""
        return sum(len(record) + 1 for record in self.records)


@dataclass(frozen=True, slots=True)
class Depth:
    """How much waits in a spool."""

    records: int
    bytes: int
    oldest_s: float | None
    """The age of the oldest record; None when nothing waits."""
    dropped: int
    """Since the stream began."""


class Spool(Protocol):
    """A queue of numbered records that are taken in batches and acknowledged in order."""

    @property
    def stream(self) -> str:
        """Names the spool that numbers the records; lives as long as the spool does."""

    @property
    def settled_through(self) -> int:
        """Up to here, records survive the end of this process or were delivered or dropped; -1 at first."""

    def append(self, records: Sequence[Record]) -> int:
        """Take records in; the number of the last one."""

    def batch(self, max_records: int, max_bytes: int) -> Batch | None:
        """The next records, which are on their way from now on; None when there are none."""

    def ack(self, through_seq: int) -> None:
        """Forget the records up to this number: the broker has them. Acknowledge in order."""

    def rewind(self) -> None:
        """Bring what is on its way back to the queue, to be sent again with the same numbers."""

    def depth(self) -> Depth:
        """How much waits, what is on its way included."""

    @property
    def nearly_full(self) -> bool:
        """Whether sources that can wait should."""


def record_json(record: Record) -> bytes:
    """The record as JSON of at most MAX_RECORD_BYTES. One that is larger, or no JSON, keeps its fixed part and says so."""
    try:
        data = to_json(record, inf_nan_mode="null")
    except (PydanticSerializationError, ValueError, RecursionError) as err:
        return to_json({**_fixed_part(record), "cut": f"fields that are not JSON: {str(err)[:200]}"})
    if len(data) <= MAX_RECORD_BYTES:
        return data
    return to_json({**_fixed_part(record), "cut": f"{len(data)} bytes, {MAX_RECORD_BYTES} are allowed"})


def _fixed_part(record: Record) -> Record:
    names = ("timestamp", "service", "level", "trace_id", "message")
    texts = {name: record[name] for name in names if isinstance(record.get(name), str)}
    # "replace" makes question marks of lone surrogates, which JSON in UTF-8 cannot hold
    return {name: text.encode("utf-8", "replace").decode()[: _kept(name)] for name, text in texts.items()}


def _kept(name: str) -> int:
    return _KEPT_MESSAGE // 4 if name == "message" else 128


@dataclass(slots=True)
class _Entry:
    seq: int
    data: bytes
    since_s: float
    is_gap: bool = False


@dataclass(slots=True)
class _Hole:
    first_seq: int
    count: int


class MemorySpool:
    """A spool in memory. `clock` is monotonic, in seconds; `now` gives the time as the contract writes it."""

    NEARLY_FULL = 0.8

    def __init__(
        self,
        stream: str,
        *,
        clock: Callable[[], float],
        now: Callable[[], str],
        max_records: int = 10_000,
        max_bytes: int = 2 * 1024 * 1024,
    ) -> None:
        self._stream = stream
        self._clock = clock
        self._now = now
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._sent: deque[_Entry] = deque()
        """On their way, in order of numbers."""
        self._gaps: deque[_Entry] = deque()
        """Gap records at the head of the queue: where a drop met them, they were passed over."""
        self._queue: deque[_Entry] = deque()
        self._holes: list[_Hole] = []
        """What was dropped and has no gap record yet. More than one only where a gap record lies between."""
        self._next_seq = 0
        self._bytes = 0
        self._dropped = 0

    @property
    def stream(self) -> str:
        return self._stream

    @property
    def settled_through(self) -> int:
        for waiting in (self._sent, self._gaps, self._queue):
            for entry in waiting:
                if not entry.is_gap:
                    return entry.seq - 1
        return self._next_seq - 1

    @property
    def nearly_full(self) -> bool:
        records = len(self._sent) + len(self._queue)
        return records >= self.NEARLY_FULL * self._max_records or self._bytes >= self.NEARLY_FULL * self._max_bytes

    def append(self, records: Sequence[Record]) -> int:
        for record in records:
            self._add(record)
            self._make_room()
        return self._next_seq - 1

    def _add(self, record: Record, *, is_gap: bool = False) -> None:
        entry = _Entry(self._next_seq, record_json(record), self._clock(), is_gap)
        self._next_seq += 1
        self._bytes += len(entry.data)
        self._queue.append(entry)

    def _over(self) -> bool:
        held = len(self._sent) + len(self._gaps) + len(self._queue)
        return held > self._max_records or self._bytes > self._max_bytes

    def _make_room(self) -> None:
        while self._over() and self._queue:
            entry = self._queue.popleft()
            if entry.is_gap:
                self._gaps.append(entry)
            else:
                self._drop(entry)

    def _drop(self, entry: _Entry) -> None:
        self._bytes -= len(entry.data)
        self._dropped += 1
        last = self._holes[-1] if self._holes else None
        if last is not None and last.first_seq + last.count == entry.seq:
            last.count += 1
        else:
            self._holes.append(_Hole(entry.seq, 1))

    def _own_up(self) -> None:
        # Only when something is about to be sent: a gap record for each drop would fill the spool with gap records.
        holes, self._holes = self._holes, []
        for hole in holes:
            self._add(self._gap_record(hole), is_gap=True)

    def _gap_record(self, hole: _Hole) -> Record:
        plural = "" if hole.count == 1 else "s"
        return {
            "timestamp": self._now(),
            "service": "fleetview-agent",
            "level": "WARN",
            "trace_id": None,
            "message": f"dropped {hole.count} record{plural}: spool full",
            "event": "gap",
            "first_seq": hole.first_seq,
            "count": hole.count,
            "reason": "spool_full",
        }

    def batch(self, max_records: int, max_bytes: int) -> Batch | None:
        self._own_up()
        taken: list[_Entry] = []
        size = 0
        while len(taken) < max_records and (waiting := self._gaps or self._queue):
            entry = waiting[0]
            if taken and (entry.seq != taken[-1].seq + 1 or size + len(entry.data) + 1 > max_bytes):
                break
            taken.append(waiting.popleft())
            size += len(entry.data) + 1
        if not taken:
            return None
        self._sent.extend(taken)
        return Batch(taken[0].seq, tuple(entry.data for entry in taken))

    def ack(self, through_seq: int) -> None:
        while self._sent and self._sent[0].seq <= through_seq:
            self._bytes -= len(self._sent.popleft().data)

    def rewind(self) -> None:
        self._queue.extendleft(reversed(self._gaps))
        self._queue.extendleft(reversed(self._sent))
        self._gaps.clear()
        self._sent.clear()
        self._make_room()

    def depth(self) -> Depth:
        held = len(self._sent) + len(self._gaps) + len(self._queue)
        oldest = next((waiting[0] for waiting in (self._sent, self._gaps, self._queue) if waiting), None)
        oldest_s = None if oldest is None else max(0.0, self._clock() - oldest.since_s)
        return Depth(held, self._bytes, oldest_s, self._dropped)
