"""What a message and a moment cost, in counts: no timer is touched by a heartbeat, no device by a tick that it is not due in."""

from __future__ import annotations

import heapq
from typing import Any

import pytest

from core.driver import World
from fleetview.core import fleet as fleet_module
from fleetview.core.roster import Roster
from fleetview_agent.wire import Address

DEVICES = [Address("acme", f"plant-{number % 5}", f"gw-{number}") for number in range(200)]


class Counted:
    """How often a function was called while it did its work."""

    def __init__(self, patch: pytest.MonkeyPatch, where: object, name: str) -> None:
        self.calls = 0
        inner = getattr(where, name)

        def counting(*args: Any, **named: Any) -> Any:
            self.calls += 1
            return inner(*args, **named)

        patch.setattr(where, name, counting)


@pytest.fixture
def fleet() -> World:
    world = World()
    for address in DEVICES:
        world.birth(address=address)
        world.state("online", address=address)
    return world


def test_a_heartbeat_of_a_device_that_is_online_pushes_no_timer(fleet: World, monkeypatch: pytest.MonkeyPatch) -> None:
    pushes = Counted(monkeypatch, heapq, "heappush")
    judged = Counted(monkeypatch, fleet_module, "judge")
    for seq in range(20):
        for address in DEVICES:
            fleet.heartbeat(seq, address=address)
    assert (pushes.calls, judged.calls) == (0, 0)


def test_an_hour_of_heartbeats_costs_a_push_per_three_intervals(fleet: World, monkeypatch: pytest.MonkeyPatch) -> None:
    pushes = Counted(monkeypatch, heapq, "heappush")
    for seq in range(120):
        for address in DEVICES:
            fleet.heartbeat(seq, address=address)
        fleet.wait(30)
    assert pushes.calls <= len(DEVICES) * 120 // 2


def test_a_tick_looks_only_at_what_is_due(fleet: World, monkeypatch: pytest.MonkeyPatch) -> None:
    judged = Counted(monkeypatch, fleet_module, "judge")
    for _ in range(100):
        fleet.wait(0.25)
    assert judged.calls == 0
    quiet = DEVICES[:7]
    for address in DEVICES[7:]:
        fleet.heartbeat(0, address=address)
    fleet.wait(65)
    assert {device.address for device in fleet.fleet.drain().touched if device.silent} == set(quiet)
    assert judged.calls == len(DEVICES), "each was due once, for none had said when it would be heard"
    assert fleet.fleet.next_due_s(fleet.mono_s) == 25


def test_a_tick_sorts_no_site_in_which_nothing_changed(fleet: World, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.wait(0)
    looked = Counted(monkeypatch, Roster, "_settle_site")
    for seq in range(10):
        for address in DEVICES:
            fleet.heartbeat(seq, address=address)
        fleet.wait(1)
    assert looked.calls == 0
    fleet.wait(90)
    assert looked.calls == 5


def test_the_heap_does_not_grow_with_what_is_repeated(fleet: World) -> None:
    for seq in range(200):
        fleet.state("lost", address=DEVICES[0])
        fleet.birth(h=30 + seq % 3, address=DEVICES[0])
        fleet.heartbeat(seq, address=DEVICES[0])
        fleet.wait(0.01)
    assert len(fleet.fleet._timers) <= len(DEVICES) + 10


def test_what_is_due_next_is_said_in_seconds(fleet: World) -> None:
    assert fleet.fleet.next_due_s(fleet.mono_s) == 90
    fleet.fleet.link_down(fleet.mono_s)
    assert fleet.fleet.next_due_s(fleet.mono_s) == float("inf")
