"""What it costs to keep a fleet on the screen, in counts: lines asked for, regions refreshed, messages posted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
from textual.geometry import Region
from textual.message_pump import MessagePump
from textual.widget import Widget

from fleetview.core.device import Device
from fleetview.core.logbook import Entry
from fleetview.core.logview import LogView
from fleetview.tui.screens.fleet import FleetScreen
from fleetview.tui.widgets.fleet_table import FleetTable
from fleetview.tui.widgets.lines import LineList, Lines
from tui.stage import Stage, Told, address, dashboard

DEVICES = 1_000


class Counts:
    """What widgets did."""

    def __init__(self) -> None:
        self.regions: list[tuple[str, Region]] = []
        self.whole: list[str] = []
        """Widgets that were refreshed whole."""
        self.rendered: list[tuple[str, int]] = []
        self.posted: list[str] = []

    def of(self, name: str) -> list[Region]:
        """The regions of a kind of widget that were refreshed."""
        return [region for widget, region in self.regions if widget == name]


@contextmanager
def counted() -> Iterator[Counts]:
    """Counts what is refreshed, rendered and posted meanwhile."""
    counts = Counts()
    refresh, post = Widget.refresh, MessagePump.post_message
    renders: dict[Any, Any] = {kind: kind.render_line for kind in (LineList, Lines)}

    def counting_refresh(self: Widget, *regions: Region, **how: Any) -> Widget:
        if isinstance(self, LineList | Lines):
            counts.regions += [(type(self).__name__, region) for region in regions]
            counts.whole += [] if regions else [type(self).__name__]
        return refresh(self, *regions, **how)

    def counting_post(self: MessagePump, message: Any) -> bool:
        counts.posted.append(type(message).__name__)
        return post(self, message)

    def counting_render(kind: Any) -> Any:
        def render_line(self: Widget, y: int) -> Any:
            counts.rendered.append((type(self).__name__, y))
            return renders[kind](self, y)

        return render_line

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Widget, "refresh", counting_refresh)
        patch.setattr(MessagePump, "post_message", counting_post)
        for kind in renders:
            patch.setattr(kind, "render_line", counting_render(kind))
        yield counts


@asynccontextmanager
async def large_fleet() -> AsyncIterator[tuple[Stage, list[Device]]]:
    """A thousand devices in their final order, nothing left to draw."""
    told = Told()
    devices = told.online(*(f"gw-{number:04}" for number in range(DEVICES)))
    async with dashboard(told, size=(160, 48)) as stage:
        await stage.tick(5)
        await stage.tick(0.25)
        yield stage, devices


async def test_a_heartbeat_of_a_device_out_of_sight_refreshes_no_row() -> None:
    async with large_fleet() as (stage, _):
        stage.told.heartbeat(address("gw-0900"), resources={"cpu": 0.5})
        with counted() as counts:
            await stage.tick(0.25)
        assert counts.of("FleetTable") == []
        assert "FleetTable" not in counts.whole
        assert ("FleetTable", 1) not in counts.rendered


async def test_a_heartbeat_of_a_device_in_sight_refreshes_one_region_of_its_row() -> None:
    async with large_fleet() as (stage, _):
        row = stage.row_of("gw-0007") - stage.app.screen.query_one(FleetTable).region.y
        stage.told.heartbeat(address("gw-0007"), resources={"cpu": 0.5})
        with counted() as counts:
            await stage.tick(0.25)
        (region,) = counts.of("FleetTable")
        assert (region.y, region.height) == (row, 1)
        assert region.width < 12, "the figure that changed, not the row"
        assert "FleetTable" not in counts.whole
        assert {y for name, y in counts.rendered if name == "FleetTable"} == {row}


async def test_a_heartbeat_that_says_nothing_new_refreshes_nothing() -> None:
    async with large_fleet() as (stage, _):
        for number in range(40):
            stage.told.heartbeat(address(f"gw-{number:04}"))
        await stage.tick(0.25)
        for number in range(40):
            stage.told.heartbeat(address(f"gw-{number:04}"))
        with counted() as counts:
            await stage.tick(0.25)
        assert counts.of("FleetTable") == []


async def test_ticks_within_a_second_in_which_nothing_changed_do_nothing_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    async with large_fleet() as (stage, _):
        shown: list[Any] = []
        monkeypatch.setattr(FleetScreen, "show", lambda *told: shown.append(told))
        with counted() as counts:
            await stage.tick(0.2)
            await stage.tick(0.2)
        assert (counts.regions, counts.whole, counts.rendered) == ([], [], [])
        assert shown == [], "nothing is even looked at"


async def test_a_second_costs_the_clock_and_no_row() -> None:
    async with large_fleet() as (stage, _):
        with counted() as counts:
            await stage.tick(1)
        assert {name for name, _ in counts.regions} == {"Clock"}
        assert counts.of("StatusBar") == []


async def test_messages_from_devices_post_no_message_of_the_toolkit() -> None:
    async with large_fleet() as (stage, _):
        with counted() as counts:
            for number in range(DEVICES):
                stage.told.heartbeat(address(f"gw-{number:04}"), resources={"cpu": number / DEVICES})
                stage.told.log(address(f"gw-{number:04}"), "collected")
        assert counts.posted == []
        assert (counts.regions, counts.whole) == ([], [])


async def test_a_burst_costs_one_repaint_of_what_is_in_sight() -> None:
    async with large_fleet() as (stage, _):
        for number in range(DEVICES):
            stage.told.heartbeat(address(f"gw-{number:04}"), resources={"cpu": 0.5})
        with counted() as counts:
            await stage.tick(0.25)
        rows = stage.app.screen.query_one(FleetTable).page
        assert len(counts.of("FleetTable")) == rows
        assert len([y for name, y in counts.rendered if name == "FleetTable"]) <= rows + 1


async def test_moving_the_cursor_refreshes_two_rows() -> None:
    async with large_fleet() as (stage, _):
        with counted() as counts:
            await stage.press("down")
        assert [region.height for region in counts.of("FleetTable")] == [1, 1]
        assert len({y for name, y in counts.rendered if name == "FleetTable"}) == 2


async def test_a_paused_log_is_not_repainted_by_what_comes() -> None:
    told = Told()
    told.online("gw-1")
    for index in range(100):
        told.wait(0.1)
        told.log(address("gw-1"), f"message {index}")
    async with dashboard(told, size=(120, 36)) as stage:
        await stage.press("L", "up", "up")
        await stage.tick(1)
        told.log(address("gw-1"), "later", "and later")
        with counted() as counts:
            await stage.tick(0.75)
        assert counts.of("LogList") == []
        assert "LogList" not in counts.whole
        assert len(counts.of("TitleLine")) == 1, "how many are new"


async def test_a_tick_looks_at_new_records_only(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told()
    told.online("gw-1")
    told.log(address("gw-1"), *(f"message {index}" for index in range(400)))
    async with dashboard(told) as stage:
        await stage.press("L")
        looked: list[str] = []
        test = LogView._is_ours

        def counting(self: LogView, entry: Entry) -> bool:
            looked.append(entry.message)
            return test(self, entry)

        monkeypatch.setattr(LogView, "_is_ours", counting)
        told.log(address("gw-1"), "new")
        await stage.tick(1)
        await stage.tick(1)
        assert looked == ["new"]
