"""Which sequence numbers of a log stream have been seen: tells duplicates, and knows the holes."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from itertools import takewhile
from typing import NamedTuple

MAX_HOLES = 256
"""Holes kept of one stream; when there are more, the oldest are only counted."""


class Hole(NamedTuple):
    """Missing sequence numbers, both ends included."""

    first: int
    last: int
    owned: bool
    """The device owned up to it in a gap record."""
    reason: str | None
    since_ms: int | None = None
    """The time of the record before it, as far as that is known."""

    @property
    def size(self) -> int:
        """How many records are missing."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Tally:
    """What a device's streams add up to."""

    records: int = 0
    duplicates: int = 0
    gaps: int = 0
    """Holes, those that the device owned up to included."""
    missing: int = 0
    """Records in them."""


class Stream:
    """The numbers of one stream. What came before this reader did, or while its link was down, is not missing."""

    __slots__ = ("_blind", "_forgotten", "_holes", "duplicates", "end", "epoch", "records", "start")

    def __init__(self, start: int, epoch: int) -> None:
        self.start = start
        self.end = start
        """One past the highest number seen or passed over."""
        self.epoch = epoch
        self.records = 0
        self.duplicates = 0
        self._holes: list[Hole] = []
        # Passed over while the reader's link was down: they may still come, and are not missed.
        self._blind: list[tuple[int, int]] = []
        self._forgotten = (0, 0)

    @property
    def holes(self) -> tuple[Hole, ...]:
        """The holes, in order of their numbers."""
        return tuple(self._holes)

    @property
    def gaps(self) -> int:
        """How many holes there are."""
        return len(self._holes) + self._forgotten[0]

    @property
    def missing(self) -> int:
        """How many records are missing."""
        return sum(hole.size for hole in self._holes) + self._forgotten[1]

    def still_missing(self, hole: Hole) -> Hole | None:
        """What is left of a hole, as it is known now; None when all of it came after all."""
        if self._holes and hole.last < self._holes[0].first and self._forgotten[0]:
            return hole  # so long ago that only its size is known
        index = bisect_left(self._holes, hole.first, key=lambda each: each.last)
        left = list(takewhile(lambda each: each.first <= hole.last, self._holes[index:]))
        if not left:
            return None
        # One hole of as many records, its last number where the parts end: what fell between them has come.
        size = sum(each.size for each in left)
        return left[-1]._replace(first=left[-1].last - size + 1, owned=all(each.owned for each in left))

    def take(self, first: int, count: int, epoch: int) -> list[int]:
        """Take in the numbers first .. first + count - 1. Returns the offsets of those that are new."""
        last = first + count - 1
        new: list[int] = []
        if last >= self.end:
            if first > self.end:
                self._pass_over(self.end, first - 1, blind=epoch != self.epoch)
            fresh = max(first, self.end)
            new.extend(range(fresh - first, count))
            self.end = last + 1
            last = fresh - 1
        self.epoch = epoch
        if first <= last:
            new = self._fill(first, last) + new
        self.records += len(new)
        self.duplicates += count - len(new)
        return new

    def own_up(self, first: int, count: int, reason: str | None) -> None:
        """The device says that it dropped these records."""
        last = first + count - 1
        self._holes = [
            hole._replace(owned=True, reason=reason) if first <= hole.first and hole.last <= last else hole
            for hole in self._holes
        ]

    def _pass_over(self, first: int, last: int, *, blind: bool) -> None:
        if blind:
            self._blind.append((first, last))
            del self._blind[:-MAX_HOLES]
            return
        self._holes.append(Hole(first, last, owned=False, reason=None))
        while len(self._holes) > MAX_HOLES:
            oldest = self._holes.pop(0)
            self._forgotten = (self._forgotten[0] + 1, self._forgotten[1] + oldest.size)

    def _fill(self, first: int, last: int) -> list[int]:
        """The offsets from `first` of the numbers up to `last` that were not seen; they are seen now."""
        new: list[int] = []
        below = min(last, self.start - 1)
        if first <= below:  # sent again from before this reader came
            new.extend(range(below - first + 1))
            if last < self.start - 1:
                self._blind.append((last + 1, self.start - 1))
            self.start = first
        position = bisect_left(self._holes, first, key=lambda hole: hole.last)
        kept: list[Hole] = []
        index = position
        while index < len(self._holes) and self._holes[index].first <= last:
            hole = self._holes[index]
            low, high = max(hole.first, first), min(hole.last, last)
            new.extend(range(low - first, high - first + 1))
            if hole.first < low:
                kept.append(hole._replace(last=low - 1))
            if high < hole.last:
                kept.append(hole._replace(first=high + 1))
            index += 1
        self._holes[position:index] = kept
        new.extend(self._fill_blind(first, last))
        return sorted(new)

    def _fill_blind(self, first: int, last: int) -> list[int]:
        new: list[int] = []
        left: list[tuple[int, int]] = []
        for begin, end in self._blind:
            low, high = max(begin, first), min(end, last)
            if low > high:
                left.append((begin, end))
                continue
            new.extend(range(low - first, high - first + 1))
            left.extend(part for part in ((begin, low - 1), (high + 1, end)) if part[0] <= part[1])
        self._blind = left
        return new
