"""What a scrape shows: which series there are, when they end, and that whatever devices send the text stays valid."""

from __future__ import annotations

import math
import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from support.programs import require

from export.world import LAB, ExportWorld, Scraped
from fleetview.export.exposition import OPENMETRICS, Sample
from fleetview.export.families import OWN, escaped
from fleetview.export.labels import LabelError, LabelPlan
from fleetview_agent.wire import Address, Channel

FULL: dict[str, Any] = {
    "uptime_s": 3541.2,
    "health": "degraded",
    "reasons": ["module rule_engine is in backoff"],
    "resources": {"cpu": 0.23, "memory": 0.51, "disk": 0.7, "temperature_c": 51.5},
    "modules": [
        {"name": "telemetry_collector", "state": "running", "version": "1.4.2", "restarts": 0},
        {"name": "rule_engine", "state": "backoff", "version": "1.4.2", "restarts": 3, "reason": "exit status 1"},
    ],
    "metrics": {"requests_total": 10234, "request_duration_p95_seconds": 0.041},
    "logs": {"debug": 0, "info": 120, "warn": 3, "error": 1},
    "spool": {"records": 12, "bytes": 3401, "oldest_s": 4.2, "dropped": 5},
    "link": {"rtt_ms": 23.1, "reconnects": 2},
    "release": "1.4.2",
    "config": 12,
}
OF_THE_HEARTBEAT = {
    "fleet_device_health": 1,
    "fleet_device_uptime_seconds": 3541.2,
    "fleet_device_cpu_ratio": 0.23,
    "fleet_device_memory_ratio": 0.51,
    "fleet_device_disk_ratio": 0.7,
    "fleet_device_temperature_celsius": 51.5,
    "fleet_device_config_version": 12,
    'fleet_device_module_state{module="telemetry_collector",state="running"}': 1,
    'fleet_device_module_state{module="rule_engine",state="backoff"}': 1,
    'fleet_device_module_restarts_total{module="telemetry_collector"}': 0,
    'fleet_device_module_restarts_total{module="rule_engine"}': 3,
    'fleet_device_log_records_total{level="debug"}': 0,
    'fleet_device_log_records_total{level="info"}': 120,
    'fleet_device_log_records_total{level="warn"}': 3,
    'fleet_device_log_records_total{level="error"}': 1,
    "fleet_device_spool_records": 12,
    "fleet_device_spool_bytes": 3401,
    "fleet_device_spool_oldest_seconds": 4.2,
    "fleet_device_spool_dropped_total": 5,
    "fleet_device_rtt_seconds": 0.0231,
    "fleet_device_reconnects_total": 2,
    "fleet_requests_total": 10234,
    "fleet_request_duration_p95_seconds": 0.041,
}
STANDING = {
    "fleet_device_up",
    "fleet_device_confirmed",
    "fleet_device_lost_heartbeats_total",
    "fleet_device_malformed_messages_total",
    "fleet_device_heartbeat_timestamp_seconds",
    "fleet_device_heartbeat_interval_seconds",
    "fleet_device_certificate_expiry_timestamp_seconds",
    "fleet_device_clock_skew_seconds",
}


def families_of(text: str) -> list[Metric]:
    return list(text_string_to_metric_families(text))  # type: ignore[no-untyped-call]


def parsed(text: str) -> list[str]:
    """The names of an OpenMetrics text that a strict reader takes."""
    return [family.name for family in families_of(text)]


def checked(text: str) -> None:
    """Prometheus' own parser takes it; what it says of style beyond that is not asked."""
    done = subprocess.run(
        [require("promtool"), "check", "metrics"], input=text, capture_output=True, text=True, check=False, timeout=30
    )
    assert "error while linting" not in done.stderr, done.stderr


def living(labels: str = "", **bounds: int) -> ExportWorld:
    world = ExportWorld(labels, **bounds)
    world.online(labels={"ring": "canary", "a.b": "c"}, certificate={"not_after": "2027-01-31T00:00:00.000Z"})
    world.heartbeat(**FULL)
    return world


def own(scraped: Scraped) -> dict[str, float]:
    return {name: value for name, value in scraped.items() if name in OF_THE_HEARTBEAT}


def test_everything_that_a_heartbeat_says() -> None:
    found = living().scrape()
    assert own(found) == OF_THE_HEARTBEAT
    connectivity = {'fleet_device_connectivity{state="online"}'}
    assert set(found) == set(OF_THE_HEARTBEAT) | STANDING | connectivity
    assert found["fleet_device_up"] == found["fleet_device_confirmed"] == 1
    assert found["fleet_device_certificate_expiry_timestamp_seconds"] == 1801353600
    expected = {"tenant": "acme", "site": "plant-7", "device": "gw-1", "release": "1.4.2"}
    assert all(expected.items() <= labels.items() for labels in found.labels.values())
    checked(found.text)
    parsed(living().scrape(openmetrics=True).text)


