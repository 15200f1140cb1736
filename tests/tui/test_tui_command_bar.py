"""The line behind `:`, what is offered in it and in `/`, and the way back from where it leads."""

from __future__ import annotations

import re

import pytest
from textual.widgets import Input

from fleetview.tui.screens.device import DeviceScreen
from fleetview.tui.screens.fleet import FleetScreen
from fleetview.tui.screens.keys import KeysScreen
from fleetview.tui.screens.logs import LogScreen
from fleetview.tui.screens.record import RecordScreen
from fleetview.tui.widgets.command_bar import CommandBar
from fleetview.tui.widgets.completing import MOST_LINES, Offers
from fleetview.tui.widgets.filter_line import FilterLine
from fleetview.tui.widgets.fleet_table import FleetTable
from tui.stage import Stage, Told, address, dashboard

WAYS: dict[str, tuple[str, ...]] = {
    "fleet": (),
    "figures above the fleet": ("o", "right"),
    "a list to choose from": ("s",),
    "device": ("enter",),
    "logs": ("L",),
    "record": ("L", "enter"),
    "keys": ("question_mark",),
    "keys of a record": ("L", "enter", "question_mark"),
}


def fleet() -> Told:
    told = Told()
    told.online("gw-1", "gw-2", site="plant-1")
    told.online("gw-10", site="north")
    told.online("gw-3", health="critical", reasons=("disk full",))
    told.log(address("gw-3"), "no space left", level="ERROR")
    told.log(address("gw-2"), "all is well")
    return told


async def command(stage: Stage, line: str) -> None:
    await stage.press("colon")
    await stage.type(line)
    await stage.press("enter")
    await stage.tick()


def bar_is_open(stage: Stage) -> bool:
    return bool(stage.app.screen.query(CommandBar))


# -- on every screen


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_it_opens_and_closes_everywhere_and_gives_the_keys_back(way: tuple[str, ...]) -> None:
    async with dashboard(fleet()) as stage:
        await stage.press(*way)
        before, focused = stage.rows, stage.app.screen.focused
        await stage.press("colon")
        assert bar_is_open(stage)
        assert stage.rows[-1].startswith(" :")
        assert stage.rows[:25] == before[:25], "nothing moves for it"
        await stage.type("dev")
        await stage.press("colon")
        assert stage.app.screen.query_one(CommandBar).query_one(Input).value == "dev:"
        await stage.press("escape")
        assert not bar_is_open(stage)
        assert stage.app.screen.focused is focused
        assert stage.rows == before


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_it_jumps_from_everywhere(way: tuple[str, ...]) -> None:
    async with dashboard(fleet()) as stage:
        await stage.press(*way)
        await command(stage, "logs level>=error")
        assert isinstance(stage.app.screen, LogScreen)
        assert "no space left" in stage.text
        assert "all is well" not in stage.text
        await command(stage, "d health:ok")
        assert isinstance(stage.app.screen, FleetScreen)
        assert len(stage.app.screen_stack) == 1, "back to the fleet, not on top of it"
        assert "3 of 4 devices match" in stage.text
        await command(stage, "devices")
        assert stage.app.screen.query_one(FilterLine).text == ""
        assert "gw-3" in stage.text


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_it_quits_from_everywhere(way: tuple[str, ...]) -> None:
    async with dashboard(fleet()) as stage:
        await stage.press(*way, "colon", "q")
        await stage.pilot.press("enter")
        await stage.pilot.pause()
        assert stage.app._exit
        assert not stage.app.return_code


async def test_a_key_right_behind_the_colon_is_not_lost() -> None:
    async with dashboard(fleet()) as stage:
        await stage.pilot.press("colon", "q", "u")
        assert stage.app.screen.query_one(CommandBar).query_one(Input).value == "qu"
        assert not stage.app._exit


# -- commands


