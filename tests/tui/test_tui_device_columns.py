"""Columns of the fleet table from Prometheus, and from heartbeats where there is none."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import fleetview.tui.device_columns as device_columns_module
from fleetview.core.devicecolumns import CELLS, OWN_COLUMNS, DeviceColumn, history_span
from fleetview.core.panels import DeviceLabels
from fleetview.remembered import Remembered
from fleetview.tui.columns import COLUMNS
from fleetview.tui.glyphs import ASCII, UNICODE
from fleetview.tui.widgets.fleet_table import FleetTable
from tui.stage import Stage, Told, dashboard
from tui.test_tui_metrics import FakeSource, monitoring

HEAT = DeviceColumn("heat", "HEAT", "max by ($by) (heat{$selector})", "celsius", thresholds={"degraded": 60.0})


def labels(device: str) -> tuple[tuple[str, str], ...]:
    return (("tenant", "acme"), ("site", "plant-1"), ("device", device))


def chosen(tmp_path: Path, *columns: str) -> Remembered:
    found = Remembered(tmp_path / "views.json", "plant")
    found.put("columns", list(columns))
    return found


def fleet(count: int = 4) -> Told:
    told = Told()
    told.online(*(f"gw-{number:03d}" for number in range(1, count + 1)))
    return told


async def see(stage: Stage, words: str) -> None:
    async with asyncio.timeout(20):
        while words not in stage.text:
            await stage.tick(0.1)
            await stage.pilot.pause(0.01)


def row(stage: Stage, device: str) -> str:
    return stage.rows[stage.row_of(device)]


async def test_the_last_hour_of_each_device_from_one_query(tmp_path: Path) -> None:
    def rising(at: float) -> float:
        return (at % 3600) / 3600

    source = FakeSource({labels("gw-001"): lambda _: 0.97, labels("gw-002"): rising, (("device", "other"),): lambda _: 1.0})
    told = fleet()
    remembered = chosen(tmp_path, "CPU history", "seen")
    async with dashboard(told, size=(100, 30), monitoring=monitoring(source), remembered=remembered) as stage:
        await see(stage, "█" * CELLS + "       97%")
        assert "CPU 1H" in stage.text
        assert "columns from Prometheus, now" in stage.text
        assert "▁▂▂▃▃▄▅       50%" in row(stage, "gw-002")
        assert "·" * CELLS + "         -" in row(stage, "gw-003"), "no data is no data"
        asked = [query for query, *_ in source.asked]
        assert asked == ["max by (tenant, site, device) (max_over_time(fleet_device_cpu_ratio{}[300s]))"]
        _, start, end, step = source.asked[0]
        assert (end - start) / step == CELLS - 1
        await stage.tick(30)
        assert len(source.asked) == 1, "an hour of history changes slowly"
        await stage.tick(61)
        await stage.pilot.pause(0.1)
        assert len(source.asked) == 2


async def test_a_column_of_ones_own(tmp_path: Path) -> None:
    source = FakeSource({labels("gw-001"): lambda _: 71.0, labels("gw-002"): lambda _: 20.0})
    told = fleet()
    asks = monitoring(source, columns=(HEAT,))
    async with dashboard(told, monitoring=asks, remembered=chosen(tmp_path, "heat")) as stage:
        await see(stage, "▲ 71 C")
        assert row(stage, "gw-002").endswith("20 C")
        assert row(stage, "gw-003").endswith("      -")
        assert source.asked[0][0] == "max by (tenant, site, device) (heat{})"
        await stage.press("c")
        await stage.see("heat")


async def test_without_prometheus_the_histories_are_those_of_the_heartbeats(tmp_path: Path) -> None:
    told = fleet()
    told.heartbeat(next(iter(told.fleet.devices)), resources={"cpu": 0.5}, link={"rtt_ms": 20})
    remembered = chosen(tmp_path, "CPU history", "round trip history")
    async with dashboard(told, remembered=remembered) as stage:
        assert "histories from heartbeats kept in memory (no Prometheus)" in stage.text
        assert "50%" in row(stage, "gw-001")
        assert "20 ms" in row(stage, "gw-001")


async def test_a_prometheus_that_is_down_is_named_and_the_heartbeats_are_shown(tmp_path: Path) -> None:
    told = fleet()
    told.heartbeat(next(iter(told.fleet.devices)), resources={"cpu": 0.5})
    source = FakeSource(problem="Prometheus at http://x cannot be reached")
    asks, remembered = monitoring(source), chosen(tmp_path, "CPU history")
    async with dashboard(told, size=(120, 30), monitoring=asks, remembered=remembered) as stage:
        await see(stage, "histories from heartbeats: Prometheus at http://x cannot be reached")
        assert "50%" in row(stage, "gw-001")


async def test_of_a_large_fleet_those_in_sight_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_columns_module, "MOST_AT_ONCE", 100)
    source = FakeSource({labels(f"gw-{number:03d}"): lambda _: 0.5 for number in range(1, 301)})
    told = fleet(300)
    remembered = chosen(tmp_path, "CPU history")
    async with dashboard(told, size=(100, 30), monitoring=monitoring(source), remembered=remembered) as stage:
        await see(stage, "50%")
        first = source.asked[0][0]
        assert 'device=~"gw' in first
        assert "gw-001|" in first
        assert "gw-200" not in first
        asked = len(source.asked)
        for _ in range(5):
            await stage.press("pagedown")
            told.heartbeat(next(iter(told.fleet.devices)), resources={"cpu": 0.1})  # so that there is something to draw
            await stage.tick(0.1)
        assert len(source.asked) == asked, "who scrolls past asks nothing"
        await stage.tick(1)
        await stage.tick(1)
        await see(stage, "50%")
        assert len(source.asked) == asked + 1
        table = stage.app.screen.query_one(FleetTable)
        assert table.in_sight()[-1].address.device in source.asked[-1][0]


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
async def test_every_width(tmp_path: Path, glyphs: Any) -> None:
    source = FakeSource({labels("gw-001"): lambda _: float("nan"), labels("gw-002"): lambda _: float("inf")})
    told = fleet()
    names = ("CPU history", "memory history", "error rate history", "why")
    for width in (60, 80, 120, 200):
        remembered = chosen(tmp_path, *names)
        async with dashboard(
            told, size=(width, 20), monitoring=monitoring(source), remembered=remembered, glyphs=glyphs
        ) as stage:
            await see(stage, "from Prometheus, now")
            assert glyphs is UNICODE or stage.text.isascii()


def test_the_names_that_are_taken_are_those_of_the_table() -> None:
    assert set(COLUMNS) == OWN_COLUMNS


def test_an_hour_ends_with_the_last_scrape() -> None:
    span = history_span(1_000_007.0, 15.0)
    assert (span.end_s, span.end_s - span.begin_s, span.step_s) == (1_000_005.0, 3600.0, 300.0)


def test_labels_by_template() -> None:
    column = DeviceColumn("x", "X", "max by ($by) (rate(x{$selector}[$window]))")
    found = column.asked(DeviceLabels({"instance": "{device}:9100"}), "300s", 'instance=~"a"')
    assert found == 'max by (instance) (rate(x{instance=~"a"}[300s]))'


async def test_the_table_is_sorted_by_a_column(tmp_path: Path) -> None:
    source = FakeSource({labels(f"gw-{number:03d}"): lambda _, number=number: 20.0 + number % 3 for number in range(1, 5)})  # type: ignore[misc]
    told = fleet(5)
    asks = monitoring(source, columns=(HEAT,))
    async with dashboard(told, monitoring=asks, remembered=chosen(tmp_path, "heat")) as stage:
        await see(stage, "22 C")
        names = [f"gw-{number:03d}" for number in range(1, 6)]
        assert stage.order(*names) == names
        table = stage.app.screen.query_one(FleetTable)
        table.post_message(FleetTable.HeaderClicked("heat"))
        await see(stage, "sorted by heat, the largest first")
        assert stage.order(*names) == ["gw-002", "gw-001", "gw-004", "gw-003", "gw-005"], "what has no value stands behind"
        await stage.press("s")
        await stage.see("from Prometheus")


async def test_a_large_fleet_is_not_sorted_by_what_is_asked_for_the_rows_in_sight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_columns_module, "MOST_AT_ONCE", 3)
    async with dashboard(fleet(), monitoring=monitoring(FakeSource()), remembered=chosen(tmp_path, "CPU history")) as stage:
        stage.app.screen.query_one(FleetTable).post_message(FleetTable.HeaderClicked("CPU history"))
        await see(stage, "not sorted by it")
