"""Alerts from both sources as one list: identity, place, order, thresholds, and whatever a server may send instead."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetview.core import alertread
from fleetview.core.alertread import read_alertmanager, read_rules, unix_s
from fleetview.core.alerts import Alert, AlertState, Place, Places, concerns, fingerprint, merge, severity_rank
from fleetview.core.comparisons import threshold_of


def rules(*items: Any, query: str = "cpu > 0.9", **more: Any) -> dict[str, Any]:
    return {"groups": [{"rules": [{"type": "alerting", "name": "Hot", "query": query, "alerts": list(items)} | more]}]}


def ours(since: str = "2026-11-24T10:00:00.123456789Z", state: str = "firing", value: str = "9.7e-01", **labels: str) -> Any:
    return {"labels": {"alertname": "Hot"} | labels, "state": state, "activeAt": since, "value": value, "annotations": {}}


def theirs(since: str = "2026-11-24T10:05:00Z", status: dict[str, Any] | None = None, **labels: str) -> Any:
    return {
        "labels": {"alertname": "Hot"} | labels,
        "status": {"state": "active", "silencedBy": [], "inhibitedBy": []} | (status or {}),
        "startsAt": since,
        "annotations": {"summary": "too hot", "runbook_url": "https://runbooks/hot"},
        "receivers": [{"name": "ops"}],
        "generatorURL": "http://prom/graph",
        "fingerprint": "f1",
    }


def test_what_both_tell_is_one_alert() -> None:
    told = read_alertmanager([theirs(device="gw-1", cluster="eu")])
    (one,) = merge(read_rules(rules(ours(device="gw-1"))).alerts, told.alerts)
    assert one.sources == ("prometheus", "alertmanager")
    assert one.labels == {"alertname": "Hot", "device": "gw-1", "cluster": "eu"}
    assert (one.value, one.threshold, one.query) == (0.97, "> 0.9", "cpu > 0.9")
    assert (one.summary, one.runbook, one.receivers, one.fingerprint) == ("too hot", "https://runbooks/hot", ("ops",), "f1")
    assert one.since_unix_s == unix_s("2026-11-24T10:00:00.123456Z"), "since the condition holds"


def test_other_labels_are_another_alert() -> None:
    merged = merge(
        read_rules(rules(ours(device="gw-1"), ours(device="gw-2", state="pending"))).alerts,
        read_alertmanager([theirs(device="gw-3"), theirs(device="gw-1", mode="x")]).alerts,
    )
    assert [(one.labels["device"], one.state, len(one.sources)) for one in merged] == [
        ("gw-3", AlertState.FIRING, 1),
        ("gw-1", AlertState.FIRING, 2),
        ("gw-2", AlertState.PENDING, 1),
    ]


def test_of_two_that_fit_the_one_with_more_labels_is_meant() -> None:
    merged = merge(
        read_rules(rules(ours(device="gw-1"), ours(device="gw-1", core="0"))).alerts,
        read_alertmanager([theirs(device="gw-1", core="0")]).alerts,
    )
    assert sorted((len(one.labels), len(one.sources)) for one in merged) == [(2, 1), (3, 2)]


@given(
    st.lists(
        st.fixed_dictionaries(
            {"alertname": st.sampled_from("AB"), "device": st.sampled_from("xyz")}, optional={"core": st.sampled_from("01")}
        ),
        max_size=8,
    ),
    st.lists(
        st.fixed_dictionaries(
            {"alertname": st.sampled_from("AB"), "device": st.sampled_from("xyz"), "cluster": st.just("eu")},
            optional={"core": st.sampled_from("01")},
        ),
        max_size=8,
    ),
)
def test_merging_loses_nothing_and_doubles_nothing(left: list[dict[str, str]], right: list[dict[str, str]]) -> None:
    from_left = [Alert(labels, AlertState.FIRING, 1.0, sources=("prometheus",)) for labels in left]
    from_right = [Alert(labels, AlertState.FIRING, 1.0, sources=("alertmanager",)) for labels in right]
    merged = merge(from_left, from_right)
    assert len([one for one in merged if "alertmanager" in one.sources]) == len(right)
    for labels in left:
        assert any(labels.items() <= one.labels.items() and "prometheus" in one.sources for one in merged)
    random.Random(1).shuffle(from_left)
    assert merge(from_left, reversed(from_right)) == merged, "the order of the sources shows"


def test_worst_first() -> None:
    made = [
        Alert({"alertname": name, "severity": severity}, state, since)
        for name, severity, state, since in [
            ("a", "info", AlertState.FIRING, 1.0),
            ("b", "warning", AlertState.SILENCED, 1.0),
            ("c", "warning", AlertState.FIRING, 1.0),
            ("d", "warning", AlertState.FIRING, 2.0),
            ("e", "PAGE", AlertState.PENDING, 1.0),
            ("f", "purple", AlertState.FIRING, None),
            ("g", "critical", AlertState.INHIBITED, 1.0),
        ]
    ]
    assert "".join(one.name for one in merge(made, [])) == "egdcbfa"
    assert severity_rank("warning") < severity_rank("") == severity_rank("purple") < severity_rank("info")


@pytest.mark.parametrize(
    ("query", "threshold"),
    [
        ("cpu > 0.9", "> 0.9"),
        ("sum by (device) (rate(x[5m])) >= 1e3", ">= 1e3"),
        ("(up == 0)", "== 0"),
        ("a > bool -1.5", "> -1.5"),
        ("time() - seen > 300 ", "> 300"),
        ("x < +Inf", "< +Inf"),
        ("a > b", None),
        ("absent(up)", None),
        ("cpu > 0.9 and on(device) up", "> 0.9"),
        ("count(up == 0)", None),
        ('a{l="x > 3 or y"} > 5', "> 5"),
        ("a > 1 or b > 2", None),
        ("(a >= 0.3) and b >= 5", ">= 0.3"),
        ("(" * 3000, None),
        ('silent{site!="and (more"} > 0\nunless (ratio >= 0.3 and silent >= 5)', "> 0"),
        ("(a > 1 and b > 2)", "> 1"),
        ("brand > 2", "> 2"),
        ("", None),
    ],
)
def test_thresholds(query: str, threshold: str | None) -> None:
    assert threshold_of(query) == threshold


@pytest.mark.parametrize(
    ("labels", "place"),
    [
        ({"device": "gw-1", "site": "plant-7", "tenant": "acme"}, Place("acme", "plant-7", "gw-1")),
        ({"device": "acme/plant-7/gw-1"}, Place("acme", "plant-7", "gw-1")),
        ({"device": "http://x/y"}, Place(None, None, "http://x/y")),
        ({"device": "", "site": "plant-7"}, Place(None, "plant-7", None)),
        ({}, Place(None, None, None)),
    ],
)
def test_where_an_alert_belongs(labels: dict[str, str], place: Place) -> None:
    assert Alert(labels, AlertState.FIRING, None).place(Places()) == place


def test_labels_that_say_where_can_be_others() -> None:
    alert = Alert({"instance": "gw-1", "device": "eth0", "plant": "p"}, AlertState.FIRING, None)
    assert alert.place(Places(site="plant", device="instance")) == Place(None, "p", "gw-1")


def test_scopes() -> None:
    assert concerns(Place("acme", "p", "d"), "acme", "p")
    assert concerns(Place(None, None, None), "acme", "p"), "one that does not say may be about it"
    assert not concerns(Place("acme", "q", None), "acme", "p")
    assert not concerns(Place("other", None, None), "acme", None)


def test_states_of_alertmanager() -> None:
    told = read_alertmanager(
        [
            theirs(status={"state": "suppressed", "silencedBy": ["s1"], "inhibitedBy": ["f2"]}),
            theirs(status={"state": "suppressed", "inhibitedBy": ["f2"]}),
            theirs(status={"state": "unprocessed"}),
        ]
    )
    assert [one.state for one in told.alerts] == [AlertState.SILENCED, AlertState.INHIBITED, AlertState.FIRING]
    assert (told.alerts[0].silenced_by, told.alerts[1].inhibited_by) == (("s1",), ("f2",))


def test_rules_that_cannot_be_evaluated_are_told() -> None:
    read = read_rules(rules(health="err", lastError="many-to-many\x1b[2J"))
    assert read.problems == ("rule Hot cannot be evaluated: many-to-many␛[2J",)
    assert read_rules({"groups": [{"rules": [{"type": "recording", "health": "err"}]}]}).problems == ()


def test_bounds_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alertread, "MAX_ALERTS", 2)
    assert read_rules(rules(*[ours(n=str(n)) for n in range(5)])).dropped == 3
    assert read_alertmanager([theirs(n=str(n)) for n in range(5)]).dropped == 3


def test_what_is_malformed_is_counted() -> None:
    assert read_rules(rules({"labels": 1}, {"labels": {}, "state": "x"}, None, ours())).malformed == 3
    assert read_alertmanager([None, {}, theirs()]).malformed == 2
    assert read_rules(rules(ours(value="many"))).alerts[0].value is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["groups", "rules", "alerts", "labels", "status", "state", "receivers", "silencedBy"]),
            inner,
            max_size=4,
        )
    ),
)


@given(JSON)
def test_any_json_is_read(body: Any) -> None:
    for candidate in (body, {"groups": body}, {"groups": [{"rules": body}]}, rules(body), [body]):
        merge(read_rules(candidate).alerts, read_alertmanager(candidate).alerts)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:01:00Z", 60.0),
        ("1970-01-01T01:01:00.5+01:00", 60.5),
        ("0001-01-01T00:00:00Z", None),
        ("now", None),
        (7, None),
        ("2026-01-01T00:00:00", None),
    ],
)
def test_times(text: object, expected: float | None) -> None:
    assert unix_s(text) == expected


def test_the_fingerprint_is_alertmanagers() -> None:
    # As a real Alertmanager 0.25 has it for these labels.
    assert fingerprint({"device": "gw-1", "alertname": "A"}) == "39ecf328d8af47cb"
