"""The statistics, held against published values and against chance."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetview.core.rollout.figures import mean, rate, student, wilson


@pytest.mark.parametrize(
    ("bad", "events", "low", "high"),
    # Newcombe, Statistics in Medicine 17 (1998), table I, method 3: 95 % two-sided
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_bounds_are_the_published_ones(bad: int, events: int, low: float, high: float) -> None:
    assert wilson(bad, events, 1.959964) == pytest.approx((low, high), abs=5e-5)


def test_students_quantiles_are_those_of_the_tables() -> None:
    # one-sided 97.5 %
    for freedom, quantile in ((5, 2.5706), (10, 2.2281), (30, 2.0423)):
        assert student(freedom, 1.959964) == pytest.approx(quantile, rel=2e-3)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(50, 5000)), min_size=1, max_size=30))
def test_a_rate_lies_within_its_bounds(counts: list[tuple[int, int]]) -> None:
    found = rate([(float(bad), float(events)) for bad, events in counts])
    assert 0 <= found.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.high <= 1


def test_one_hot_device_does_not_decide_for_five() -> None:
    found = rate([(300.0, 1000.0), *[(2.0, 1000.0)] * 4])
    assert found.value == pytest.approx(0.002)
    two = rate([(300.0, 1000.0), (300.0, 1000.0), *[(2.0, 1000.0)] * 8])
    assert two.low > 0.005
    assert mean([0.9, 0.3, 0.3, 0.3, 0.3]).value == pytest.approx(0.3)


def test_devices_that_differ_widen_the_bounds() -> None:
    same = rate([(10.0, 1000.0)] * 10)
    differing = rate([(0.0, 1000.0)] * 5 + [(20.0, 1000.0)] * 5)
    assert differing.worth < same.worth / 3
    assert differing.low < same.low


def test_bounds_hold_as_often_as_they_say() -> None:
    """Of rates at the bound, one measurement of a hundred is wrong about it."""
    draw = random.Random(7)
    wrong = 0
    for _ in range(2000):
        counts = [(float(sum(draw.random() < 0.02 for _ in range(60))), 60.0) for _ in range(10)]
        wrong += rate(counts).low > 0.02
    assert wrong <= 40