def test_a_dead_devices_numbers_end_and_it_is_down_until_it_is_removed() -> None:
    world = living()
    world.wait(89.9)
    assert own(world.scrape()) == OF_THE_HEARTBEAT
    world.wait(0.2)  # 3 H
    found = world.scrape()
    assert not own(found)
    assert (found["fleet_device_up"], found['fleet_device_connectivity{state="stale"}']) == (0, 1)
    world.wait(10_000)
    assert (world.scrape()["fleet_device_up"], world.scrape()['fleet_device_connectivity{state="lost"}']) == (0, 1)
    world.heartbeat(1, **FULL)
    assert (own(world.scrape()), world.scrape()["fleet_device_up"]) == (OF_THE_HEARTBEAT, 1)
    world.send_bytes(Channel.BIRTH, b"")
    assert not world.scrape()


@pytest.mark.parametrize("state", ["offline", "sleeping"])
def test_who_says_goodbye_ends_at_once(state: str) -> None:
    world = living()
    world.state(state, reason="maintenance", wake_in_s=3600)
    found = world.scrape()
    assert (own(found), found["fleet_device_up"], found[f'fleet_device_connectivity{{state="{state}"}}']) == ({}, 0, 1)


def test_a_device_that_talks_but_sends_no_heartbeats_keeps_no_old_numbers() -> None:
    world = living()
    for gen in range(4):
        world.wait(30)
        world.send(Channel.REPORTED, {"session": "S1", "gen": gen})
    found = world.scrape()
    assert (own(found), found["fleet_device_up"]) == ({}, 1)


def test_numbers_do_not_freeze_while_the_exporter_is_blind_and_nobody_is_blamed() -> None:
    world = living()
    other = Address("acme", "plant-7", "gw-2")
    world.online(address=other)
    world.state("offline", reason="bye", address=other)
    world.fleet.link_down(world.mono_s)
    world.blind_since_mono = world.mono_s
    world.wait(60)
    found = world.scrape()
    assert own(found) == OF_THE_HEARTBEAT, "a short interruption ends nothing"
    assert 'fleet_device_up{tenant="acme",site="plant-7",device="gw-2"} 0.0' in found.text
    world.wait(31)
    found = world.scrape()
    assert not own(found)
    for name in ("up", "confirmed", "connectivity"):
        assert not found.named(f"fleet_device_{name}"), "neither up nor down: nobody can tell"
    assert found["fleet_device_certificate_expiry_timestamp_seconds"] > 0, "that does not change with silence"


def test_what_is_retained_counts_only_as_long_as_it_is_plausible() -> None:
    world = ExportWorld()
    world.birth(retained=True)
    world.state("online", retained=True, age_s=1000)
    world.heartbeat(5, retained=True, age_s=20, **FULL)
    found = world.scrape()
    assert (own(found), found["fleet_device_up"], found["fleet_device_confirmed"]) == (OF_THE_HEARTBEAT, 1, 0)
    world.wait(71)
    assert (own(world.scrape()), world.scrape()["fleet_device_up"]) == ({}, 0)


def test_an_old_retained_heartbeat_of_a_device_that_is_heard_has_its_own_age() -> None:
    world = ExportWorld()
    world.heartbeat(5, retained=True, age_s=200, **FULL)
    world.online()
    found = world.scrape()
    assert (own(found), found["fleet_device_up"]) == ({}, 1)
    assert found["fleet_device_heartbeat_timestamp_seconds"] == world.unix_s - 200


def test_who_was_never_seen_is_neither_up_nor_down() -> None:
    world = ExportWorld()
    world.birth(retained=True)
    found = world.scrape()
    assert not found.named("fleet_device_up")
    assert found['fleet_device_connectivity{state="unseen"}'] == 1


def test_a_new_release_and_new_labels_are_on_all_series() -> None:
    world = living("ring,a.b")
    found = world.scrape()
    assert {(labels["ring"], labels["a_b"]) for labels in found.labels.values()} == {("canary", "c")}
    world.birth(labels={"ring": "stable"})
    world.heartbeat(1, **{**FULL, "release": "1.5.0"})
    found = world.scrape()
    assert {(labels["ring"], labels["release"], "a_b" in labels) for labels in found.labels.values()} == {
        ("stable", "1.5.0", False)
    }
    assert "release" not in living("-release").scrape().labels["fleet_device_up"]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("tenant", "taken"),
        ("ring,ring", "taken"),
        ("a.b,a-b", "taken"),
        ("1st", "cannot be a label"),
        ("__x", "cannot be a label"),
        ("ä", "cannot be a label"),
        (",".join(f"l{number}" for number in range(11)), "10 are allowed"),
    ],
)
def test_labels_that_cannot_be_are_refused(names: str, words: str) -> None:
    with pytest.raises(LabelError, match=words):
        LabelPlan(names)


