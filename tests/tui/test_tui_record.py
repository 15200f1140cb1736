"""The detail of a record: its JSON folds, and what stands under the cursor is copied or becomes part of the filter."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetview.core.query import compile_logs
from fleetview.tui.glyphs import ASCII, UNICODE
from fleetview.tui.json_rows import MAX_ROWS, DetailRow, Folds, condition_of, detail_rows, path_of
from fleetview.tui.screens.record import RecordScreen, RecordTree
from fleetview.tui.spans import line_width
from fleetview.tui.widgets.filter_line import FilterLine
from tui.stage import Stage, Told, address, dashboard, entry
from tui.test_tui_rows import HOSTILE, harmless, text_of

ONE = address("gw-1")
FIELDS: dict[str, Any] = {
    "user": "u-17",
    "code": 500,
    "ok": False,
    "none": None,
    "rule": {"id": 7, "limits": {"upper": 1.5, "list": [1, {"x": 2}]}},
    "empty": {},
    "tags": ["a", "b"],
    "odd key.": "v",
}


def rows(width: int = 100, folds: Folds | None = None, **fields: Any) -> list[DetailRow]:
    return detail_rows(entry("evaluation failed", **fields), folds or Folds(), width, UNICODE)


def row(found: list[DetailRow], words: str) -> DetailRow:
    return next(each for each in found if words in text_of(each.line))


def test_the_json_is_a_tree() -> None:
    text = [text_of(each.line).rstrip() for each in rows(**FIELDS)]
    for words in (
        '  user: "u-17"', "  code: 500", "  ok: false", "  none: null", "▼ rule:", "    id: 7", "  ▼ limits:", "      upper: 1.5",
        "    ▼ list:", "        [0]: 1", "  empty: {}",
    ):  # fmt: skip
        assert words in text, "\n".join(text)


def test_what_is_folded_says_how_much_it_holds() -> None:
    found = rows(**FIELDS, many=list(range(1234)))
    assert row(found, "many: [").foldable
    assert "▶ many: […]  1,234" in text_of(row(found, "many: ").line)
    place = row(found, "rule:").place
    assert place is not None
    folded = rows(folds=Folds().turn(place), **FIELDS)
    assert "▶ rule: {…}  2" in text_of(row(folded, "rule:").line)
    assert not any("limits" in text_of(each.line) for each in folded)


def test_a_long_text_unfolds() -> None:
    long = "word " * 200 + "end"
    found = rows(long=long)
    assert text_of(row(found, "long:").line).rstrip().endswith("…")
    opened = rows(folds=Folds().turn(("long",)), long=long)
    assert "1,003 characters" in text_of(row(opened, "long:").line)
    assert any(text_of(each.line).rstrip().endswith("end") for each in opened)


@pytest.mark.parametrize(
    ("words", "path", "condition"),
    [
        ("user:", ".user", ".user:u-17"),
        ("code:", ".code", ".code:500"),
        ("ok:", ".ok", ".ok:false"),
        ("none:", ".none", "exists(.none)"),
        ("upper:", ".rule.limits.upper", ".rule.limits.upper:1.5"),
        ("rule:", ".rule", "exists(.rule)"),
        ("[1]: ", ".tags", ".tags:b"),
        ("odd key.:", '."odd key."', '."odd key.":v'),
        ("x: 2", None, None),
        ("evaluation failed", None, 'message:"evaluation failed"'),
    ],
)
def test_a_row_has_a_path_and_a_condition_in_the_language(words: str, path: str | None, condition: str | None) -> None:
    found = [each for each in rows(**FIELDS) if words in text_of(each.line)][-1 if words == "[1]: " else 0]
    assert (path_of(found), condition_of(found)) == (path, condition)
    if condition is not None and words != "none:":
        assert compile_logs(condition)(entry("evaluation failed", **FIELDS))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=80),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=10), inner, max_size=5),
    max_leaves=20,
)


@given(st.dictionaries(st.text(max_size=30), json_values, max_size=5), st.sampled_from([40, 80, 160]))
def test_every_row_is_harmless_and_fits(fields: dict[str, Any], width: int) -> None:
    record = entry(**{f"{name}": value for name, value in fields.items() if name not in {"level", "age_s", "skip"}})
    for each in detail_rows(record, Folds(), width, UNICODE):
        assert line_width(each.line) <= width, text_of(each.line)
        assert harmless(text_of(each.line))
        condition_of(each)


def test_a_record_of_a_megabyte_is_bounded_and_a_deep_one_no_trouble() -> None:
    many = [1] * 60_000
    opened = rows(folds=Folds().turn(("many",)), many=many)
    assert MAX_ROWS < len(opened) <= MAX_ROWS + 20
    assert "and more: fold something" in text_of(opened[-1].line)
    deep: object = 1
    for _ in range(150):
        deep = {"a": deep}
    assert len(rows(deep=deep)) < 30
    assert all(
        each.isascii() or each == "…" for r in detail_rows(entry(**FIELDS), Folds(), 80, ASCII) for each in text_of(r.line)
    )


async def opened_record(stage: Stage) -> RecordTree:
    await stage.press("L", "enter")
    assert isinstance(stage.app.screen, RecordScreen)
    return stage.app.screen.query_one(RecordTree)


async def to(stage: Stage, words: str) -> None:
    tree = stage.app.screen.query_one(RecordTree)
    tree.move_cursor(next(at for at, each in enumerate(tree._rows) if words in text_of(each.line)))
    await stage.pilot.pause()


def told_record() -> Told:
    told = Told()
    told.online("gw-1")
    told.log(ONE, "evaluation failed", level="ERROR", **FIELDS)
    return told


async def test_folding_by_keys_and_click() -> None:
    async with dashboard(told_record(), size=(120, 40)) as stage:
        await opened_record(stage)
        await to(stage, "rule:")
        await stage.press("space")
        assert "▶ rule: {…}  2" in stage.text
        await stage.press("enter")
        assert "upper: 1.5" in stage.text
        tree = stage.app.screen.query_one(RecordTree)
        y = stage.row_of("▼ limits:")
        for _ in range(2):
            await stage.pilot.click(RecordTree, offset=(4, y - tree.region.y))
            await stage.pilot.pause()
        assert "upper: 1.5" not in stage.text


async def test_copying_value_path_and_all() -> None:
    async with dashboard(told_record(), size=(120, 40)) as stage:
        await opened_record(stage)
        await to(stage, "upper:")
        await stage.press("y")
        assert stage.app.clipboard == "1.5"
        await stage.press("p")
        assert stage.app.clipboard == ".rule.limits.upper"
        await stage.press("Y")
        assert json.loads(stage.app.clipboard)["rule"]["id"] == 7
        await to(stage, "user:")
        await stage.press("y")
        assert stage.app.clipboard == "u-17"
        await to(stage, "x: 2")
        await stage.press("p")
        await stage.see("the filter language has no path for this")


async def test_a_value_becomes_part_of_the_filter() -> None:
    told = told_record()
    told.log(ONE, "other")
    async with dashboard(told, size=(120, 40)) as stage:
        await stage.press("L", "up", "enter")
        await to(stage, "code:")
        await stage.press("equals_sign")
        assert stage.app.screen.query_one(FilterLine).text == ".code:500"
        assert "1 shown, 1 hidden" in stage.text


async def test_hostile_records_are_opened() -> None:
    told = told_record()
    hostile: dict[str, Any] = {HOSTILE: {HOSTILE: HOSTILE}}
    told.log(ONE, HOSTILE, **hostile)
    async with dashboard(told, size=(100, 30)) as stage:
        await opened_record(stage)
        assert harmless(stage.text.replace("\n", ""))
        await to(stage, "as received")
        await stage.press("y", "p", "equals_sign", "h", "down", "y", "p", "Y")
        assert isinstance(stage.app.screen, RecordScreen)
