"""Alertmanager, and both sources of alerts together: a real Prometheus with rules that tells a real Alertmanager."""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Any

import pytest
from support.fakes import fake_broker, mute
from support.servers import Monitored, answering, monitored, post_alerts, serving

from fleetview.access import Access
from fleetview.core.alerts import AlertState, Places, fingerprint
from fleetview.core.servers import PROMETHEUS, Health
from fleetview.core.silences import Matcher, SilenceState
from fleetview.feeds.alertmanager import Alertmanager
from fleetview.feeds.alerts import AlertSources
from fleetview.feeds.prometheus import Prometheus
from fleetview.feeds.web import AskError, Web

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.servers import Asked


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitored]:
    with monitored(tmp_path_factory.mktemp("monitored")) as running:
        yield running


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


def both(real: Monitored) -> AlertSources:
    return AlertSources(Prometheus(Access(real.prometheus)), Alertmanager(Access(real.alertmanager)))


async def test_both_sources_are_one_list(real: Monitored) -> None:
    seen = await both(real).refresh()
    found = {(one.name, one.labels["device"]): (one.state, one.sources) for one in seen.alerts}
    assert found == {
        ("TooHot", "gw-1"): (AlertState.FIRING, ("prometheus", "alertmanager")),
        ("TooHot", "gw-3"): (AlertState.FIRING, ("prometheus", "alertmanager")),
        ("DiskFills", "gw-1"): (AlertState.PENDING, ("prometheus",)),
    }
    assert seen.alerts[-1].name == "DiskFills", "a warning comes after what is critical"
    hot = next(one for one in seen.alerts if one.labels["device"] == "gw-1")
    assert (hot.value, hot.threshold, hot.severity) == (0.97, "> 0.9", "critical")
    assert (hot.summary, hot.runbook) == ("cpu of gw-1 is 0.97", "https://runbooks.example/too-hot")
    assert hot.labels["cluster"] == "eu-1", "Alertmanager knows it by its external labels, and silences take those"
    assert str(hot.place(Places())) == "acme/plant-7/gw-1"
    assert hot.since_unix_s is not None
    assert abs(hot.since_unix_s - time()) < 120
    assert next(one.value for one in seen.alerts if one.labels["device"] == "gw-3") == float("inf")
    assert len(seen.notes) == 1
    assert seen.notes[0].startswith("Prometheus: rule Broken cannot be evaluated: ")
    assert (seen.failures, set(seen.received_mono_s)) == ((), {"prometheus", "alertmanager"})


async def test_fingerprints_are_those_of_a_real_alertmanager(real: Monitored) -> None:
    told = await Alertmanager(Access(real.alertmanager)).alerts()
    assert len(told.alerts) == 2
    assert [fingerprint(one.labels) for one in told.alerts] == [one.told for one in told.alerts]


async def test_version_groups_and_inhibition(real: Monitored) -> None:
    server = Alertmanager(Access(real.alertmanager))
    assert (await server.version())[0].isdigit()
    groups = await server.groups()
    assert [(receiver, labels, len(found)) for receiver, labels, found in groups] == [("nobody", {"alertname": "TooHot"}, 2)]
    post_alerts(real.alertmanager, {"alertname": "SiteDown", "site": "plant-8"})
    # It stays, so the other tests ask for what it does not touch.
    hot = (Matcher("alertname", "TooHot"), Matcher("site", "plant-8"))

    (one,) = (await server.alerts(hot)).alerts
    (down,) = (await server.alerts((Matcher("alertname", "SiteDown"),))).alerts
    assert (one.state, one.inhibited_by) == (AlertState.INHIBITED, (down.fingerprint,))


async def test_a_silence_from_its_beginning_to_its_end(real: Monitored) -> None:
    server = Alertmanager(Access(real.alertmanager))
    text = 'gw "1"\\é\n{},'
    post_alerts(real.alertmanager, {"alertname": "Odd", "device": text})
    means = (Matcher("device", text), Matcher("alertname", "O.*", is_regex=True), Matcher("ring", "canary", is_equal=False))
    assert len((await server.alerts(means)).alerts) == 1, "Alertmanager reads our matchers as we mean them"
    now = time()
    silence_id = await server.set_silence(means, now, now + 3600, "ann", "planned")
    (odd,) = (await server.alerts(means)).alerts
    assert (odd.state, odd.silenced_by) == (AlertState.SILENCED, (silence_id,))
    silence = next(one for one in (await server.silences()).silences if one.id == silence_id)
    assert (set(silence.matchers), silence.author, silence.comment) == (set(means), "ann", "planned")
    assert silence.state is SilenceState.ACTIVE
    assert await server.extend(silence, silence.ends_unix_s + 600, "ben") == silence_id
    silence = next(one for one in (await server.silences()).silences if one.id == silence_id)
    assert abs(silence.ends_unix_s - (now + 4200)) < 1
    await server.expire(silence_id)
    silence = next(one for one in (await server.silences()).silences if one.id == silence_id)
    assert silence.state is SilenceState.EXPIRED


