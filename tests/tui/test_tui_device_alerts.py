"""Alerts of devices in the fleet table and on the device's page: a column, filters, silences of a selection."""

from __future__ import annotations

import asyncio
from pathlib import Path

from support.servers import monitored

from fleetview.config import Flags, resolve
from fleetview.core.alertbook import AlertBook
from fleetview.core.device import Device
from fleetview.feeds.alertwatch import AlertWatch
from fleetview.remembered import Remembered
from fleetview.tui.alert_desk import AlertSetup
from fleetview.tui.app import wall_clock
from fleetview.tui.screens.form import FormScreen
from fleetview.tui.widgets.fleet_table import FleetTable
from tui.stage import FakeAlerts, Stage, Told, address, dashboard
from tui.test_tui_alerts import HOT, alert, alerting, book, server


async def noted(stage: Stage) -> None:
    """Until what was told is noted at the devices."""
    async with asyncio.timeout(20):
        while any(device.alerts is None for device in stage.app.fleet.devices.values()):
            await stage.pilot.pause(0.01)
    await stage.tick(3)


async def filtered(stage: Stage, text: str) -> list[str]:
    """The devices that a filter leaves."""
    await stage.press("slash")
    await stage.type(text)
    await stage.press("enter")
    await stage.tick(3)
    table = stage.app.screen.query_one(FleetTable)
    shown = [row.address.device for row in table.arrangement.rows if isinstance(row, Device)]
    await stage.press("escape")
    return sorted(shown)


async def test_devices_are_filtered_by_their_alerts() -> None:
    async with alerting(FakeAlerts(book())) as stage:
        await noted(stage)
        assert await filtered(stage, "alerts>0") == ["gw-1", "gw-3"]
        assert await filtered(stage, "alerts:0") == ["gw-2"], "what is silenced is not loud"
        assert await filtered(stage, "alert:toohot") == ["gw-1"]
        assert await filtered(stage, "alert:silenced") == ["gw-2"]
        assert await filtered(stage, "alert:Slow:pending") == ["gw-3"]
        assert await filtered(stage, "severity:critical") == ["gw-1"]


async def test_a_filter_of_alerts_that_nobody_tells_of_says_so() -> None:
    told = Told()
    told.online("gw-1")
    async with dashboard(told) as stage:
        assert await filtered(stage, "site:plant-1") == ["gw-1"]
        await stage.press("slash")
        await stage.type("alerts>0")
        await stage.tick(3)
        assert "nobody tells of alerts: neither Prometheus nor Alertmanager is configured" in stage.text


async def test_the_column_says_how_many_and_how_long_the_others_are_quiet(tmp_path: Path) -> None:
    told = Told()
    told.online("gw-1", "gw-2", "gw-3", "gw-4")
    remembered = Remembered(tmp_path / "views.json", "plant")
    remembered.put("columns", ["alerts", "why"])
    setup = AlertSetup(lambda: FakeAlerts(book()))
    async with dashboard(told, size=(120, 30), alerts=setup, remembered=remembered) as stage:
        await noted(stage)
        await stage.tick(1)
        rows = {name: stage.rows[stage.row_of(name)] for name in ("gw-1", "gw-2", "gw-3", "gw-4")}
        assert rows["gw-1"].split("gw-1")[1].split()[0] == "1"
        assert "silenced 1h 19m" in rows["gw-2"]
        assert rows["gw-4"].split("gw-4")[1].split()[0] == "0"
        assert "1 alert" not in stage.text, "the reason does not say it again"
        await stage.press("s", *["down"] * 20)
        assert "alerts" in stage.text


async def test_a_selection_of_devices_is_silenced() -> None:
    feed = FakeAlerts(book())
    async with alerting(feed) as stage:
        await noted(stage)
        await stage.press("slash")
        await stage.type('"gw-1" or "gw-2"')
        await stage.press("enter", "asterisk", "A")
        await stage.see(r'tenant="acme", site="plant-1", device=~"gw-1|gw-2"')
        assert "silence 2 devices, at 1 site" in stage.text
        await stage.type("new fans")
        await stage.press("enter")
        await stage.see("keeps quiet for 2h 00m: 3 alerts on 2 devices now")
        await stage.press("enter")
        await stage.see("silenced for 2h 00m")
        assert feed.changed == [
            ("silence", 'tenant="acme"', 'site="plant-1"', 'device=~"gw-1|gw-2"', 7200.0, "ana", "new fans")
        ]


async def test_all_devices_of_a_site_are_silenced_as_the_site() -> None:
    async with alerting(FakeAlerts(book())) as stage:
        await noted(stage)
        await stage.press("asterisk", "A")
        await stage.see("silence 3 devices, all of 1 site")
        assert 'tenant="acme", site="plant-1"' in stage.text
        assert "device=" not in stage.text


async def test_a_device_is_silenced_from_its_page_as_its_alerts_call_it() -> None:
    whole = alert("Full", "acme/plant-1/gw-1")
    async with alerting(FakeAlerts(book(whole, HOT))) as stage:
        await noted(stage)
        opened = stage.app.open_device(stage.app.fleet.devices[address("gw-1")])
        assert opened is not None
        await opened
        await stage.press("A")
        await stage.see('device=~"acme/plant-1/gw-1|gw-1"')
        assert "silence acme/plant-1/gw-1" in stage.text


async def test_too_many_devices_for_one_silence_are_refused_in_words() -> None:
    told = Told()
    told.online(*(f"gw-{number}" for number in range(300)))
    setup = AlertSetup(lambda: FakeAlerts(AlertBook(servers=(server(),))))
    async with dashboard(told, alerts=setup) as stage:
        await stage.press("slash")
        await stage.type("-gw-7")
        await stage.press("enter", "asterisk", "A")
        await stage.see("devices are more than one silence names (200)")
        assert not isinstance(stage.app.screen, FormScreen)


async def test_nothing_is_silenced_without_anybody_to_tell_or_where_only_reading_is_allowed() -> None:
    told = Told()
    told.online("gw-1")
    async with dashboard(told) as stage:
        await stage.press("A")
        await stage.see("no Alertmanager is configured")
    async with alerting(FakeAlerts(book()), read_only="plant is read-only") as stage:
        await stage.press("A")
        await stage.see("plant is read-only")
        assert not isinstance(stage.app.screen, FormScreen)


async def test_a_selection_is_silenced_on_a_real_alertmanager_and_its_rows_say_so(tmp_path: Path) -> None:
    with monitored(tmp_path) as real:
        file = tmp_path / "fleetview.toml"
        file.touch()
        flags = Flags(prometheus=real.prometheus, alertmanager=real.alertmanager)
        context = resolve(flags, environ={}, file=file)
        told = Told(now=wall_clock())
        told.online("gw-1", "gw-2", site="plant-7")
        told.online("gw-3", site="plant-8")
        setup = AlertSetup(lambda: AlertWatch.of(context), author="ana")
        async with dashboard(told, size=(160, 36), alerts=setup) as stage:
            await noted(stage)
            assert await filtered(stage, "alert:TooHot:firing") == ["gw-1", "gw-3"]
            await stage.press("slash")
            await stage.type("gw-1")
            await stage.press("enter", "asterisk", "A")
            await stage.type("new fan")
            await stage.press("enter")
            await stage.see("alert on 1 device now")
            await stage.press("enter")
            await stage.see("silenced for 2h 00m")
            async with asyncio.timeout(20):
                while "1 silenced 1h 59m left" not in stage.text:
                    await stage.tick(1)
            await stage.press("escape", "escape")
            assert await filtered(stage, "alert:TooHot:firing") == ["gw-3"]
