"""Things numbered in order of arrival: added at the end, dropped anywhere, walked from any number either way.

A deque cannot be walked while it grows, and a million records are looked at in slices, between which more arrive. A list
would have to move everything behind what is dropped. This is a list of short lists.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

SEGMENT = 1024
_SPARSE = 8
"""A segment of which less than this part is left stands as pairs: one device's record must not hold a thousand blanks."""


class _Segment(Generic[T]):
    __slots__ = ("first", "head", "left", "slots", "sparse")

    def __init__(self, first: int) -> None:
        self.first = first
        self.head = 0
        """No slot before this one is taken."""
        self.slots: list[T | None] = []
        self.sparse: dict[int, T] | None = None
        self.left = 0

    @property
    def end(self) -> int:
        """One past the last number there may be."""
        return self.first + SEGMENT

    def oldest(self) -> T | None:
        if self.sparse is not None:
            return next(iter(self.sparse.values()), None)
        while self.head < len(self.slots):
            found = self.slots[self.head]
            if found is not None:
                return found
            self.head += 1
        return None

    def items(self) -> list[T]:
        found = self.slots if self.sparse is None else self.sparse.values()
        return [each for each in found if each is not None]

    def after(self, number: int) -> list[T]:
        if number < self.first:
            return self.items()
        if self.sparse is not None:
            return [each for at, each in self.sparse.items() if at > number]
        return [each for each in self.slots[number + 1 - self.first :] if each is not None]

    def before(self, number: int) -> list[T]:
        if number >= self.end:
            return self.items()
        if self.sparse is not None:
            return [each for at, each in self.sparse.items() if at < number]
        return [each for each in self.slots[: number - self.first] if each is not None]

    def drop(self, number: int) -> T | None:
        if self.sparse is not None:
            found = self.sparse.pop(number, None)
        else:
            index = number - self.first
            found = self.slots[index] if 0 <= index < len(self.slots) else None
            if found is not None:
                self.slots[index] = None
        if found is not None:
            self.left -= 1
            if self.sparse is None and len(self.slots) == SEGMENT and self.left * _SPARSE < SEGMENT:
                self.sparse = {self.first + at: each for at, each in enumerate(self.slots) if each is not None}
                self.slots = []
        return found


class Shelf(Generic[T]):
    """The things that are left, by number. Numbers count up by one from 1."""

    def __init__(self) -> None:
        self._segments: list[_Segment[T]] = []
        self._firsts: list[int] = []
        self._size = 0
        self.last_number = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[T]:
        for segment in self._segments:
            yield from segment.items()

    def add(self, thing: T) -> int:
        """Put it at the end. Returns its number."""
        self.last_number += 1
        segments = self._segments
        segment = segments[-1] if segments else None
        if segment is None or self.last_number >= segment.end:
            segment = _Segment(self.last_number)
            segments.append(segment)
            self._firsts.append(segment.first)
        segment.slots.append(thing)
        segment.left += 1
        self._size += 1
        return self.last_number

    def drop(self, number: int) -> T | None:
        """Take away what has this number."""
        index = self._index(number)
        if index < 0:
            return None
        segment = self._segments[index]
        found = segment.drop(number)
        if found is not None:
            self._size -= 1
            if not segment.left and segment is not self._segments[-1]:
                del self._segments[index], self._firsts[index]
        return found

    def oldest(self) -> T | None:
        """What has the lowest number."""
        # Only the last segment may be empty.
        for segment in self._segments:
            found = segment.oldest()
            if found is not None:
                return found
        return None

    def after(self, number: int) -> Iterator[list[T]]:
        """What has a higher number, upwards, some at a time. The shelf may change between two of them."""
        while number < self.last_number:
            index = max(0, self._index(number + 1))
            if index < len(self._segments) and self._segments[index].end <= number + 1:
                index += 1
            if index >= len(self._segments):
                return
            segment = self._segments[index]
            number = max(number, segment.first - 1)
            # A segment that still grows is read as far as it goes, and read on from there.
            found, number = segment.after(number), min(segment.end - 1, self.last_number)
            yield found

    def before(self, number: int) -> Iterator[list[T]]:
        """What has a lower number, some at a time: the highest first, but within each in order."""
        while True:
            index = self._index(number - 1)
            if index < 0:
                return
            segment = self._segments[index]
            found, number = segment.before(number), segment.first
            yield found

    def _index(self, number: int) -> int:
        """The segment in which the number would stand; the one before it when there is none."""
        return bisect_right(self._firsts, number) - 1
