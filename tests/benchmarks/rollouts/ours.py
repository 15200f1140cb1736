"""The default policy, run by `core.rollout` itself on a simulated fleet."""

from __future__ import annotations

from benchmarks.rollouts.truth import Fleet, Run
from fleetview.core.rollout import machine
from fleetview.core.rollout.events import (
    Candidate,
    DeviceObserved,
    DeviceSample,
    Event,
    FreezeMembers,
    HeartbeatHeard,
    Measure,
    MeasurementFailed,
    MeasurementTaken,
    MembersFrozen,
    Offer,
    ReportHeard,
    Tick,
)
from fleetview.core.rollout.gates import canary_group, control_group
from fleetview.core.rollout.plan import DEFAULT_GATES, Plan
from fleetview.core.rollout.state import Stage, Status
from fleetview.core.rollout.target import ReleaseTarget, Target
from fleetview_agent.wire import Address, ReleaseReport, Reported

STEP_S = 30.0
"""A round, and a heartbeat interval."""
OLD = Target(release=ReleaseTarget(version="1.4.2"))
PLAN = Plan.model_validate(
    {"name": "r", "target": Target(release=ReleaseTarget(version="1.5.0")), "select": "site:*", "gates": DEFAULT_GATES[:1]}
)
"""The default policy. CPU is left out: the others have no such gate, and the truth of these fleets is in their errors."""
TIRED_S = 12 * 3600.0


class Ours:
    """One rollout on one fleet."""

    def __init__(self, fleet: Fleet, plan: Plan = PLAN) -> None:
        self._fleet = fleet
        self._now_s = 0.0
        self._rollout = machine.create(plan, "ana", 0.0, epoch=1)
        self._addresses = [Address("default", "plant-1", f"gw-{number}") for number in range(fleet.size)]
        self._numbers = {address: number for number, address in enumerate(self._addresses)}
        self._pending: list[Event] = []
        self._applying: dict[int, float] = {}
        self._verifying: set[int] = set()
        self._alive: dict[int, float] = {}
        """Devices that will die, with when that shows."""
        self._taken: set[int] = set()

    def run(self) -> Run:
        """Until it stops, asks or is through."""
        while self._now_s < TIRED_S:
            self._now_s += STEP_S
            self._round()
            head = self._rollout.head
            exposed = len(self._taken) / self._fleet.size
            match head.status:
                case Status.SUCCEEDED | Status.SUCCEEDED_WITH_STRAGGLERS:
                    return Run(exposed, "through", self._now_s)
                case Status.ROLLING_BACK | Status.ABORTING:
                    return Run(exposed, "stopped", self._now_s)
                case Status.PAUSED:
                    return Run(exposed, "stopped" if "gate_failed" in head.pauses else "asks", self._now_s)
        return Run(len(self._taken) / self._fleet.size, "stuck", self._now_s)

    def _round(self) -> None:
        events, self._pending = self._pending, []
        events += self._devices()
        out = machine.run(self._rollout, (*events, Tick()), self._now_s)
        for effect in out.effects:
            match effect:
                case FreezeMembers():
                    self._pending.append(MembersFrozen([self._candidate(number) for number in range(self._fleet.size)]))
                case Offer():
                    self._accept(self._numbers[effect.address], effect.gen)
                case Measure():
                    self._pending.append(self._measure(effect))

    def _candidate(self, number: int) -> Candidate:
        is_hot = self._fleet.cell.hot and number == 0
        online = self._fleet.devices[number].online
        return Candidate(
            self._addresses[number], pinned=is_hot, previous=OLD, presence="online" if online else "away", gen=0
        )

    def _accept(self, number: int, gen: int) -> None:
        self._taken.add(number)
        self._applying[number] = self._now_s + self._fleet.devices[number].apply_s
        self._pending.append(self._report(number, gen, "applying"))

    def _report(self, number: int, gen: int, status: str) -> ReportHeard:
        release = ReleaseReport(version="1.5.0", status=status)  # type: ignore[arg-type]
        return ReportHeard(self._addresses[number], Reported(session="s", gen=gen, release=release))

    def _devices(self) -> list[Event]:
        events: list[Event] = []
        for number in [number for number, until_s in self._applying.items() if until_s <= self._now_s]:
            del self._applying[number]
            device = self._fleet.devices[number]
            if device.fails:
                events.append(self._report(number, 1, "failed"))
                continue
            self._fleet.change(number, self._now_s)
            events.append(self._report(number, 1, "committed"))
            self._verifying.add(number)
            if device.dead_s < TIRED_S:
                self._alive[number] = device.dead_s
        for number in list(self._verifying):
            address = self._addresses[number]
            if self._fleet.devices[number].dead_s <= self._now_s or self._rollout.devices[address].stage is Stage.CONVERGED:
                self._verifying.discard(number)
            else:
                events.append(HeartbeatHeard(address, 1, is_ok=True))
        for number in [number for number, at_s in self._alive.items() if at_s + 3 * STEP_S <= self._now_s]:
            del self._alive[number]
            events.append(DeviceObserved(self._addresses[number], "silent", None, 1))
        return events

    def _measure(self, asked: Measure) -> Event:
        rollout = self._rollout
        if self._fleet.prometheus(self._now_s) == "down":
            return MeasurementFailed(asked.gate, asked.wave, asked.evaluation, "connection refused")
        is_baking = asked.window_s < rollout.plan.evidence.bake  # inconclusive whatever is measured: not worth the time
        canary = () if is_baking else self._samples(canary_group(rollout), asked.window_s)
        control = () if is_baking else self._samples(control_group(rollout), asked.window_s)
        return MeasurementTaken(asked.gate, asked.wave, asked.evaluation, asked.window_s, canary, control)

    def _samples(self, addresses: list[Address], window_s: float) -> list[DeviceSample]:
        found = []
        for address in addresses:
            counts = self._fleet.counts(self._numbers[address], self._now_s - window_s, self._now_s)
            if counts is not None:
                found.append(DeviceSample(address, counts[0], counts[1]))
        return found
