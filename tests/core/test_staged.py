"""How far rollouts have devices, as the snapshots of rollouts tell it."""

from __future__ import annotations

from support.rollouts import baking, tell, world

from core.driver import World as Devices
from core.rollout.world import World
from fleetview.core.query import compile_devices
from fleetview.core.query.fields import STAGES
from fleetview.core.rollout.board import Board
from fleetview.core.rollout.state import Stage, Status
from fleetview.core.staged import Staged, waves_of
from fleetview_agent.wire import Channel, FleetTopic


def known(rollout: World) -> Devices:
    """A fleet that has the rollout's devices."""
    devices = Devices()
    for address in rollout.agents:
        devices.birth(address=address)
    devices.fleet.drain()
    return devices


def stages(devices: Devices) -> dict[str, int]:
    found: dict[str, int] = {}
    for device in devices.fleet.devices.values():
        if device.stage is not None:
            found[device.stage] = found.get(device.stage, 0) + 1
    return found


def test_the_words_of_the_filter_are_the_stages() -> None:
    assert tuple(stage.value for stage in Stage) == STAGES


def test_devices_have_the_stage_that_is_told_and_a_filter_finds_them() -> None:
    rollout, board, staged = baking(), Board(), Staged()
    devices = known(rollout)
    tell(board, rollout)
    staged.look(devices.fleet, board)
    assert stages(devices) == rollout.stages()
    done = compile_devices("stage:converged", None)
    assert sum(map(done, devices.fleet.devices.values())) == rollout.stages()["converged"]
    assert not any(map(compile_devices("stage:lost", None), devices.fleet.devices.values()))
    assert len(devices.fleet.drain().touched) == len(devices.fleet.devices), "they are drawn anew"
    tell(board, rollout)
    staged.look(devices.fleet, board)
    assert not devices.fleet.drain().touched, "told again, nothing changed"


def test_who_is_named_no_more_has_no_stage() -> None:
    rollout, board, staged = baking(), Board(), Staged()
    devices = known(rollout)
    key = tell(board, rollout)
    staged.look(devices.fleet, board)
    board.take(FleetTopic(key.tenant, Channel.ROLLOUT, key.id), None, 1.0, retained=False)
    staged.look(devices.fleet, board)
    assert stages(devices) == {}


def test_a_device_that_comes_later_has_its_stage_too() -> None:
    rollout, board, staged = baking(), Board(), Staged()
    devices = Devices()
    tell(board, rollout)
    staged.look(devices.fleet, board)
    late = next(iter(rollout.agents))
    devices.birth(address=late)
    staged.look(devices.fleet, board)
    assert devices.fleet.devices[late].stage == rollout.rollout.devices[late].stage


def test_of_two_rollouts_the_one_that_is_not_over_counts() -> None:
    over, board, staged = baking(), Board(), Staged()
    over.order("rollback")
    over.run_until(lambda: over.status is Status.ROLLED_BACK)
    running = world(60)
    running.rollout.head.id = "second-1.5.0"
    devices = known(over)
    tell(board, over)
    staged.look(devices.fleet, board)
    assert "rolled_back" in stages(devices)
    running.run_for(30)
    tell(board, running)
    staged.look(devices.fleet, board)
    assert "rolled_back" not in stages(devices)


def test_changes_of_stage_stand_once_on_the_timeline() -> None:
    rollout, board, staged = world(60), Board(), Staged()
    devices = known(rollout)
    for _ in range(120):
        rollout.run_for(10)
        tell(board, rollout)
        tell(board, rollout)
        staged.look(devices.fleet, board)
    address = next(each for each, device in rollout.rollout.devices.items() if device.wave == 0)
    events = devices.fleet.devices[address].events or []
    texts = [event.text for event in events if event.kind == "rollout"]
    assert texts[-1] == "rollout telemetry-1.5.0: converged"
    assert "rollout telemetry-1.5.0: applying" in texts
    assert len(texts) == len(set(texts))
    times = [event.unix_s for event in events if event.kind == "rollout"]
    assert times == sorted(times)


def test_what_was_so_when_the_reader_came_is_no_event() -> None:
    rollout, board, staged = baking(), Board(), Staged()
    devices = known(rollout)
    key = tell(board, rollout)
    board.rollouts[key].retained = True
    staged.look(devices.fleet, board)
    tell(board, rollout)
    staged.look(devices.fleet, board)
    assert not any(event.kind == "rollout" for device in devices.fleet.devices.values() for event in device.events or ())


def test_waves_that_began_are_marked() -> None:
    rollout, board = world(60), Board()
    rollout.run_until(lambda: rollout.rollout.head.wave == 1)
    key = tell(board, rollout)
    found = list(waves_of(board, rollout=key.id, tenant=key.tenant))
    assert [text for _, text in found] == ["wave 1 of telemetry-1.5.0 began", "wave 2 of telemetry-1.5.0 began"]
    assert [at for at, _ in found] == [wave.started_s for wave in rollout.rollout.head.waves[:2]]
    assert not list(waves_of(board, rollout="another"))
    assert not list(waves_of(board, tenant="another"))