def test_the_same_id_at_two_sites_is_two_devices() -> None:
    world = living()
    world.online(address=Address("acme", "plant-8", "gw-1"))
    world.heartbeat(address=Address("acme", "plant-8", "gw-1"), **FULL)
    lines = [line for line in world.scrape().text.splitlines() if line.startswith("fleet_device_cpu_ratio{")]
    assert len(lines) == len(set(lines)) == 2


def test_tenants_apart() -> None:
    world = living()
    other = Address("umbrella", "hive", "gw-1")
    world.online(address=other)
    world.heartbeat(address=other, **FULL)
    for tenant in ("acme", "umbrella"):
        assert {labels["tenant"] for labels in world.scrape(tenant=tenant).labels.values()} == {tenant}
    world.scrape(openmetrics=True)
    assert {labels["tenant"] for labels in world.scrape().labels.values()} == {"acme", "umbrella"}


# -- what is not as it should be


def test_names_that_are_not_valid_or_ours_are_left_out_and_counted() -> None:
    world = living()
    bad = [
        "",
        "a b",
        "a-b",
        "ä",
        "1st",
        "a\nb 1",
        "x" * 129,
        'a"',
        "device_up",
        "device_spool_dropped",
        "device_health_total",
    ]
    world.heartbeat(1, metrics=dict.fromkeys(bad, 1) | {"good": 7})
    found = world.scrape()
    assert found["fleet_good"] == 7
    assert found["fleet_device_up"] == 1
    assert world.store.dropped["acme", "name"] == len(bad)
    checked(found.text)
    parsed(world.scrape(openmetrics=True).text)


def test_a_gauge_and_a_counter_of_the_same_bare_name() -> None:
    world = living()
    world.heartbeat(1, metrics={"jobs": 3, "jobs_total": 70})
    found = world.scrape(openmetrics=True)
    assert (found["fleet_jobs"], found["fleet_jobs_total"]) == (3, 70)
    assert {"fleet_jobs", "fleet_jobs_total"} <= set(parsed(found.text))
    assert found.text.endswith("# EOF\n")


def test_nan_and_infinity_are_no_heartbeat_and_null_is_no_number() -> None:
    world = living()
    for value in (math.nan, math.inf):
        world.send_raw({"session": "S1", "seq": 1, "timestamp": world.time(), "health": "ok", "metrics": {"a": value}})
    found = world.scrape()
    assert own(found) == OF_THE_HEARTBEAT
    assert found["fleet_device_malformed_messages_total"] == 2
    world.heartbeat(2, metrics={"a": None, "b": 2})
    assert (world.scrape().named("fleet_a"), world.scrape()["fleet_b"]) == (set(), 2)
    assert world.store.dropped["acme", "heartbeat"] == 1


def test_a_module_listed_twice_is_shown_once() -> None:
    world = living()
    module = {"name": "m", "state": "running"}
    world.heartbeat(
        1, modules=[module, {**module, "state": "failed"}, {**module, "name": "state=x"}, {**module, "name": "state=y"}]
    )
    found = world.scrape()
    assert len(found.named("fleet_device_module_state")) == 3
    assert world.store.dropped["acme", "duplicate"] == 2


def test_ever_new_names_fill_nothing_and_block_nobody() -> None:
    world = ExportWorld(max_names=50)
    hostile = Address("acme", "plant-7", "evil")
    for address in (LAB, hostile):
        world.online(address=address)
    for seq in range(100):
        world.heartbeat(seq, address=hostile, metrics={f"n{seq}_{number}": 1 for number in range(40)})
    assert (world.store.shapes.names("acme"), len(world.store.shapes)) == (40, 1)
    world.heartbeat(0, metrics={f"good{number}": 1 for number in range(20)})
    assert world.store.dropped["acme", "names"] == 10
    assert len([name for name in world.scrape() if name.startswith("fleet_good")]) == 10
    world.send_bytes(Channel.BIRTH, b"", address=hostile)
    world.heartbeat(1, metrics={f"good{number}": 1 for number in range(20)})
    assert len([name for name in world.scrape() if name.startswith("fleet_good")]) == 20


def test_ever_new_modules_are_bounded_likewise() -> None:
    world = ExportWorld(max_names=5)
    for number in range(4):
        address = Address("acme", "plant-7", f"gw-{number}")
        world.online(address=address)
        world.heartbeat(address=address, modules=[{"name": f"m{number}{each}", "state": "running"} for each in "ab"])
    states = [line for line in world.scrape().text.splitlines() if line.startswith("fleet_device_module_state{")]
    assert (len(states), world.store.dropped["acme", "names"]) == (5, 2 * 3)


