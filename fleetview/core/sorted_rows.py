"""The rows of a log in order of their time: a million of them, of which any may go, and into which any may be put.

Chunks instead of one list: what comes late moves a thousand rows, not all of them; and what a chunk holds is known without
looking, so that the next error is found by asking a thousand chunks.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate

from fleetview.core.logbook import Entry
from fleetview_agent.wire import Level

CHUNK = 1024
GAP_BIT = 1 << 7
Key = tuple[int, int]
"""The time that a row is shown at, and its place among those of the same time."""


@dataclass(slots=True, eq=False)
class Gap:
    """The row that says what is missing before a record."""

    entry: Entry


Row = Entry | Gap


def bit(level: Level) -> int:
    """The bit of a level in a mask."""
    return 1 << level // 10


def _mask(rows: Iterable[Row]) -> int:
    found = 0
    for row in rows:
        found |= 1 << row.level // 10 if isinstance(row, Entry) else GAP_BIT
    return found


def is_dropped(row: Row) -> bool:
    """Whether the logbook has dropped it."""
    return row.dropped if isinstance(row, Entry) else row.entry.dropped


class SortedRows:
    """Rows by key. No two rows have the same."""

    def __init__(self, key: Callable[[Row], Key]) -> None:
        self._key = key
        self._chunks: list[list[Row]] = []
        self._firsts: list[Key] = []
        self._masks: list[int] = []
        """What may be in each chunk; what was dropped since may still be said to be there."""
        self._starts: list[int] | None = None
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: int) -> Row:
        chunk = self._chunk_at(index)
        return self._chunks[chunk][index - self._all_starts()[chunk]]

    def __iter__(self) -> Iterator[Row]:
        for chunk in self._chunks:
            yield from chunk

    def snapshot(self) -> list[list[Row]]:
        """All rows as they are now, for somebody who reads them elsewhere: no list of them is changed any more."""
        return list(self._chunks)

    def position(self, key: Key) -> int:
        """The index of the first row that is not before this key."""
        index = max(0, bisect_right(self._firsts, key) - 1)
        if not self._chunks:
            return 0
        return self._all_starts()[index] + bisect_left(self._chunks[index], key, key=self._key)

    def add(self, rows: list[Row]) -> None:
        """Put rows in, in any order."""
        if not rows:
            return
        rows.sort(key=self._key)
        self._size += len(rows)
        self._starts = None
        first, last = self._key(rows[0]), self._key(rows[-1])
        if not self._chunks or last < self._firsts[0]:
            self._put(0, 0, rows)
        elif first > self._key(self._chunks[-1][-1]):
            at = len(self._chunks) - 1
            self._put(at, at + 1, self._chunks[at] + rows) if len(self._chunks[at]) < CHUNK else self._put(
                at + 1, at + 1, rows
            )
        else:
            self._merge(rows)

    def _merge(self, rows: list[Row]) -> None:
        """From the back, so that chunks that are split do not move those still to be found."""
        end = len(rows)
        while end:
            at = max(0, bisect_right(self._firsts, self._key(rows[end - 1])) - 1)
            begin = bisect_left(rows, self._firsts[at], 0, end, key=self._key) if at else 0
            merged = self._chunks[at] + rows[begin:end]
            merged.sort(key=self._key)
            self._put(at, at + 1, merged)
            end = begin

    def _put(self, begin: int, end: int, rows: list[Row]) -> None:
        """These sorted rows instead of some chunks."""
        # Rows are added at the front and at the end mostly: full chunks, and one rest that is added to.
        parts = [rows[at : at + CHUNK] for at in range(0, len(rows), CHUNK)]
        self._chunks[begin:end] = parts
        self._firsts[begin:end] = [self._key(part[0]) for part in parts]
        self._masks[begin:end] = [_mask(part) for part in parts]

    def prune(self, keys: Iterable[Key]) -> list[Row]:
        """Take away the rows that the logbook has dropped, given where they stand. Returns them."""
        touched = {bisect_right(self._firsts, key) - 1 for key in keys}
        gone: list[Row] = []
        for at in sorted(touched, reverse=True):
            if at < 0:
                continue
            chunk = self._chunks[at]
            dropped = [row for row in chunk if is_dropped(row)]
            if not dropped:
                continue
            gone += dropped
            left = [row for row in chunk if not is_dropped(row)]
            if left:
                self._chunks[at], self._firsts[at] = left, self._key(left[0])
            else:
                del self._chunks[at], self._firsts[at], self._masks[at]
        if gone:
            self._size -= len(gone)
            self._starts = None
            self._join_small()
        return gone

    def _join_small(self) -> None:
        """Rows that are dropped here and there must not leave a million chunks of one."""
        if len(self._chunks) > 16 and len(self._chunks) * CHUNK > self._size * 8:  # noqa: PLR2004
            self._put(0, len(self._chunks), list(self))

    def seek(self, index: int, step: int, mask: int) -> int | None:
        """The index of the nearest row above (`step` -1) or below (1) that one, of a kind in the mask."""
        starts = self._all_starts()
        chunk = self._chunk_at(max(0, min(index, self._size - 1))) if self._size else -1
        while 0 <= chunk < len(self._chunks):
            rows = self._chunks[chunk]
            if self._masks[chunk] & mask:
                start = starts[chunk]
                inside = (
                    range(max(index + 1 - start, 0), len(rows))
                    if step > 0
                    else range(min(index - start, len(rows)) - 1, -1, -1)
                )
                for at in inside:
                    row = rows[at]
                    if (1 << row.level // 10 if isinstance(row, Entry) else GAP_BIT) & mask:
                        return start + at
                if len(inside) == len(rows):
                    self._masks[chunk] = _mask(rows)
            chunk += step
        return None

    def _chunk_at(self, index: int) -> int:
        if not 0 <= index < self._size:
            raise IndexError(index)
        return bisect_right(self._all_starts(), index) - 1

    def _all_starts(self) -> list[int]:
        if self._starts is None:
            self._starts = list(accumulate((len(chunk) for chunk in self._chunks), initial=0))[:-1]
        return self._starts
