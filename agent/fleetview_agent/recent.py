"""The last log records of a device, kept for the day that somebody asks for diagnostics: bounded by number and by size."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from fleetview_agent.spool import Record

MAX_RECORDS = 500
MAX_CHARS = 256 * 1024
_LONGEST = 16 * 1024
"""Of one record: what is larger keeps its message's beginning, or one record would push out all others."""
_ROOM = 160
"""What a record takes beside its texts, about."""


class Recent:
    """Records in the order in which they came; the oldest goes first."""

    def __init__(self) -> None:
        self._records: deque[tuple[Record, int]] = deque()
        self._chars = 0

    def take(self, records: Sequence[Record]) -> None:
        """Keep these, and let go of the oldest for them."""
        for record in records[-MAX_RECORDS:]:
            kept, size = record, _size(record)
            if size > _LONGEST:
                kept = {name: str(record.get(name))[:1024] for name in ("timestamp", "service", "level", "message")}
                kept["cut"] = "too large to be kept for diagnostics"
                size = _size(kept)
            self._records.append((kept, size))
            self._chars += size
        while len(self._records) > MAX_RECORDS or self._chars > MAX_CHARS:
            self._chars -= self._records.popleft()[1]

    def records(self) -> list[Record]:
        """What is kept, oldest first."""
        return [record for record, _ in self._records]


def _size(record: Record) -> int:
    return _ROOM + sum(len(value) if isinstance(value, str) else 16 for value in record.values())
