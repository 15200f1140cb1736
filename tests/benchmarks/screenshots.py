"""`make screenshots`: the pictures of the README, from the demo's fleet at a fixed moment, the same in every run."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

os.environ |= {"TEXTUAL_ANIMATIONS": "none", "TEXTUAL_COLOR_SYSTEM": "truecolor"}
os.environ.pop("NO_COLOR", None)

from support.scene import demo_scene
from textual.pilot import Pilot

from fleetview.core.fleet import Fleet
from fleetview.feeds.states import LinkState, Up
from fleetview.tui.app import FleetApp, Setup
from fleetview.tui.fleet_rows import Now
from fleetview.tui.glyphs import UNICODE

FOLDER = Path(__file__).parents[2] / "screenshots"
SECONDS = 150.0
"""How far into the bad night: the site is dark, and most of what goes wrong has gone wrong."""
SIZES = ((80, 24), (120, 36), (160, 48))


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


SCREENS: dict[str, Callable[[Pilot[Any]], Awaitable[None]]] = {"fleet": _fleet, "device": _device, "logs": _logs}


async def _settle(pilot: Pilot[Any]) -> None:
    await pilot.pause()
    app = pilot.app
    if isinstance(app, FleetApp):
        app.tick()
    await pilot.pause()


async def take(name: str, size: tuple[int, int], fleet: Fleet, now: Now) -> Path:
    """One picture."""
    app = FleetApp(fleet, StillFeed(now), Setup("plant", "broker.plant.example:8883", UNICODE), clock=lambda: now)
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
            fleet, now = demo_scene(SECONDS)
            print(await take(name, size, fleet, now))


if __name__ == "__main__":
    asyncio.run(main())
