"""Rules 6, 8 and 9 of the contract, and what is not valid, removed or unknown."""

from __future__ import annotations

from typing import Any

import pytest

from core.driver import DEVICE, World
from fleetview_agent.wire import Address, Channel

ONLINE, UNCONFIRMED = ("online", True), ("online", False)


# Rule 6


def test_while_the_readers_link_is_down_nothing_changes(alive: World) -> None:
    alive.wait(60)
    alive.fleet.link_down(alive.mono_s)
    alive.fleet.drain()
    alive.wait(100_000)
    assert alive.told() == ONLINE
    assert not alive.fleet.drain()


def test_timers_start_again_3_h_after_the_link_is_back_and_go_on_from_where_they_stood(alive: World) -> None:
    alive.wait(60)
    alive.blind(600)
    alive.wait(90 + 29)
    assert alive.told() == ONLINE
    alive.wait(1)
    assert alive.told() == ("stale", True)
    alive.wait(89)
    assert alive.told() == ("stale", True)
    alive.wait(1)
    assert alive.told() == ("lost", True)


def test_a_device_that_speaks_after_the_link_is_back_has_its_usual_timers(alive: World) -> None:
    alive.blind(600)
    alive.heartbeat(1)
    alive.wait(90)
    assert alive.told() == ("stale", True)


def test_a_grace_stands_still_too(alive: World) -> None:
    alive.state("lost")
    alive.wait(10)
    alive.blind(600)
    alive.wait(90 + 19)
    assert alive.told() == ONLINE
    alive.wait(1)
    assert alive.told() == ("lost", True)


def test_a_grace_that_begins_while_timers_stand_still_is_whole(alive: World) -> None:
    alive.blind(600)
    alive.wait(50)
    alive.state("lost")
    alive.wait(40 + 29)
    assert alive.told() == ONLINE
    alive.wait(1)
    assert alive.told() == ("lost", True)


def test_an_interruption_during_the_standstill_begins_it_anew(alive: World) -> None:
    alive.wait(80)
    alive.blind(600)
    alive.wait(80)
    alive.blind(600)
    alive.wait(90 + 9)
    assert alive.told() == ONLINE
    alive.wait(1)
    assert alive.told() == ("stale", True)


def test_offline_takes_effect_at_once_even_while_timers_stand_still(alive: World) -> None:
    alive.blind(600)
    alive.state("offline", reason="stop", retained=True)
    assert alive.told() == ("offline", True)


def test_a_device_that_came_back_while_the_reader_was_blind_is_not_shown_as_gone(alive: World) -> None:
    alive.state("offline", reason="stop")
    alive.blind(600)
    alive.state("online", "S1", age_s=300, retained=True)
    alive.heartbeat(7, "S1", age_s=10, retained=True)
    assert alive.told() == UNCONFIRMED
    alive.heartbeat(8)
    assert alive.told() == ONLINE


def test_heartbeats_missed_while_the_reader_was_blind_are_not_the_devices(alive: World) -> None:
    alive.heartbeat(3)
    assert alive.device.lost_heartbeats == 2
    alive.blind(600)
    alive.heartbeat(20)
    assert alive.device.lost_heartbeats == 2
    alive.heartbeat(22)
    assert alive.device.lost_heartbeats == 3


def test_before_the_link_was_ever_up_nothing_is_judged() -> None:
    world = World()
    world.fleet = type(world.fleet)()
    world.heartbeat(0)
    world.wait(10_000)
    assert (world.told(), world.fleet.watching) == (ONLINE, False)


# Rule 8


@pytest.mark.parametrize(
    "known_by",
    [
        (Channel.BIRTH, {"session": "S1", "device": "gw-1", "heartbeat_interval_s": 30}),
        (Channel.HEARTBEAT, {"session": "S1", "seq": 3, "timestamp": "2026-01-01T00:00:00.000Z"}),
        (Channel.REPORTED, {"session": "S1", "gen": 3}),
        (Channel.DESIRED, {"gen": 3}),
        (Channel.LOG, {"message": "m"}),
        (Channel.HEARTBEAT, {"seq": "not valid"}),
    ],
)
def test_a_device_without_a_retained_state_is_unseen(world: World, known_by: tuple[Channel, dict[str, Any]]) -> None:
    channel, fields = known_by
    world.send(channel, fields, retained=channel is not Channel.LOG)
    assert world.told() == ("unseen", False)
    world.wait(100_000)
    assert world.told() == ("unseen", False)


