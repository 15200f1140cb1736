"""The charts and the panels on a real Prometheus that scrapes what `fleetview export` would serve."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from support.servers import prometheus, serving
from support.wait import wait_until
from tui.stage import FakeFeed, Stage, Told, address

from fleetview.access import Access
from fleetview.feeds.prometheus import Prometheus
from fleetview.feeds.states import Up
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
        await stage.press("escape", "escape", "M")
        await stage.see("   online")
        await stage.see("plant-1/gw-1")
        await stage.press("e")
        await stage.type("sum(,)")
        await stage.press("enter")
        await stage.see("parse error")
        row = stage.row_of("^")
        assert stage.rows[row - 1][stage.rows[row].index("^")] == ","
