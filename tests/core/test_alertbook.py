"""The alerts of a fleet at one moment: whose they are, what a badge says, when a dead man's switch deceives nobody."""

from __future__ import annotations

import pytest
from tui.stage import Told

from fleetview.core.alertbook import (
    OLD_S,
    AlertBook,
    Badge,
    Server,
    device_alerts,
    device_matchers,
    holding,
    holds,
    is_switch,
    marking,
    matchers_of,
    switch_trouble,
)  # fmt: skip
from fleetview.core.alerts import Alert, AlertState, Places, Source
from fleetview.core.device import NO_ALERTS, DeviceAlerts
from fleetview.core.servers import Health, Standing
from fleetview.core.silences import Matcher, Silence, SilenceState, parse_matchers
from fleetview_agent.wire import Address

GW = Address("acme", "plant-1", "gw-1")
BOTH: tuple[Source, ...] = ("prometheus", "alertmanager")


def alert(name: str = "TooHot", state: AlertState = AlertState.FIRING, **labels: str) -> Alert:
    return Alert({"alertname": name, **labels}, state, 1000.0, sources=BOTH)


def server(source: Source, health: Health = Health.UP, answered: float | None = 100.0) -> Server:
    return Server(source, "http://x", Standing(health, "", 0.0), answered)


def silence(name: str, ends: float, state: SilenceState = SilenceState.ACTIVE) -> Silence:
    return Silence(name, (Matcher("a", "b"),), state, 0.0, ends, "ana", "why")


UP = (server("prometheus"), server("alertmanager"))


def test_an_alert_is_of_the_devices_that_it_may_mean() -> None:
    exact = alert(tenant="acme", site="plant-1", device="gw-1")
    loose, whole = alert("Loose", device="gw-1"), alert("Whole", device="acme/plant-1/gw-1")
    book = AlertBook((exact, loose, whole, alert("Else", site="plant-2", device="gw-1"), alert("Site", site="plant-1")))
    assert [one.name for one in book.of(GW)] == ["TooHot", "Loose", "Whole"]
    assert book.of(Address("acme", "plant-1", "gw-2")) == ()
    assert book.devices() == {"gw-1"}


def test_a_badge_counts_what_is_loud_and_the_time_that_the_rest_is_quiet() -> None:
    loud = alert(device="gw-1", severity="critical")
    quiet = Alert({"alertname": "Full", "device": "gw-1"}, AlertState.SILENCED, None, silenced_by=("s1", "s2"))
    book = AlertBook(
        (loud, quiet, alert("Watchdog", device="gw-1")), holding([silence("s1", 500), silence("s2", 7200)]), servers=UP
    )
    badge = book.badge(GW, 101.0)
    assert badge == Badge(1, 1, 0, 7200)
    assert badge.words(3600.0) == "1 alert, 1 silenced 1h 00m left"
    old = book.badge(GW, 101.0 + OLD_S)
    assert old is not None
    assert old.words(0).endswith("(old)")
    assert book.badge(Address("acme", "plant-1", "gw-2"), 101.0) is None


def test_what_fires_is_counted_without_what_is_quiet_pending_or_a_switch() -> None:
    states = [alert(f"A{state}", state) for state in AlertState]
    assert [one.name for one in AlertBook((*states, alert("Watchdog"))).loud] == ["Afiring"]


def test_who_inhibits_is_found_by_what_alertmanager_calls_it() -> None:
    source = Alert({"alertname": "SiteDown"}, AlertState.FIRING, None, told="f1")
    target = Alert({"alertname": "Hot"}, AlertState.INHIBITED, None, inhibited_by=("f1", "f9"))
    assert AlertBook((source, target)).inhibitors_of(target) == [source]


def test_silences_that_are_over_hold_nothing() -> None:
    over = silence("s1", 5, SilenceState.EXPIRED)
    assert list(holding([over, silence("s2", 5), silence("s3", 9, SilenceState.PENDING)])) == ["s2", "s3"]


@pytest.mark.parametrize(
    ("name", "severity", "is_one"),
    [
        ("Watchdog", "none", True),
        ("DeadMansSwitch", "", True),
        ("dead_man", "info", True),
        ("Any", "deadman", True),
        ("Hot", "none", False),
    ],
)
def test_a_switch_is_known_by_its_name_or_severity(name: str, severity: str, is_one: bool) -> None:
    assert is_switch(alert(name, severity=severity)) is is_one


def test_a_switch_that_fires_everywhere_is_in_order_and_so_is_none() -> None:
    assert switch_trouble([alert("Watchdog")], frozenset({"Watchdog"}), UP, 2000.0) is None
    assert switch_trouble([alert()], frozenset(), UP, 2000.0) is None


def test_a_switch_that_is_gone_is_trouble() -> None:
    assert "Watchdog fires no more" in (switch_trouble([alert()], frozenset({"Watchdog"}), UP, 2000.0) or "")


