"""Which texts of a filter stand out in messages, and where."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetview.core.query.json_path import leaves
from fleetview.core.query.sought import places, sought


@pytest.mark.parametrize(
    ("text", "texts"),
    [
        ('"timed out" Uplink', ("timed out", "uplink")),
        ("level:error message~(a,B) or c", ("a", "b", "c")),
        ("-secret not hidden shown", ("shown",)),
        ("time* service~x", ()),
        ("", ()),
    ],
)
def test_what_is_wanted_stands_out(text: str, texts: tuple[str, ...]) -> None:
    assert sought(text) == texts


def test_what_overlaps_is_one_place() -> None:
    assert places("Timed out, timed OUT", ("timed", "ed out")) == [(0, 9), (11, 20)]
    assert places("İ timed", ("timed",)) == [], "its lower case is longer"


@given(st.text(alphabet="abAB ", max_size=30), st.lists(st.text(alphabet="ab", min_size=1, max_size=3), max_size=3))
def test_places_are_in_order_apart_and_cover_what_is_found(message: str, texts: list[str]) -> None:
    found = places(message, tuple(texts))
    ends = [end for place in found for end in place]
    assert ends == sorted(set(ends))
    for text in texts:
        at = message.lower().find(text)
        assert at < 0 or any(begin <= at and at + len(text) <= end for begin, end in found)


def test_leaves_are_what_can_be_compared() -> None:
    record = {"a": {"b": 1, "c": [True, "x", None]}, "d": None, "e": {"f": {"g": {"h": {"too": "deep"}}}}}
    assert list(leaves(record)) == [(("a", "b"), "1"), (("a", "c"), "true"), (("a", "c"), "x")]
