"""A controller on a real broker: a rollout to its end, a bad one taken back, two controllers, crashes."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING

import pytest
from support.broker import mosquitto
from support.followers import TENANT, Follower, Followers, fleet_of, following
from support.wait import until

from control.operators import NAME, QUICK, controlling, desk_of, plan_of
from fleetview.config import Context
from fleetview.control.controller import ControllerRun
from fleetview.control.journal import Journal
from fleetview_agent.endpoint import BrokerUrl, LinkError

if TYPE_CHECKING:
    from pathlib import Path

    from support.broker import Broker


def runs(followers: Followers, version: str) -> list[Follower]:
    return [device for device in followers.devices.values() if device.release == version]


async def test_a_good_release_reaches_every_device_wave_by_wave(broker: Broker, tmp_path: Path) -> None:
    async with (
        following(broker.url, fleet_of(6)) as followers,
        desk_of(broker) as desk,
        controlling(broker, tmp_path / "j.db") as run,
    ):
        await until(lambda: desk.leaders)
        await desk.start(plan_of())
        await until(lambda: desk.status == "succeeded", within_s=60)
        assert len(runs(followers, "1.5.0")) == 6
        assert all(len(device.offers) == 1 for device in followers.devices.values()), "nothing is offered twice"
        public = desk.rollouts[NAME]
        assert [wave.up_to for wave in public.waves] == [1, 3, 6]
        await until(lambda: not run._journal.waiting(10))  # the last snapshot is acknowledged a moment after it is heard
        assert [each.what for each in run._journal.records(NAME) if each.kind == "wave"][:2] == [
            "wave 1 of 3 began", "wave 1 of 3 ended",
        ]  # fmt: skip


async def test_a_bad_release_stops_in_its_first_wave_and_is_taken_back(broker: Broker, tmp_path: Path) -> None:
    devices = fleet_of(12, errors_of={"1.5.0": 0.2, "1.4.2": 0.0})
    gates = [{"name": "error-rate", "measure": "error_rate", "max": "1%", "interval": "5s"}]
    evidence = QUICK["evidence"] | {"bake": "2s"}
    async with (
        following(broker.url, devices) as followers,
        desk_of(broker) as desk,
        controlling(broker, tmp_path / "j.db"),
    ):
        await until(lambda: desk.leaders)
        await desk.start(plan_of(gates=gates, evidence=evidence, waves=[1, "100%"]))
        await until(lambda: desk.status == "rolled_back", within_s=90)
        assert len(runs(followers, "1.4.2")) == 12
        assert sum(bool(device.offers) for device in followers.devices.values()) == 1
        assert {gate.name: gate.verdict for gate in desk.rollouts[NAME].gates}["error-rate"] == "fail"


async def test_devices_that_take_it_back_by_themselves_stop_it(broker: Broker, tmp_path: Path) -> None:
    async with (
        following(broker.url, fleet_of(4, fails="module app never became healthy")) as followers,
        desk_of(broker) as desk,
        controlling(broker, tmp_path / "j.db"),
    ):
        await until(lambda: desk.leaders)
        await desk.start(plan_of(devices_on_fail="pause"))
        await until(lambda: desk.status == "paused", within_s=60)
        assert sum(bool(device.offers) for device in followers.devices.values()) == 1
        (pause,) = desk.rollouts[NAME].pauses
        assert pause.reason == "gate_failed"
        await desk.order("abort", revision=None)
        await until(lambda: desk.status == "aborted", within_s=30)


async def test_a_rollout_may_not_have_the_devices_of_another(broker: Broker, tmp_path: Path) -> None:
    async with following(broker.url, fleet_of(2)), desk_of(broker) as desk, controlling(broker, tmp_path / "j.db"):
        await until(lambda: desk.leaders)
        await desk.start(plan_of(waves=[{"to": 1, "hold": "step"}, "100%"]))
        await until(lambda: desk.status in {"running", "paused"}, within_s=30)
        await desk.start(plan_of(name="second"))
        await until(lambda: "second" in desk.rollouts and desk.rollouts["second"].status.value == "aborted", within_s=30)
        assert f"2 devices of it belong to rollout {NAME}" in desk.rollouts["second"].text
        again = await desk.start(plan_of())
        await until(lambda: any(each.order == again for each in desk.rollouts[NAME].answers), within_s=30)
        assert not desk.rollouts[NAME].answers[-1].taken
        await desk.start(plan_of(name="third", supersedes=[NAME]))
        await until(lambda: desk.status == "superseded", within_s=30)


async def test_a_second_controller_stands_by_and_takes_over_when_it_is_told_to(broker: Broker, tmp_path: Path) -> None:
    told: list[str] = []
    async with desk_of(broker) as desk, controlling(broker, tmp_path / "one.db") as first:
        await until(lambda: desk.leaders)
        async with controlling(broker, tmp_path / "two.db", tell=told.append) as second:
            await until(lambda: any("standing by" in words for words in told))
            assert (first.leadership.role, second.leadership.role) == ("leading", "standing_by")
        async with controlling(broker, tmp_path / "two.db", insists=True) as third:
            await until(lambda: (first.leadership.role, third.leadership.role) == ("standing_by", "leading"))
            assert third.leadership.epoch == 2


async def test_who_may_not_lead_ends_with_the_reason(tmp_path: Path) -> None:
    rules = tmp_path / "acl"
    rules.write_text("topic read fleet/v1/#\n")
    with mosquitto(tmp_path, config_lines=[f"acl_file {rules}"]) as broker:
        context = Context(name="plant", broker=BrokerUrl.parse(broker.url), tls=None)
        journal = Journal(tmp_path / "j.db")
        with pytest.raises(LinkError, match=r"let this user write fleet/v1/acme/_fleet/controller, or name another one"):
            await ControllerRun(context, TENANT, journal).run()
        assert journal.meta("epoch") == "1", "it tries once, and not for ever"
        journal.close()


@pytest.mark.timeout(300)
async def test_killed_twenty_times_it_ends_the_same_and_offers_nothing_twice(broker: Broker, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fleetview", "control", "--broker", broker.url, "--tenant", TENANT]
    command += ["--journal", str(tmp_path / "j.db")]
    async with following(broker.url, fleet_of(8)) as followers, desk_of(broker) as desk:
        process = await asyncio.create_subprocess_exec(*command)
        await until(lambda: desk.leaders, within_s=30)
        await desk.start(plan_of(waves=[1, "50%", "100%"], evidence=QUICK["evidence"] | {"bake": "0.2s"}))
        await until(lambda: desk.status != "", within_s=30)
        for kill in range(20):
            seen = len(desk.seen)
            # At another step each time: after so many more snapshots than before.
            await until(lambda: len(desk.seen) > seen + kill % 3 or desk.status == "succeeded", within_s=60)  # noqa: B023
            process.send_signal(signal.SIGKILL)
            await process.wait()
            process = await asyncio.create_subprocess_exec(*command)
        try:
            await until(lambda: desk.status == "succeeded", within_s=120)
        finally:
            process.terminate()
            await process.wait()
        assert len(runs(followers, "1.5.0")) == 8
        assert all(len(set(device.offers)) == 1 for device in followers.devices.values())
        gens = {address: {gen for gen, _ in device.offers} for address, device in followers.devices.items()}
        assert all(len(found) == 1 for found in gens.values()), gens


async def test_while_its_link_is_down_a_controller_sees_nothing_and_nothing_advances(broker: Broker, tmp_path: Path) -> None:
    async with controlling(broker, tmp_path / "j.db") as run:
        async with following(broker.url, fleet_of(2)), desk_of(broker) as desk:
            await until(lambda: desk.leaders, 30)
            await desk.start(plan_of(waves=[{"to": 1, "hold": "step"}, "100%"]))
            await until(lambda: desk.status in {"running", "paused"}, 30)
        head = run.running.runs[NAME].rollout.head
        broker.stop()
        await until(lambda: head.blind and "recovering" in head.pauses, 30)
        broker.start()
        await until(lambda: not head.blind, 60)
        await until(lambda: "recovering" not in head.pauses, 60)
