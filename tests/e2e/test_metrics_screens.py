"""The charts and the panels on a real Prometheus that scrapes what `fleetview export` would serve."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from support.servers import Asked, answering, prometheus, serving, victoria_metrics
from support.wait import wait_until
from tui.stage import FakeFeed, Stage, Told, address

from fleetview.access import Access
from fleetview.core.alertcharts import alert_panel
from fleetview.core.alerts import Alert, AlertState, Places
from fleetview.core.charts import Span
from fleetview.core.device import Device
from fleetview.core.devicecolumns import HISTORIES, DeviceColumn, by_key, selector_for
from fleetview.core.happened import happened
from fleetview.core.panels import DeviceLabels, marks_query
from fleetview.core.series import Answer
from fleetview.feeds.prometheus import Prometheus
from fleetview.feeds.states import Up
from fleetview.remembered import Remembered
from fleetview.tui.app import FleetApp, Setup, wall_clock
from fleetview.tui.glyphs import UNICODE
from fleetview.tui.metrics import Monitoring

EXPORTED = "".join(
    f'fleet_device_cpu_ratio{{tenant="acme",site="plant-1",device="gw-{number}",release="1.5.0"}} {cpu}\n'
    f'fleet_device_connectivity{{tenant="acme",site="plant-1",device="gw-{number}",state="online"}} 1\n'
    for number, cpu in ((1, 0.97), (2, 0.1), (3, 0.2), (4, 0.3))
).encode()


SCRAPED = "count_over_time(fleet_device_cpu_ratio%5B1m%5D)%3E2"
"""A picture ends with the last whole scrape."""


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with serving(200, EXPORTED, {"Content-Type": "text/plain"}) as exporter:
        target = exporter.url.removeprefix("http://")
        config = "global: {scrape_interval: 1s}\nscrape_configs: [{job_name: fleet, static_configs: [{targets: ['" + target
        with prometheus(tmp_path, config=config + "']}]}]\n") as where:
            wait_until(lambda: b"gw-4" in urlopen(f"{where}/api/v1/query?query={SCRAPED}").read(), 40)
            yield where


async def test_a_device_beside_its_peers_the_panels_and_a_query(url: str) -> None:
    told = Told(now=wall_clock())
    told.online("gw-1", "gw-2", "gw-3", "gw-4")
    monitoring = Monitoring(lambda: Prometheus(Access(url)), scrape_interval_s=1.0)
    setup = Setup("plant", "broker.example:8883", UNICODE, monitoring=monitoring)
    feed = FakeFeed(Up(told.now.mono_s, "5"))
    app = FleetApp(told.fleet, feed, setup)
    async with app.run_test(size=(160, 60)) as pilot:
        stage = Stage(told, app, feed, pilot)
        opened = app.open_device(told.fleet.devices[address("gw-1")])
        assert opened is not None
        await opened
        await stage.press("m")
        await stage.press("plus", "plus")
        await stage.see("CPU  97%  peers 20% (15% to 25%)")
        await stage.press(*["minus"] * 12)
        await stage.see("30d 00h until now")
        await stage.see("CPU  97%")
        await stage.press("comma")
        await stage.see("what happened at ")
        await stage.press("x", "left")
        await stage.see("30d 00h until ")
        assert "until now" not in stage.text
        await stage.press("0", *["plus"] * 12)
        await stage.see("15m 00s until now")
        await stage.see("CPU  97%")
        await stage.press("escape", "escape", "M")
        await stage.see("   online")
        await stage.see("plant-1/gw-1")
        await stage.press("e")
        await stage.type("sum(,)")
        await stage.press("enter")
        await stage.see("parse error")
        row = stage.row_of("^")
        assert stage.rows[row - 1][stage.rows[row].index("^")] == ","


class Exporter:
    """A device that is updated and starts anew after some seconds, and its peer."""

    def __init__(self) -> None:
        self.began_s = time.time()
        self.updated = False

    def reply(self, _: Asked) -> tuple[int, bytes, dict[str, str]]:
        now = time.time()
        lines = []
        for device in ("gw-1", "gw-2"):
            new = self.updated and device == "gw-1"
            labels = f'tenant="acme",site="plant-1",device="{device}",release="{"1.5.0" if new else "1.4.2"}"'
            figures = {
                "device_cpu_ratio": 0.5,
                "device_heartbeat_interval_seconds": 10,
                "device_config_version": 13 if new else 12,
                # Long before, so that the new start is a minute and more later.
                "device_uptime_seconds": now - self.began_s if new else now - self.began_s + 3600,
                "network_receive_bytes_total": (now - self.began_s) * 2000,
                "network_transmit_bytes_total": (now - self.began_s) * 5000,
            }
            lines += [f"fleet_{name}{{{labels}}} {value:.3f}\n" for name, value in figures.items()]
        return 200, "".join(lines).encode(), {"Content-Type": "text/plain"}


async def test_what_happened_before_anybody_watched_and_the_network(tmp_path: Path) -> None:
    exporter = Exporter()
    with answering(exporter.reply) as fake:
        target = fake.url.removeprefix("http://")
        rules = tmp_path / "rules.yml"
        rules.write_text("groups: [{name: g, interval: 1s, rules: [{alert: Busy, expr: 'fleet_device_cpu_ratio > 0.4'}]}]\n")
        config = f"global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{rules}']\n"
        config += f"scrape_configs: [{{job_name: fleet, static_configs: [{{targets: ['{target}']}}]}}]\n"
        with prometheus(tmp_path, config=config) as url:

            def answers(query: str) -> bool:
                return b'"value"' in urlopen(f"{url}/api/v1/query?query={query}").read()

            wait_until(lambda: answers("count_over_time(fleet_device_cpu_ratio%5B1m%5D)%3E3"), 40)
            exporter.updated = True
            wait_until(lambda: answers('count_over_time(fleet_device_cpu_ratio{release="1.5.0"}%5B1m%5D)%3E4'), 40)
            wait_until(lambda: answers("ALERTS"), 40)
            told = Told(now=wall_clock())
            told.online("gw-1", "gw-2")
            monitoring = Monitoring(lambda: Prometheus(Access(url)), scrape_interval_s=1.0)
            feed = FakeFeed(Up(told.now.mono_s, "5"))
            app = FleetApp(told.fleet, feed, Setup("plant", "broker.example:8883", UNICODE, monitoring=monitoring))
            async with app.run_test(size=(160, 70)) as pilot:
                stage = Stage(told, app, feed, pilot)
                opened = app.open_device(told.fleet.devices[address("gw-1")])
                assert opened is not None
                await opened
                await stage.press("m", "plus", "plus")
                await stage.see("network in  1")
                await stage.see("network out  ")
                await stage.see("alert Busy fires")
            source = Prometheus(Access(url))
            end = math.floor(time.time())
            span = Span(end - 60, end, 1)
            marks = await source.range(marks_query(DeviceLabels(), address("gw-1")), span.begin_s + 1, span.end_s, 1)
            source.close()
            found = {one.kind: one.text for one in happened(Device(address("gw-1")), marks, span)}
            assert found == {
                "alert": "alert Busy fires",
                "release": "release 1.4.2 -> 1.5.0",
                "config": "config 12 -> 13",
                "session": "the agent started",
            }


async def test_columns_of_the_fleet_table(url: str, tmp_path: Path) -> None:
    told = Told(now=wall_clock())
    told.online("gw-1", "gw-2", "gw-3", "gw-4", "gw-5")
    busy = DeviceColumn("busy", "BUSY", "max by ($by) (fleet_device_cpu_ratio{$selector})", "percent")
    monitoring = Monitoring(lambda: Prometheus(Access(url)), scrape_interval_s=1.0, columns=(busy,))
    remembered = Remembered(tmp_path / "views.json", "plant")
    remembered.put("columns", ["busy", "CPU history"])
    feed = FakeFeed(Up(told.now.mono_s, "5"))
    setup = Setup("plant", "broker.example:8883", UNICODE, monitoring=monitoring, remembered=remembered)
    app = FleetApp(told.fleet, feed, setup)
    async with app.run_test(size=(120, 30)) as pilot:
        stage = Stage(told, app, feed, pilot)
        async with asyncio.timeout(20):
            while "█       97%" not in stage.text:
                await pilot.pause(0.05)
        row = stage.rows[stage.row_of("gw-1")]
        assert row.split("gw-1")[1].split()[0] == "97%"
        assert stage.rows[stage.row_of("gw-5")].split("gw-5")[1].split()[0] == "-"
        assert "columns from Prometheus, now" in stage.text


async def test_the_questions_are_understood_by_victoria_metrics(tmp_path: Path) -> None:
    device, labels = address("gw-1"), DeviceLabels()
    end = math.floor(time.time())
    lines = []
    for at in range(end - 600, end, 10):
        for number in (1, 2, 3):
            new = number == 1 and at > end - 300
            whose = f'tenant="acme",site="plant-1",device="gw-{number}",release="{"1.5.0" if new else "1.4.2"}"'
            figures = {
                "cpu_ratio": number / 10,
                "heartbeat_interval_seconds": 10,
                "config_version": 13 if new else 12,
                "uptime_seconds": at - (end - 300) if new else at - end + 5000,
            }
            lines += [f"fleet_device_{name}{{{whose}}} {value} {at * 1000}" for name, value in figures.items()]
    with victoria_metrics(tmp_path) as url:
        request = Request(f"{url}/api/v1/import/prometheus", "\n".join(lines).encode(), method="POST")
        wait_until(lambda: urlopen(request).status == 204, 40)
        wait_until(lambda: b'"value"' in urlopen(f"{url}/api/v1/query?query=fleet_device_cpu_ratio").read(), 40)
        source, span = Prometheus(Access(url)), Span(end - 600, end, 15)

        async def asked(query: str) -> Answer:
            return await source.range(query, span.begin_s + span.step_s, span.end_s, span.step_s)

        found = {one.kind: one.text for one in happened(Device(device), await asked(marks_query(labels, device)), span)}
        assert found == {
            "release": "release 1.4.2 -> 1.5.0", "config": "config 12 -> 13", "session": "the agent started",
        }  # fmt: skip
        history = HISTORIES[0].asked(labels, "300s", selector_for(labels, (device, address("gw-2"))))
        assert by_key(await asked(history), labels).keys() == {tuple(device), tuple(address("gw-2"))}
        hot = Alert(
            {"alertname": "Hot"}, AlertState.FIRING, None, query="fleet_device_cpu_ratio > 0.05", own=labels.of(device)
        )
        panel = alert_panel(hot, Places())
        assert panel is not None
        assert {series.labels["device"] for series in (await asked(panel.query)).series} == {"gw-1"}
        source.close()
