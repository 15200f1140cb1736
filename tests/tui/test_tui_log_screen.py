"""The log screen: follows, holds still while somebody reads, and loses nobody's place."""

from __future__ import annotations

import json

import pytest
from textual.events import MouseScrollDown, MouseScrollUp

from fleetview.core.fleet import Fleet
from fleetview.core.logbook import Logbook
from fleetview.tui.screens.device import DeviceScreen
from fleetview.tui.screens.fleet import FleetScreen
from fleetview.tui.screens.logs import LogScreen
from fleetview.tui.screens.record import RecordScreen
from fleetview.tui.widgets.log_list import LogList
from tui.stage import Stage, Told, address, dashboard

HELD = 0.6
"""Seconds after which a new record is shown."""
ONE, TWO = address("gw-1"), address("gw-2")


def records(stage: Stage) -> LogList:
    return stage.app.screen.query_one(LogList)


def under_cursor(stage: Stage) -> str:
    entry = records(stage).selected
    assert entry is not None
    return entry.message


def told_logs(number: int = 60, fleet: Fleet | None = None) -> Told:
    told = Told(fleet)
    told.online("gw-1", "gw-2")
    for index in range(number):
        told.wait(1)
        told.log(ONE, f"message {index:03}")
    return told


async def opened(stage: Stage) -> None:
    await stage.press("L")
    assert isinstance(stage.app.screen, LogScreen)


async def test_the_newest_record_is_followed() -> None:
    told = told_logs()
    async with dashboard(told, size=(100, 24)) as stage:
        await opened(stage)
        assert "● following   60 shown" in stage.text
        assert stage.row_of("message 059") == 22
        told.log(TWO, "the newest")
        await stage.tick(HELD)
        assert stage.row_of("the newest") == 22
        assert under_cursor(stage) == "the newest"


async def test_going_up_pauses_and_end_follows_again() -> None:
    told = told_logs()
    async with dashboard(told, size=(100, 24)) as stage:
        await opened(stage)
        await stage.press("up", "up")
        before = stage.row_of("message 050")
        told.log(TWO, "new one", "new two")
        await stage.tick(HELD)
        assert "paused, +2 new (G follows)" in stage.text
        assert stage.row_of("message 050") == before
        assert under_cursor(stage) == "message 057"
        await stage.press("G")
        assert "following" in stage.text
        assert under_cursor(stage) == "new two"
        assert stage.row_of("new two") == 22


async def test_pausing_by_key() -> None:
    told = told_logs()
    async with dashboard(told) as stage:
        await opened(stage)
        await stage.press("p")
        assert "paused, +0 new" in stage.text
        told.log(ONE, "later")
        await stage.tick(HELD)
        assert under_cursor(stage) == "message 059"
        await stage.press("space")
        assert under_cursor(stage) == "later"


async def test_the_wheel_pauses_too_and_follows_at_the_end() -> None:
    told = told_logs()
    async with dashboard(told, size=(100, 24)) as stage:
        await opened(stage)
        shown = records(stage)

        async def wheel(kind: type[MouseScrollUp | MouseScrollDown]) -> None:
            for _ in range(4):
                shown.post_message(kind(shown, 5, 5, 0, 0, 0, shift=False, meta=False, ctrl=False))
                await stage.pilot.pause()

        await wheel(MouseScrollUp)
        assert "paused" in stage.text
        before = stage.row_of("message 050")
        told.log(ONE, "new")
        await stage.tick(HELD)
        assert stage.row_of("message 050") == before
        await wheel(MouseScrollDown)
        await wheel(MouseScrollDown)
        assert "following" in stage.text


