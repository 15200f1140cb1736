"""Sequence numbers of logs, against a model that remembers every number."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from fleetview.core.streams import MAX_HOLES, Hole, Stream


def _runs(numbers: set[int]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs


class StreamMachine(RuleBasedStateMachine):
    @initialize(start=st.integers(0, 30), count=st.integers(0, 10))
    def begin(self, start: int, count: int) -> None:
        self.stream = Stream(start, 0)
        self.seen: set[int] = set()
        self.missing: set[int] = set()
        self.owned: set[int] = set()
        self.highest = start - 1
        self.duplicates = 0
        self.epoch = self.epoch_of_last = 0
        self.take(start, count)

    @rule()
    def link_came_back(self) -> None:
        self.epoch += 1

    @rule(ahead=st.integers(0, 8), count=st.integers(0, 10))
    def take_the_next(self, ahead: int, count: int) -> None:
        self.take(self.highest + 1 + ahead, count)

    @rule(first=st.integers(0, 90), count=st.integers(0, 10))
    def take(self, first: int, count: int) -> None:
        numbers = range(first, first + count)
        expected = [number - first for number in numbers if number not in self.seen]
        if first + count - 1 > self.highest or first > self.highest + 1:
            if self.epoch == self.epoch_of_last:
                self.missing |= set(range(self.highest + 1, first))
            self.highest = first + count - 1
        self.epoch_of_last = self.epoch
        self.seen |= set(numbers)
        self.missing -= set(numbers)
        self.duplicates += count - len(expected)
        assert self.stream.take(first, count, self.epoch) == expected

    @rule(first=st.integers(0, 90), count=st.integers(1, 30))
    def own_up(self, first: int, count: int) -> None:
        self.stream.own_up(first, count, "spool_full")
        self.owned |= set(range(first, first + count))

    @invariant()
    def knows_what_is_missing(self) -> None:
        if not hasattr(self, "stream"):
            return
        held = {number for hole in self.stream.holes for number in range(hole.first, hole.last + 1)}
        assert held == self.missing
        assert (self.stream.missing, self.stream.records) == (len(self.missing), len(self.seen))
        assert self.stream.duplicates == self.duplicates
        holes = self.stream.holes
        assert list(holes) == sorted(holes)
        assert all(one.last < other.first for one, other in pairwise(holes))
        assert self.stream.gaps == len(holes) >= len(_runs(self.missing))
        for hole in holes:
            if hole.owned:
                assert self.owned.issuperset(range(hole.first, hole.last + 1))
                assert hole.reason == "spool_full"


TestStream = StreamMachine.TestCase
TestStream.settings = settings(max_examples=200, stateful_step_count=30)


def test_a_device_owns_up_to_exactly_the_hole_it_left() -> None:
    stream = Stream(0, 0)
    stream.take(0, 10, 0)
    stream.take(47, 1, 0)
    stream.take(50, 1, 0)
    stream.own_up(10, 37, "spool_full")
    assert stream.holes == (Hole(10, 46, owned=True, reason="spool_full"), Hole(48, 49, owned=False, reason=None))
    assert (stream.gaps, stream.missing) == (2, 39)


def test_what_was_missed_while_the_reader_was_blind_is_not_missing_and_still_welcome() -> None:
    stream = Stream(0, 0)
    stream.take(0, 10, 0)
    assert stream.take(20, 1, 1) == [0]
    assert (stream.gaps, stream.missing) == (0, 0)
    assert stream.take(12, 4, 1) == [0, 1, 2, 3]
    assert stream.take(12, 4, 1) == []
    assert (stream.records, stream.duplicates) == (15, 4)


def test_what_came_before_the_reader_did_is_not_missing_and_still_welcome() -> None:
    stream = Stream(100, 0)
    stream.take(100, 1, 0)
    assert stream.take(50, 2, 0) == [0, 1]
    assert stream.take(60, 2, 0) == [0, 1]
    assert (stream.gaps, stream.records, stream.duplicates) == (0, 5, 0)


def test_holes_are_bounded_and_those_let_go_are_still_counted() -> None:
    stream = Stream(0, 0)
    for number in range(0, 4 * MAX_HOLES, 2):
        stream.take(number, 1, 0)
    assert len(stream.holes) == MAX_HOLES
    assert (stream.gaps, stream.missing) == (2 * MAX_HOLES - 1, 2 * MAX_HOLES - 1)


def test_absurd_numbers_cost_no_memory() -> None:
    stream = Stream(0, 0)
    stream.take(0, 1, 0)
    stream.take(2**63 - 1, 1, 0)
    assert stream.missing == 2**63 - 2
    assert stream.take(5, 1, 0) == [0], "an agent that goes on as before is still read"