def test_a_switch_that_alertmanager_does_not_know_is_trouble() -> None:
    lonely = Alert({"alertname": "Watchdog"}, AlertState.FIRING, 1000.0, sources=("prometheus",))
    assert "nobody is told" in (switch_trouble([lonely], frozenset(), UP, 2000.0) or "")
    assert switch_trouble([lonely], frozenset(), UP, 1060.0) is None, "it may just not have been told yet"
    assert switch_trouble([lonely], frozenset(), UP[:1], 2000.0) is None, "there is no Alertmanager to know"


@pytest.mark.parametrize("state", [AlertState.SILENCED, AlertState.INHIBITED])
def test_a_switch_that_is_quiet_is_trouble(state: AlertState) -> None:
    assert "nobody would notice" in (switch_trouble([alert("Watchdog", state)], frozenset(), UP, 2000.0) or "")


def test_a_switch_is_not_blamed_for_a_server_that_is_silent() -> None:
    down = (UP[0], server("alertmanager", Health.UNREACHABLE))
    assert switch_trouble([], frozenset({"Watchdog"}), down, 2000.0) is None


def test_what_never_answered_is_old() -> None:
    assert AlertBook(servers=(server("prometheus", answered=None),)).is_old(0)
    assert not AlertBook(servers=UP).is_old(100 + OLD_S)


def test_words_are_looked_for_everywhere_and_may_be_excluded() -> None:
    one = Alert({"alertname": "Disk Full", "site": "plant-7"}, AlertState.PENDING, None, {"summary": "93 % used"})
    assert all(holds(one, text) for text in ("", "disk", "PLANT-7 pending", "93 -firing", "-"[:0], "site=plant-7"))
    assert not any(holds(one, text) for text in ("disk -plant-7", "firing"))


def test_a_silence_for_several_names_each_of_their_values() -> None:
    names = Places()
    found = matchers_of([alert(device="gw-1", site="a"), alert(device="gw.2", site="a"), alert(device="gw-1")], names)
    assert list(map(str, found)) == ['alertname="TooHot"', r'device=~"gw-1|gw\\.2"']
    assert matchers_of([], names) == ()
    assert parse_matchers(", ".join(map(str, found))) == found


@pytest.mark.parametrize("text", ['a="x,y", b=~"\\"z,"', 'a="x,y",b=~"\\"z,",', ' a="x,y" , , b=~"\\"z,"'])
def test_matchers_are_parted_at_commas_outside_of_quotes(text: str) -> None:
    assert parse_matchers(text) == (Matcher("a", "x,y"), Matcher("b", '"z,', is_regex=True))


@pytest.mark.parametrize("text", ["", " , ", "a", "a=", 'a="x', ",".join(f"a{number}=b" for number in range(33))])
def test_matchers_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_matchers(text)


def test_filters_see_of_a_device_what_fires_and_what_is_quiet() -> None:
    quiet = alert("Full", AlertState.SILENCED, device="gw-1", severity="critical")
    loud = alert("TooHot", AlertState.PENDING, device="gw-1", severity="Warning")
    found = device_alerts((loud, quiet, alert("Watchdog", device="gw-1")))
    assert found == DeviceAlerts(
        1, ("TooHot", "pending", "TooHot:pending", "Full", "silenced", "Full:silenced"), ("warning",)
    )


def test_alerts_are_noted_at_their_devices_and_taken_off_again() -> None:
    told = Told()
    told.online("gw-1", "gw-2")
    told.fleet.drain()
    for _ in marking(told.fleet, AlertBook((alert(site="plant-1", device="gw-1"),))):
        pass
    first, second = (told.fleet.devices[Address("acme", "plant-1", name)] for name in ("gw-1", "gw-2"))
    assert first.alerts is not None
    assert (first.alerts.loud, second.alerts) == (1, NO_ALERTS)
    assert told.fleet.drain().touched == {first}, "nothing that is shown of the other has changed"
    for _ in marking(told.fleet, AlertBook()):
        pass
    assert first.alerts == NO_ALERTS
    assert told.fleet.drain().touched == {first}


def test_a_silence_for_devices_calls_them_as_their_alerts_do() -> None:
    other = Address("acme", "plant-2", "gw.9")
    book = AlertBook((Alert({"alertname": "Full", "device": "acme/plant-1/gw-1"}, AlertState.FIRING, None),))
    assert device_matchers((other,), book) == (
        Matcher("tenant", "acme"), Matcher("site", "plant-2"), Matcher("device", "gw.9"),
    )  # fmt: skip
    assert device_matchers((GW,), book) == (Matcher("device", "acme/plant-1/gw-1"),)
    assert device_matchers((GW, other), book) == (Matcher("device", r"acme/plant-1/gw-1|gw\.9", is_regex=True),)
    assert device_matchers((other,), book, whole_sites=True) == (Matcher("tenant", "acme"), Matcher("site", "plant-2"))
