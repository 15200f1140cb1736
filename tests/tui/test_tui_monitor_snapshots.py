"""What is shown with a Prometheus and an Alertmanager, as a person sees it. They answer the same in every run."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from textual.app import App

from fleetview.core.alerts import AlertState
from fleetview.core.devicecolumns import DeviceColumn
from fleetview.core.panels import WHOSE
from fleetview.feeds.states import Up
from fleetview.remembered import Remembered
from fleetview.tui.alert_desk import AlertSetup
from fleetview.tui.app import FleetApp, Setup
from fleetview.tui.glyphs import UNICODE
from tui.stage import FakeAlerts, FakeFeed, Told
from tui.test_tui_alerts import BROKEN, FULL, HOT, SOON, WATCHDOG, alert, book
from tui.test_tui_metrics import FakeSource, Values, monitoring
from tui.test_tui_snapshots import SnapCompare, _colours_of_every_machine, after

__all__ = ["_colours_of_every_machine"]

HEAT = DeviceColumn("inlet", "INLET", "inlet", "celsius", thresholds={"degraded": 40.0})
QUIET = alert("TooWarm", "gw-3", "warning", state=AlertState.INHIBITED, inhibited_by=("f1",))


def labels(number: int) -> tuple[tuple[str, str], ...]:
    return (("tenant", "acme"), ("site", "plant-1"), ("device", f"gw-{number}"))


def wave(number: int, height: float, *, step_at: float = math.inf) -> Values:
    def value(at: float) -> float:
        return height if at % 3600 > step_at else height * (0.4 + 0.1 * math.sin(at / 600 + number))

    return {labels(number): value}


def source() -> FakeSource:
    cpu = {**wave(1, 0.97, step_at=1200), **wave(2, 0.6), **wave(3, 0.5), **wave(4, 0.3)}
    own: Values = {
        ((WHOSE, "own"),): lambda at: 0.97 if at % 3600 > 1200 else 0.2,
        ((WHOSE, "low"),): lambda _: 0.1,
        ((WHOSE, "median"),): lambda _: 0.2,
        ((WHOSE, "high"),): lambda _: 0.3,
    }
    marks: Values = {
        ((WHOSE, "alert"), ("alertname", "TooHot")): lambda at: 1.0 if at % 3600 > 1500 else None,
        ((WHOSE, "release"), ("release", "1.4.2")): lambda at: 1.0 if at % 3600 <= 1200 else None,
        ((WHOSE, "release"), ("release", "1.5.0")): lambda at: 1.0 if at % 3600 > 1200 else None,
    }
    special: dict[str, Values] = {
        "ALERTS": marks,
        "label_replace(max(": own,
        "vector(1)": {(("device", "gw-1"),): lambda at: 0.97 if at % 3600 > 1200 else 0.2},
        "inlet": {labels(1): lambda _: 41.0, labels(2): lambda _: 35.5, labels(3): lambda _: 31.0},
    }
    return FakeSource(cpu, special=special)


def app(theme: str | None = "textual-dark") -> FleetApp:
    told = Told()
    told.online("gw-2", "gw-3", "gw-4")
    told.online("gw-1", health="critical", reasons=("module rule_engine failed after 5 restarts",))
    remembered = Remembered()
    remembered.put("columns", ["health", "alerts", "CPU history", "inlet", "why"])
    hot = replace(HOT, own={"device": "gw-1"}, told="f1")
    assert hot.rule is not None
    feed = FakeAlerts(book(hot, SOON, FULL, QUIET, WATCHDOG, rules=(BROKEN, hot.rule)))
    setup = Setup(
        "plant",
        "broker.example:8883",
        UNICODE,
        theme,
        alerts=AlertSetup(lambda: feed, author="ana"),
        monitoring=monitoring(source(), columns=(HEAT,)),
        remembered=remembered,
    )
    return FleetApp(told.fleet, FakeFeed(Up(told.now.mono_s - 65, "5")), setup, clock=lambda: told.now)


SCREENS: dict[str, tuple[tuple[str, ...], tuple[int, int]]] = {
    "columns-120x30": (("down",), (120, 30)),
    "alerts-80x24": (("a",), (80, 24)),
    "alert-chart-120x36": (("a", "x"), (120, 36)),
    "charts-80x24": (("enter", "m"), (80, 24)),
}


@pytest.mark.parametrize(("keys", "size"), SCREENS.values(), ids=SCREENS)
def test_screen(snap_compare: SnapCompare, keys: tuple[str, ...], size: tuple[int, int]) -> None:
    assert snap_compare(app(), run_before=after(*keys), terminal_size=size)


def test_columns_without_colours(snap_compare: SnapCompare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(App.theme, "_default", "ansi-dark")
    assert snap_compare(app(theme=None), run_before=after("down"), terminal_size=(80, 24))
