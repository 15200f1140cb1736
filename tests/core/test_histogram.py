"""The histogram counts every record once, in bounded room, and shows the time that matters."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fleetview.core.histogram import LEVELS, MAX_BUCKETS, Histogram
from fleetview_agent.wire import Level

NOW_MS = 1_795_000_000_000
record = st.tuples(st.one_of(st.integers(NOW_MS - 3_600_000, NOW_MS), st.integers(0, NOW_MS)), st.sampled_from(LEVELS))


@settings(max_examples=100, deadline=None)
@given(st.lists(record, max_size=200), st.lists(record, max_size=50), st.integers(1, 200))
def test_what_was_added_and_not_dropped_is_counted_once(
    kept: list[tuple[int, Level]], dropped: list[tuple[int, Level]], number: int
) -> None:
    histogram = Histogram()
    histogram.add(kept + dropped)
    histogram.drop(dropped)
    columns = histogram.columns(number)
    if not kept:
        assert columns is None
        return
    assert columns is not None
    assert 1 <= len(columns.counts) <= number
    assert columns.older + sum(map(sum, columns.counts)) == len(kept)
    inside = [ms for ms, _ in kept if ms >= columns.begin_ms]
    assert len(inside) == len(kept) - columns.older
    assert all(columns.begin_ms <= ms < columns.end_ms for ms in inside)
    for level in LEVELS:
        counted = sum(counts[LEVELS.index(level)] for counts in columns.counts)
        assert counted <= sum(each is level for _, each in kept)


def test_columns_stand_on_round_times_and_so_do_not_shiver_while_time_goes_on() -> None:
    histogram = Histogram()
    histogram.add((NOW_MS - ms, Level.INFO) for ms in range(0, 3_600_000, 1000))
    columns = histogram.columns(100)
    assert columns is not None
    assert columns.width_ms == 60_000
    assert columns.begin_ms % 60_000 == 0
    assert {sum(counts) for counts in columns.counts[1:-1]} == {60}


def test_a_few_records_from_long_ago_do_not_press_the_others_into_a_corner() -> None:
    histogram = Histogram()
    histogram.add((NOW_MS - ms, Level.INFO) for ms in range(0, 600_000, 1000))
    histogram.add([(946_684_800_001, Level.ERROR)])
    columns = histogram.columns(60)
    assert columns is not None
    assert (columns.older, columns.width_ms) == (1, 15_000)


def test_it_is_bounded_whatever_the_times() -> None:
    histogram = Histogram()
    histogram.add((NOW_MS - index * 7_777_777, Level.WARN) for index in range(50_000))
    assert len(histogram._buckets) <= MAX_BUCKETS
    columns = histogram.columns(80)
    assert columns is not None
    assert sum(map(sum, columns.counts)) + columns.older == 50_000
    assert columns.column_of(NOW_MS) == len(columns.counts) - 1
    assert columns.column_of(0) == 0
