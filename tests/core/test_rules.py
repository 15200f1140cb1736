"""Rules 1 to 5 of the contract, one by one, at their exact edges: what a device and its silence say."""

from __future__ import annotations

import pytest

from core.driver import World
from fleetview_agent.wire import Channel

ONLINE, UNCONFIRMED = ("online", True), ("online", False)


# Rule 1


def test_a_retained_online_proves_nothing(world: World) -> None:
    world.birth(retained=True)
    world.state("online", retained=True)
    assert world.told() == UNCONFIRMED


@pytest.mark.parametrize(
    ("age_s", "shown"), [(0, "online"), (89, "online"), (90, "stale"), (179, "stale"), (180, "lost"), (-60, "online")]
)
def test_until_it_is_heard_a_device_is_what_its_retained_heartbeat_makes_plausible(
    world: World, age_s: float, shown: str
) -> None:
    world.birth(retained=True)
    world.state("online", retained=True, age_s=5000)
    world.heartbeat(9, retained=True, age_s=age_s)
    assert world.told() == (shown, False)


@pytest.mark.parametrize("how", ["heartbeat", "state", "birth", "reported"])
def test_any_live_message_of_the_current_session_confirms_it(world: World, how: str) -> None:
    world.birth(retained=True)
    world.state("online", retained=True, age_s=2000)
    world.heartbeat(9, retained=True, age_s=1000)
    assert world.told() == ("lost", False)
    match how:
        case "heartbeat":
            world.heartbeat(10)
        case "state":
            world.state("online")
        case "birth":
            world.birth()
        case _:
            world.send(Channel.REPORTED, {"session": "S1", "gen": 1})
    assert world.told() == ONLINE


def test_a_live_message_of_an_older_session_confirms_nothing(world: World) -> None:
    world.birth("S2", retained=True)
    world.state("online", "S2", retained=True)
    world.heartbeat(5, "S1")
    world.state("online", "S1")
    assert world.told() == UNCONFIRMED


def test_logs_have_no_session_and_prove_nothing(world: World) -> None:
    world.birth(retained=True)
    world.state("online", retained=True)
    world.log(0)
    assert world.told() == UNCONFIRMED


# Rule 2


@pytest.mark.parametrize(("h", "stale_s", "lost_s"), [(30, 90, 180), (1, 3, 120), (20, 60, 120), (45, 135, 270)])
def test_silence_makes_stale_and_then_lost(h: float, stale_s: float, lost_s: float) -> None:
    world = World()
    world.birth(h=h)
    world.heartbeat(0)
    world.wait(stale_s - 1)
    assert world.told() == ONLINE
    world.wait(1)
    assert world.told() == ("stale", True)
    world.wait(lost_s - stale_s - 1)
    assert world.told() == ("stale", True)
    world.wait(1)
    assert world.told() == ("lost", True)
    world.heartbeat(1)
    assert world.told() == ONLINE


def test_both_count_from_the_last_live_message(alive: World) -> None:
    alive.wait(89)
    alive.heartbeat(1)
    alive.wait(89)
    assert alive.told() == ONLINE
    alive.wait(1)
    assert alive.told() == ("stale", True)


def test_a_device_that_was_heard_but_has_no_state_is_lost_like_any_other(world: World) -> None:
    world.heartbeat(0)
    assert world.told() == ONLINE
    world.wait(180)
    assert world.told() == ("lost", True)


# Rule 3


@pytest.mark.parametrize(("h", "grace_s"), [(30, 30), (10, 20), (1, 2), (600, 30)])
def test_a_will_counts_after_its_grace(h: float, grace_s: float) -> None:
    world = World()
    world.birth(h=h)
    world.state("lost")
    world.wait(grace_s - 1)
    assert world.told() == ONLINE
    world.wait(1)
    assert world.told() == ("lost", True)


@pytest.mark.parametrize("saves", ["birth", "newer birth", "online", "heartbeat"])
def test_a_will_is_void_when_the_device_speaks_within_the_grace(alive: World, saves: str) -> None:
    alive.state("lost")
    alive.wait(29)
    match saves:
        case "birth":
            alive.birth()
        case "newer birth":
            alive.birth("S2")
        case "online":
            alive.state("online")
        case _:
            alive.heartbeat(1)
    alive.wait(60)
    assert alive.told() == ONLINE


def test_a_will_of_an_older_session_never_takes_a_newer_one_offline(alive: World) -> None:
    alive.birth("S2")
    alive.state("lost", "S1")
    alive.state("lost", "S1", retained=True)
    alive.wait(60)
    assert alive.told() == ONLINE


def test_a_will_that_waits_is_void_when_a_newer_session_is_known(world: World) -> None:
    world.birth("S1", retained=True)
    world.state("lost", "S1")
    world.birth("S2", retained=True)
    world.wait(60)
    assert world.told() == ("unseen", False)
    world.state("lost", "S2")
    world.wait(29)
    assert world.told() == ("unseen", False), "its own will has a grace of its own"
    world.wait(1)
    assert world.told() == ("lost", True)