async def test_a_late_record_is_put_in_its_place_and_moves_nobody() -> None:
    told = told_logs()
    async with dashboard(told, size=(100, 24)) as stage:
        await opened(stage)
        await stage.press("up")
        before = {row: stage.row_of(row) for row in ("message 045", "message 058")}
        told.log(TWO, "late one", age_s=55)
        told.log(TWO, "late among those in sight", age_s=3.5)
        await stage.tick(HELD)
        assert under_cursor(stage) == "message 058"
        assert stage.row_of("message 058") == before["message 058"]
        assert stage.row_of("late among") == stage.row_of("message 055") + 1
        await stage.press("home")
        assert "↶ 55s late" in stage.rows[stage.row_of("late one")]
        assert stage.row_of("message 004") < stage.row_of("late one") < stage.row_of("message 006")


async def test_a_clock_that_is_ahead_does_not_hold_the_end() -> None:
    told = told_logs()
    async with dashboard(told, size=(100, 24)) as stage:
        await opened(stage)
        told.log(TWO, "from tomorrow", age_s=-3600)
        told.wait(1)
        told.log(ONE, "from now")
        await stage.tick(HELD)
        assert stage.row_of("from tomorrow") < stage.row_of("from now")
        assert under_cursor(stage) == "from now"


async def test_levels_up_and_down() -> None:
    told = Told()
    for level in ("DEBUG", "INFO", "WARN", "ERROR"):
        told.log(ONE, f"a {level} record", level=level)
    told.log(ONE, "a strange record", level="?!")
    async with dashboard(told) as stage:
        await opened(stage)
        assert all(f"a {word} record" in stage.text for word in ("DEBUG", "INFO", "WARN", "ERROR", "strange"))
        await stage.press("plus", "equals_sign", "plus")
        assert "level WARN+" in stage.text
        assert "2 shown, 3 hidden" in stage.text
        assert "a INFO record" not in stage.text
        await stage.press("plus", "plus", "plus")
        assert "level ERROR+" in stage.text
        await stage.press("minus")
        assert "a WARN record" in stage.text
        told.log(ONE, "another debug", level="DEBUG")
        await stage.tick(HELD)
        assert "another debug" not in stage.text
        assert "4 hidden" in stage.text


async def test_a_filter_narrows_and_escape_takes_it_away_before_it_leaves() -> None:
    told = told_logs(3)
    told.log(TWO, "disk full", level="ERROR")
    async with dashboard(told) as stage:
        await opened(stage)
        await stage.press("/")
        await stage.type("device:gw-2")
        await stage.press("enter")
        assert "1 shown, 3 hidden" in stage.text
        assert "message 000" not in stage.text
        await stage.press("escape")
        assert isinstance(stage.app.screen, LogScreen)
        assert "message 000" in stage.text
        await stage.press("/")
        await stage.type("disk level:")
        assert "level: a value is missing" not in stage.text, "it may be typed yet"
        await stage.press("enter")
        assert "level: a value is missing" in stage.text
        assert "message 000" not in stage.text
        assert "disk full" in stage.text
        await stage.press("escape", "escape")
        assert isinstance(stage.app.screen, FleetScreen)


async def test_an_empty_list_says_why_it_is_empty_and_the_way_out() -> None:
    async with dashboard(Told()) as stage:
        await opened(stage)
        assert "no records yet" in stage.text
    async with dashboard(told_logs()) as stage:
        await opened(stage)
        await stage.press("slash")
        await stage.type("of no record")
        await stage.press("enter")
        await stage.see(" / of no record")
        assert "none of 60 records passes: esc takes the filter away" in stage.text
        await stage.press("escape")
        assert "none of" not in stage.text


async def test_the_place_is_kept_when_the_filter_changes() -> None:
    told = told_logs()
    async with dashboard(told) as stage:
        await opened(stage)
        await stage.press("home", "down", "down", "down")
        told.log(TWO, "error", level="ERROR", age_s=58.5)
        await stage.press("plus")
        assert under_cursor(stage) == "message 003"


async def test_missing_records_are_a_line() -> None:
    told = told_logs(3)
    told.wait(40)
    told.log(ONE, "after the hole", skip=37)
    async with dashboard(told) as stage:
        await opened(stage)
        missing = "37 records of gw-1 missing (nobody owned up to it) 10:30:03 to 10:30:43"
        assert stage.row_of(missing) + 1 == stage.row_of("after the hole")
        assert "4 shown" in stage.text


