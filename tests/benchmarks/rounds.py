"""A round of the rollout controller's decisions: 10,000 devices in one rollout, 1,000 in one wave."""

from __future__ import annotations

import time
from pathlib import Path

from core.rollout.world import World, fleet, plan_of

from benchmarks.figures import Figure
from fleetview.core.rollout import codec, machine
from fleetview.core.rollout.events import Event, Outcome
from fleetview.core.rollout.snapshot import message_of, snapshot
from fleetview.core.rollout.state import Phase, Rollout
from fleetview_agent.wire import encode

_DEVICES, _MOST_MS = 10_000, 250.0


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


def figures(_folder: Path) -> list[Figure]:
    """What is measured."""
    plan = plan_of(waves=["10%", "20%", "30%", "100%"], group_by="site", per_minute=100_000)
    world = _Timed(plan, fleet(_DEVICES, sites=50))
    world.run_for(10)
    freezing = world.worst_until(Phase.APPLYING, 0)
    applying = world.worst_until(Phase.BAKING, 0)
    judging = world.worst_until(Phase.APPLYING, 1)
    rollout = world.rollout
    return [
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
