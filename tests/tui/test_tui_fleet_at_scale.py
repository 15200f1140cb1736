"""Groups, orders, columns, selections, jumps and the figures above the table, under a person's fingers."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from textual.events import Key
from textual.keys import _character_to_key

from fleetview.core.device import Device
from fleetview.core.fleet import Fleet
from fleetview.remembered import Remembered
from fleetview.tui.glyphs import ASCII
from fleetview.tui.screens.choose import ChooseScreen
from fleetview.tui.screens.fleet import FleetScreen
from fleetview.tui.widgets.lines import LineList
from fleetview.tui.widgets.overview import OverviewBar
from tui.stage import Stage, Told, address, dashboard
from tui.test_tui_fleet_screen import table, under_cursor


def fleet() -> Told:
    told = Told()
    for number in range(12):
        site = ("north", "south", "west")[number % 3]
        who = address(f"gw-{number:02}", site)
        told.birth(who, labels={"ring": "canary" if number < 2 else "stable"})
        health = {3: "critical", 4: "degraded"}.get(number, "ok")
        told.heartbeat(
            who, health, *(["disk full"] if health != "ok" else []),
            release="1.5.0" if number < 3 else "1.4.2", resources={"cpu": number / 20, "disk": 0.5},
        )  # fmt: skip
    return told


async def choose(stage: Stage, key: str, *wanted: str, mark: bool = False) -> None:
    """Open a list with a key, and take from it what is called so."""
    await stage.press(key)
    assert isinstance(stage.app.screen, ChooseScreen)
    choices = stage.app.screen.query_one("#choices", LineList)
    shown = stage.text
    assert all("".join(span.text for span in choices.row(place, 60)).strip() in shown for place in range(choices.page))
    for word in wanted:
        labels = [
            "".join(span.text for span in choices.row(place, 60)).lstrip(" ●").split()[0]
            for place in range(choices.row_count())
        ]
        steps = labels.index(word) - choices.cursor
        await stage.press(*["down" if steps > 0 else "up"] * abs(steps), *["space"] * mark)
    await stage.press("enter")


async def test_faults_only_and_back() -> None:
    async with dashboard(fleet()) as stage:
        await stage.press("f")
        assert "2 of 12 devices match   faults only" in stage.text
        assert "gw-00" not in stage.text
        await stage.press("f")
        assert "gw-00" in stage.text


async def test_groups_are_counted_folded_and_unfolded_worst_first() -> None:
    async with dashboard(fleet()) as stage:
        await choose(stage, "g", "site")
        assert stage.order("north", "south", "west") == ["north", "south", "west"]
        assert "4 devices" in stage.rows[stage.row_of("▶ north")]
        assert "✗ 1 critical" in stage.rows[stage.row_of("▶ north")]
        assert "3 groups by site" in stage.text
        assert "gw-03" not in stage.text
        await stage.press("enter")
        assert stage.row_of("gw-03") == stage.row_of("▼ north") + 1
        await stage.press("down", "down")
        assert under_cursor(stage) == "gw-00"
        await stage.press("z")
        assert under_cursor(stage) == "north", "what hides it"
        await stage.press("z")
        assert "gw-11" in stage.text
        await stage.press("escape")
        assert "groups by" not in stage.text


async def test_grouping_by_a_label_that_was_seen() -> None:
    async with dashboard(fleet()) as stage:
        await choose(stage, "g", "label.ring")
        assert "canary" in stage.text
        assert "stable" in stage.text


async def test_sorting_by_a_figure_shows_the_largest_and_the_same_again_turns_it_round() -> None:
    async with dashboard(fleet()) as stage:
        await choose(stage, "s", "cpu")
        assert "CPU▼" in stage.text
        assert "sorted by cpu, the largest first" in stage.text
        assert stage.order("gw-11", "gw-00", "gw-05") == ["gw-11", "gw-05", "gw-00"]
        await stage.press("S")
        assert "CPU▲" in stage.text
        assert stage.order("gw-11", "gw-00", "gw-05") == ["gw-00", "gw-05", "gw-11"]


async def test_a_click_on_a_title_sorts() -> None:
    async with dashboard(fleet()) as stage:
        head = stage.row_of("STATE")
        await stage.pilot.click(offset=(stage.rows[head].index("RELEASE") + 1, head))
        await stage.pilot.pause()
        assert "RELEASE▲" in stage.text
        assert stage.order("gw-00", "gw-03", "gw-11") == ["gw-03", "gw-11", "gw-00"]


async def test_columns_are_chosen_and_remembered_of_each_context(tmp_path: Path) -> None:
    file = tmp_path / "state" / "views.json"
    async with dashboard(fleet(), size=(160, 36), remembered=Remembered(file, "plant")) as stage:
        await choose(stage, "c", "disk", "cpu", mark=True)
        head = stage.rows[stage.row_of("STATE")]
        assert "DISK" in head
        assert "CPU" not in head
        await choose(stage, "s", "disk")
        await stage.app.workers.wait_for_complete()
    assert json.loads(file.read_text())["plant"]["sort"] == "disk"
    async with dashboard(fleet(), size=(160, 36), remembered=Remembered(file, "plant")) as stage:
        head = stage.rows[stage.row_of("STATE")]
        assert "DISK▼" in head
        assert "CPU" not in head
    async with dashboard(fleet(), size=(160, 36), remembered=Remembered(file, "lab")) as stage:
        assert "CPU" in stage.rows[stage.row_of("STATE")]


@pytest.mark.parametrize("content", ["", "[]", '{"plant": 3}', '{"plant": {"sort": "releese", "columns": ["nope", 7]}}'])
async def test_what_was_remembered_and_makes_no_sense_is_forgotten(tmp_path: Path, content: str) -> None:
    file = tmp_path / "views.json"
    file.write_text(content)
    async with dashboard(fleet(), remembered=Remembered(file, "plant")) as stage:
        assert "STATE" in stage.text
        assert "sorted by" not in stage.text


async def test_selecting_one_a_group_and_all() -> None:
    async with dashboard(fleet()) as stage:
        await stage.press("space", "space")
        assert "2 selected" in stage.text
        assert "◆" in stage.rows[stage.row_of("gw-03")]
        await stage.press("y")
        assert len(stage.app.clipboard.splitlines()) == 2
        await stage.press("asterisk")
        assert "12 selected" in stage.text
        stage.told.removed(address("gw-03", "north"))
        await stage.tick(0.3)
        assert "11 selected" in stage.text, "what is gone can be selected no longer"
        await stage.press("asterisk")
        assert "selected" not in stage.text
        await choose(stage, "g", "site")
        await stage.press("home", "space")
        assert len(table(stage).selection) == 4
        await stage.press("escape")
        assert "selected" not in stage.text
        assert "groups by" in stage.text, "one thing at a time"


async def test_jumping_follows_what_is_typed() -> None:
    async with dashboard(fleet()) as stage:
        await stage.press("apostrophe")
        await stage.type("gw-1")
        assert under_cursor(stage) == "gw-10"
        await stage.type("1")
        assert under_cursor(stage) == "gw-11"
        await stage.type("9")
        assert under_cursor(stage) == "gw-11"
        await stage.press("enter")
        assert table(stage).has_focus
        assert "go to:" not in stage.text
        await stage.press("apostrophe", *"03", "escape")
        assert under_cursor(stage) == "gw-03"


async def test_every_figure_becomes_the_filter_it_stands_for() -> None:
    async with dashboard(fleet(), size=(160, 48)) as stage:
        bar = stage.app.screen.query_one(OverviewBar)
        figures = bar._found.figures
        told = {figure.filter for figure in figures}
        assert told == {
            "state:critical", "state:degraded", "state:ok", "release:1.4.2", "release:1.5.0", "site:north", "site:south",
            "state:critical,degraded,stale,lost",
        }  # fmt: skip
        await stage.press("o", "right", "right", "right", "enter")
        assert figures[3].filter in stage.text
        assert table(stage).has_focus
        assert "9 of 12 devices match" in stage.text
        site = next(figure for figure in bar._found.figures if figure.filter == "site:north")
        await stage.pilot.click(offset=(site.begin + 1, bar.region.y + site.y))
        await stage.pilot.pause()
        assert "4 of 12 devices match" in stage.text
        await stage.press("o", "escape")
        assert table(stage).has_focus


async def test_every_filter_of_a_figure_can_be_read() -> None:
    from fleetview.core.query import compile_devices
    from fleetview.tui.glyphs import UNICODE
    from fleetview.tui.overview import overview

    told = fleet()
    for number, release in enumerate(("1.4*", 'a "b" c', "x..y", "(")):
        told.birth(address(f"odd-{number}", "plant.9"))
        told.heartbeat(address(f"odd-{number}", "plant.9"), "critical", "x", release=release)
        told.birth(address("gw-00", "north", "zeta"))
    for width in (80, 120, 240):
        for figure in overview(told.fleet, told.now, width, 3, UNICODE).figures:
            predicate = compile_devices(figure.filter, lambda: told.now)
            assert any(map(predicate, told.fleet.devices.values())), figure.filter


async def test_what_changed_just_now_is_marked_for_some_seconds() -> None:
    async with dashboard(fleet()) as stage:
        assert "•" not in stage.text
        await stage.tick(5)
        stage.told.heartbeat(address("gw-07", "south"), "degraded", "hot")
        await stage.tick(1.3)
        assert "•" in stage.rows[stage.row_of("gw-07")]
        await stage.tick(5)
        assert "•" not in stage.text


async def test_the_strip_and_the_marks_in_plain_characters() -> None:
    async with dashboard(fleet(), glyphs=ASCII, size=(120, 40)) as stage:
        await stage.press("space")
        assert stage.text.isascii()
        assert "last hour" in stage.text


async def test_while_the_retained_come_it_says_so() -> None:
    async with dashboard(fleet()) as stage:
        stage.feed.filling = True
        await stage.tick(1)
        assert "reading what the broker has retained: 12 devices so far" in stage.text
        stage.feed.filling = False
        await stage.tick(1)
        assert "reading" not in stage.text


async def test_a_burst_cut_short_is_said_with_what_to_set() -> None:
    told = Told(Fleet())
    for number in range(40):
        told.birth(address(f"gw-{number:02}"), session=None)
        if number >= 10:
            told.state(address(f"gw-{number:02}"), "online")
    async with dashboard(told, size=(120, 36)) as stage:
        await stage.tick(5)
        await stage.tick(1)
        assert "30 of 40 devices seen whole" in stage.text
        assert "max_queued_messages 0" in stage.text


async def test_the_work_is_done_in_slices_and_keys_come_between(monkeypatch: pytest.MonkeyPatch) -> None:
    from fleetview.core import arrangement
    from fleetview.tui.widgets import fleet_table

    monkeypatch.setattr(arrangement, "_CHUNK", 2)
    monkeypatch.setattr(fleet_table, "_SLICE_S", 0.0)
    async with dashboard(fleet()) as stage:
        await stage.see("gw-11")
        rows = table(stage).arrangement.rows
        await stage.pilot.press("S")
        assert isinstance(stage.app.screen, FleetScreen)
        while table(stage).arrangement.working:
            await stage.pilot.pause()
        assert table(stage).arrangement.rows is not rows
        assert [row for row in table(stage).arrangement.rows if isinstance(row, Device)]


@pytest.mark.parametrize("keys", ["/health:critical", "'gw-11", ":logs"])
async def test_letters_that_come_at_once_behind_the_key_that_opens_a_line_are_typed_there(keys: str) -> None:
    """As from who types fast while the loop is busy, or pastes."""
    async with dashboard(fleet()) as stage:
        for char in keys:
            stage.app.post_message(Key(_character_to_key(char), char))
        async with asyncio.timeout(10):
            while getattr(stage.app.screen.focused, "value", "") != keys[1:]:
                await stage.pilot.pause(0.01)
        assert isinstance(stage.app.screen, FleetScreen)
