"""What of the logbook is shown, in order of time: filtered in slices from the newest backwards, and kept up to date.

A filter over a million records takes seconds; the first screen of it must be there at once, and a key must never wait for
the rest. So `step` does as much as it is given time for, and says whether there is more. Nothing here knows a clock: the
moment is an argument, and so is whoever says that the time is over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fleetview.core.histogram import Histogram
from fleetview.core.logbook import Dropped, Entry, Logbook
from fleetview.core.sorted_rows import Gap, Key, Row, SortedRows
from fleetview_agent.wire import Address, Level

HOLD_BACK_MS = 500
"""So long a new record waits for those of other devices that are older but came later."""
LOOKED_AT_ONCE = 64
"""Records between two looks at the clock ..."""
ROWS_AT_ONCE = 4096
"""Rows put in at once: sorting and counting them takes time, too."""
_BYTES_AS_ONE = 1024
"""... of which each counts once more for so many bytes: one of a megabyte takes milliseconds."""

Test = Callable[[Entry], bool]
Over = Callable[[], bool]


def everything(_entry: Entry) -> bool:
    """The filter that lets everything through."""
    return True


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody wants to see."""

    level: Level = Level.UNKNOWN
    """No record below it."""
    test: Test | None = None
    gap_test: Test | None = None
    """Which records may have a gap before them that is of interest, though they are not themselves. None: those shown."""
    skew_ms: Callable[[Address], int] | None = None
    """How far a device's clock is ahead, to show its records by corrected time."""


@dataclass(slots=True)
class Step:
    """What a step did."""

    new: int = 0
    """Records shown that had come since the last one."""
    changed: bool = False
    more: bool = False
    """There is more to do at once."""
    restarted: bool = False
    """Too much was dropped to keep up: all is looked at anew."""
    waiting: bool = False
    """Records are held back: there is more to do soon."""


