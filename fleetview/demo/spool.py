"""A simulated device's spool: numbers its log records, and owns up to what had no room."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from fleetview_agent.wire import LogBatch

_CAPACITY_RECORDS = 400
_BATCH_RECORDS = 100
RECORD_BYTES = 210
"""What a record weighs, about."""


class Spool:
    """Log records between being written and being sent, numbered without a gap but for what was dropped."""

    def __init__(self, stream: str, first_seq: int) -> None:
        self._stream = stream
        self._first_seq = first_seq
        """Of the oldest record waiting; of the next one, when none is."""
        self._records: deque[dict[str, Any]] = deque()
        self._hole = 0
        """Records dropped since the last gap record; they come after those that wait."""
        self.dropped = 0
        """Records dropped since the spool was made."""
        self.backlog = 0
        """Further records that a fault keeps in the spool. They are counted and never sent."""
        self.is_full = False
        """A fault has filled it, and the sources are held."""
        self._oldest_s = 0.0

    @property
    def records(self) -> int:
        """How many wait."""
        return len(self._records) + self.backlog

    def oldest_age_s(self, now_s: float) -> float:
        """Age of the oldest record that waits."""
        return max(0.0, now_s - self._oldest_s) if self._records else 0.0

    def append(self, record: dict[str, Any], at_s: float) -> None:
        """Keeps the record, or drops it and counts when there is no room."""
        if self._hole or len(self._records) >= _CAPACITY_RECORDS:
            self.drop(1)
            return
        if not self._records:
            self._oldest_s = at_s
        self._records.append(record)

    def drop(self, count: int) -> None:
        """There was no room for that many."""
        self._hole += count
        self.dropped += count

    def take(self, timestamp: str) -> Iterator[LogBatch]:
        """All that waits, in batches; `timestamp` is for the record that owns up to what was dropped."""
        while self._records or self._hole:
            if not self._records:
                self._own_up(timestamp)
            records = [self._records.popleft() for _ in range(min(_BATCH_RECORDS, len(self._records)))]
            yield LogBatch(stream=self._stream, first_seq=self._first_seq, records=records)
            self._first_seq += len(records)

    def _own_up(self, timestamp: str) -> None:
        first_seq, count = self._first_seq, self._hole
        self._first_seq += count
        self._hole = 0
        self._records.append(
            {
                "timestamp": timestamp,
                "service": "fleetview-agent",
                "level": "WARN",
                "message": f"dropped {count} records: spool full",
                "event": "gap",
                "first_seq": first_seq,
                "count": count,
                "reason": "spool_full",
            }
        )
