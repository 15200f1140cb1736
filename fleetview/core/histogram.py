"""How many records of which level there are over time: kept up to date record by record, so that drawing asks nobody."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from fleetview_agent.wire import Level

LEVELS = (Level.UNKNOWN, Level.DEBUG, Level.INFO, Level.WARN, Level.ERROR)
"""In the order of `Column.counts`."""
MAX_BUCKETS = 4096
_PLACE = {level: index for index, level in enumerate(LEVELS)}
_S, _M, _H, _D = 1000, 60_000, 3_600_000, 86_400_000
_BASES_MS = (_S, 5 * _S, 15 * _S, _M, 5 * _M, 15 * _M, _H, 6 * _H, _D, 30 * _D, 360 * _D, 3600 * _D, 36_000 * _D)
_WIDTHS_MS = (
    _S, 2 * _S, 3 * _S, 5 * _S, 10 * _S, 15 * _S, 20 * _S, 30 * _S,
    _M, 2 * _M, 3 * _M, 5 * _M, 10 * _M, 15 * _M, 20 * _M, 30 * _M, _H, 2 * _H, 3 * _H, 4 * _H, 6 * _H, 12 * _H,
    _D, 2 * _D, 7 * _D, 30 * _D, 90 * _D, 360 * _D, 3600 * _D, 36_000 * _D,
)  # fmt: skip
"""Widths of a column, whole parts of what people count time in."""
_OUTLIERS = 0.01
"""The share of the oldest records that may be left out ..."""
_WORTH = 4
"""... when the rest then stands on less than a fourth of the time."""


class Columns(NamedTuple):
    """The histogram as it is drawn."""

    begin_ms: int
    width_ms: int
    """Of one column."""
    counts: list[tuple[int, ...]]
    """Records of each of `LEVELS`, column by column."""
    older: int
    """Records from before the first column."""

    @property
    def end_ms(self) -> int:
        """One past the last column."""
        return self.begin_ms + self.width_ms * len(self.counts)

    def column_of(self, ms: int) -> int:
        """The column that a moment falls into; the nearest one when none."""
        return max(0, min((ms - self.begin_ms) // self.width_ms, len(self.counts) - 1))


class Histogram:
    """Records by time and level. Bounded: when there are too many buckets, they become wider."""

    def __init__(self) -> None:
        self._base = 0
        self._buckets: dict[int, list[int]] = {}
        self.version = 0
        """Another one after every change."""

    def clear(self) -> None:
        """Forget everything."""
        self._base = 0
        self._buckets = {}
        self.version += 1

    def add(self, records: Iterable[tuple[int, Level]]) -> None:
        """Count records, given by time and level."""
        width, buckets = _BASES_MS[self._base], self._buckets
        for ms, level in records:
            bucket = buckets.get(ms // width)
            if bucket is None:
                bucket = buckets[ms // width] = [0] * len(LEVELS)
                if len(buckets) > MAX_BUCKETS:
                    bucket[_PLACE[level]] += 1
                    self._widen()
                    width, buckets = _BASES_MS[self._base], self._buckets
                    continue
            bucket[_PLACE[level]] += 1
        self.version += 1

    def drop(self, records: Iterable[tuple[int, Level]]) -> None:
        """Count records no longer."""
        width, buckets = _BASES_MS[self._base], self._buckets
        for ms, level in records:
            at = ms // width
            bucket = buckets.get(at)
            if bucket is not None:
                bucket[_PLACE[level]] -= 1
                if not any(bucket):
                    del buckets[at]
        self.version += 1

    def _widen(self) -> None:
        # The last base is a century: the contract's times fit into its buckets many times over.
        while len(self._buckets) > MAX_BUCKETS // 2 and self._base < len(_BASES_MS) - 1:
            before = _BASES_MS[self._base]
            self._base += 1
            width = _BASES_MS[self._base]
            wider: dict[int, list[int]] = {}
            for at, counts in self._buckets.items():
                into = wider.setdefault(at * before // width, [0] * len(LEVELS))
                for place, count in enumerate(counts):
                    into[place] += count
            self._buckets = wider

    def columns(self, number: int) -> Columns | None:
        """The histogram in at most so many columns; None when there is nothing to count.

        A few records from long ago, by a clock that is wrong, do not press all others into one column: they are `older`.
        """
        if not self._buckets or number < 1:
            return None
        base = _BASES_MS[self._base]
        starts = sorted(self._buckets)
        first = self._first_worth_showing(starts)
        begin, end = starts[first] * base, (starts[-1] + 1) * base
        width = max(base, next((each for each in _WIDTHS_MS if end // each - begin // each < number), _WIDTHS_MS[-1]))
        begin -= begin % width
        counts = [[0] * len(LEVELS) for _ in range(min(number, (end - 1 - begin) // width + 1))]
        for at in starts[first:]:
            column = counts[min((at * base - begin) // width, len(counts) - 1)]
            for place, count in enumerate(self._buckets[at]):
                column[place] += count
        older = sum(sum(self._buckets[at]) for at in starts[:first])
        return Columns(begin, width, [tuple(column) for column in counts], older)

    def _first_worth_showing(self, starts: list[int]) -> int:
        """The first bucket behind those few that would press all others into a corner."""
        may_go = sum(map(sum, self._buckets.values())) * _OUTLIERS
        end = starts[-1] + 1
        for index, at in enumerate(starts):
            if (end - starts[0]) > _WORTH * (end - at):
                return index
            may_go -= sum(self._buckets[at])
            if may_go < 0:
                break
        return 0
