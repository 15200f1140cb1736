"""Versions, durations, sizes and the rest as people write them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetview.core.query import values


def test_versions_sort_as_versions_do() -> None:
    rising = [
        "0.9",
        "1.4-alpha",
        "1.4-alpha.1",
        "1.4-beta2",
        "1.4-beta10",
        "1.4-rc.1",
        "1.4.0",
        "1.4.2",
        "1.4.10",
        "v1.10",
        "2",
    ]
    keys = [values.version(text) for text in rising]
    assert all(low is not None and high is not None and low < high for low, high in pairwise(keys))


@pytest.mark.parametrize(
    ("one", "other"), [("1.5", "1.5.0"), ("v1.5", "1.5"), ("1.5+build7", "1.5"), ("1.5-RC1", "1.5-rc1"), ("0", "0.0")]
)
def test_versions_that_are_the_same(one: str, other: str) -> None:
    assert values.version(one) == values.version(other) is not None


@pytest.mark.parametrize(
    "text", ["", "nightly", "1.", ".1", "1..2", "9" * 19, "1." * 60 + "1", "1.5 ", "x1.5", "\u0661.\u0665"]
)
def test_texts_that_are_no_versions(text: str) -> None:
    assert values.version(text) is None


@pytest.mark.parametrize(
    ("read", "text", "expected"),
    [
        (values.duration_s, "90", 90),
        (values.duration_s, "5m", 300),
        (values.duration_s, "1h30m", 5400),
        (values.duration_s, "500ms", 0.5),
        (values.duration_s, "1.5D", 129600),
        (values.duration_s, "5 m", 300),
        (values.duration_s, "-5m", None),
        (values.duration_s, "5x", None),
        (values.duration_s, "m", None),
        (values.duration_s, "", None),
        (values.size_bytes, "10MB", 10_000_000),
        (values.size_bytes, "4KiB", 4096),
        (values.size_bytes, "500", 500),
        (values.size_bytes, "10Mb/s", None),
        (values.size_bytes, "-1kB", None),
        (values.fraction, "80%", 0.8),
        (values.fraction, "0.8", 0.8),
        (values.fraction, "80", None),
        (values.fraction, "120%", 1.2),
        (values.temperature_c, "70°C", 70),
        (values.temperature_c, "-4.5", -4.5),
        (values.number, "1e3", 1000),
        (values.number, "1e999", None),
        (values.number, "nan", None),
        (values.number, "1_000", None),
    ],
)
def test_values_with_units(read: object, text: str, expected: float | None) -> None:
    assert callable(read)
    assert read(text) == (None if expected is None else pytest.approx(expected))


@given(st.one_of(st.text(max_size=40), st.from_regex(r"[0-9.e%a-zA-Z+-]{0,20}", fullmatch=True)))
def test_any_text_is_a_value_or_none(text: str) -> None:
    for read in (values.number, values.fraction, values.temperature_c, values.duration_s, values.size_bytes, values.version):
        read(text)
