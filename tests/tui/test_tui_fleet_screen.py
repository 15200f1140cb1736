"""The fleet screen under a person's fingers."""

from __future__ import annotations

import json

import pytest
from textual.events import MouseScrollUp

from fleetview.core.arrangement import Group
from fleetview.core.device import Device
from fleetview.tui.screens.device import DeviceScreen
from fleetview.tui.screens.fleet import FleetScreen
from fleetview.tui.screens.logs import LogScreen
from fleetview.tui.widgets.fleet_table import FleetTable
from fleetview_agent.wire import Channel
from tui.stage import Stage, Told, address, dashboard

FULL = ("disk full",)


def table(stage: Stage) -> FleetTable:
    return stage.app.screen.query_one(FleetTable)


def under_cursor(stage: Stage) -> str:
    row = table(stage).selected
    assert row is not None
    return row.address.device if isinstance(row, Device) else row.value if isinstance(row, Group) else str(row)


def fleet() -> Told:
    told = Told()
    told.online("gw-1", "gw-2", "gw-3")
    told.online("gw-4", health="degraded", reasons=("disk fills",))
    told.online("gw-5", health="critical", reasons=FULL)
    return told


def dark_site(others: int = 3) -> Told:
    """A fleet of which one site has gone dark."""
    told = Told()
    told.online(*(f"dark-{number}" for number in range(6)), site="plant-9")
    told.wait(35)
    told.online(*(f"gw-{number}" for number in range(others)))
    told.fleet.advance(*told.now)
    return told


async def test_the_worst_stands_first() -> None:
    async with dashboard(fleet()) as stage:
        assert stage.order("gw-1", "gw-2", "gw-4", "gw-5") == ["gw-5", "gw-4", "gw-1", "gw-2"]
        assert "disk full" in stage.rows[stage.row_of("gw-5")]
        assert "✗ 1 critical" in stage.rows[1]


async def test_the_cursor_stays_with_the_device() -> None:
    told = fleet()
    async with dashboard(told) as stage:
        await stage.press("down", "down")
        assert under_cursor(stage) == "gw-1"
        told.wait(3)
        told.heartbeat(address("gw-3"), "critical", *FULL)
        await stage.tick(0.3)
        assert stage.order("gw-1", "gw-3") == ["gw-3", "gw-1"]
        assert under_cursor(stage) == "gw-1"
        told.heartbeat(address("gw-1"), "critical", *FULL)
        await stage.tick(1.3)
        assert under_cursor(stage) == "gw-1"
        assert stage.order("gw-1", "gw-3", "gw-4") == ["gw-1", "gw-3", "gw-4"]


async def test_nothing_moves_under_a_moving_finger() -> None:
    told = fleet()
    async with dashboard(told) as stage:
        await stage.tick(5)
        await stage.press("down")
        told.heartbeat(address("gw-3"), "critical", *FULL)
        for _ in range(3):
            await stage.tick(0.6)
            assert stage.order("gw-1", "gw-2", "gw-3") == ["gw-1", "gw-2", "gw-3"]
            assert "disk full" in stage.rows[stage.row_of("gw-3")], "the row itself is up to date"
        await stage.tick(0.6)
        assert stage.order("gw-1", "gw-2", "gw-3") == ["gw-3", "gw-1", "gw-2"]


async def test_a_new_device_appears() -> None:
    told = fleet()
    async with dashboard(told) as stage:
        await stage.tick(5)
        told.online("gw-0")
        await stage.tick(1)
        assert "gw-0" in stage.text
        assert "of 6" in stage.rows[1]


async def test_the_cursor_reaches_every_row_and_no_further() -> None:
    told = Told()
    told.online(*(f"gw-{number:03}" for number in range(100)))
    async with dashboard(told, size=(80, 24)) as stage:
        await stage.press("end")
        assert under_cursor(stage) == "gw-099"
        assert "gw-099" in stage.text
        await stage.press("down", "pagedown", "j")
        assert under_cursor(stage) == "gw-099"
        await stage.press("pageup")
        assert under_cursor(stage) == "gw-081"
        await stage.press("home", "up", "k")
        assert under_cursor(stage) == "gw-000"
        assert stage.row_of("gw-000") == stage.row_of("STATE") + 1


