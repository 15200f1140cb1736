"""Whatever devices send, a scrape stays valid and bounded, and what was left out is counted."""

from __future__ import annotations

import math
import subprocess
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from support.programs import require

from export.scrapes import OF_THE_HEARTBEAT, checked, families_of, living, own, parsed
from export.world import LAB, ExportWorld
from fleetview.export.exposition import OPENMETRICS, Sample
from fleetview.export.families import OWN, escaped
from fleetview_agent.wire import Address, Channel


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
    world.heartbeat(2, metrics={"a": None, "b": -2, "c_total": -1})
    found = world.scrape()
    assert (found.named("fleet_a"), found["fleet_b"], found.named("fleet_c_total")) == (set(), -2, set())
    assert world.store.dropped["acme", "heartbeat"] == 2


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


_COUNT = st.integers(0, 2**63 - 1)
_NUMBER = st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**200), 2**200)
_HEARTBEAT = st.fixed_dictionaries(
    {
        "session": st.sampled_from(["S1", "S2"]),
        "seq": _COUNT,
        "timestamp": st.sampled_from(["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-11-22T10:30:00Z"]),
    },
    optional={
        "health": st.sampled_from([None, "ok", "degraded", "critical"]),
        "uptime_s": _NUMBER,
        "resources": st.none() | st.dictionaries(st.sampled_from(["cpu", "memory", "disk", "temperature_c"]), _NUMBER),
        "modules": st.lists(
            st.fixed_dictionaries({"name": st.text(max_size=3)}, optional={"restarts": _COUNT}), max_size=40
        ),
        "metrics": st.dictionaries(st.from_regex(r"[a-c]{1,2}(_total)?", fullmatch=True) | st.text(max_size=3), _NUMBER),
        "logs": st.none() | st.dictionaries(st.sampled_from(["debug", "info", "warn", "error"]), _COUNT),
        "spool": st.none() | st.dictionaries(st.sampled_from(["records", "bytes", "dropped"]), _COUNT),
        "link": st.none() | st.fixed_dictionaries({"rtt_ms": _NUMBER, "reconnects": _COUNT}),
        "config": st.none() | st.integers(-(2**63), 2**63 - 1),
        "release": st.none() | st.text(max_size=3),
    },
)


@settings(max_examples=60)
@given(st.lists(st.tuples(_HEARTBEAT, st.booleans()), max_size=8), st.sampled_from([3, 1000]))
def test_no_heartbeats_make_it_raise_or_the_text_invalid(heard: list[tuple[dict[str, Any], bool]], bound: int) -> None:
    world = ExportWorld(max_names=bound, max_series=30 * bound)
    world.online()
    for fields, retained in heard:
        world.send(Channel.HEARTBEAT, fields, retained=retained)
        found = world.scrape(openmetrics=True)
        parsed(found.text)
        assert all(map(math.isfinite, found.values()))
    device = world.fleet.devices[LAB]
    assert world.store.series["acme"] == len(world.store.record(device).values)
    world.send_bytes(Channel.BIRTH, b"")
    assert (len(world.store.shapes), world.store.shapes.names("acme"), world.store.series) == (0, 0, {})
