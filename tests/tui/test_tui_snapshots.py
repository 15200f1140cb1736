"""The screens as a person sees them, from the demo's fleet at a fixed moment. `pytest tests/tui --snapshot-update` after a look."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

import pytest
from support.scene import demo_scene
from textual.app import App
from textual.pilot import Pilot

from fleetview.feeds.states import Up
from fleetview.tui.app import FleetApp, Setup
from fleetview.tui.glyphs import ASCII, UNICODE, Glyphs
from tui.stage import FakeFeed

SECONDS = 150.0
"""Into the bad night: a site is dark, and most of what goes wrong has gone wrong."""
SnapCompare = Callable[..., bool]


@pytest.fixture(autouse=True)
def _colours_of_every_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "TEXTUAL_THEME", "TEXTUAL_COLOR_SYSTEM", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)


def app(glyphs: Glyphs = UNICODE, theme: str | None = "textual-dark") -> FleetApp:
    """The dashboard on the demo's fleet; its clock stands."""
    fleet, now = demo_scene(SECONDS)
    feed = FakeFeed(Up(now.mono_s - SECONDS, "5"), messages=fleet.messages)
    return FleetApp(fleet, feed, Setup("demo", "broker.example:1883", glyphs, theme), clock=lambda: now)


SCREENS: dict[str, tuple[tuple[str, ...], tuple[int, int]]] = {
    "fleet-80x24": ((), (80, 24)),
    "fleet-120x40": ((), (120, 40)),
    "fleet-200x60": ((), (200, 60)),
    "device-80x24": (("down", "down", "enter"), (80, 24)),
    "device-160x48": (("down", "down", "enter"), (160, 48)),
    "charts-160x48": (("down", "down", "enter", "m", "comma", "comma"), (160, 48)),
    "logs-80x24": (("L",), (80, 24)),
    "logs-120x40": (("L",), (120, 40)),
    "logs-histogram-160x48": (("L", "i", "left", "left"), (160, 48)),
    "record-120x40": (("L", "up", "enter"), (120, 40)),
    "keys-80x24": (("question_mark",), (80, 24)),
}


def after(*keys: str) -> Callable[[Pilot[int]], Awaitable[None]]:
    """Brings a screen up, and waits until nothing of it changes any more."""

    async def run(pilot: Pilot[int]) -> None:
        for timer in pilot.app._timers:
            timer.pause()
        desk = cast(FleetApp, pilot.app).desk
        async with asyncio.timeout(20):
            while desk.configured and desk.book is None:  # on a busy machine the first answer comes after the first picture
                await pilot.pause(0.02)
        for key in ("", *keys):
            await pilot.press(*filter(None, [key]))
            before: list[str] = []
            while (now := _cells(pilot)) != before:
                before = now
                await pilot.pause(0.02)

    return run


def _cells(pilot: Pilot[int]) -> list[str]:
    pilot.app.screen.refresh()
    return [repr(segment) for strip in pilot.app.screen._compositor.render_strips() for segment in strip]


@pytest.mark.parametrize(("keys", "size"), SCREENS.values(), ids=SCREENS)
def test_screen(snap_compare: SnapCompare, keys: tuple[str, ...], size: tuple[int, int]) -> None:
    assert snap_compare(app(), run_before=after(*keys), terminal_size=size)


def test_light(snap_compare: SnapCompare) -> None:
    assert snap_compare(app(theme="textual-light"), run_before=after("down"), terminal_size=(120, 40))


def test_plain_characters(snap_compare: SnapCompare) -> None:
    assert snap_compare(app(ASCII), run_before=after("down"), terminal_size=(80, 24))


def test_without_colours(snap_compare: SnapCompare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    # As TEXTUAL_THEME would have it, which is read at import: an app that is made with another theme paints greys.
    monkeypatch.setattr(App.theme, "_default", "ansi-dark")
    assert snap_compare(app(theme=None), run_before=after("down"), terminal_size=(80, 24))