async def test_a_silence_that_is_none_is_refused_in_its_words(real: Monitored) -> None:
    server = Alertmanager(Access(real.alertmanager))
    await server.version()
    with pytest.raises(AskError, match=r"refuses the question \(HTTP 400\): .*at least one matcher"):
        await server.set_silence((Matcher("a", ".*", is_regex=True),), time(), time() + 60, "ann", "c")
    assert server.standing.health is Health.UP
    with pytest.raises(AskError, match=r"silence not found|HTTP 404"):
        await server.expire("00000000-0000-0000-0000-000000000000")
    assert server.standing.health is Health.UP
    before = server.asking.counts.queries
    with pytest.raises(AskError, match="is not the id of a silence"):
        await server.expire("../../-/reload")
    assert server.asking.counts.queries == before


async def test_a_source_that_falls_silent_keeps_what_it_told(real: Monitored) -> None:
    good = Web(Access(real.prometheus), PROMETHEUS).get("/api/v1/rules", within_s=10).body
    state: dict[str, tuple[int, Any, dict[str, str]]] = {"now": (200, good, {})}
    with answering(lambda _: state["now"]) as fake:
        sources = AlertSources(Prometheus(Access(fake.url)), None)
        first = await sources.refresh()
        state["now"] = (503, b"", {})
        second = await sources.refresh()
    assert len(first.alerts) == 3
    assert second.alerts == first.alerts
    assert second.received_mono_s == first.received_mono_s, "its age goes on"
    assert ["cannot answer now (HTTP 503)" in str(failure) for failure in second.failures] == [True]


async def test_a_ruler_that_was_not_heard_is_told() -> None:
    body = {"status": "success", "data": {"groups": []}, "warnings": ["no answer of ruler-2"]}
    with serving(200, body) as fake:
        seen = await AlertSources(Prometheus(Access(fake.url)), None).refresh()
    assert (seen.alerts, seen.notes) == ((), ("Prometheus warns: no answer of ruler-2",))


async def test_one_that_hangs_does_not_take_the_other_away(real: Monitored) -> None:
    with fake_broker(mute) as silent:
        silent_url = f"http://127.0.0.1:{silent.port}"
        sources = AlertSources(Prometheus(Access(silent_url), timeout_s=0.3), Alertmanager(Access(real.alertmanager)))
        seen = await sources.refresh()
        assert {one.name for one in seen.alerts} >= {"TooHot"}
        assert [str(failure) for failure in seen.failures] == [f"Prometheus at {silent_url} did not answer within 0.3 s"]


@pytest.mark.parametrize(
    ("status", "body", "health", "part"),
    [
        (200, {"a": 1}, Health.OTHER, "not as Alertmanager does"),
        (200, b"<html><title>Log in</title>", Health.OTHER, '"Log in"'),
        (404, b"404 page not found", Health.OTHER, "path prefix"),
        (401, b"", Health.REFUSED, "does not let us in"),
        (500, "broken", Health.FAILING, "HTTP 500: broken"),
    ],
)
async def test_answers_that_are_none(status: int, body: Any, health: Health, part: str) -> None:
    with serving(status, body) as fake:
        server = Alertmanager(Access(fake.url))
        with pytest.raises(AskError, match=r".+") as caught:
            await server.alerts()
    assert (server.standing.health, part in str(caught.value)) == (health, True), str(caught.value)
    assert health is not Health.OTHER or server.standing.word(server.web.service) == "not an Alertmanager"


async def test_what_changes_something_is_asked_once() -> None:
    def reply(_: Asked) -> tuple[int, Any, dict[str, str]]:
        return 503, b"", {}

    with answering(reply) as fake:
        server = Alertmanager(Access(fake.url), draw=lambda _low, _high: 0.0)
        with pytest.raises(AskError):
            await server.set_silence((Matcher("a", "b"),), 0.0, 60.0, "ann", "c")
        assert [one.method for one in fake.asked] == ["POST"]
        with pytest.raises(AskError):
            await server.silences()
        assert [one.method for one in fake.asked] == ["POST", "GET", "GET"]
