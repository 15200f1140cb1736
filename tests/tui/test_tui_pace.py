"""Slow links: fewer repaints, coarser times; and what goes to the terminal is counted."""

from __future__ import annotations

from typing import Any

import pytest
import textual.screen
from textual import constants
from textual.driver import Driver

from fleetview.config import Context, Display
from fleetview.feeds.states import Backoff
from fleetview.tui.app import FleetApp
from fleetview.tui.pace import PACES, size_rate
from fleetview.tui.run import run_dashboard
from fleetview.tui.screens.fleet import FleetScreen
from fleetview.tui.toolkit import Written, counting
from fleetview_agent.endpoint import BrokerUrl, Failure, FailureKind
from tui.stage import Told, address, dashboard


def fleet() -> Told:
    told = Told()
    told.online("gw-1", "gw-2")
    return told


def test_a_slow_link_is_never_busier_than_four_repaints_a_second() -> None:
    slow = PACES["slow"]
    assert slow.repaints_per_s == 4
    assert slow.ticks_per_s <= 2


async def test_the_toolkit_repaints_as_seldom_as_it_is_told() -> None:
    async with dashboard(fleet(), link="slow") as stage:
        assert stage.app.screen._update_timer._interval == 0.25
        stage.app.set_pace(PACES["fast"])
        assert stage.app.screen._update_timer._interval == 1 / constants.MAX_FPS
        await stage.press("enter")
        assert "gw-1" in stage.text, "what is drawn after the change of pace is drawn"
        stage.app.set_pace(PACES["slow"])
        await stage.press("escape")
        assert stage.app.screen._update_timer._interval == 0.25
    async with dashboard(fleet()):
        assert 1 / constants.MAX_FPS == textual.screen.UPDATE_PERIOD


async def test_on_a_slow_link_time_alone_moves_every_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    async with dashboard(fleet(), link="slow") as stage:
        assert " 10:30 UTC" in stage.rows[0]
        shown: list[Any] = []
        monkeypatch.setattr(FleetScreen, "show", lambda *told: shown.append(told))

        def ticks(seconds: float) -> int:
            """How often something is drawn; with nothing else that could draw in between."""
            before = len(shown)
            stage.told.wait(seconds)
            stage.app.tick()
            return len(shown) - before

        assert [ticks(1) for _ in range(10)] == [0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
        stage.told.heartbeat(address("gw-1"), "critical", "disk full")
        assert ticks(0.5) == 1, "what changes in the fleet is shown at once"


async def test_on_a_slow_link_a_lost_link_is_news(monkeypatch: pytest.MonkeyPatch) -> None:
    async with dashboard(fleet(), link="slow") as stage:
        shown: list[str] = []
        monkeypatch.setattr(FleetScreen, "show", lambda screen, *told: shown.append(screen.app.watching().link.words))
        stage.feed.state = Backoff(Failure(FailureKind.REFUSED, "nobody listens there"), stage.told.now.mono_s + 5)
        stage.told.wait(1)
        stage.app.tick()  # with nothing else that could draw in between
        assert len(shown) == 1
        assert shown[0].startswith("nobody listens there")


@pytest.mark.parametrize(("display", "mouse"), [(Display(), True), (Display(no_mouse=True, link="slow"), False)])
def test_the_mouse_is_left_to_the_terminal(monkeypatch: pytest.MonkeyPatch, display: Display, mouse: bool) -> None:
    ran: list[tuple[FleetApp, dict[str, Any]]] = []

    def run(app: FleetApp, **how: Any) -> int:
        ran.append((app, how))
        return 0

    monkeypatch.setattr(FleetApp, "run", run)
    for name in ("TEXTUAL_ANIMATIONS", "TEXTUAL_SMOOTH_SCROLL", "TEXTUAL_FPS", "TEXTUAL_THEME"):
        monkeypatch.setenv(name, "1")  # so that what is set in a process of its own is taken back here
    assert run_dashboard(Context("plant", BrokerUrl.parse("mqtt://127.0.0.1"), None, display=display)) == 0
    ((app, how),) = ran
    assert how == {"mouse": mouse}
    assert app.pace is PACES[display.link]


def test_what_is_written_is_counted() -> None:
    class Sink:
        def __init__(self) -> None:
            self.data = ""

        def write(self, data: str) -> None:
            self.data += data

    written, kind = Written(), counting(Sink, Written())  # type: ignore[arg-type]
    assert issubclass(kind, Sink)
    kind = counting(Sink, written)  # type: ignore[arg-type]
    sink: Any = kind()  # type: ignore[call-arg]
    sink.write("plain")
    sink.write("›…")
    assert sink.data == "plain›…"
    assert written.bytes == 11


async def test_every_driver_is_counted() -> None:
    async with dashboard(fleet()) as stage:
        assert issubclass(stage.app.driver_class, Driver)
        assert stage.app.driver_class.__name__ == "CountingDriver"


async def test_the_rate_is_that_of_the_last_seconds() -> None:
    async with dashboard(fleet()) as stage:
        for _ in range(10):
            stage.app.written.bytes += 1_234
            stage.feed.messages += 10
            await stage.tick(1)
        assert stage.app.bytes_per_s == 1_234
        assert "10 msg/s" in stage.rows[0]


@pytest.mark.parametrize(
    ("rate", "words"),
    [(0, "0 B/s"), (999.4, "999 B/s"), (999.9, "1.0 KB/s"), (1_234, "1.2 KB/s"), (999_960, "1.0 MB/s"), (3.4e6, "3.4 MB/s")],
)
def test_rates_in_words(rate: float, words: str) -> None:
    assert size_rate(rate) == words


async def test_messages_make_way_for_a_key() -> None:
    async with dashboard(fleet()) as stage:
        assert stage.feed.gave_way_s == 0
        await stage.press("down")
        assert stage.feed.gave_way_s > 0