@pytest.mark.parametrize("state", ["offline", "lost", "sleeping"])
def test_when_its_retained_state_is_taken_away_it_is_unseen_again(world: World, state: str) -> None:
    world.birth(retained=True)
    world.state(state, reason="stop", wake_in_s=60, retained=True)
    world.send_bytes(Channel.STATE, b"")
    assert world.told() == ("unseen", False)
    world.wait(100_000)
    assert world.told() == ("unseen", False)


def test_a_device_that_is_heard_stays_online_without_a_retained_state(alive: World) -> None:
    alive.send_bytes(Channel.STATE, b"")
    assert alive.told() == ONLINE


# Rule 9


def _skew_s(world: World) -> float | None:
    return world.device.clock_skew_s


def test_clock_skew_is_the_smallest_of_the_last_ten_live_heartbeats(world: World) -> None:
    world.heartbeat(0, age_s=-1, retained=True)
    assert _skew_s(world) is None
    for seq, age_s in enumerate([-2, -7, -30, -8, -9, -7, -7, -8, -9, -10]):
        world.heartbeat(seq + 1, age_s=age_s)
    assert _skew_s(world) == 2
    assert "clock_skew" not in world.device.flags()
    world.heartbeat(11, age_s=-7)
    assert _skew_s(world) == 7
    assert "clock_skew" in world.device.flags()
    world.heartbeat(12, age_s=6)
    assert _skew_s(world) == -6
    world.heartbeat(13, age_s=5)
    assert "clock_skew" not in world.device.flags(), "five seconds are not over five seconds"


# Not valid, removed, unknown


def test_what_is_not_valid_is_counted_with_its_reason_and_changes_nothing(alive: World) -> None:
    alive.wait(80)
    before = alive.told()
    for payload in (b"{", b"null", b'{"session":"S1","seq":-1,"timestamp":"2026-11-22T11:28:41Z"}'):
        alive.send_bytes(Channel.HEARTBEAT, payload)
    alive.send(Channel.BIRTH, {"session": "S9", "device": "another"})
    assert (alive.told(), alive.device.session) == (before, "S1")
    assert (alive.device.malformed, alive.fleet.malformed) == (4, 4)
    assert alive.device.malformed_reason == "birth: birth names device 'another'"
    alive.wait(10)
    assert alive.told() == ("stale", True), "it proved nothing"


def test_an_empty_birth_removes_the_device(alive: World) -> None:
    alive.send_bytes(Channel.BIRTH, b"")
    assert len(alive.fleet.devices) == 0
    alive.wait(1000)
    for channel in (Channel.STATE, Channel.HEARTBEAT, Channel.DESIRED, Channel.BIRTH):
        alive.send_bytes(channel, b"")
    assert len(alive.fleet.devices) == 0, "nothing that is taken away makes a device known"


def test_more_devices_than_are_allowed_are_refused_and_counted() -> None:
    world = World(max_devices=2)
    for name in ("a", "b", "c", "c"):
        world.heartbeat(0, address=Address("acme", "plant-7", name))
    assert (len(world.fleet.devices), world.fleet.refused_devices) == (2, 2)


def test_two_machines_with_one_id_are_told(alive: World) -> None:
    alive.birth("S2")
    alive.heartbeat(1, "S1")
    assert alive.device.flags() == ["duplicate_id"]
    alive.birth("S3")
    assert alive.device.flags() == []


def test_a_new_session_counts_its_heartbeats_from_0(alive: World) -> None:
    alive.heartbeat(1)
    alive.birth("S2")
    alive.heartbeat(2, "S2")
    assert alive.device.lost_heartbeats == 2
    assert DEVICE in alive.fleet.devices
