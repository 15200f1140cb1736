"""A broker sends what is retained in no particular order: whatever the order, the same is known after it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from core.driver import World
from fleetview.core.snapshot import device_snapshot
from fleetview_agent.wire import Channel

sessions = st.sampled_from(["S1", "S2"])
ages = st.sampled_from([0, 1, 50, 89, 90, 150, 180, 200, 5000])
Sender = Callable[[World], None]


def _birth(session: str, h: float) -> Sender:
    return lambda world: world.birth(session, h=h, retained=True)


def _state(session: str, state: str, age_s: float | None, wake_in_s: float) -> Sender:
    return lambda world: world.state(state, session, age_s=age_s, wake_in_s=wake_in_s, retained=True)


def _heartbeat(session: str, age_s: float, health: str) -> Sender:
    return lambda world: world.heartbeat(7, session, age_s=age_s, health=health, retained=True)


def _reported(session: str) -> Sender:
    return lambda world: world.send(Channel.REPORTED, {"session": session, "gen": 2}, retained=True)


births = st.builds(_birth, sessions, st.sampled_from([10, 30, 60]))
states = st.builds(
    _state,
    sessions,
    st.sampled_from(["online", "offline", "sleeping", "lost"]),
    st.none() | ages,
    st.sampled_from([-500, -10, 60]),
)
heartbeats = st.builds(_heartbeat, sessions, ages, st.sampled_from(["ok", "critical"]))
kept = st.tuples(*(st.none() | each for each in (births, states, heartbeats, st.builds(_reported, sessions)))).map(
    lambda senders: [send for send in senders if send is not None]
)
NOT_ASKED = {"config"}
"""What is reported for an older session is only taken before a newer one is known; nothing is desired here anyway."""


def _known(senders: tuple[Sender, ...], before: Sender | None = None) -> dict[str, Any]:
    world = World()
    if before is not None:
        before(world)
        world.blind(600)
    for send in senders:
        send(world)
    world.fleet.advance(world.mono_s, world.unix_s)
    if not world.fleet.devices:
        return {}
    snapshot = device_snapshot(world.device, world.mono_s)
    return {name: value for name, value in snapshot.items() if name not in NOT_ASKED}


@given(kept)
def test_a_reader_that_comes_knows_the_same_whatever_the_order(senders: list[Sender]) -> None:
    orders = [_known(order) for order in permutations(senders)]
    assert all(known == orders[0] for known in orders[1:])


def _was_online(world: World) -> None:
    world.birth("S1")
    world.heartbeat(3, "S1")


def _was_offline(world: World) -> None:
    _was_online(world)
    world.state("offline", "S1", reason="stop")


def _left_a_will(world: World) -> None:
    _was_online(world)
    world.state("lost", "S1")


@given(kept, st.sampled_from([_was_online, _was_offline, _left_a_will]))
def test_a_reader_that_comes_back_knows_the_same_whatever_the_order(senders: list[Sender], before: Sender) -> None:
    orders = [_known(order, before) for order in permutations(senders)]
    assert all(known == orders[0] for known in orders[1:])


@given(kept)
def test_retained_messages_alone_confirm_nothing_but_a_goodbye_or_a_will(senders: list[Sender]) -> None:
    known = _known(tuple(senders))
    if known and known["confirmed"]:
        assert known["connectivity"] in {"offline", "sleeping", "stale", "lost"}


@given(kept)
def test_retained_messages_a_second_time_change_nothing(senders: list[Sender]) -> None:
    assert _known((*senders, *senders)) == _known(tuple(senders))
