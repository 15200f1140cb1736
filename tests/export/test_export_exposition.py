"""What a scrape shows: which series there are, and when they end."""

from __future__ import annotations

import pytest

from export.scrapes import FULL, OF_THE_HEARTBEAT, STANDING, checked, living, own, parsed
from export.world import ExportWorld
from fleetview.export.labels import LabelError, LabelPlan
from fleetview_agent.wire import Address, Channel


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
