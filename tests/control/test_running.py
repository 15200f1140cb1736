"""Rounds without a broker: what is kept, what is asked, and what is published because of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.driver import World

from control.operators import plan_of
from fleetview.control.journal import Journal
from fleetview.control.running import Running
from fleetview.control.showing import MAX_FINAL
from fleetview.core.received import Received
from fleetview.core.rollout.commands import Start
from fleetview.core.rollout.state import Status
from fleetview_agent.wire import Address, Channel, Desired, Heartbeat, Topics, decode

if TYPE_CHECKING:
    from pathlib import Path

DEVICE = Address("acme", "plant-7", "gw-1")


def beat(world: World) -> Received:
    payload = b'{"v":1,"session":"S1","seq":3,"timestamp":"2026-11-22T10:30:00.000Z","health":"ok","gen":0}'
    body = decode(Channel.HEARTBEAT, payload)
    assert isinstance(body, Heartbeat)
    return Received(DEVICE, Channel.HEARTBEAT, body, payload, False, world.mono_s, world.unix_s)


def running(tmp_path: Path, world: World) -> Running:
    return Running(Journal(tmp_path / "j.db"), world.fleet, Topics(), "acme")


def leading(tmp_path: Path, epoch: int = 1) -> tuple[World, Running]:
    """A fleet of one device, and who leads it."""
    world = World()
    world.birth(address=DEVICE)
    found = running(tmp_path, world)
    found.lead(epoch)
    return world, found


def started(found: Running, world: World) -> None:
    assert found.start("app-1.5.0", Start("o1", "ana", "", world.unix_s + 60, plan_of()), world.unix_s) is None
    found.round(world.unix_s)


def test_who_stands_by_keeps_nothing_of_what_it_hears(tmp_path: Path) -> None:
    world, first = leading(tmp_path)
    started(first, world)
    first._journal.close()
    second = running(tmp_path, world)
    for _ in range(100):
        second.received(beat(world))
        second.changed(world.fleet.drain())
    (run,) = second.runs.values()
    assert run.events == []
    second.lead(2)
    second.received(beat(world))
    assert type(run.events[0]).__name__ == "LeadershipTaken"
    assert len(run.events) >= 2


def test_a_start_that_is_delivered_twice_begins_one_rollout(tmp_path: Path) -> None:
    world, found = leading(tmp_path)
    started(found, world)
    started(found, world)
    assert [run.rollout.head.status for run in found.runs.values()] == [Status.RUNNING]
    late = Start("o2", "ana", "", world.unix_s - 1, plan_of(name="late"))
    assert found.start("late", late, world.unix_s) == "it came too late: it had expired"
    other = Start("o3", "ana", "", world.unix_s + 60, plan_of(name="other", tenant="elsewhere"))
    assert found.start("other", other, world.unix_s) == "this controller is that of tenant acme, not of elsewhere"


def test_what_a_round_decided_is_in_the_outbox_of_the_next_controller(tmp_path: Path) -> None:
    world, found = leading(tmp_path, epoch=7)
    world.heartbeat(0, address=DEVICE, release="1.4.2")
    started(found, world)
    world.wait(1)
    found.round(world.unix_s)
    found._journal.close()
    again = Journal(tmp_path / "j.db")
    topics = [waiting.post.topic for waiting in again.waiting(100)]
    assert "fleet/v1/acme/plant-7/gw-1/desired" in topics
    assert "fleet/v1/acme/_fleet/rollout/app-1.5.0" in topics


def test_what_waited_is_published_with_the_new_epoch_unless_somebody_else_led_meanwhile(tmp_path: Path) -> None:
    world, found = leading(tmp_path, epoch=7)
    world.heartbeat(0, address=DEVICE, release="1.4.2")
    started(found, world)
    world.wait(1)
    found.round(world.unix_s)
    found.take_up(7, 8)
    (desired,) = [each for each in found._journal.waiting(100) if each.post.topic.endswith("/desired")]
    offer = decode(Channel.DESIRED, desired.post.payload)
    assert isinstance(offer, Desired)
    assert offer.epoch == 8
    world.send(Channel.DESIRED, {"gen": 99, "epoch": 9, "rollout": "another"}, retained=True, address=DEVICE)
    found.take_up(8, 10)
    assert not [each for each in found._journal.waiting(100) if each.post.topic.endswith("/desired")]


def test_a_rollout_that_is_over_costs_nothing_until_it_is_rolled_back(tmp_path: Path) -> None:
    world, found = leading(tmp_path)
    started(found, world)
    (run,) = found.runs.values()
    run.rollout.head.status = Status.SUCCEEDED
    run.events = []
    found.received(beat(world))
    found.link_lost()
    found.link_restored()
    assert run.events == []
    assert found.going_on() == []


def test_of_rollouts_that_ended_long_ago_nothing_stays_on_the_broker(tmp_path: Path) -> None:
    world, found = leading(tmp_path)
    for number in range(MAX_FINAL + 2):
        plan = plan_of(name=f"app-{number}")
        assert found.start(plan.name, Start(f"o{number}", "ana", "", world.unix_s + 60, plan), world.unix_s) is None
        found.round(world.unix_s)
        head = found.runs[plan.name].rollout.head
        assert head.status is Status.SCHEDULED
        head.status, head.since_s = Status.ROLLED_BACK, world.unix_s
        world.wait(1)
    found.round(world.unix_s)
    journal = found._journal
    on_broker = {each.post.topic.rpartition("/")[2]: bool(each.post.payload) for each in journal.waiting(1000)}
    gone = [name for name, is_there in on_broker.items() if not is_there and name.startswith("app-")]
    assert gone == ["app-0", "app-1"]
    journal.published(each.id for each in journal.waiting(1000))
    found.lead(2)
    found.round(world.unix_s)
    again = {each.post.topic.rpartition("/")[2] for each in journal.waiting(1000)}
    assert not {"app-0", "app-1"} & again
    assert "app-2" in again
