"""Session ids: new for every start, sorting by time, whatever a device's clock does."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetview_agent.wire import new_session, session_is_newer

moments_ms = st.integers(0, 2**48 - 2)
"""All that fits into a ULID: until the year 10889."""


def _uuid7(ms: int, tail: int = 0) -> str:
    text = f"{ms:012x}7{tail % 4096:03x}8{tail % 2**60:015x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


@given(moments_ms)
def test_a_session_is_a_ulid_and_new_every_time(ms: int) -> None:
    session = new_session(ms / 1000)
    assert re.fullmatch(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", session)
    assert session != new_session(ms / 1000)


def test_a_session_holds_its_time_as_the_ulid_specification_has_it() -> None:
    assert new_session(1469918176.385).startswith("01ARYZ6S41")  # the specification's example


@given(st.lists(moments_ms, min_size=2, max_size=6, unique=True).map(sorted))
def test_sessions_sort_by_time(moments: list[int]) -> None:
    sessions = [new_session(ms / 1000) for ms in moments]
    assert sessions == sorted(sessions)
    for older, newer in pairwise(sessions):
        assert session_is_newer(newer, older)
        assert not session_is_newer(older, newer)


@given(st.lists(st.floats(-1e9, 2**47 / 1000), min_size=2, max_size=8))
def test_each_start_sorts_after_the_one_before_whatever_the_clock_says(moments: list[float]) -> None:
    session = new_session(moments[0])
    for moment in moments[1:]:
        following = new_session(moment, session)
        assert session_is_newer(following, session)
        assert not session_is_newer(session, following)
        session = following


@pytest.mark.parametrize("previous", ["", "x", _uuid7(1), "\u0661" * 26, "8" * 26])
def test_a_previous_session_that_is_no_ulid_does_no_harm(previous: str) -> None:
    assert new_session(1469918176.385, previous).startswith("01ARYZ6S41")


@given(
    st.lists(st.tuples(moments_ms, st.booleans(), st.integers(0, 2**60)), min_size=2, max_size=6, unique_by=lambda m: m[0])
)
def test_ulids_and_uuids_of_one_device_sort_together_by_the_time_within(sessions: list[tuple[int, bool, int]]) -> None:
    ids = [new_session(ms / 1000) if ulid else _uuid7(ms, tail) for ms, ulid, tail in sorted(sessions)]
    for older, newer in pairwise(ids):
        assert session_is_newer(newer, older)
        assert not session_is_newer(older, newer)


@given(st.text(max_size=40), st.text(max_size=40))
def test_of_two_different_sessions_one_is_newer_and_none_is_newer_than_itself(one: str, other: str) -> None:
    assert not session_is_newer(one, one)
    if one != other:
        assert session_is_newer(one, other) is not session_is_newer(other, one)
