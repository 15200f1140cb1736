"""What is kept in sum agrees with counting, whatever devices say; and the last hour shows what was seen of it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from core.driver import World
from fleetview.core.completeness import half_seen
from fleetview.core.roster import site_of
from fleetview.core.trends import Trends
from fleetview.core.trouble import trouble_of
from fleetview_agent.wire import Address, Channel

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["birth", "beat", "state", "forget", "wait", "blind"]),
        st.integers(0, 5),
        st.sampled_from(["ok", "degraded", "critical"]),
        st.sampled_from([None, "1.4.2", "1.5.0"]),
        st.sampled_from(["online", "offline", "lost"]),
    ),
    max_size=40,
)


def do(world: World, step: tuple[Any, ...], seq: int) -> None:
    kind, number, health, release, state = step
    address = Address("acme" if number % 2 else "zeta", f"plant-{number % 3}", f"gw-{number}")
    match kind:
        case "birth":
            world.birth(address=address)
        case "beat":
            world.heartbeat(seq, address=address, health=health, release=release)
        case "state":
            world.state(state, address=address, reason="x")
        case "forget":
            world.send_bytes(Channel.BIRTH, b"", address=address)
        case "wait":
            world.wait(70)
        case "blind":
            world.blind(30)


@given(STEPS)
def test_the_sums_agree_with_counting(steps: list[tuple[Any, ...]]) -> None:
    world = World()
    for seq, step in enumerate(steps):
        do(world, step, seq)
    devices, roster = world.fleet.devices.values(), world.fleet.roster
    assert all(device.trouble is trouble_of(device) for device in devices)
    assert +roster.troubles == Counter(device.trouble for device in devices)
    assert roster.in_trouble == sum(device.trouble.needs_attention for device in devices)
    assert roster.releases == Counter(device.release for device in devices if device.release)
    assert roster.tenants == Counter(device.address.tenant for device in devices)
    assert roster.attention == Counter(site_of(device) for device in devices if device.trouble.needs_attention)
    for address in world.fleet.devices:
        assert all(len(part) <= size for part, size in zip(address, roster.name_sizes, strict=True))


def test_the_last_hour_is_the_worst_of_each_part() -> None:
    trends = Trends()
    assert trends.last(0.0, 6) == [None] * 6
    for minute, count in ((10, 1), (10, 5), (11, 2), (30, 0), (31, 7)):
        trends.take(minute * 60.0 + 3, count)
    assert trends.last(69 * 60.0, 6) == [5, None, 7, None, None, None]
    assert trends.last(31 * 60.0, 60)[-1] == 7
    assert trends.last(31 * 60.0, 60)[-22:-19] == [5, 2, None]
    assert trends.last(500 * 60.0, 6) == [None] * 6


def test_a_clock_that_is_set_back_loses_nothing() -> None:
    trends = Trends()
    trends.take(6000.0, 3)
    trends.take(60.0, 8)
    assert trends.last(60.0, 1) == [8]


def test_nothing_is_taken_while_nothing_can_be_seen() -> None:
    world = World()
    world.birth()
    world.fleet.link_down(world.mono_s)
    world.fleet.advance(world.mono_s + 600, world.unix_s + 600)
    assert world.fleet.trends.last(world.unix_s + 600, 60) == [None] * 60


def test_what_is_retained_is_not_counted_before_it_is_all_there() -> None:
    world = World()
    world.birth(retained=True)
    world.state("online", retained=True, age_s=7200)
    world.fleet.advance(world.mono_s, world.unix_s)
    assert world.fleet.roster.in_trouble == 1, "its heartbeat has not come yet"
    assert world.fleet.trends.last(world.unix_s, 1) == [None]
    world.heartbeat(retained=True)
    world.fleet.advance(world.mono_s, world.unix_s)
    world.fleet.advance(world.mono_s, world.unix_s)
    assert world.fleet.trends.last(world.unix_s, 1) == [0]


def test_a_burst_that_was_cut_short_is_noticed() -> None:
    world = World()
    for number in range(100):
        address = Address("acme", "plant-1", f"gw-{number}")
        world.birth(session=None, retained=True, address=address)
        if number >= 6:
            world.state("online", retained=True, address=address)
    assert half_seen(world.fleet) == 6
    for number in range(2):
        world.state("online", retained=True, address=Address("acme", "plant-1", f"gw-{number}"))
    assert half_seen(world.fleet) == 0, "a few may be born at this very moment"


def test_devices_that_are_known_by_name_only_are_no_sign_of_a_cut() -> None:
    world = World()
    for number in range(20):
        world.send(Channel.DESIRED, {"gen": 1}, retained=True, address=Address("acme", "plant-1", f"gw-{number}"))
    assert half_seen(world.fleet) == 0
