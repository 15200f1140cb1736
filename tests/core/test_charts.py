"""What a chart shows: which time, in which column, in which row; and what is said of values that cannot be drawn."""

from __future__ import annotations

import math
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetview.core.charts import RANGES_S, Scale, Span, Window, course, in_words, quantiles, scale, trouble_with
from fleetview.core.series import Series

NOW = 1_800_000_003.5
FINITE = st.floats(-1e12, 1e12)


def series(*points: tuple[float, float]) -> Series:
    return Series({}, array("d", [at for at, _ in points]), array("d", [value for _, value in points]))


@given(st.integers(0, len(RANGES_S) - 1), st.integers(1, 500), st.sampled_from([1.0, 15.0, 60.0]), st.integers(0, 9))
def test_every_point_that_is_asked_for_has_its_column(size: int, columns: int, least_s: float, back: int) -> None:
    window = Window(size).panned(-back)
    span = window.span(NOW, columns, least_s)
    assert span.step_s >= least_s
    assert all(number == int(number) for number in span), "the client rounds to whole seconds"
    assert span.step_s >= window.range_s / columns * 0.999
    assert NOW - window.back_s - least_s < span.end_s <= NOW - window.back_s
    count = round((span.end_s - span.begin_s) / span.step_s)
    assert 1 <= count <= max(columns, 1)
    points = [(span.begin_s + (place + 1) * span.step_s, float(place)) for place in range(count)]
    found = course(series(*points), span, columns)
    assert all(value is not None for value in found), "the points lie without a hole"
    assert set(found) == {value for _, value in points}, "no point is lost"
    assert list(found) == sorted(found), "they are in the order of time"  # type: ignore[type-var]
    for at, value in points:
        column = span.column_of(at, columns)
        assert column is not None
        assert found[column] is not None
        assert found[column] >= value  # type: ignore[operator]


def test_a_hole_stays_a_hole() -> None:
    span = Span(1000.0, 1100.0, 10.0)
    assert course(series((1010, 1.0), (1020, 2.0), (1060, 3.0)), span, 10) == (
        1.0, 2.0, None, None, None, 3.0, None, None, None, None,
    )  # fmt: skip


def test_the_largest_of_a_column_is_shown_and_nan_gives_way() -> None:
    span = Span(0.0, 100.0, 10.0)
    found = course(series((10, math.nan), (20, 5.0), (30, 9.0), (40, 1.0)), span, 5)
    assert found[:2] == (5.0, 9.0)


def test_what_is_outside_is_not_shown() -> None:
    span = Span(1000.0, 1100.0, 10.0)
    assert course(series((990, 1.0), (1000, 1.0), (1111, 1.0)), span, 10) == (None,) * 10
    assert span.column_of(1000.0, 10) is None
    assert span.column_of(1000.1, 10) == 0
    assert span.column_of(1100.0, 10) == 9
    assert span.column_of(1100.1, 10) is None


@given(FINITE, FINITE, st.integers(1, 60), FINITE)
def test_a_value_is_in_the_row_it_must_be(low: float, size: float, rows: int, value: float) -> None:
    found = Scale(low, low + abs(size) + 1e-3 + abs(low) * 1e-9)
    row = found.row_of(value, rows)
    assert row is not None
    assert 0 <= row < rows
    if value <= found.low:
        assert row == 0
    if value >= found.high:
        assert row == rows - 1


def test_rows_by_hand() -> None:
    assert [Scale(0.0, 1.0).row_of(value, 4) for value in (0, 0.24, 0.25, 0.5, 0.74, 0.75, 1.0)] == [0, 0, 1, 2, 2, 3, 3]
    assert Scale(0.0, 1.0).row_of(math.inf, 4) == 3
    assert Scale(0.0, 1.0).row_of(-math.inf, 4) == 0
    assert Scale(0.0, 1.0).row_of(math.nan, 4) is None


@given(st.lists(st.one_of(st.none(), FINITE, st.sampled_from([math.nan, math.inf, -math.inf])), max_size=20))
def test_a_scale_has_room_for_all(values: list[float | None]) -> None:
    found = scale([values])
    assert found.low < found.high
    assert all(found.low <= value <= found.high for value in values if value is not None and math.isfinite(value))
    assert found.low <= 0


def test_a_scale_is_round() -> None:
    assert scale([[0.31, 0.07]]) == (0.0, 0.4)
    assert scale([[0.31]], top=1.0) == (0.0, 1.0)
    assert scale([[130.0]], top=100.0) == (0.0, 150.0)
    assert scale([[-3.0, 2.0]]) == (-3.0, 2.0)
    assert scale([[None]]) == (0.0, 1.0)


def test_each_trouble_has_its_word() -> None:
    assert trouble_with([[None, None]]) == "no data"
    assert trouble_with([[math.nan, None]]) == "not a number (NaN): nothing to divide by"
    assert trouble_with([[math.nan, 1.0]]) == "not a number (NaN) in 1 column"
    assert trouble_with([[math.inf, 1.0, -math.inf]]) == "infinite in 2 columns, drawn at the edge"
    assert trouble_with([[0.0]]) is None


def test_quartiles_are_those_of_prometheus() -> None:
    low, middle, high = quantiles([[1.0, None], [2.0, None], [3.0, math.nan], [10.0, 5.0]], 2)
    assert (low, middle, high) == ((1.75, 5.0), (2.5, 5.0), (4.75, 5.0))


def test_zoom_and_pan_have_ends() -> None:
    window = Window()
    assert window.range_s == 3600
    assert window.follows
    assert window.zoomed(99).range_s == 900
    assert window.zoomed(-99).range_s == 30 * 86400
    assert window.panned(3) == window, "there is no future"
    assert window.panned(-2).back_s == 1800
    assert window.panned(-2).panned(2) == window
    assert window.panned(-9999).back_s == 30 * 86400


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (None, "count", "-"),
        (math.nan, "seconds", "NaN"),
        (math.inf, "percent", "+Inf"),
        (-math.inf, "percent", "-Inf"),
        (0.97, "percent", "97%"),
        (0.0, "percent", "0%"),
        (0.023, "seconds", "23 ms"),
        (1.5, "seconds", "1.5 s"),
        (300.0, "seconds", "5m 00s"),
        (1234567.0, "bytes", "1.23MB"),
        (0.5, "per_second", "0.5/s"),
        (61.0, "celsius", "61 C"),
        (12.0, "count", "12"),
    ],
)
def test_a_value_in_words(value: float | None, unit: str, words: str) -> None:
    assert in_words(value, unit) == words  # type: ignore[arg-type]
