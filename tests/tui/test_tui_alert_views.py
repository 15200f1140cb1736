"""Groups, rules and inhibitions on the alerts screen, and the course of an alert's expression."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from support.servers import monitored, post_alerts

from fleetview.access import Access
from fleetview.config import Flags, resolve
from fleetview.core.alertcharts import alert_panel, rule_panel
from fleetview.core.alerts import AlertGroup, AlertState, Places, Rule
from fleetview.feeds.alertwatch import AlertWatch
from fleetview.feeds.prometheus import Prometheus
from fleetview.tui.alert_desk import AlertSetup
from fleetview.tui.app import wall_clock
from fleetview.tui.metrics import Monitoring
from fleetview.tui.screens.alert import AlertScreen
from fleetview.tui.screens.metrics import MetricsScreen
from tui.stage import STARTED, FakeAlerts, Told, dashboard
from tui.test_tui_alerts import FULL, HOT, WATCHDOG, alert, alerting, book, shows
from tui.test_tui_metrics import FakeSource, monitoring

DOWN = alert("SiteDown", None, told="f1")
QUIET = alert("TooHot", "gw-2", state=AlertState.INHIBITED, inhibited_by=("f1",))
RULE = Rule("TooHot", "fleet", "cpu > 0.9", "critical", "firing", "ok", "", 300.0, STARTED.unix_s - 25, 0.0021)


def test_the_panel_of_an_alert_is_its_own_course_and_its_bound() -> None:
    labels = {"tenant": "acme", "site": "plant-1", "device": 'gw"1$', "release": "1.5.0"}
    panel = alert_panel(replace(HOT, query="max by (device) (cpu) > 0.9", own=labels), Places())
    assert panel is not None
    assert panel.title == "alert TooHot: fires when > 0.9"
    assert panel.thresholds == {"critical": 0.9}
    wanted = 'label_replace(label_replace(label_replace(vector(1), "tenant", "acme", "", ""), "site", "plant-1", "", "")'
    assert panel.query == (
        "(max by (device) (cpu)) and on (tenant, site, device) " + wanted + ', "device", "gw\\"1$$", "", "")'
    )
    other = alert_panel(replace(HOT, query="absent(up)", own={"job": "x"}), Places())
    assert other is not None
    assert (other.title, other.thresholds) == ("alert TooHot", {})
    assert other.query == '(absent(up)) and on (job) label_replace(vector(1), "job", "x", "", "")'
    assert alert_panel(replace(HOT, query=None), Places()) is None


def test_of_a_bound_from_below_small_values_are_bad() -> None:
    panel = rule_panel(Rule("Low", "g", "free_bytes < 5", "warning", "inactive", "ok", "", 0.0))
    assert (panel.query, panel.judge(4), panel.judge(5.1)) == ("free_bytes", "degraded", None)


async def test_groups_are_asked_for_while_they_are_looked_at() -> None:
    feed = FakeAlerts(book(HOT, FULL, WATCHDOG))
    async with alerting(feed) as stage:
        await stage.press("a", "g")
        await stage.see("Alertmanager is asked for its groups")
        feed.book = book(HOT, FULL, groups=(AlertGroup("pager", {"site": "plant-1"}, (HOT, FULL)),))
        await stage.press("r")
        await stage.tick(1)
        await stage.see("TooHot, DiskFills, site=plant-1 on 2 devices")
        row = stage.rows[stage.row_of("pager")]
        assert row.split()[1:4] == ["pager", "1", "1"]
        await stage.press("enter")
        await stage.see("told together to pager")
        assert "DiskFills" in stage.text
        await stage.press("escape", "escape")
        await stage.see("alerts of all devices")
        assert feed.wants_groups is False, "nobody looks at them any more"


async def test_what_is_inhibited_says_by_whom_and_who_inhibits_says_whom() -> None:
    async with alerting(FakeAlerts(book(DOWN, QUIET))) as stage:
        await stage.press("a")
        await stage.see("inhibited by SiteDown")
        await stage.press("d")
        await stage.see("keeps 1 other quiet (inhibits it)")
        assert "acme/plant-1/gw-2" in stage.text


async def test_rules_say_when_they_were_last_evaluated() -> None:
    async with alerting(FakeAlerts(book(rules=(RULE, replace(RULE, name="New", evaluated_unix_s=None))))) as stage:
        await stage.press("a", "R")
        await stage.see("LAST")
        assert "20s" in stage.rows[stage.row_of("TooHot")]
        assert "never" in stage.rows[stage.row_of("New")]
        await stage.press("d")
        await stage.see("ago, which took 2.1 ms")
        assert shows(stage, AlertScreen)


async def test_the_runbook_is_a_key_away() -> None:
    async with alerting(FakeAlerts(book())) as stage:
        await stage.press("a", "o")
        await stage.see("https://runbooks.example/too-hot")
        assert "copied the link" in stage.text
        await stage.press("down", "o")
        await stage.see("no runbook is given")


async def test_the_course_of_an_alert_with_its_bound() -> None:
    source = FakeSource({(("device", "gw-1"),): lambda _: 0.97})
    told = Told()
    told.online("gw-1")
    hot = replace(HOT, own={"device": "gw-1"})
    setup = AlertSetup(lambda: FakeAlerts(book(hot, alert("Elsewhere", None))))
    async with dashboard(told, size=(120, 36), alerts=setup, monitoring=monitoring(source)) as stage:
        await stage.press("a", "x")
        await stage.see("alert TooHot: fires when > 0.9")
        await stage.see("✗ 0.97")
        asked = [query for query, *_ in source.asked]
        assert '(vitals_cpu) and on (device) label_replace(vector(1), "device", "gw-1", "", "")' in asked
        await stage.press("escape")
        await stage.press("down", "x")
        await stage.see("Prometheus does not tell of its expression")


async def test_groups_inhibitions_and_the_course_on_real_servers(tmp_path: Path) -> None:
    with monitored(tmp_path) as real:
        file = tmp_path / "fleetview.toml"
        file.touch()
        context = resolve(Flags(prometheus=real.prometheus, alertmanager=real.alertmanager), environ={}, file=file)
        told = Told(now=wall_clock())
        told.online("gw-1", "gw-2", site="plant-7")
        post_alerts(real.alertmanager, {"alertname": "SiteDown", "site": "plant-8"})
        setup = AlertSetup(lambda: AlertWatch.of(context), author="ana")
        asks = Monitoring(lambda: Prometheus(Access(real.prometheus)), scrape_interval_s=1.0)
        async with dashboard(told, size=(160, 40), alerts=setup, monitoring=asks) as stage:

            async def until(words: str, *keys: str) -> None:
                async with asyncio.timeout(25):
                    while words not in stage.text:
                        await stage.press(*keys)
                        await stage.tick(1)

            await stage.press("a")
            await until("inhibited by SiteDown", "r")
            await stage.press("g")
            await until("TooHot on 2 devices", "r")
            await stage.press("R")
            await until("broken")
            assert "now" in stage.rows[stage.row_of("firing")] or "0s" in stage.rows[stage.row_of("firing")]
            await stage.press("R")
            await until("alerts of all devices")
            await stage.press("slash")
            await stage.type("gw-1 toohot")
            await stage.press("enter", "x")
            await until("alert TooHot: fires when > 0.9")
            await stage.press("plus", "plus")
            await until("✗ 0.97")
            assert isinstance(stage.app.screen, MetricsScreen)
            assert "gw-2" not in stage.text
