"""A round of the rollout controller's decisions: 10,000 devices in one rollout, 1,000 in one wave."""

from __future__ import annotations

import gc
import time
from pathlib import Path

from control.operators import plan_of as quick_plan
from core.driver import World as Seen
from core.rollout.world import World, fleet, plan_of

from benchmarks.figures import Figure
from fleetview.control.journal import Journal
from fleetview.control.running import Running
from fleetview.core.rollout import codec, machine
from fleetview.core.rollout.commands import Start
from fleetview.core.rollout.events import Event, Outcome
from fleetview.core.rollout.snapshot import message_of, snapshot
from fleetview.core.rollout.state import Phase, Rollout
from fleetview.garbage import spare_collections
from fleetview_agent.wire import Address, Channel, Topics, encode

_DEVICES, _MOST_MS = 10_000, 250.0
_WAVES = ["10%", "20%", "30%", "100%"]
_DESIRED = {
    "gen": 3,
    "epoch": 1,
    "rollout": "before",
    "config": {"version": 7, "sha256": "ab" * 32, "document": {"limit": 7}},
    "release": {"version": "1.4.2", "url": "https://releases.example/1.4.2.tar.gz", "size": 48213, "sha256": "cd" * 32},
}


class _Timed(World):
    """Notes what processor time each round's decisions take; what the simulated devices take does not count."""

    worst_ms: float = 0.0

    def decide(self, events: tuple[Event, ...]) -> Outcome:
        start_s = time.process_time()
        out = machine.run(self.rollout, events, self.now_s)
        self.worst_ms = max(self.worst_ms, (time.process_time() - start_s) * 1000)
        return out

    def worst_until(self, phase: Phase, wave: int) -> float:
        """The slowest round until this phase of this wave."""
        self.worst_ms = 0.0
        self.run_until(lambda: (self.rollout.head.wave, self.rollout.head.phase) == (wave, phase), step_s=10)
        return self.worst_ms


def _whole_rounds_ms(folder: Path) -> list[float]:
    """The controller's first rounds, in processor time: from who is meant to what the journal holds and what is published."""
    seen = Seen()
    for number in range(_DEVICES):
        address = Address("acme", f"plant-{number % 50}", f"gw-{number:05d}")
        seen.birth(address=address)
        seen.heartbeat(0, address=address, release="1.4.2")
        seen.send(Channel.DESIRED, _DESIRED, retained=True, address=address)
    running = Running(Journal(folder / "journal.db"), seen.fleet, Topics(), "acme")
    running.lead(2)
    running.changed(seen.fleet.drain())
    plan = quick_plan(waves=_WAVES, group_by="site", per_minute=100_000)
    running.start(plan.name, Start("o1", "ana", "", seen.unix_s + 60, plan), seen.unix_s)
    found = []
    for _ in range(3):
        start_s = time.process_time()
        running.round(seen.unix_s)
        found.append((time.process_time() - start_s) * 1000)
        seen.wait(1)
    return found


def figures(folder: Path) -> list[Figure]:
    """What is measured, with the garbage collector set as the controller sets it."""
    before = gc.get_threshold()
    spare_collections()
    try:
        return _figures(folder)
    finally:
        gc.set_threshold(*before)


def _figures(folder: Path) -> list[Figure]:
    whole = _whole_rounds_ms(folder)
    plan = plan_of(waves=_WAVES, group_by="site", per_minute=100_000)
    world = _Timed(plan, fleet(_DEVICES, sites=50))
    world.run_for(10)
    freezing = world.worst_until(Phase.APPLYING, 0)
    applying = world.worst_until(Phase.BAKING, 0)
    judging = world.worst_until(Phase.APPLYING, 1)
    rollout = world.rollout
    return [
        Figure("rollout of 10,000: the controller's first round, with its journal", whole[0], "ms", at_most=_MOST_MS),
        Figure("rollout of 10,000: the slowest of the next two", max(whole[1:]), "ms", at_most=_MOST_MS),
        Figure("rollout of 10,000: who is in which wave, and 1,000 offers", freezing, "ms", at_most=_MOST_MS),
        Figure("rollout of 10,000: rounds while 1,000 take the change", applying, "ms", at_most=_MOST_MS),
        Figure("rollout of 10,000: rounds with two gates measured over all", judging, "ms", at_most=_MOST_MS),
        Figure("rollout of 10,000: its public snapshot", _snapshot_ms(rollout), "ms", at_most=_MOST_MS),
        Figure("rollout of 10,000: its state as JSON", _stored_mib(rollout), "MiB", at_most=50.0),
    ]


def _snapshot_ms(rollout: Rollout) -> float:
    start_s = time.process_time()
    encode(message_of(snapshot(rollout)), compress=True)
    return (time.process_time() - start_s) * 1000


def _stored_mib(rollout: Rollout) -> float:
    devices = sum(len(codec.dump_device(device)) for device in rollout.devices.values())
    return (devices + len(codec.dump_head(rollout.head)) + len(codec.dump_plan(rollout.plan))) / 2**20