class LogView:
    """The rows to show."""

    def __init__(self, logbook: Logbook, address: Address | None = None, *, hold_back_ms: int = HOLD_BACK_MS) -> None:
        self._logbook = logbook
        self._address = address
        self._hold_back_ms = hold_back_ms
        self._question = Question()
        self._skews_ms: dict[Address, int] = {}
        self._dropped: Dropped = logbook.watch_dropped()
        self.histogram = Histogram()
        self.rows = SortedRows(self.key)
        self.gaps = 0
        self.hidden = 0
        """Records looked at that level and filter keep out."""
        self._above = 0
        """All up to this number have been looked at, down to `_below`."""
        self._below = 0
        self.ask(Question())

    @property
    def question(self) -> Question:
        """What is asked."""
        return self._question

    @property
    def shown(self) -> int:
        """Records shown."""
        return len(self.rows) - self.gaps

    @property
    def complete(self) -> bool:
        """Whether all old records have been looked at."""
        return self._below == 0

    @property
    def looked_at(self) -> float:
        """Which part of the old records has been looked at, from 0 to 1."""
        if self._below == 0:
            return 1.0
        oldest = next(iter(self._logbook), None)
        first = self._above if oldest is None else oldest.number
        return 1.0 - max(0, self._below - first) / max(1, self._above + 1 - first)

    def ask(self, question: Question) -> None:
        """Ask something else: begins anew, with nothing shown before the next step."""
        self._question = question
        self._skews_ms = {}
        self.rows = SortedRows(self.key)
        self.histogram.clear()
        self.gaps = self.hidden = 0
        self._dropped = self._logbook.watch_dropped()
        self._above = self._logbook.last_number
        self._below = self._above + 1 if self._above else 0

    def key(self, row: Row) -> Key:
        """Where a row stands: by time, and of one time by arrival; a gap before its record."""
        if isinstance(row, Entry):
            return (self.time_ms(row), 2 * row.number + 1)
        return (self.time_ms(row.entry), 2 * row.entry.number)

    def time_ms(self, entry: Entry) -> int:
        """The time that a record is shown at.

        That of receipt for a record from a clock that is ahead: it would stand below all that comes until then.
        """
        if self._question.skew_ms is None or entry.time_is_receipt:
            return min(entry.time_ms, entry.received_ms)
        skew_ms = self._skews_ms.get(entry.address)
        if skew_ms is None:  # kept, for what is put in by one skew cannot be found by another
            skew_ms = self._skews_ms[entry.address] = self._question.skew_ms(entry.address)
        return min(entry.time_ms - skew_ms, entry.received_ms)

    # -- keeping it up to date

    def step(self, now_ms: int, over: Over) -> Step:
        """Take what the logbook dropped and what is new, then look at older records, until the time is over."""
        done = Step()
        if self._dropped.overflown:
            self.ask(self._question)
            done.changed = done.restarted = True
        self._prune(done)
        rows = self._take_new(now_ms, over, done)
        done.new = sum(isinstance(row, Entry) for row in rows)
        if not done.more:
            self._look_back(rows, over, done)
        if rows:
            self._put(rows)
            done.changed = True
        return done

    def _prune(self, done: Step) -> None:
        seen = [
            entry for entry in self._dropped.take() if self._below <= entry.number <= self._above and self._is_ours(entry)
        ]
        if not seen:
            return
        gone = self.rows.prune(key for entry in seen for key in self._keys(entry))
        records = [row for row in gone if isinstance(row, Entry)]
        self.histogram.drop((self.time_ms(entry), entry.level) for entry in records)
        self.gaps -= len(gone) - len(records)
        self.hidden -= len(seen) - len(records)
        done.changed = True

    def _keys(self, entry: Entry) -> Iterator[Key]:
        ms = self.time_ms(entry)
        yield (ms, 2 * entry.number + 1)
        if entry.hole is not None:
            yield (ms, 2 * entry.number)

    def _take_new(self, now_ms: int, over: Over, done: Step) -> list[Row]:
        rows: list[Row] = []
        weight = 0
        for entries in self._logbook.after(self._above):
            for entry in entries:
                # A receipt in the future is a clock that was set back: nobody waits for that.
                if 0 <= now_ms - entry.received_ms < self._hold_back_ms:
                    done.waiting = True
                    return rows
                if weight >= LOOKED_AT_ONCE:
                    weight = 0
                    if over() or len(rows) >= ROWS_AT_ONCE:
                        done.more = True
                        return rows
                weight += 1 + len(entry.raw) // _BYTES_AS_ONE
                self._above = entry.number
                rows += self._rows_of(entry)
        return rows

    def _look_back(self, rows: list[Row], over: Over, done: Step) -> None:
        if self._below == 0:
            return
        weight = 0
        for entries in self._logbook.before(self._below):
            for entry in reversed(entries):
                if weight >= LOOKED_AT_ONCE:
                    weight = 0
                    if over() or len(rows) >= ROWS_AT_ONCE:
                        done.more = True
                        return
                weight += 1 + len(entry.raw) // _BYTES_AS_ONE
                self._below = entry.number
                rows += self._rows_of(entry)
        self._below = 0
        done.changed = True

    def _rows_of(self, entry: Entry) -> tuple[Row, ...]:
        question = self._question
        if not self._is_ours(entry):
            return ()
        if entry.level >= question.level and (question.test is None or question.test(entry)):
            return (entry,) if entry.hole is None else (Gap(entry), entry)
        self.hidden += 1
        if entry.hole is not None and question.gap_test is not None and question.gap_test(entry):
            return (Gap(entry),)
        return ()

    def _is_ours(self, entry: Entry) -> bool:
        return self._address is None or entry.address == self._address

    def _put(self, rows: list[Row]) -> None:
        records = [row for row in rows if isinstance(row, Entry)]
        self.gaps += len(rows) - len(records)
        self.histogram.add((self.time_ms(entry), entry.level) for entry in records)
        self.rows.add(rows)

    # -- finding one's way

    def position(self, row: Row) -> int:
        """Where a row stands, or would stand."""
        return self.rows.position(self.key(row))

    def index_at(self, time_ms: int) -> int:
        """The first row that is not older than this moment; one past the last when all are."""
        return self.rows.position((time_ms, 0))