def test_names_of_one_tenant_block_no_other() -> None:
    world = ExportWorld(max_names=5)
    other = Address("umbrella", "hive", "gw-1")
    for address in (LAB, other):
        world.online(address=address)
        world.heartbeat(address=address, metrics={f"{address.tenant}{number}": 1 for number in range(5)})
    assert not world.store.dropped


def test_one_heartbeat_and_the_whole_are_bounded_and_what_is_left_out_is_counted() -> None:
    world = ExportWorld(max_series=100)
    world.online()
    world.heartbeat(0, metrics={f"n{number}": 1 for number in range(1000)})
    assert (world.store.dropped["acme", "series"], world.store.series["acme"]) == (1001, 0)
    world.heartbeat(1, metrics={f"n{number}": 1 for number in range(50)})
    assert (world.store.series["acme"], world.scrape()["fleet_n49"]) == (51, 1)
    world.wait(60)
    world.heartbeat(2, metrics={f"n{number}": 1 for number in range(120)})
    assert world.store.series["acme"] == 51
    world.wait(60)
    found = world.scrape()
    assert found["fleet_device_up"] == 1
    assert not found.named("fleet_n49"), "what is too much is left out, but what was before does not freeze"
    assert (world.store.shapes.names("acme"), len(world.store.shapes)) == (50, 1)
    world.send_bytes(Channel.BIRTH, b"")
    assert (world.store.shapes.names("acme"), len(world.store.shapes)) == (0, 0)
    large = ExportWorld()
    large.online()
    large.heartbeat(0, metrics={f"n{number}": 1 for number in range(1000)})
    assert (large.store.dropped["acme", "heartbeat"], large.store.series["acme"]) == (1000 - 128, 129)


def test_values_of_labels_are_bounded() -> None:
    world = ExportWorld()
    for number in range(510):
        address = Address("acme", "plant-7", f"gw-{number}")
        world.online(address=address)
        world.heartbeat(address=address, release=f"r{number}")
    text = world.scrape().text
    releases = {line.partition('release="')[2].partition('"')[0] for line in text.splitlines() if "device_up{" in line}
    assert (len(releases), "other" in releases, world.store.labels.dropped["acme"]) == (501, True, 10)
    for device in list(world.fleet.devices.values()):
        world.send_bytes(Channel.BIRTH, b"", address=device.address)
    assert not world.store.labels._held
    assert not world.store.labels.dropped, "names of tenants come from outside: nothing is kept of those that are gone"


def test_values_of_the_past_block_nobody() -> None:
    world = ExportWorld()
    world.online()
    for seq in range(600):
        world.heartbeat(seq, release=f"r{seq}")
        assert world.scrape().labels["fleet_device_up"]["release"] == f"r{seq}"


@given(st.text(max_size=200))
def test_any_text_in_a_label_leaves_the_text_valid(text: str) -> None:
    world = ExportWorld("ring")
    world.online(labels={"ring": text})
    world.heartbeat(release=text, modules=[{"name": text, "state": "running"}])
    found = world.scrape()
    assert len([key for key in found if key.startswith("fleet_device_module_state")]) == 1
    assert len(found.text.splitlines()) == found.text.count("\n")
    parsed(world.scrape(openmetrics=True).text)


def test_hostile_text_passes_prometheus_own_parser() -> None:
    world = ExportWorld("ring")
    text = '"}\\ \n\r\t\0\x1b[31m\u202e\u2028{evil="1"} 1\n# EOF\n'
    world.online(labels={"ring": text})
    world.heartbeat(release=text, modules=[{"name": text, "state": "running"}], metrics={"a": 1e300, "b": 5e-324, "c": -0.0})
    checked(world.scrape().text)
    found = families_of(world.scrape(openmetrics=True).text)
    rings = {sample.labels["ring"] for family in found for sample in family.samples}
    assert len(rings) == 1
    assert not set(rings.pop()) & set("\n\r\t\0\x1b\u202e\u2028")


def test_a_long_text_is_cut() -> None:
    assert escaped("x" * 1000) == "x" * 127 + "…"


def test_an_empty_fleet_is_a_valid_text() -> None:
    world = ExportWorld()
    assert world.scrape().text == ""
    assert world.scrape(openmetrics=True).text == "# EOF\n"
    assert OPENMETRICS.startswith("application/openmetrics-text")


def test_our_own_names_pass_the_linter() -> None:
    """Names, units and help texts, by promtool's rules."""
    world = ExportWorld()
    text = world.scrape(*(Sample(family, "", 1) for family in OWN.values())).text
    done = subprocess.run(
        [require("promtool"), "check", "metrics"], input=text, capture_output=True, text=True, check=False, timeout=30
    )
    assert (done.returncode, done.stderr) == (0, "")