async def test_logs_of_one_device_show_no_others() -> None:
    told = told_logs(3)
    told.log(TWO, "of the other")
    async with dashboard(told) as stage:
        await stage.press("l")
        assert "logs acme/plant-1/gw-1" in stage.text
        assert "of the other" not in stage.text
        told.log(TWO, "again")
        told.log(ONE, "mine")
        await stage.tick(HELD)
        assert "again" not in stage.text
        assert "mine" in stage.text


async def test_enter_shows_the_whole_record_and_holds_the_list() -> None:
    told = told_logs(3)
    told.log(ONE, "evaluation failed\nin line 3", level="ERROR", trace_id="4bf92f3577b34da6a3ce929d0e0e4736", rule={"id": 7})
    async with dashboard(told) as stage:
        await opened(stage)
        await stage.press("enter")
        assert isinstance(stage.app.screen, RecordScreen)
        for words in (
            "ERROR  acme/plant-1/gw-1",
            "evaluation failed␊in line 3",
            "4bf92f35",
            "▼ rule:",
            "id: 7",
            "number     3 of stream",
        ):
            assert words in stage.text
        await stage.press("y")
        assert stage.app.clipboard == "evaluation failed␊in line 3"
        await stage.press("Y")
        assert json.loads(stage.app.clipboard)["rule"] == {"id": 7}
        told.log(ONE, "meanwhile")
        await stage.tick(1)
        await stage.press("escape")
        assert "paused, +1 new" in stage.text


async def test_copying_from_the_list() -> None:
    async with dashboard(told_logs(3)) as stage:
        await opened(stage)
        await stage.press("y")
        assert stage.app.clipboard == "2026-11-22T10:30:03.000Z INFO acme/plant-1/gw-1 uplink message 002"
        await stage.see("copied the line of the record")
        await stage.press("Y")
        assert json.loads(stage.app.clipboard)["message"] == "message 002"


async def test_the_device_of_a_record() -> None:
    told = told_logs(3)
    async with dashboard(told) as stage:
        await opened(stage)
        await stage.press("d")
        assert isinstance(stage.app.screen, DeviceScreen)
        assert "acme/plant-1/gw-1" in stage.text
        await stage.press("backspace")
        assert isinstance(stage.app.screen, LogScreen)


@pytest.mark.parametrize("keys", [("enter",), ("up", "down", "home", "end"), ("y", "Y", "d"), ("p", "plus", "minus", "G")])
async def test_no_key_minds_an_empty_log(keys: tuple[str, ...]) -> None:
    async with dashboard(Told()) as stage:
        await opened(stage)
        await stage.press(*keys)
        assert isinstance(stage.app.screen, LogScreen)
        assert "0 shown" in stage.text


async def test_records_that_the_bound_dropped_are_owned_up_to() -> None:
    told = told_logs(5, Fleet(Logbook(max_bytes=40_000)))
    async with dashboard(told, size=(120, 24)) as stage:
        await opened(stage)
        await stage.press("home")
        for index in range(100):
            told.log(TWO, f"flood {index:03}")
        told.log(ONE, "x")
        await stage.tick(HELD)
        evicted = told.fleet.logbook.evicted
        assert evicted > 0
        assert f"{evicted:,} old ones dropped" in stage.text
        assert records(stage).view.shown == len(told.fleet.logbook)


async def test_hostile_messages_stay_in_their_row() -> None:
    told = told_logs(3)
    told.log(ONE, "\x1b[2J\x1b[1;1Hgone [bold red]markup[/] \u202eover\r\nnext", "after")
    async with dashboard(told, size=(100, 24)) as stage:
        await opened(stage)
        assert "␛[2J␛[1;1Hgone [bold red]markup[/] <202E>over␍␊next" in stage.text
        assert stage.row_of("after") == stage.row_of("gone") + 1