async def test_a_site_outage_is_one_row_until_it_is_unfolded() -> None:
    async with dashboard(dark_site()) as stage:
        await stage.tick(3)
        assert "1 site outage" in stage.rows[1]
        assert stage.row_of("▶ plant-9  site outage: 6 of 6 silent since 10:30:00") == stage.row_of("STATE") + 1
        assert "dark-0" not in stage.text
        await stage.press("enter")
        assert "▼ plant-9" in stage.text
        assert stage.row_of("dark-5") == stage.row_of("▼ plant-9") + 6
        await stage.press("down", "down", "up", "up", "enter")
        assert "dark-0" not in stage.text


async def test_the_cursor_of_a_device_goes_to_the_outage_that_takes_it_in() -> None:
    told = Told()
    told.online(*(f"dark-{number}" for number in range(6)), site="plant-9")
    told.wait(5)
    told.online("gw-1", "gw-2")
    async with dashboard(told) as stage:
        await stage.press("down", "down", "down")
        assert under_cursor(stage) == "dark-1"
        told.wait(15)
        told.heartbeat(address("gw-1"))
        told.heartbeat(address("gw-2"))
        await stage.tick(12)
        await stage.tick(3)
        assert under_cursor(stage) == "acme/plant-9"


async def test_enter_opens_and_escape_comes_back_to_the_same_device() -> None:
    async with dashboard(fleet()) as stage:
        await stage.press("down", "enter")
        assert isinstance(stage.app.screen, DeviceScreen)
        assert "acme/plant-1/gw-4" in stage.text
        await stage.press("escape")
        assert isinstance(stage.app.screen, FleetScreen)
        assert under_cursor(stage) == "gw-4"


async def test_what_happened_meanwhile_is_there_on_coming_back() -> None:
    told = fleet()
    async with dashboard(told) as stage:
        await stage.press("enter")
        told.heartbeat(address("gw-3"), "critical", "processor on fire")
        await stage.tick(1)
        await stage.press("escape")
        assert "processor on fire" in stage.text


@pytest.mark.parametrize(("key", "title"), [("l", "logs acme/plant-1/gw-5"), ("L", "logs all devices")])
async def test_logs_of_one_and_of_all(key: str, title: str) -> None:
    async with dashboard(fleet()) as stage:
        await stage.press(key)
        assert isinstance(stage.app.screen, LogScreen)
        assert title in stage.text


async def test_a_filter_works_while_it_is_typed_and_goes_with_escape() -> None:
    async with dashboard(fleet()) as stage:
        await stage.press("/")
        await stage.type("health:critical")
        assert "1 of 5 devices match" in stage.text
        assert "gw-5" in stage.text
        assert "gw-4" not in stage.text
        await stage.press("enter")
        assert table(stage).has_focus
        assert "health:critical" in stage.text, "it is in force, so it is shown"
        await stage.press("escape")
        assert "gw-4" in stage.text
        assert "match" not in stage.text
        await stage.press("/")
        await stage.type("gw-3")
        await stage.press("escape")
        assert "gw-1" in stage.text
        assert table(stage).has_focus


async def test_an_invalid_filter_says_why_and_changes_nothing() -> None:
    async with dashboard(fleet(), size=(80, 24)) as stage:
        await stage.press("/")
        await stage.type('device:gw-4,gw-5 helth:"')
        table_begins = stage.row_of("STATE")
        assert "a quote is opened and not closed" not in stage.text, "nobody wants to hear of it while it is typed"
        await stage.press("enter")
        assert "a quote is opened and not closed" in stage.text
        await stage.press("/", "backspace")
        await stage.type("x")
        assert "unknown field" not in stage.text
        assert stage.row_of("STATE") == table_begins, "nothing moves while a word is typed"
        await stage.type(" ")
        assert "unknown field 'helth'" in stage.text
        assert "did you mean 'health'?" in " ".join(stage.text.split())
        assert "2 of 5 devices match what stands before the mistake" in stage.text
        assert {"gw-4", "gw-5"} == {name for name in ("gw-1", "gw-2", "gw-3", "gw-4", "gw-5") if name in stage.text}
        await stage.press(*["backspace"] * 9)
        assert "unknown" not in stage.text
        assert "2 of 5 devices match" in stage.text


