"""Alerts on the screen: the list, the whole of one, badges, silences, and servers that do not answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from textual.screen import Screen

import fleetview.core.alertbook as alertbook_module
import fleetview.tui.screens.alerts as alerts_module
from fleetview.core.alertbook import AlertBook, Server, holding
from fleetview.core.alerts import Alert, AlertState, Rule, Source
from fleetview.core.servers import Health, Standing
from fleetview.core.silences import Matcher, Silence, SilenceState
from fleetview.tui.alert_desk import AlertSetup
from fleetview.tui.screens.alert import AlertScreen
from fleetview.tui.screens.alerts import AlertsScreen
from fleetview.tui.screens.device import DeviceScreen
from fleetview.tui.screens.form import FormScreen
from fleetview.tui.spans import line_width
from fleetview.tui.status import status_lines
from fleetview_agent.endpoint import TlsFileError
from tui.stage import STARTED, FakeAlerts, Stage, Told, dashboard

BOTH: tuple[Source, ...] = ("prometheus", "alertmanager")


def alert(name: str, device: str | None = "gw-1", severity: str = "critical", **more: Any) -> Alert:
    labels = {"alertname": name, "severity": severity, "tenant": "acme", "site": "plant-1"}
    if device is not None:
        labels["device"] = device
    given = {"state": AlertState.FIRING, "since_unix_s": STARTED.unix_s - 360, "sources": BOTH, **more}
    return Alert(labels, **given)


def server(
    source: Source = "prometheus", health: Health = Health.UP, words: str = "", answered: float | None = 4.0
) -> Server:
    standing = Standing(health, words, STARTED.mono_s - 130)
    return Server(source, f"http://{source}.example", standing, None if answered is None else STARTED.mono_s - answered)


def silence(name: str = "5f6c-1", ends_in: float = 4800.0, comment: str = "new fan") -> Silence:
    ends = STARTED.unix_s + ends_in
    return Silence(name, (Matcher("device", "gw-2"),), SilenceState.ACTIVE, STARTED.unix_s - 60, ends, "ana", comment)


HOT = alert(
    "TooHot",
    value=0.97,
    threshold="> 0.9",
    query="vitals_cpu > 0.9",
    annotations={"summary": "cpu is \x1b[31m97 %", "runbook_url": "https://runbooks.example/too-hot"},
    rule=Rule("TooHot", "fleet", "vitals_cpu > 0.9", "critical", "firing", "ok", "", 300.0),
)
FULL = alert("DiskFills", "gw-2", "warning", state=AlertState.SILENCED, silenced_by=("5f6c-1",))
BROKEN = Rule("Broken", "fleet", "a * b > 0", "", "unknown", "err", "duplicate \x1b series", 0.0)
SOON = alert("Slow", "gw-3", "warning", state=AlertState.PENDING)
WATCHDOG = alert("Watchdog", None, "none")


def book(*alerts: Alert, servers: tuple[Server, ...] = (server(), server("alertmanager")), **more: Any) -> AlertBook:
    return AlertBook(alerts or (HOT, SOON, FULL, WATCHDOG), holding([silence()]), servers=servers, **more)


@asynccontextmanager
async def alerting(feed: FakeAlerts, *, size: tuple[int, int] = (160, 36), **setup: Any) -> AsyncIterator[Stage]:
    told = Told()
    told.online("gw-1", "gw-2", "gw-3")
    given = AlertSetup(lambda: feed, author="ana", options=" --context plant", **setup)
    async with dashboard(told, size=size, alerts=given) as stage:
        await stage.tick(1)
        yield stage


def shows(stage: Stage, kind: type[Screen[Any]]) -> bool:
    return isinstance(stage.app.screen, kind)


async def test_the_list_is_worst_first_and_says_all() -> None:
    async with alerting(FakeAlerts(book())) as stage:
        await stage.press("a")
        await stage.see("TooHot")
        hot = stage.rows[stage.row_of("TooHot")]
        for words in ("✗ firing", "critical", "acme/plant-1/gw-1", "6m", "0.97 > 0.9", "cpu is ␛[31m97 %"):
            assert words in hot
        assert "for 1h 19m more by ana: new fan" in stage.rows[stage.row_of("DiskFills")]
        assert "☾ silenced" in stage.rows[stage.row_of("DiskFills")]
        assert stage.order("TooHot", "Slow", "DiskFills", "Watchdog") == ["TooHot", "Slow", "DiskFills", "Watchdog"]
        assert "1 firing, 1 pending, 1 silenced" in stage.text, "the dead man's switch is not counted"


async def test_the_first_line_says_how_many_fire_and_how_old_that_is() -> None:
    async with alerting(FakeAlerts(book())) as stage:
        assert "prometheus ● now ▏ alertmanager ● now ▏ alerts 1 firing" in stage.rows[0]
        await stage.tick(30)
        assert "prometheus ● 30s" in stage.rows[0]
        await stage.tick(200)
        assert "alerts 1 firing, 3m old" in stage.rows[0]


@pytest.mark.parametrize("width", [60, 80, 100, 120])
async def test_alerts_cost_the_first_line_nothing(width: int) -> None:
    async with alerting(FakeAlerts(book())) as stage:
        watch = stage.app.watching()
        plain = status_lines(replace(watch, alerts=()), width, stage.app.glyphs)[0]
        line = status_lines(watch, width, stage.app.glyphs)[0]
        assert watch.alerts
        assert line[: len(plain) - 2] == plain[:-2]
        assert line[-1] == plain[-1]
        assert line_width(line) <= max(line_width(plain), width - 14)


async def test_nobody_is_configured() -> None:
    told = Told()
    told.online("gw-1")
    async with dashboard(told) as stage:
        assert "alerts" not in stage.rows[0]
        await stage.press("a")
        await stage.see("Neither Prometheus nor Alertmanager is configured")
        assert "--prometheus URL --alertmanager URL" in stage.text
        await stage.press("s", "e", "x", "enter", "S", "escape")
        assert not shows(stage, FormScreen)


async def test_a_server_that_hangs_costs_nothing_and_is_said() -> None:
    feed = FakeAlerts(book(), hangs=True)
    async with alerting(feed) as stage:
        assert "gw-2" in stage.text
        await stage.press("a")
        await stage.see("asked, and not answered yet")
        assert "no alerts" not in stage.text
    assert feed.closed


async def test_a_server_that_is_down_is_said_in_words_with_its_age() -> None:
    down = server("prometheus", Health.UNREACHABLE, "connection refused by \x1b[2Jprom.example", answered=600)
    async with alerting(FakeAlerts(book(servers=(down,)))) as stage:
        assert "prometheus ✗ unreachable 10m" in stage.rows[0]
        await stage.press("a")
        await stage.see("✗ unreachable for 2m")
        assert "what it told is 10m 01s old" in stage.text
        assert "connection refused by ␛[2Jprom.example" in stage.text


async def test_who_never_answered_leaves_no_all_clear() -> None:
    down = server("prometheus", Health.REFUSED, "HTTP 401", answered=None)
    async with alerting(FakeAlerts(AlertBook(servers=(down,)))) as stage:
        assert "alerts ?, not all known" in stage.rows[0]
        await stage.press("a")
        await stage.see("no alerts, as far as those that answered know")


async def test_enter_drills_to_the_device_and_back() -> None:
    async with alerting(FakeAlerts(book())) as stage:
        await stage.press("a", "enter")
        assert shows(stage, DeviceScreen)
        assert "alerts" in stage.rows[0]
        await stage.see("alerts ✗ firing TooHot for 6m  cpu is ␛[31m97 %")
        await stage.press("a")
        await stage.see("alerts of acme/plant-1/gw-1")
        assert "TooHot" in stage.text
        assert "DiskFills" not in stage.text
        await stage.press("escape", "escape")
        assert shows(stage, AlertsScreen)


async def test_the_whole_of_an_alert() -> None:
    async with alerting(FakeAlerts(book())) as stage:
        await stage.press("a", "d")
        await stage.see("vitals_cpu > 0.9")
        assert shows(stage, AlertScreen)
        for words in ("https://runbooks.example/too-hot", "evaluated well", "its condition must hold for 5m", "plant-1"):
            assert words in stage.text
        await stage.press("escape", "down", "down", "d")
        await stage.see("for 1h 19m more")
        assert "Prometheus does not tell of this alert" in stage.text


async def test_without_a_device_enter_shows_the_alert() -> None:
    async with alerting(FakeAlerts(book(alert("SiteDown", None), alert("Gone", "gw-99")))) as stage:
        await stage.press("a", "enter")
        assert shows(stage, AlertScreen)
        await stage.press("escape", "down", "enter")
        assert shows(stage, AlertScreen)


async def test_words_filter_and_the_command_takes_them() -> None:
    async with alerting(FakeAlerts(book())) as stage:
        await stage.press("a", "slash")
        await stage.type("disk")
        assert "TooHot" not in stage.text
        assert "DiskFills" in stage.text
        await stage.press("enter", "escape")
        assert "TooHot" in stage.text
        await stage.press("colon")
        await stage.type("alerts pending")
        await stage.press("enter")
        await stage.see("Slow")
        assert "TooHot" not in stage.text


async def test_devices_wear_badges() -> None:
    async with alerting(FakeAlerts(book())) as stage:
        assert "1 alert" in stage.rows[stage.row_of("gw-1")]
        assert "1 silenced 1h 19m left" in stage.rows[stage.row_of("gw-2")]
        await stage.tick(300)
        assert "1 alert (old)" in stage.rows[stage.row_of("gw-1")]


async def test_the_cursor_stays_with_its_alert() -> None:
    feed = FakeAlerts(book())
    async with alerting(feed) as stage:
        await stage.press("a", "down")
        feed.book = book(alert("Worse"), HOT, SOON)
        await stage.press("r")
        assert feed.retried == 1
        await stage.tick(1)
        await stage.see("Worse")
        await stage.press("d")
        assert "Slow" in stage.text.splitlines()[stage.row_of("pending")]


async def test_a_dead_mans_switch_that_is_gone_is_said_on_every_screen() -> None:
    trouble = "the dead man's switch Watchdog fires no more: alerts may not come through"
    async with alerting(FakeAlerts(book(HOT, switch=trouble)), size=(80, 24)) as stage:
        await stage.see(trouble[:60])


async def test_the_rules_are_listed_with_what_cannot_be_evaluated_first() -> None:
    assert HOT.rule is not None
    async with alerting(FakeAlerts(book(rules=(BROKEN, HOT.rule)))) as stage:
        await stage.press("a", "R")
        await stage.see("rules of Prometheus")
        assert stage.order("Broken", "TooHot") == ["Broken", "TooHot"]
        assert "✗ broken" in stage.rows[stage.row_of("Broken")]
        assert "duplicate ␛ series" in stage.rows[stage.row_of("Broken")]
        assert "vitals_cpu > 0.9" in stage.rows[stage.row_of("TooHot")]
        await stage.press("enter")
        await stage.see("a * b > 0")
        await stage.press("escape", "s", "e", "space", "escape")
        await stage.see("alerts of all devices")


async def test_a_slow_link_is_asked_for_less_and_ctrl_r_asks_at_once() -> None:
    feed = FakeAlerts(book())
    async with alerting(feed) as stage:
        assert stage.app.desk.every_s == 15
        await stage.press("colon")
        await stage.type("link slow")
        await stage.press("enter")
        assert stage.app.desk.every_s == 60
        await stage.press("ctrl+r")
        await stage.tick(1)
        assert (feed.retried, feed.rounds) == (1, 2)


async def test_a_bug_of_the_feed_is_said_and_the_fleet_stays() -> None:
    class Broken(FakeAlerts):
        async def refresh(self) -> AlertBook:
            msg = "no \x1b[2J such thing"
            raise RuntimeError(msg)

    async with alerting(Broken(book())) as stage:
        assert "alerts ✗ not asked for" in stage.rows[0]
        assert "gw-2" in stage.text
        await stage.press("a")
        await stage.see("nobody asks for alerts any more: RuntimeError: no ␛[2J such thing")


async def test_a_file_that_cannot_be_used_is_said_and_the_fleet_stays() -> None:
    def none() -> FakeAlerts:
        msg = "cafile ca.pem: there is no such file"
        raise TlsFileError(msg)

    told = Told()
    told.online("gw-1")
    async with dashboard(told, alerts=AlertSetup(none)) as stage:
        await stage.press("a")
        await stage.see("nobody asks for alerts: cafile ca.pem: there is no such file")


async def test_at_80_columns_doubt_is_a_question_mark() -> None:
    down = server("prometheus", Health.UNREACHABLE, "connection refused", answered=None)
    async with alerting(FakeAlerts(book(servers=(server("alertmanager"), down))), size=(80, 24)) as stage:
        assert "alerts 1 firing? " in stage.rows[0]
        assert "UTC" in stage.rows[0]


async def test_ten_thousand_alerts_cost_a_tick_only_the_lines_in_sight(monkeypatch: pytest.MonkeyPatch) -> None:
    many = tuple(alert("TooHot", f"gw-{number}") for number in range(10_000))
    async with alerting(FakeAlerts(book(*many))) as stage:
        await stage.press("a")
        await stage.tick(1)
        asked: list[Alert] = []

        def look(one: Alert, *_: object) -> bool:
            asked.append(one)
            return True

        monkeypatch.setattr(alerts_module, "holds", look)
        monkeypatch.setattr(alertbook_module, "is_switch", look)
        await stage.tick(1)
        assert asked == []
