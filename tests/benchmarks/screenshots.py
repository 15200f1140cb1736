"""`make screenshots`: the pictures of the README, from the demo's fleet at a fixed moment, the same in every run."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ |= {"TEXTUAL_ANIMATIONS": "none", "TEXTUAL_COLOR_SYSTEM": "truecolor"}
os.environ.pop("NO_COLOR", None)

from support.rollouts import FakeRollouts, failed, tell
from support.scene import STARTED_UNIX_S, demo_scene
from textual.pilot import Pilot
from tui.stage import FakeAlerts

from fleetview.core.alertbook import AlertBook, Server
from fleetview.core.alerts import Alert, AlertState, Source
from fleetview.core.fleet import Fleet
from fleetview.core.servers import Health, Standing
from fleetview.feeds.states import LinkState, Up
from fleetview.tui.alert_desk import AlertSetup
from fleetview.tui.app import FleetApp, Setup
from fleetview.tui.fleet_rows import Now
from fleetview.tui.glyphs import UNICODE
from fleetview.tui.rollouts import RolloutSetup

FOLDER = Path(__file__).parents[2] / "screenshots"
SECONDS = 150.0
"""How far into the bad night: the site is dark, and most of what goes wrong has gone wrong."""
SIZES = ((80, 24), (120, 36), (160, 48))
_SERVERS: tuple[Source, ...] = ("prometheus", "alertmanager")


class StillFeed:
    """A feed of which everything has come."""

    def __init__(self, now: Now) -> None:
        self.state: LinkState = Up(now.mono_s - SECONDS, "5")
        self.messages = 0
        self.filling = False

    async def run(self) -> None:
        """Nothing more comes."""

    def retry_now(self) -> None:
        """There is nothing to retry."""

    def give_way(self, for_s: float) -> None:
        """Nothing is in the way."""


async def _device(pilot: Pilot[int]) -> None:
    await pilot.press("slash", *"processor", "enter")
    await _settle(pilot)
    await pilot.press("enter")


async def _logs(pilot: Pilot[int]) -> None:
    await pilot.press("L")


async def _fleet(_pilot: Pilot[int]) -> None:
    """What is shown first."""


async def _alerts(pilot: Pilot[int]) -> None:
    await pilot.press("a")


async def _rollout(pilot: Pilot[int]) -> None:
    await pilot.press("colon", *"rollouts", "enter")
    await _settle(pilot)
    await pilot.press("enter")


SCREENS: dict[str, Callable[[Pilot[Any]], Awaitable[None]]] = {
    "fleet": _fleet,
    "device": _device,
    "logs": _logs,
    "alerts": _alerts,
    "rollout": _rollout,
}


def _firing(now: Now) -> AlertBook:
    """What Prometheus makes of this night with the rules of deploy/prometheus."""
    told: tuple[tuple[str, str, str, str, float, float, str, str], ...] = (
        ("FleetSiteSilent", "critical", "plant-6", "", 95, 1.0, ">= 0.3", "no heartbeats from 100 % of the devices"),
        ("FleetDeviceCritical", "critical", "plant-3", "gw-0026", 130, 2, "== 2", "is critical"),
        (
            "FleetSpoolDropping",
            "warning",
            "plant-3",
            "gw-0028",
            140,
            1039,
            "> 0",
            "log records were dropped, its spool is full",
        ),
        ("FleetCertificateExpiresSoon", "warning", "plant-4", "gw-0038", 150, 5.998, "< 14", "certificate ends in 6.0 days"),
        ("FleetHeartbeatsMissing", "warning", "plant-4", "", 150, 1, "> 0", "1 device is silent without a word"),
    )
    alerts = []
    for name, severity, site, device, for_s, value, bound, summary in told:
        labels = {"alertname": name, "severity": severity, "tenant": "acme", "site": site}
        alerts.append(
            Alert(
                labels | ({"device": device} if device else {}),
                state=AlertState.FIRING,
                since_unix_s=now.unix_s - for_s,
                value=value,
                threshold=bound,
                annotations={"summary": summary},
                sources=_SERVERS,
            )
        )
    servers = tuple(
        Server(name, f"http://{name}.example", Standing(Health.UP, "", now.mono_s - SECONDS), now.mono_s - 2)
        for name in _SERVERS
    )
    return AlertBook(tuple(alerts), servers=servers)


def _setup(name: str, now: Now) -> Setup:
    """What this screen needs beside the fleet."""
    plain = Setup("plant", "broker.plant.example:8883", UNICODE)
    if name == "alerts":
        return replace(plain, alerts=AlertSetup(lambda: FakeAlerts(_firing(now)), author="ana"))
    if name == "rollout":
        feed = FakeRollouts()
        tell(feed.board, failed(), mono_s=now.mono_s)
        return replace(plain, rollouts=RolloutSetup(feed))
    return plain


async def _settle(pilot: Pilot[Any]) -> None:
    await pilot.pause()
    app = pilot.app
    if isinstance(app, FleetApp):
        app.tick()
    await pilot.pause()


async def take(name: str, size: tuple[int, int], fleet: Fleet, now: Now) -> Path:
    """One picture."""
    app = FleetApp(fleet, StillFeed(now), _setup(name, now), clock=lambda: now)
    async with app.run_test(size=size) as pilot:
        await _settle(pilot)
        await SCREENS[name](pilot)
        await _settle(pilot)
        await _settle(pilot)
        picture = app.export_screenshot(title="fleetview")
    path = FOLDER / f"{name}-{size[0]}x{size[1]}.svg"
    path.write_text(_reproducible(picture))
    return path


def _reproducible(svg: str) -> str:
    """Rich numbers the classes of each picture anew at random; and the fonts it fetches from elsewhere are not needed."""
    svg = re.sub(r"terminal-\d+", "terminal", svg).replace("<svg ", '<svg xml:space="preserve" ', 1)
    return re.sub(r"@font-face \{.*?\}\n?", "", svg, flags=re.DOTALL)


async def main() -> None:
    """All pictures."""
    FOLDER.mkdir(exist_ok=True)
    for name in SCREENS:
        for size in SIZES:
            started_s = failed().now_s - SECONDS if name == "rollout" else STARTED_UNIX_S
            fleet, now = demo_scene(SECONDS, started_unix_s=started_s)
            print(await take(name, size, fleet, now))


if __name__ == "__main__":
    asyncio.run(main())
