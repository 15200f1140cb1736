"""Silences from the screen: counted first, done on the second Enter, refused where only reading is allowed."""

from __future__ import annotations

import asyncio
from pathlib import Path

from support.servers import monitored

from fleetview.config import Flags, resolve
from fleetview.core.servers import Verdict
from fleetview.feeds.alertwatch import AlertWatch
from fleetview.feeds.web import AskError
from fleetview.tui.alert_desk import AlertSetup
from fleetview.tui.screens.alerts import AlertsScreen
from tui.stage import FakeAlerts, Told, dashboard
from tui.test_tui_alerts import HOT, alert, alerting, book, shows


async def test_a_silence_is_counted_first_and_set_on_the_second_enter() -> None:
    feed = FakeAlerts(book())
    async with alerting(feed) as stage:
        await stage.press("a", "s")
        await stage.see('alertname="TooHot", tenant="acme", site="plant-1", device="gw-1"')
        await stage.press("enter")
        await stage.see("comment: say why")
        await stage.type("new fan")
        await stage.press("enter")
        await stage.see("keeps quiet for 2h 00m: 3 alerts on 2 devices now, and all that come")
        assert "fleetview silence add --context plant 'alertname=\"TooHot\"'" in stage.text
        assert "--for 2h --author ana --comment 'new fan'" in stage.text
        assert feed.changed == []
        await stage.type("s")
        assert "keeps quiet" not in stage.text, "what was said is not what would be done any more"
        await stage.press("enter")
        await stage.see("keeps quiet")
        rounds = feed.rounds
        await stage.press("enter")
        await stage.see("silenced for 2h 00m: 5f6c-new")
        matchers = ('alertname="TooHot"', 'tenant="acme"', 'site="plant-1"', 'device="gw-1"')
        assert feed.changed == [("silence", *matchers, 7200.0, "ana", "new fans")]
        assert shows(stage, AlertsScreen)
        assert feed.rounds > rounds


async def test_a_selection_is_silenced_together() -> None:
    async with alerting(FakeAlerts(book(HOT, alert("TooHot", "gw.9")))) as stage:
        await stage.press("a", "space", "space", "s")
        await stage.see(r'device=~"gw-1|gw\\.9"')
        assert "silence 2 alerts" in stage.text


async def test_a_silence_that_is_refused_says_why_and_stays() -> None:
    feed = FakeAlerts(book(), problem=AskError(Verdict(None, "Alertmanager refuses the question")))
    async with alerting(feed) as stage:
        await stage.press("a", "s")
        await stage.type("why")
        await stage.press("enter")
        await stage.see("Alertmanager refuses the question")
        await stage.press("enter", "escape")
        assert feed.changed == []
        assert shows(stage, AlertsScreen)


async def test_silences_are_extended_and_ended() -> None:
    feed = FakeAlerts(book())
    async with alerting(feed) as stage:
        await stage.press("a", "down", "down", "e")
        await stage.see("extend the silence: new fan")
        await stage.press("enter")
        await stage.see("quiet for 3h 19m from now, 2h 00m longer than so far: 3 alerts on 2 devices")
        await stage.press("enter")
        await stage.see("ends 2h 00m later")
        await stage.press("S")
        await stage.see('device="gw-2"')
        await stage.press("E")
        await stage.see("told again, unless another silence is over it: 3 alerts on 2 devices")
        assert "fleetview silence expire --context plant 5f6c-1" in stage.text
        await stage.press("enter")
        await stage.see("ended: 5f6c-1")
        assert feed.changed == [("extend", "5f6c-1", 7200.0, "ana"), ("expire", "5f6c-1")]


async def test_the_line_of_keys_names_what_the_list_is_good_for() -> None:
    async with alerting(FakeAlerts(book()), size=(80, 24)) as stage:
        await stage.press("a")
        assert "x chart" in stage.rows[-1]
        await stage.press("S")
        assert "e extend  E end silence" in stage.rows[-1]
        assert "x chart" not in stage.rows[-1]
        await stage.press("R")
        assert "x chart" in stage.rows[-1]
        assert "extend" not in stage.rows[-1]


async def test_a_long_title_of_a_form_leaves_room_for_its_keys() -> None:
    feed = FakeAlerts(book(alert("T" * 90, "gw-1")))
    async with alerting(feed, size=(80, 24)) as stage:
        await stage.press("a", "s")
        await stage.see("enter says what it would do   esc cancels")


async def test_nothing_is_changed_where_only_reading_is_allowed() -> None:
    feed = FakeAlerts(book())
    async with alerting(feed, read_only="plant is read-only (--read-only): silences are not changed from here") as stage:
        await stage.press("a", "s")
        await stage.see("plant is read-only (--read-only)")
        await stage.press("down", "down", "e", "E")
        assert shows(stage, AlertsScreen)
        assert feed.changed == []


async def test_a_silence_is_set_on_a_real_alertmanager(tmp_path: Path) -> None:
    with monitored(tmp_path) as real:
        file = tmp_path / "fleetview.toml"
        file.touch()
        flags = Flags(prometheus=real.prometheus, alertmanager=real.alertmanager)
        context = resolve(flags, environ={}, file=file)
        told = Told()
        told.online("gw-1", site="plant-7")
        setup = AlertSetup(lambda: AlertWatch.of(context), author="ana")
        async with dashboard(told, size=(160, 36), alerts=setup) as stage:
            await stage.press("a")
            async with asyncio.timeout(20):
                while "TooHot" not in stage.text:
                    await stage.tick(1)
            assert "rule Broken cannot be evaluated" in stage.text
            await stage.press("slash")
            await stage.type("gw-1 toohot")
            await stage.press("enter", "s")
            await stage.type("new fan")
            await stage.press("enter")
            await stage.see("keeps quiet for 2h 00m: 1 alert on 1 device now")
            await stage.press("enter")
            await stage.see("silenced for 2h 00m")
            async with asyncio.timeout(20):
                while "by ana: new fan" not in stage.text:
                    await stage.tick(1)