async def test_a_device_that_the_filter_lets_through_later_appears() -> None:
    told = fleet()
    async with dashboard(told) as stage:
        await stage.press("/")
        await stage.type("health:critical")
        await stage.press("enter")
        await stage.tick(5)
        told.heartbeat(address("gw-1"), "critical", *FULL)
        told.heartbeat(address("gw-5"))
        await stage.tick(1)
        assert "gw-1" in stage.text
        assert "gw-5" not in stage.text


async def test_columns_stay_where_they_are_under_a_filter() -> None:
    told = fleet()
    told.online("edge-agent-with-a-name", site="a-long-site")
    async with dashboard(told) as stage:
        before = stage.rows[stage.row_of("STATE")]
        await stage.press("/")
        await stage.type("gw-1")
        assert stage.rows[stage.row_of("STATE")] == before


async def test_copying_a_row() -> None:
    async with dashboard(fleet()) as stage:
        await stage.press("y")
        assert stage.app.clipboard == "acme/plant-1/gw-5  online  critical  seen now  disk full"
        await stage.see("copied the row of gw-5")
        await stage.press("Y")
        assert json.loads(stage.app.clipboard)["address"] == "acme/plant-1/gw-5"


async def test_an_empty_fleet_says_what_that_means_and_stands_any_key() -> None:
    async with dashboard(Told(), size=(80, 24)) as stage:
        assert "no devices yet: nothing is retained on the broker" in stage.text
        await stage.press("enter", "down", "up", "end", "home", "pagedown", "y", "Y")
        assert isinstance(stage.app.screen, FleetScreen)
        stage.told.online("gw-1")
        await stage.tick(1)
        assert "no devices yet" not in stage.text
        assert "gw-1" in stage.text


async def test_a_removed_device_is_gone_from_the_table() -> None:
    told = fleet()
    async with dashboard(told) as stage:
        told.removed(address("gw-4"))
        await stage.tick(0.3)
        assert "gw-4" not in stage.text
        assert "of 4" in stage.rows[1]


async def test_scrolling_away_from_the_cursor_is_left_alone() -> None:
    told = Told()
    told.online(*(f"gw-{number:03}" for number in range(100)))
    async with dashboard(told, size=(80, 24)) as stage:
        await stage.press("down")
        table(stage).scroll_to(y=50, animate=False)
        await stage.pilot.pause()
        top = table(stage).scroll_offset.y
        await stage.tick(5)
        told.heartbeat(address("gw-090"), "critical", *FULL)
        await stage.tick(1)
        assert table(stage).scroll_offset.y == top
        assert under_cursor(stage) == "gw-001"


async def test_a_click_moves_the_cursor_and_another_opens() -> None:
    async with dashboard(fleet()) as stage:
        where = (10, stage.row_of("gw-4") - table(stage).region.y)
        await stage.pilot.click(FleetTable, offset=where)
        await stage.pilot.pause()
        assert under_cursor(stage) == "gw-4"
        await stage.pilot.click(FleetTable, offset=where)
        await stage.pilot.pause()
        assert isinstance(stage.app.screen, DeviceScreen)


async def test_the_wheel_counts_as_moving() -> None:
    told = fleet()
    async with dashboard(told) as stage:
        await stage.tick(5)
        table(stage).post_message(MouseScrollUp(table(stage), 5, 5, 0, -1, 0, shift=False, meta=False, ctrl=False))
        await stage.pilot.pause()
        told.heartbeat(address("gw-3"), "critical", *FULL)
        await stage.tick(1.5)
        assert stage.order("gw-1", "gw-3") == ["gw-1", "gw-3"]


async def test_devices_that_come_and_go_while_another_screen_is_on_top() -> None:
    told = Told()
    told.online("gw-1", "gw-2")
    async with dashboard(told) as stage:
        await stage.press("L")
        told.online("gw-3")
        told.tell_bytes(address("gw-1"), Channel.BIRTH, b"")
        await stage.tick(3)
        await stage.press("escape")
        await stage.see("gw-3")
        assert "gw-1" not in stage.text
