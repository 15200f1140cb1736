"""Moments as people write them."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetview.core.times import parse_when

NOW_MS = int(datetime(2026, 11, 22, 14, 30, 15, tzinfo=UTC).timestamp() * 1000)


def at(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp() * 1000)  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("now", NOW_MS),
        ("-15m", NOW_MS - 900_000),
        ("15m", NOW_MS - 900_000),
        ("1h30m", NOW_MS - 5_400_000),
        ("1.5h ago", NOW_MS - 5_400_000),
        ("500ms", NOW_MS - 500),
        ("2d", NOW_MS - 2 * 86_400_000),
        ("14:05", at(2026, 11, 22, 14, 5)),
        (" 14:05:07 ", at(2026, 11, 22, 14, 5, 7)),
        ("9:05:07.25", at(2026, 11, 22, 9, 5, 7) + 250),
        ("14:31", at(2026, 11, 21, 14, 31)),
        ("2026-11-20", at(2026, 11, 20)),
        ("2026-11-20 10:00", at(2026, 11, 20, 10)),
        ("2026-11-20T10:00:01Z", at(2026, 11, 20, 10, 0, 1)),
        ("2026-11-20T10:00:01+02:00", at(2026, 11, 20, 8, 0, 1)),
        ("999999w", 0),
    ],
)
def test_what_people_write(text: str, moment: int) -> None:
    assert parse_when(text, NOW_MS) == moment


@pytest.mark.parametrize("text", ["", "soon", "25:00", "14:60", "15", "m15", "2026-13-01", "-", "0001-01-01T00:00+14:00x"])
def test_what_is_none_is_refused_with_what_could_be_written(text: str) -> None:
    with pytest.raises(ValueError, match="is no time; write 15m"):
        parse_when(text, NOW_MS)


@given(st.text(max_size=80))
def test_anything_is_a_time_or_refused(text: str) -> None:
    found = None
    with suppress(ValueError):
        found = parse_when(text, NOW_MS)
    assert found is None or found >= 0
