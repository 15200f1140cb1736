"""The sentences that are always true, on a fleet with every fault there is, and with any orders at any time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal
from unittest import mock

from hypothesis import HealthCheck, settings
from hypothesis import Phase as Part
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from core.rollout.world import NEW, OLD, Agent, World, fleet, plan_of
from fleetview.core.rollout import codec, devices, dispatch, flow, machine, orders
from fleetview.core.rollout.events import (
    Audit,
    DeviceJoined,
    DeviceLeft,
    DeviceObserved,
    DeviceSample,
    Event,
    HeartbeatHeard,
    LeadershipTaken,
    LinkLost,
    LinkRestored,
    Measure,
    MeasurementFailed,
    MeasurementTaken,
    Offer,
    Outcome,
    ReportHeard,
    SupersededBy,
)
from fleetview.core.rollout.plan import DEVICES_GATE
from fleetview.core.rollout.state import BAD, DeviceState, Phase, Rollout, Stage, Status
from fleetview.core.rollout.table import PHASES, VERBS
from fleetview_agent.wire import Address, ReleaseReport, Reported

Mode = Literal["good", "bad", "dead", "nan", "empty", "silent"]
RECOVER_S = 90.0


class Watched(World):
    """A world that looks at every single decision."""

    mode: Mode = "good"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.gens: dict[Address, tuple[int, int]] = {}
        self.failed_in: dict[tuple[int, str], int] = {}
        self.stopped_by: set[tuple[int, str]] = set()
        self.prometheus = self.ask

    def ask(self, asked: Measure) -> MeasurementTaken | MeasurementFailed | None:
        taken = self.measure(asked)
        match self.mode:
            case "silent" | "good" | "bad":
                return None if self.mode == "silent" else taken
            case "dead":
                return MeasurementFailed(asked.gate, asked.wave, asked.evaluation, "connection refused")
            case "empty":
                return replace(taken, canary=(), control=()) if taken is not None else None
            case "nan":
                nothing = [DeviceSample(address, math.nan, math.nan) for address in self.agents]
                return replace(taken, canary=nothing, control=nothing) if taken is not None else None

    def rate_of(self, agent: Agent) -> float:
        return 0.05 if self.mode == "bad" and agent.version == "1.5.0" else 0.001

    def feed(self, *events: Event) -> Outcome:
        before = codec.to_json(self.rollout)
        wave = self.rollout.head.wave
        twin = codec.from_json(before)
        with _only_known_ways():
            out = super().feed(*events)
        twin_out = machine.run(twin, events, self.now_s)
        assert twin_out == out  # 4: the state, restored, takes the same decisions
        assert codec.to_json(twin) == codec.to_json(self.rollout)
        for effect in out.effects:
            if isinstance(effect, Offer):
                self._check_offer(effect)
        self._check_measurements(events, out)
        if self.rollout.head.wave > wave:
            self._check_walked(wave)
        for each in out.measurements:
            if each.verdict == "fail":
                self.failed_in[each.wave, each.gate] = each.evaluation
        self.stopped_by |= {
            (wave, effect.what.removesuffix(" failed"))
            for effect in out.effects
            if isinstance(effect, Audit) and effect.kind == "gate" and effect.what.endswith(" failed")
        }
        return out

    def _check_offer(self, offer: Offer) -> None:
        head = self.rollout.head
        # 2: nothing is offered while it stands still, and only a running rollout or one on its way back offers at all
        assert head.status in {Status.RUNNING, Status.ROLLING_BACK}
        assert not head.stands
        # 1: only to members of a wave that has begun
        device = self.rollout.devices[offer.address]
        assert head.waves[device.wave].started_s is not None
        target = self.rollout.targets[offer.target]
        assert target == (OLD if head.status is Status.ROLLING_BACK else NEW)
        # generations and epochs only grow, and nothing is offered twice
        gen, epoch = self.gens.get(offer.address, (0, 0))
        assert offer.gen > gen
        assert offer.epoch >= epoch
        assert offer.gen == device.gen
        assert offer.gen > self.agents[offer.address].gen  # or the agent would not take it
        self.gens[offer.address] = (offer.gen, offer.epoch)

    def _check_measurements(self, events: tuple[Event, ...], out: Outcome) -> None:
        """3: no samples, NaN and a dead Prometheus are neither pass nor fail."""
        taken = {event.gate: event for event in events if isinstance(event, MeasurementTaken)}
        for each in out.measurements:
            if each.gate == DEVICES_GATE or each.verdict not in {"pass", "fail"}:
                continue
            samples = taken[each.gate].canary
            assert samples
            assert not any(math.isnan(sample.value) for sample in samples)

    def _check_walked(self, wave: int) -> None:
        """8: each gate of the wave that is over was passed, by itself since it last failed, or by a skip with a reason."""
        ended = self.rollout.head.waves[wave]
        if not self.rollout.by_wave[wave]:
            return
        assert set(ended.verdicts) == {DEVICES_GATE, "error-rate", "cpu"}
        for gate, verdict in ended.verdicts.items():
            if verdict.startswith("skipped by"):
                assert verdict.split(": ", 1)[1]
            elif gate != DEVICES_GATE and (wave, gate) in self.failed_in:
                assert self.evaluation_before > self.failed_in[wave, gate]
            if verdict.startswith("inconclusive"):
                assert self.plan.waves[wave].pilot
                assert (wave, gate) not in self.stopped_by

    evaluation_before: int = 0

    def round(self) -> None:
        self.evaluation_before = self.rollout.head.evaluation
        super().round()

    def crash(self) -> None:
        """Kill the controller, and start another one on what was stored."""
        self.pending = []
        self.rollout = codec.from_json(codec.to_json(self.rollout))
        self.feed(LeadershipTaken(self.rollout.head.epoch + 1, RECOVER_S))


@contextmanager
def _only_known_ways() -> Iterator[None]:
    """Each change of a stage and of a phase stands in its table."""
    real = devices.enter

    def enter(rollout: Rollout, device: DeviceState, stage: Stage, out: Outcome, reason: str = "") -> None:
        assert stage is Stage.WAITING or stage in devices.STAGES[device.stage], (device.stage, stage)
        real(rollout, device, stage, out, reason)

    real_phase = flow.set_phase

    def set_phase(rollout: Rollout, phase: Phase, out: Outcome) -> None:
        assert phase in PHASES[rollout.head.phase], (rollout.head.phase, phase)
        real_phase(rollout, phase, out)

    with (
        mock.patch.object(flow, "set_phase", set_phase),
        mock.patch.object(orders, "set_phase", set_phase),
        mock.patch.object(devices, "enter", enter),
        mock.patch.object(dispatch, "enter", enter),
        mock.patch.object(flow, "enter", enter),
        mock.patch.object(orders, "enter", enter),
    ):
        yield


class Rollouts(RuleBasedStateMachine):
    """Anything may happen at any time."""

    @initialize(
        size=st.integers(1, 24),
        waves=st.sampled_from([["20%", "60%", "100%"], [3, 6, 30], ["5%", "100%"], ["50%"]]),
        pilot=st.booleans(),
        hold=st.sampled_from([None, None, "step", "approval"]),
        approval=st.sampled_from([False, False, False, True]),
        unavailable=st.sampled_from([None, 2, "50%"]),
        on_fail=st.sampled_from([None, None, "pause", "abort", "rollback"]),
        per_minute=st.sampled_from([3, 1000]),
    )
    def begin(  # noqa: PLR0917 (hypothesis draws them)
        self,
        size: int,
        waves: list[Any],
        pilot: bool,
        hold: Any,
        approval: bool,
        unavailable: Any,
        on_fail: Any,
        per_minute: int,
    ) -> None:
        plan = plan_of(
            waves=[{"to": 2, "pilot": True}] * pilot + [{"to": wave, "hold": hold} for wave in waves],
            approval=approval,
            max_unavailable=unavailable,
            devices_on_fail=on_fail,
            per_minute=per_minute,
            rollback_per_minute=per_minute,
            group_by="site",
        )
        agents = fleet(size, sites=3)
        for number, (address, agent) in enumerate(agents.items()):
            agent.group, agent.gen = (address.site,), number % 5
        self.world = Watched(plan, agents)
        self.all = list(agents)

    def agent(self, number: int) -> Agent:
        """One of the fleet; more often one of those that are offered the change first."""
        members = sorted(self.world.rollout.devices.values(), key=lambda device: device.rank)
        order = [device.address for device in members] or self.all
        return self.world.agents[order[number * number // 99 % len(order)]]

    @rule(rounds=st.integers(1, 12))
    def time_passes(self, rounds: int) -> None:
        self.world.run_for(rounds * 10.0)

    @rule(rounds=st.integers(5, 30))
    def more_time_passes(self, rounds: int) -> None:
        self.world.run_for(rounds * 15.0, 15.0)

    @rule(rounds=st.integers(10, 40))
    def much_time_passes(self, rounds: int) -> None:
        self.world.run_for(rounds * 30.0, 30.0)

    @rule(mode=st.sampled_from(["good", "good", "bad", "dead", "nan", "empty", "silent"]))
    def metrics_change(self, mode: Mode) -> None:
        self.world.mode = mode

    @rule(number=st.integers(0, 99), presence=st.sampled_from(["online", "silent", "away"]))
    def presence_changes(self, number: int, presence: Any) -> None:
        if not self.agent(number).dead:
            self.world.see(self.agent(number), presence)

    @rule(number=st.integers(0, 99), obstacle=st.sampled_from([None, "in maintenance", "flapping"]))
    def obstacle_changes(self, number: int, obstacle: str | None) -> None:
        agent = self.agent(number)
        self.world.see(agent, agent.presence, obstacle)

    @rule(
        number=st.integers(0, 99),
        fault=st.sampled_from(["lies", "sick", "failed", "rolled_back", "checking", "applying", "deaf", None]),
    )
    def device_breaks(self, number: int, fault: str | None) -> None:
        agent = self.agent(number)
        agent.lies, agent.sick, agent.deaf = fault == "lies", fault == "sick", fault == "deaf"
        agent.fails = fault if fault in {"failed", "rolled_back"} else None
        agent.dies_when = fault if fault in {"checking", "applying"} else None

    @rule(
        number=st.integers(0, 99),
        gen=st.integers(0, 12),
        status=st.sampled_from(
            [None, "queued", "downloading", "applying", "checking", "committed", "failed", "rolled_back"]
        ),
        version=st.sampled_from([None, "1.4.2", "1.5.0", "9.9.9"]),
        times=st.integers(1, 2),
    )
    def device_says_anything(self, number: int, gen: int, status: Any, version: str | None, times: int) -> None:
        agent = self.agent(number)
        reported = Reported(session="s", gen=gen, release=ReleaseReport(version=version, status=status, reason="because"))
        self.world.feed(*[ReportHeard(agent.address, reported)] * times, HeartbeatHeard(agent.address, gen, is_ok=True))
        if not agent.online:  # it spoke once, and is as silent as before
            self.world.feed(DeviceObserved(agent.address, "silent" if agent.dead else agent.presence, agent.obstacle))

    @rule(number=st.integers(0, 99))
    def says_it_again(self, number: int) -> None:
        self.world.feed(*[self.world.report(self.agent(number))] * 2)

    @rule(
        verb=st.sampled_from([*["resume"] * 12, *["skip"] * 6, *["retry"] * 4, "pause", "pause", "rollback", "abort"]),
        by=st.sampled_from(["ana", "ben"]),
        reason=st.sampled_from(["", "known"]),
        stale=st.sampled_from([False, False, False, True]),
        named=st.sampled_from([(), (), (), (), (), (), ("approval",), ("gate_failed",), ("step",), ("recovering",)]),
    )
    def somebody_orders(self, verb: Any, by: str, reason: str, stale: bool, named: Any) -> None:
        world = self.world
        revision, status = world.rollout.head.revision, world.status
        offered = {device.address for device in world.rollout.underway.values() if device.stage is Stage.OFFERED}
        answer = world.order(
            verb,
            by,
            reason=reason,
            revision=revision - stale,
            reasons=named if verb == "resume" else (),
            confirm=world.rollout.id,
        )
        if stale and verb not in {"pause", "abort"}:
            assert not answer.taken
        if verb == "skip" and not reason:
            assert not answer.taken  # 8: only with a reason
        if verb == "resume" and by == "ana" and status is Status.AWAITING_APPROVAL:
            assert not answer.taken
        if verb == "abort" and answer.taken:  # 11
            assert offered <= {address for address, _ in world.withdrawals}
            assert not any(device.stage is Stage.OFFERED for device in world.rollout.devices.values())

    @rule()
    def controller_crashes(self) -> None:
        self.world.crash()

    @rule(seconds=st.sampled_from([10.0, 600.0]))
    def link_breaks(self, seconds: float) -> None:
        self.world.feed(LinkLost())
        stages = {device.address: device.stage for device in self.world.rollout.devices.values()}
        self.world.now_s += seconds
        self.world.feed(LinkRestored(RECOVER_S))
        # 9: whoever was blind has judged nobody meanwhile
        assert stages == {device.address: device.stage for device in self.world.rollout.devices.values()}

    @precondition(lambda self: len(self.all) > 2)
    @rule(number=st.integers(0, 99))
    def device_leaves(self, number: int) -> None:
        self.world.feed(DeviceLeft(self.agent(number).address))

    @rule(number=st.integers(0, 3))
    def device_joins(self, number: int) -> None:
        address = Address("default", "plant-1", f"new-{number}")
        agent = self.world.agents.setdefault(address, Agent(address, ("plant-1",)))
        self.world.feed(DeviceJoined(self.world.candidate(agent)))

    @rule(sure=st.integers(0, 39))
    def another_takes_over(self, sure: int) -> None:
        if sure == 39:
            self.world.feed(SupersededBy("telemetry-1.6.0", "ben"))

    @invariant()
    def counts_are_right(self) -> None:
        if not hasattr(self, "world"):
            return
        rollout = self.world.rollout
        for wave, tally in enumerate(rollout.tally):
            found = [device.stage for device in rollout.devices.values() if device.wave == wave]
            assert tally == {stage: found.count(stage) for stage in Stage}
        sizes = [wave.size for wave in rollout.head.waves]
        assert sizes == sorted(sizes)  # 1: each wave holds the one before
        assert all(device.deadline_s is not None for device in rollout.underway.values())
        assert (rollout.head.status is Status.PAUSED) <= bool(rollout.head.pauses)

    def teardown(self) -> None:
        """10: whoever accepted and fell silent ends as lost, or as bad in another way, and nobody is underway for ever."""
        if not hasattr(self, "world"):
            return
        world = self.world
        world.feed(LinkRestored(RECOVER_S))
        if world.status in VERBS["abort"]:
            assert world.order("abort").taken
        world.run_for(3600.0, 30.0)
        assert world.status not in {Status.ABORTING, Status.ROLLING_BACK, Status.RUNNING, Status.PAUSED}
        if world.status is Status.SUPERSEDED:
            return  # what becomes of them is counted by the rollout that took over
        assert not world.rollout.underway
        for address, device in world.rollout.devices.items():
            gone = world.agents[address].dead or world.agents[address].presence == "silent"
            if gone and device.exposed and device.goal == "change" and not device.has_left:
                assert device.stage in BAD, device
        assert {address for address, _ in world.withdrawals} <= set(world.gens)


TestRollouts = Rollouts.TestCase
TestRollouts.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    phases=[Part.generate],  # to find the shortest course takes minutes: whoever needs it adds Part.shrink
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    database=None,
)