def test_a_second_will_does_not_prolong_the_grace(alive: World) -> None:
    alive.state("lost")
    alive.wait(20)
    alive.state("lost")
    alive.wait(10)
    assert alive.told() == ("lost", True)


@pytest.mark.parametrize("state", ["offline", "sleeping"])
def test_during_the_grace_a_device_stays_what_it_said(alive: World, state: str) -> None:
    alive.state(state, wake_in_s=1000)
    alive.state("lost")
    assert alive.told() == (state, True)
    alive.wait(29)
    assert alive.told() == (state, True)
    alive.wait(1)
    assert alive.told() == ("lost", True)


def test_a_retained_will_of_a_device_not_heard_yet_counts_at_once(world: World) -> None:
    world.birth(retained=True)
    world.heartbeat(5, retained=True)
    world.state("lost", retained=True)
    assert world.told() == ("lost", True)


def test_a_retained_will_of_a_device_that_was_heard_waits_for_the_grace(alive: World) -> None:
    alive.state("lost", retained=True)
    assert alive.told() == ONLINE
    alive.wait(30)
    assert alive.told() == ("lost", True)


def test_a_will_of_the_session_before_does_not_count_when_the_clock_went_back(world: World) -> None:
    world.birth("S5")
    world.birth("S2")  # a live birth: it is the one that runs now, whatever its id says
    world.state("lost", "S5")
    world.wait(60)
    assert (world.told(), world.device.session) == (ONLINE, "S2")


def test_a_heartbeat_of_the_session_that_was_born_last_makes_it_current(world: World) -> None:
    world.state("lost", "S5", retained=True)
    world.birth("S2", retained=True)
    assert world.device.session == "S5"
    world.heartbeat(7, "S2")
    assert (world.told(), world.device.session) == (ONLINE, "S2")


# Rule 4


def test_offline_takes_effect_at_once_and_stays(alive: World) -> None:
    alive.state("offline", reason="update")
    assert (alive.told(), alive.device.claim_reason) == (("offline", True), "update")
    alive.wait(100_000)
    assert alive.told() == ("offline", True)
    alive.heartbeat(1)
    assert alive.told() == ONLINE


@pytest.mark.parametrize("retained", [False, True])
def test_a_sleeping_device_that_misses_wake_by_is_stale_and_at_last_lost(world: World, retained: bool) -> None:
    world.birth(retained=retained)
    world.state("sleeping", wake_in_s=3600, retained=retained)
    assert world.told() == ("sleeping", True)
    world.wait(3599)
    assert world.told() == ("sleeping", True)
    world.wait(1)
    assert world.told() == ("stale", True)
    world.wait(180)
    assert world.told() == ("lost", True)


def test_a_sleeping_device_that_does_not_say_until_when_sleeps_on(alive: World) -> None:
    alive.state("sleeping")
    alive.wait(100_000)
    assert alive.told() == ("sleeping", True)


def test_how_long_a_device_sleeps_is_told_by_its_own_clock_alone(alive: World) -> None:
    fields = {"session": "S1", "state": "sleeping", "at": alive.time(5000), "wake_by": alive.time(4900)}
    alive.send(Channel.STATE, fields)
    alive.wait(99)
    assert alive.told() == ("sleeping", True)
    alive.wait(1)
    assert alive.told() == ("stale", True)


# Rule 5


def _flap(world: World, *, every_s: float, changes: int) -> None:
    world.birth(h=3600)
    for number in range(changes):
        if number % 2:
            world.state("online")
        else:
            world.state("offline", reason="again")
        if number < changes - 1:
            world.wait(every_s)


def test_five_changes_within_ten_minutes_are_flapping(alive: World) -> None:
    _flap(alive, every_s=150, changes=4)
    assert "flapping" not in alive.device.flags()
    alive.wait(150)
    alive.state("offline", reason="again")
    assert "flapping" in alive.device.flags()


def test_five_changes_within_a_second_more_are_not(alive: World) -> None:
    _flap(alive, every_s=150, changes=4)
    alive.wait(151)
    alive.state("offline", reason="again")
    assert "flapping" not in alive.device.flags()


def test_flapping_ends_when_there_is_at_most_one_change_in_ten_minutes(alive: World) -> None:
    _flap(alive, every_s=10, changes=5)  # the last two ten seconds apart
    alive.wait(589)
    assert "flapping" in alive.device.flags()
    alive.wait(1)
    assert "flapping" not in alive.device.flags()


def test_what_a_reader_learns_when_it_comes_is_no_change(world: World) -> None:
    for session in ("S1", "S2", "S3"):
        world.birth(session, retained=True)
        world.state("online", session, age_s=2000, retained=True)
        world.heartbeat(0, session, age_s=1000, retained=True)
    world.heartbeat(1, "S3")
    assert world.told() == ONLINE
    assert not world.device.changes_obs
    assert not world.device.events