async def test_a_device_by_any_part_that_no_other_has() -> None:
    async with dashboard(fleet()) as stage:
        await command(stage, "device th/gw")
        assert isinstance(stage.app.screen, DeviceScreen)
        assert "acme/north/gw-10" in stage.text
        await command(stage, "device gw-1")
        assert "acme/plant-1/gw-1 " in stage.text, "it is called so, the other only begins so"


async def test_several_devices_are_named_and_the_line_stays() -> None:
    async with dashboard(fleet()) as stage:
        await command(stage, "device gw")
        assert bar_is_open(stage)
        assert (
            "4 devices have 'gw' in their address: acme/north/gw-10, acme/plant-1/gw-1, acme/plant-1/gw-2, ..." in stage.text
        )
        await stage.type("-2")
        assert "devices have" not in stage.text
        await stage.press("enter")
        assert isinstance(stage.app.screen, DeviceScreen)
        await command(stage, "device nobody")
        assert "no device has 'nobody' in its address" in stage.text


async def test_an_unknown_command_says_so_with_the_nearest() -> None:
    async with dashboard(fleet()) as stage:
        await command(stage, "lgos")
        assert "unknown command 'lgos'; did you mean 'logs'?" in stage.text
        assert bar_is_open(stage)


async def test_an_alias_of_the_configuration() -> None:
    async with dashboard(fleet(), aliases={"crit": "devices health:critical"}) as stage:
        await stage.press("colon", "c", "r")
        assert "= devices health:critical" in stage.text
        await stage.press("tab", "enter")
        assert "1 of 4 devices match" in stage.text


async def test_colours() -> None:
    async with dashboard(fleet()) as stage:
        await command(stage, "theme nord")
        assert stage.app.theme == "nord"
        await command(stage, "theme nrod")
        assert "unknown theme 'nrod'; did you mean 'nord'?" in stage.text


async def test_the_link_and_what_goes_over_it() -> None:
    async with dashboard(fleet()) as stage:
        await command(stage, "link slow")
        assert (stage.app.pace.link, stage.app.screen._update_timer._interval) == ("slow", 0.25)
        await command(stage, "link fast")
        assert stage.app.pace.link == "fast"
        await command(stage, "bytes")
        for _ in range(6):
            stage.app.written.bytes += 1_234
            await stage.tick(1)
        assert stage.rows[-1].endswith("1.2 KB/s")
        assert "? keys" in stage.rows[-1]
        await stage.press("ctrl+t")
        assert "KB/s" not in stage.rows[-1]


async def test_keys_and_reconnect() -> None:
    async with dashboard(fleet()) as stage:
        await command(stage, "help")
        assert isinstance(stage.app.screen, KeysScreen)
        await stage.press("escape")
        await command(stage, "reconnect")
        assert stage.feed.retried == 1


# -- what is offered


async def test_tab_and_the_right_arrow_take_what_is_offered() -> None:
    async with dashboard(fleet()) as stage:
        await stage.press("colon")
        assert "The fleet, or the devices that a filter means" in stage.text
        await stage.press("l", "i", "tab")
        bar = stage.app.screen.query_one(CommandBar)
        assert bar.query_one(Input).value == "link "
        await stage.press("down", "down", "right", "enter")
        assert stage.app.pace.link == "fast"
        assert not bar_is_open(stage)


async def test_enter_takes_what_was_chosen_and_runs_it() -> None:
    async with dashboard(fleet()) as stage:
        await stage.press("colon")
        await stage.type("device gw-1")
        await stage.press("down", "down", "enter")
        assert isinstance(stage.app.screen, DeviceScreen)


async def test_up_walks_through_what_was_run() -> None:
    async with dashboard(fleet()) as stage:
        await command(stage, "devices health:ok")
        await command(stage, "logs")
        await stage.press("colon", "up", "up")
        field = stage.app.screen.query_one(CommandBar).query_one(Input)
        assert field.value == "devices health:ok"
        await stage.press("down")
        assert field.value == "logs"
        await stage.press("down")
        assert field.value == ""
        await stage.press("up", "up", "enter")
        assert "3 of 4 devices match" in stage.text


