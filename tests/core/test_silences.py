"""Silences: matchers and durations as people write them, and the list as Alertmanager tells it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetview.core.alerts import Place, Places
from fleetview.core.silences import Matcher, matchers_for, parse_duration, parse_matcher, read_silences


@pytest.mark.parametrize(
    ("text", "matcher"),
    [
        ("device=gw-1", Matcher("device", "gw-1")),
        ('device = "gw 1"', Matcher("device", "gw 1")),
        ('site=~"plant-.*"', Matcher("site", "plant-.*", is_regex=True)),
        ("site!~plant-.*", Matcher("site", "plant-.*", is_regex=True, is_equal=False)),
        ("ring!=", Matcher("ring", "", is_equal=False)),
        ("a=b=c", Matcher("a", "b=c")),
        ('a="x\\"y\\\\z\\n"', Matcher("a", 'x"y\\z\n')),
    ],
)
def test_matchers(text: str, matcher: Matcher) -> None:
    assert parse_matcher(text) == matcher


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("device", "is not a matcher such as"),
        ("1a=b", "is not a matcher such as"),
        ("a>b", "is not a matcher such as"),
        ('a="b', "the quote is not closed"),
        ('a="b\\"', "the quote is not closed"),
        ('a="', "the quote is not closed"),
        ("a=", "means every alert without this label"),
        ('a=""', "means every alert without this label"),
    ],
)
def test_what_is_no_matcher(text: str, part: str) -> None:
    with pytest.raises(ValueError, match=part):
        parse_matcher(text)


@given(st.from_regex(r"[a-z_][a-z0-9_]{0,5}", fullmatch=True), st.text(min_size=1), st.booleans(), st.booleans())
def test_a_matcher_with_any_text_is_read_as_it_is_written(name: str, value: str, is_regex: bool, is_equal: bool) -> None:
    matcher = Matcher(name, value, is_regex, is_equal)
    assert parse_matcher(str(matcher)) == matcher


@pytest.mark.parametrize(
    ("text", "seconds"), [("30m", 1800), ("2h", 7200), ("1d12h", 129_600), ("1.5h", 5400), ("1w", 604_800)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "h", "2 h", "-1h", "0s", "367d", "2h!", "two hours", "9" * 400 + "h"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not"):
        parse_duration(text)


def test_the_matchers_of_a_place() -> None:
    assert matchers_for(Place("acme", None, "gw-1"), Places(device="instance")) == (
        Matcher("tenant", "acme"),
        Matcher("instance", "gw-1"),
    )


def silence(**fields: Any) -> dict[str, Any]:
    return {
        "id": "i",
        "status": {"state": "active"},
        "startsAt": "2026-01-01T00:00:00Z",
        "endsAt": "2026-01-01T01:00:00Z",
        "createdBy": "ann",
        "comment": "why",
        "matchers": [{"name": "a", "value": "b", "isRegex": False}],
    } | fields


def test_those_that_hold_come_first() -> None:
    items = [
        silence(id="over", status={"state": "expired"}),
        silence(id="long", endsAt="2026-01-02T00:00:00Z"),
        silence(id="later", status={"state": "pending"}),
        silence(id="short"),
        silence(id="over later", status={"state": "expired"}, endsAt="2026-01-03T00:00:00Z"),
        silence(status={"state": "x"}),
        silence(endsAt=None),
        None,
    ]
    read = read_silences(items)
    assert [one.id for one in read.silences] == ["short", "long", "later", "over later", "over"]
    assert read.malformed == 3
    assert read.silences[0].matchers == (Matcher("a", "b"),)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=3),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["id", "status", "matchers", "startsAt"]), inner),
    )
)
def test_any_json_is_read(body: Any) -> None:
    read_silences(body)
    read_silences([silence(matchers=body), silence(status=body)])
