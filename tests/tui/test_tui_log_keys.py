"""Finding one's way in a log: errors, times, marks, finds, traces, the histogram; and taking it along."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest
from textual.events import Key
from textual.keys import _character_to_key
from textual.widgets import Input

from fleetview.core.fleet import Fleet
from fleetview.tui.glyphs import ASCII
from fleetview.tui.screens.logs import LogScreen
from fleetview.tui.widgets.filter_line import FilterLine
from fleetview.tui.widgets.histogram import HistogramChart
from fleetview.tui.widgets.log_list import LogList
from tui.stage import Stage, Told, address, dashboard

HELD = 0.6
"""Seconds after which a new record is shown."""
ONE, TWO = address("gw-1"), address("gw-2")
SLOW = address("gw-3")
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def records(stage: Stage) -> LogList:
    return stage.app.screen.query_one(LogList)


def under_cursor(stage: Stage) -> str:
    entry = records(stage).selected
    assert entry is not None
    return entry.message


def displayed(chart: HistogramChart) -> bool:
    return bool(chart.display)


def filter_text(stage: Stage) -> str:
    return stage.app.screen.query_one(FilterLine).text


def told_logs(number: int = 60, fleet: Fleet | None = None) -> Told:
    """A record a second, every tenth a warning, every twentieth an error."""
    told = Told(fleet)
    told.online("gw-1", "gw-2")
    for index in range(number):
        told.wait(1)
        level = "ERROR" if index % 20 == 5 else "WARN" if index % 10 == 5 else "INFO"
        told.log(ONE, f"message {index:03}", level=level)
    return told


async def opened(stage: Stage) -> None:
    await stage.press("L")
    assert isinstance(stage.app.screen, LogScreen)


async def entered(stage: Stage, key: str, text: str) -> None:
    await stage.press(key)
    stage.app.screen.query_one("Prompt Input", Input).value = ""
    await stage.type(text)
    await stage.press("enter")


async def test_errors_and_warnings_up_and_down() -> None:
    async with dashboard(told_logs()) as stage:
        await opened(stage)
        for key, message in [("E", 45), ("E", 25), ("W", 15), ("W", 15), ("e", 25), ("w", 35), ("w", 55), ("w", 55)]:
            await stage.press(key)
            assert under_cursor(stage) == f"message {message:03}", key
        await stage.see("no warning below")
        assert "paused" in stage.text


@pytest.mark.parametrize(
    ("text", "message"),
    [("-30s", "message 029"), ("10:30:11", "message 010"), ("2026-11-22T10:30:50Z", "message 049"), ("1h", "message 000")],
)
async def test_going_to_a_time(text: str, message: str) -> None:
    async with dashboard(told_logs()) as stage:
        await opened(stage)
        await entered(stage, "t", text)
        assert under_cursor(stage) == message
        assert records(stage).has_focus


async def test_what_is_no_time_is_said_and_escape_leaves_it() -> None:
    async with dashboard(told_logs(3)) as stage:
        await opened(stage)
        await entered(stage, "t", "soon")
        assert "'soon' is no time; write 15m (ago), 14:05" in stage.text
        await stage.press("escape")
        assert "is no time" not in stage.text
        assert "following" in stage.text
        assert isinstance(stage.app.screen, LogScreen)


async def test_finding_hides_nothing_and_goes_on() -> None:
    async with dashboard(told_logs()) as stage:
        await opened(stage)
        await entered(stage, "f", "message:*5")
        assert under_cursor(stage) == "message 055"
        assert "60 shown" in stage.text
        await entered(stage, "f", "055")
        assert [span.text for span in stage.app.screen.query_one(LogList).row(55, 120) if span.style == "found"] == ["055"]
        await entered(stage, "f", "message:*5")
        for key, message in [("N", 45), ("N", 35), ("n", 45), ("n", 55), ("n", 55)]:
            await stage.press(key)
            assert under_cursor(stage) == f"message {message:03}", key
        await stage.see("not found below")
        await entered(stage, "f", "level:")
        assert "a value is missing" in stage.text


async def test_a_find_without_a_text_asks_for_one() -> None:
    async with dashboard(told_logs(3)) as stage:
        await opened(stage)
        await stage.press("n")
        assert stage.app.screen.query_one("Prompt").has_class("-open")


async def test_marks_are_seen_and_gone_through_in_turn() -> None:
    async with dashboard(told_logs()) as stage:
        await opened(stage)
        await stage.press("m", "up", "up", "m", "up", "m")
        assert stage.rows[stage.row_of("message 057")].startswith("◆")
        seen = []
        for _ in range(4):
            await stage.press("M")
            seen.append(under_cursor(stage))
        assert seen == ["message 057", "message 059", "message 056", "message 057"]
        await stage.press("m", "M", "M", "M")
        assert under_cursor(stage) == "message 059"


async def test_without_a_mark_there_is_none_to_go_to() -> None:
    async with dashboard(told_logs(3)) as stage:
        await opened(stage)
        await stage.press("M")
        await stage.see("no record that is shown is marked")


async def test_only_this_device_and_this_service_stand_in_the_filter() -> None:
    told = told_logs(3)
    told.log(TWO, "of the other", service="rule engine")
    told.wait(HELD)
    async with dashboard(told) as stage:
        await opened(stage)
        await stage.press("D")
        assert filter_text(stage) == "device:gw-2"
        assert "1 shown, 3 hidden" in stage.text
        await stage.press("S", "S")
        assert filter_text(stage) == 'device:gw-2 service:"rule engine"'
        assert "of the other" in stage.text
        await stage.press("escape")
        assert "4 shown" in stage.text


async def test_a_part_is_added_to_a_filter_with_or_as_a_whole() -> None:
    told = told_logs(3)
    told.log(TWO, "of the other")
    async with dashboard(told) as stage:
        await opened(stage)
        await stage.press("/")
        await stage.type("device:gw-2 or device:gw-1")
        await stage.press("enter", "D")
        assert filter_text(stage) == "(device:gw-2 or device:gw-1) device:gw-2"


async def test_a_trace_goes_across_devices_in_order() -> None:
    told = told_logs(3)
    told.log(TWO, "second", trace_id=TRACE, age_s=1, level="DEBUG")
    told.log(ONE, "first", trace_id=TRACE, age_s=2)
    told.log(TWO, "third", trace_id=TRACE, level="ERROR")
    async with dashboard(told) as stage:
        await opened(stage)
        await stage.press("plus", "plus", "plus", "E", "o")
        assert filter_text(stage) == f"trace:{TRACE}"
        assert stage.row_of("first") < stage.row_of("second") < stage.row_of("third")
        assert "3 shown" in stage.text
        assert under_cursor(stage) == "third"


async def test_the_trace_of_a_record_in_the_log_of_one_device_is_shown_for_all() -> None:
    told = told_logs(1)
    told.log(ONE, "first", trace_id=TRACE)
    told.log(TWO, "second", trace_id=TRACE)
    async with dashboard(told) as stage:
        await stage.press("l", "o")
        assert "logs all devices" in stage.text
        assert "2 shown" in stage.text
        await stage.press("escape", "escape", "o")
        assert "logs all devices" in stage.text


async def test_a_record_without_a_trace_says_so() -> None:
    async with dashboard(told_logs(3)) as stage:
        await opened(stage)
        await stage.press("o")
        await stage.see("this record has no trace id")
        assert filter_text(stage) == ""


async def test_the_histogram_counts_by_level_and_is_moved_through() -> None:
    async with dashboard(told_logs(), size=(120, 36)) as stage:
        await opened(stage)
        chart = stage.app.screen.query_one(HistogramChart)
        assert [stage.rows[stage.row_of(word)].split()[-1] for word in (" ERROR  ", " WARN  ", " other ")] == [
            "3",
            "3",
            "54",
        ]
        assert "each 1s" in stage.text
        await stage.press("i")
        assert chart.has_focus
        await stage.press("E")
        assert "10:30:46: 1, 1 errors" in stage.text
        await stage.press("left", "left", "right", "enter")
        assert under_cursor(stage) == "message 044"
        assert records(stage).has_focus
        await stage.press("i", "home", "escape")
        assert under_cursor(stage) == "message 044"


async def test_a_click_into_the_histogram_goes_there() -> None:
    async with dashboard(told_logs(), size=(120, 36)) as stage:
        await opened(stage)
        await stage.pilot.click(HistogramChart, offset=(7 + 10, 1))
        await stage.pilot.pause()
        assert under_cursor(stage) == "message 010"
        assert records(stage).has_focus


async def test_the_histogram_gives_way_and_comes_back() -> None:
    async with dashboard(told_logs(), size=(100, 24)) as stage:
        await opened(stage)
        chart = stage.app.screen.query_one(HistogramChart)
        assert (chart.size.height, chart.display) == (3, True)
        await stage.press("I")
        assert displayed(chart) is False
        await stage.press("i")
        assert displayed(chart) is True
        await stage.pilot.resize_terminal(100, 14)
        await stage.pilot.pause()
        assert displayed(chart) is False


async def test_plain_terminals_get_a_histogram_too() -> None:
    async with dashboard(told_logs(), glyphs=ASCII) as stage:
        await opened(stage)
        assert stage.text.isascii()
        assert "#" in stage.rows[stage.row_of(" ERROR  ")]


async def test_wrapped_records_show_all_of_the_message_and_keep_the_cursor_in_sight() -> None:
    told = told_logs(30)
    for index in range(20):
        told.log(ONE, f"long {index:02} " + "word " * 60 + f"end {index:02}")
    told.wait(HELD)
    async with dashboard(told, size=(100, 24)) as stage:
        await opened(stage)
        assert "end 19" not in stage.text
        await stage.press("z")
        assert "end 19" in stage.text
        assert stage.row_of("long 19") < stage.row_of("end 19")
        assert under_cursor(stage).startswith("long 19")
        for _ in range(19):
            await stage.press("up")
            assert under_cursor(stage)[:7] in stage.text
        assert under_cursor(stage).startswith("long 00")
        await stage.press("pagedown")
        assert under_cursor(stage)[:7] in stage.text
        await stage.press("G")
        assert "end 19" in stage.text
        await stage.pilot.click(LogList, offset=(5, stage.row_of("end 18") - records(stage).region.y))
        await stage.pilot.pause()
        assert under_cursor(stage).startswith("long 18")
        await stage.press("z")
        assert "end 18" not in stage.text


async def test_fields_are_hidden_and_come_back() -> None:
    told = told_logs(1)
    told.log(ONE, "short", user="u-17", code=500)
    told.wait(HELD)
    async with dashboard(told) as stage:
        await opened(stage)
        assert "user=u-17  code=500" in stage.text
        await stage.press("enter")
        await stage.press("end", "up", "h", "escape")
        assert "user=" not in stage.text
        assert "code=500" in stage.text
        assert "1 field hidden" in stage.text
        await stage.press("F")
        assert "user=u-17" in stage.text
        await stage.press("F")
        assert "code=500" not in stage.text


async def test_clocks_that_are_wrong_are_corrected_on_demand() -> None:
    told = told_logs(10)
    told.birth(SLOW)
    told.heartbeat(SLOW, timestamp=told.time(age_s=3600))
    told.wait(3)
    told.log(SLOW, "from an hour ago", age_s=3600)
    told.wait(HELD)
    async with dashboard(told) as stage:
        await opened(stage)
        assert stage.row_of("from an hour ago") < stage.row_of("message 001")
        await stage.press("c")
        assert stage.row_of("from an hour ago") > stage.row_of("message 009")
        assert "times by our clock" in stage.text
        assert "10:30:13.000=" in stage.rows[stage.row_of("from an hour ago")]
        await stage.press("c")
        assert stage.row_of("from an hour ago") < stage.row_of("message 001")


async def test_what_is_shown_is_exported_and_nothing_is_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = told_logs(30)
    async with dashboard(told) as stage:
        await opened(stage)
        await stage.press("plus", "plus", "plus", "x")
        assert "fleetview-logs-20261122T103030Z.jsonl" in stage.text
        await stage.press("enter")
        await stage.see("3 records written to")
        found = [json.loads(line) for line in (tmp_path / "fleetview-logs-20261122T103030Z.jsonl").read_text().splitlines()]
        assert [record["message"] for record in found] == ["message 005", "message 015", "message 025"]
        assert found[0]["record"]["service"] == "uplink"
        await stage.press("x", "enter")
        assert "is there already; choose another name" in stage.text
        stage.app.screen.query_one("Prompt Input", Input).value = str(tmp_path / "absent" / "file.jsonl")
        await stage.press("enter")
        await stage.see("such file")
    assert os.listdir(tmp_path) == ["fleetview-logs-20261122T103030Z.jsonl"]  # noqa: PTH208


async def test_a_gap_is_shown_although_the_record_behind_it_is_hidden() -> None:
    told = told_logs(3)
    told.log(ONE, "after the gap", skip=37)
    told.log(ONE, "an error", level="ERROR")
    async with dashboard(told) as stage:
        await opened(stage)
        await stage.press("plus", "plus", "plus")
        assert "after the gap" not in stage.text
        assert stage.row_of("37 records of gw-1 missing") + 1 == stage.row_of("an error")


async def test_a_gap_that_was_filled_says_so() -> None:
    told = told_logs(3)
    told.log(ONE, "after the gap", skip=2)
    async with dashboard(told) as stage:
        await opened(stage)
        assert "2 records of gw-1 missing" in stage.text
        told._log_seqs[ONE] = 3
        told.log(ONE, "lost", "and found", age_s=1)
        await stage.tick(HELD)
        assert "missing" not in stage.text
        assert "2 records of gw-1 came after what follows" in stage.text


async def test_new_records_wait_for_older_ones_of_others() -> None:
    told = told_logs(3)
    async with dashboard(told) as stage:
        await opened(stage)
        told.log(ONE, "first to come")
        await stage.tick(0.2)
        assert "first to come" not in stage.text
        told.log(TWO, "older", age_s=0.3)
        await stage.tick(0.6)
        assert stage.row_of("older") < stage.row_of("first to come")


@pytest.mark.parametrize("keys", ["/level:error", "fdone", "t-15m"])
async def test_letters_that_come_at_once_behind_the_key_that_opens_a_line_are_typed_there(keys: str) -> None:
    async with dashboard(Told()) as stage:
        await stage.press("L")
        for char in keys:
            stage.app.post_message(Key(_character_to_key(char), char))
        async with asyncio.timeout(10):
            while getattr(stage.app.screen.focused, "value", "") != keys[1:]:
                await stage.pilot.pause(0.01)
