"""Records of many devices put in order of time while they arrive: each waits a moment for those that are older."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush

from fleetview.core.logbook import Entry
from fleetview.core.logview import HOLD_BACK_MS

MAX_HELD = 50_000
"""Records that wait; with more of them the oldest do not."""


class InOrder:
    """Takes records as they come, and gives them back in order of time. What comes later than the wait is out of order."""

    def __init__(self, hold_back_ms: int = HOLD_BACK_MS) -> None:
        self._hold_back_ms = hold_back_ms
        self._held: list[tuple[int, int, Entry]] = []

    def add(self, entries: Iterable[Entry]) -> None:
        """Take records in."""
        for entry in entries:
            # By receipt when a clock is ahead: nothing would pass such a record until then.
            heappush(self._held, (min(entry.time_ms, entry.received_ms), entry.number, entry))

    def ready(self, now_ms: int) -> list[Entry]:
        """The records that have waited long enough."""
        found: list[Entry] = []
        while self._held and (len(self._held) > MAX_HELD or not 0 <= now_ms - self._held[0][0] < self._hold_back_ms):
            found.append(heappop(self._held)[2])
        return found

    def rest(self) -> list[Entry]:
        """All that still wait."""
        found = [entry for *_, entry in sorted(self._held)]
        self._held = []
        return found