async def test_a_filter_is_completed_with_what_was_seen_and_the_table_stays_where_it_is() -> None:
    async with dashboard(fleet()) as stage:
        await stage.press("slash")
        top = stage.app.screen.query_one(FleetTable).region.y
        assert not stage.app.screen.query_one(FilterLine).query_one(Offers).display
        await stage.type("-sit")
        await stage.press("tab")
        assert re.search(r"north +site", stage.text)
        assert re.search(r"plant-1 +site", stage.text)
        assert stage.app.screen.query_one(FleetTable).region.y == top + 1, (
            "for how many match; what is wrong may only be unfinished"
        )
        await stage.type("n")
        await stage.press("tab", "enter")
        assert stage.app.screen.query_one(FilterLine).text == "-site:north"
        assert "3 of 4 devices match" in stage.text
        assert not stage.app.screen.query_one(FilterLine).query_one(Offers).display


async def test_a_log_filter_is_completed_too() -> None:
    async with dashboard(fleet()) as stage:
        await stage.press("L", "slash")
        await stage.type("service:")
        assert "uplink" in stage.rows[stage.row_of("service:") + 1]
        await stage.press("down", "enter")
        assert stage.app.screen.query_one(FilterLine).text == "service:uplink"


async def test_of_many_offers_a_few_are_shown_and_the_rest_counted() -> None:
    told = Told()
    for number in range(30):
        told.birth(address("gw", f"site-{number:02}"))
    async with dashboard(told) as stage:
        await stage.press("slash")
        await stage.type("site:")
        offers = stage.app.screen.query_one(Offers)
        assert offers.size.height == MOST_LINES
        assert "25 more" in stage.text
        await stage.press(*["down"] * 9)
        assert any("▶ site-08" in row for row in stage.rows)


async def test_a_wrong_filter_says_where_and_what_was_meant() -> None:
    async with dashboard(fleet()) as stage:
        await command(stage, "devices helth:ok")
        assert "did you mean 'health'?" in stage.text
        assert "column 1" in stage.text


# -- the way back


async def test_the_trail_says_how_one_came_here_and_escape_goes_one_step_back() -> None:
    async with dashboard(fleet()) as stage:
        await command(stage, "device gw-3")
        assert stage.rows[0].startswith(" fleetview  plant › gw-3 ▏")
        await stage.press("l")
        assert stage.rows[0].startswith(" fleetview  plant › gw-3 › logs ▏")
        await command(stage, "device gw-2")
        assert stage.rows[0].startswith(" fleetview  plant › gw-3 › logs › gw-2 ▏")
        for trail in ("plant › gw-3 › logs ▏", "plant › gw-3 ▏", "plant ▏"):
            await stage.press("escape")
            assert stage.rows[0].startswith(f" fleetview  {trail}")


async def test_the_way_back_has_no_place_twice_and_an_end() -> None:
    told = fleet()
    devices = told.online(*(f"more-{number}" for number in range(12)))
    async with dashboard(told) as stage:
        await command(stage, "device gw-3")
        await stage.press("l", "d")
        assert isinstance(stage.app.screen, DeviceScreen)
        assert len(stage.app.screen_stack) == 2, "back where one came from"
        for device in devices:
            stage.app.open_device(device)
            await stage.tick()
            assert len(stage.app.screen_stack) <= 9
        assert "› more-11 ▏" in stage.rows[0]


async def test_a_command_from_a_box_closes_the_box() -> None:
    async with dashboard(fleet()) as stage:
        await stage.press("L", "enter")
        assert isinstance(stage.app.screen, RecordScreen)
        await command(stage, "device gw-3")
        assert stage.rows[0].startswith(" fleetview  plant › logs › gw-3 ▏")
        await stage.press("escape")
        assert isinstance(stage.app.screen, LogScreen)
