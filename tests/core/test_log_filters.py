"""Filters that are put together from what stands under the cursor mean just that; a find goes through all there is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.driver import World
from fleetview.core.log_json import record_json
from fleetview.core.logbook import Entry, Logbook
from fleetview.core.logfind import Find
from fleetview.core.logview import LogView
from fleetview.core.query import QueryError, compile_logs
from fleetview.core.query.gaps import comparison, compile_with_gaps, narrowed
from fleetview.core.query.typed import Typed, as_typed
from fleetview_agent.wire import Channel

words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).filter(lambda text: text.strip())


def entry(**fields: Any) -> Entry:
    world = World()
    world.log(0, 1, stream=None, **fields)
    return next(iter(world.fleet.logbook))


@given(words)
@example("*")
@example("a..b")
@example('say "no"')
@example("back\\slash")
@example("-5")
@example(" x")
@example("a,b")
def test_a_comparison_finds_the_value_that_it_was_made_of(value: str) -> None:
    record = entry(service=value, user=value, deep={"in it": value})
    for text in (comparison("service", value), comparison(("user",), value), comparison(("deep", "in it"), value)):
        assert compile_logs(text)(record), text
        assert not compile_logs(text)(entry(service="other", user="x" + value, deep={"in it": "y"})), text


@given(words)
def test_a_path_of_any_key_is_read_back(key: str) -> None:
    text = comparison((key,), "v")
    assert compile_logs(text)(entry(**{f"{key}": "v"})) or key in {"service", "timestamp", "level", "message"}


@pytest.mark.parametrize(
    ("text", "part", "together"),
    [
        ("", "device:a", "device:a"),
        ("  ", "device:a", "device:a"),
        ("level:error", "device:a", "level:error device:a"),
        ("level:error device:a", "device:a", "level:error device:a"),
        ("device:a", "device:a", "device:a"),
        ("x or y", "device:a", "(x or y) device:a"),
        ("level:", "device:a", "device:a"),
    ],
)
def test_a_part_is_added_once_and_to_the_whole(text: str, part: str, together: str) -> None:
    assert narrowed(text, part) == together


def test_of_a_text_that_cannot_be_read_what_stands_before_the_mistake_stays_in_force() -> None:
    typed = as_typed("device:gw-1 level:", compile_with_gaps)
    assert typed.problem is not None
    assert typed.meaning is not None
    assert typed.meaning(entry())
    assert as_typed("  ", compile_with_gaps) == Typed(None)
    assert as_typed("(((", compile_with_gaps).meaning is None


@pytest.mark.parametrize(
    ("text", "unfinished"),
    [
        ("level:", True),
        ("level:errx", True),
        ("lev", False),
        ("levl:error", True),
        ("levl:error x", False),
        ("(a", True),
        ('"a b', False),
    ],
)
def test_a_word_that_is_being_typed_is_no_mistake_yet(text: str, unfinished: bool) -> None:
    assert as_typed(text, compile_with_gaps).unfinished is unfinished


@pytest.mark.parametrize("text", ["x " * 50_000, "(" * 10_000, "-" * 10_000, '"' * 9_999, "a or " * 20_000, "\x00" * 5000])
def test_filters_of_any_length_are_read_or_refused(text: str) -> None:
    as_typed(text, compile_with_gaps)
    narrowed(text, "device:a")


HOSTILE = [
    b'{"message":"' + b"x" * 1_000_000 + b'"}',
    b'{"message":"m","deep":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    b'{"message":"m","deep":' + b'{"a":' * 150 + b"1" + b"}" * 150 + b"}",
    b'{"message":"\\u001b[2J\\u202e\\u0000\\ud800","level":"\\u001b","service":"\\u202e"}',
    b'{"message":null,"timestamp":1e400,"level":{"a":[]},"trace_id":[1]}',
    b'{"message":"m","n":' + b"9" * 5000 + b"}",
]


@pytest.mark.parametrize("payload", HOSTILE, ids=range(len(HOSTILE)))
def test_whatever_is_sent_is_viewed_filtered_found_and_exported(payload: bytes) -> None:
    world = World(Logbook())
    world.send_bytes(Channel.LOG, payload)
    view = LogView(world.fleet.logbook)
    view.step(10**15, lambda: False)
    assert view.complete
    for kept in world.fleet.logbook:
        for text in ("x", '"a text"', ".deep.a:1", "message~~^x*$", "exists(.deep)", "level>=warn"):
            assert compile_with_gaps(text).test(kept) in {True, False}
        assert record_json(kept).isprintable()


def _found(view: LogView, start: int, step: int, text: str) -> tuple[int | None, int]:
    find = Find(view, compile_logs(text).test, view.key(view.rows[start]), step)
    slices = 0
    while True:
        slices += 1
        index, more = find.go_on(lambda: True)
        if not more:
            return index, slices


def test_a_find_goes_on_where_it_stopped() -> None:
    world = World()
    world.log(0, 1000)
    view = LogView(world.fleet.logbook)
    view.step(10**15, lambda: False)
    assert _found(view, 999, -1, "message:m3") == (3, 16)
    assert _found(view, 3, 1, "message:m3")[0] is None
    assert _found(view, 0, 1, "message:m999")[0] == 999
    assert _found(view, 0, -1, "m")[0] is None


def test_a_find_waits_for_what_was_not_looked_at_yet() -> None:
    world = World()
    world.log(0, 1000)
    view = LogView(world.fleet.logbook)
    view.step(10**15, lambda: True)
    find = Find(view, compile_logs("message:m3").test, view.key(view.rows[0]), -1)
    assert find.go_on(lambda: False) == (None, True)
    view.step(10**15, lambda: False)
    assert find.go_on(lambda: False) == (3, False)


def test_half_a_filter_is_an_error_for_scripts() -> None:
    with pytest.raises(QueryError):
        compile_with_gaps("level:")


def test_json_lines_are_for_every_encoding() -> None:
    record = entry(user="Jürgen \U0001f600", schlüssel=["ß"])
    line = record_json(record, ascii_only=True)
    assert line.isascii()
    assert json.loads(line) == json.loads(record_json(record))
    assert json.loads(line)["record"]["user"] == "Jürgen \U0001f600"
