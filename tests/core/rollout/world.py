"""A simulated fleet with a virtual clock, and the least of a controller: it stores, then publishes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from fleetview.core.rollout import codec, machine
from fleetview.core.rollout.commands import Order
from fleetview.core.rollout.events import (
    Answer,
    Audit,
    Candidate,
    DeviceObserved,
    DeviceSample,
    Effect,
    Event,
    FreezeMembers,
    HeartbeatHeard,
    Measure,
    MeasurementFailed,
    MeasurementTaken,
    MembersFrozen,
    Offer,
    OrderReceived,
    Outcome,
    ReportHeard,
    Tick,
    Withdraw,
)
from fleetview.core.rollout.gates import canary_group, control_group
from fleetview.core.rollout.plan import DEFAULT_WAVES, Plan
from fleetview.core.rollout.state import Presence, Rollout, Status
from fleetview.core.rollout.target import ConfigTarget, ReleaseTarget, Target
from fleetview_agent.wire import Address, ConfigReport, ReleaseReport, Reported
from fleetview_agent.wire.messages import RolloutVerb

START_S = 1_800_000_000.0
OLD = Target(release=ReleaseTarget(version="1.4.2"))
NEW = Target(release=ReleaseTarget(version="1.5.0"))
BEAT_S = 30.0


NO_PILOT = [wave.model_dump() for wave in DEFAULT_WAVES if not wave.pilot]


def plan_of(**fields: object) -> Plan:
    """A plan with the defaults, but for these fields, and without a pilot: its first wave is the first of which all is asked."""
    return Plan.model_validate({"name": "telemetry-1.5.0", "target": NEW, "select": "site:*", "waves": NO_PILOT} | fields)


@dataclass
class Agent:
    """One device. `runs` is what it does; the flags are how it misbehaves."""

    address: Address
    group: tuple[str, ...] = ()
    presence: Presence = "online"
    obstacle: str | None = None
    gen: int = 0
    epoch: int = 0
    version: str = "1.4.2"
    before: str = "1.4.2"
    offered: tuple[int, int, Target] | None = None
    """What is retained for it."""
    status: str = "committed"
    step_s: float = 20.0
    until_s: float = 0.0
    beat_s: float = 0.0
    lies: bool = False
    """Reports another version than it was given."""
    fails: str | None = None
    """The status in which each update ends."""
    dies_when: str | None = None
    """Falls silent at this status, for good."""
    dead: bool = False
    deaf: bool = False
    """Takes no offer."""
    sick: bool = False
    bad_rate: float = 0.001
    requests: float = 1000.0

    @property
    def online(self) -> bool:
        return self.presence == "online" and not self.dead


@dataclass
class World:
    """A rollout, its fleet, and what was published."""

    plan: Plan
    agents: dict[Address, Agent]
    rollout: Rollout = field(init=False)
    now_s: float = START_S
    offers: list[tuple[Address, int, int, str]] = field(default_factory=list)
    withdrawals: list[tuple[Address, int]] = field(default_factory=list)
    audits: list[Audit] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    prometheus: Callable[[Measure], MeasurementTaken | MeasurementFailed | None] | None = None
    pending: list[Event] = field(default_factory=list)
    orders: int = 0
    restore_each_step: bool = False

    def __post_init__(self) -> None:
        self.rollout = machine.create(self.plan, "ana", self.now_s, epoch=1)

    @property
    def status(self) -> Status:
        return self.rollout.head.status

    # -- the controller

    def feed(self, *events: Event) -> Outcome:
        if self.restore_each_step:
            self.rollout = codec.from_json(codec.to_json(self.rollout))
        out = self.decide(events)
        for effect in out.effects:
            self.do(effect)
        return out

    def decide(self, events: tuple[Event, ...]) -> Outcome:
        return machine.run(self.rollout, events, self.now_s)

    def do(self, effect: Effect) -> None:
        match effect:
            case FreezeMembers():
                self.pending.append(MembersFrozen([self.candidate(agent) for agent in self.agents.values()]))
            case Offer():
                self.offers.append((effect.address, effect.gen, effect.epoch, effect.target))
                target = self.rollout.targets[effect.target]
                self.agents[effect.address].offered = (effect.gen, effect.epoch, target)
            case Withdraw():
                self.withdrawals.append((effect.address, effect.gen))
                agent = self.agents[effect.address]
                if agent.offered is not None and agent.offered[0] <= effect.gen:
                    agent.offered = None
            case Measure():
                if (answer := (self.prometheus or self.measure)(effect)) is not None:
                    self.pending.append(answer)
            case Audit():
                self.audits.append(effect)
            case Answer():
                self.answers.append(effect)

    def candidate(self, agent: Agent) -> Candidate:
        return Candidate(
            agent.address, agent.group, presence=agent.presence, obstacle=agent.obstacle, gen=agent.gen, previous=OLD
        )

    def order(self, verb: RolloutVerb, by: str = "ana", **fields: Any) -> Answer:
        self.orders += 1
        said: dict[str, Any] = {"reason": "", "expires_at_s": self.now_s + 60} | fields
        order = Order(f"order-{self.orders}", verb, by, **said)
        self.feed(OrderReceived(order))
        return self.answers[-1]

    def measure(self, asked: Measure) -> MeasurementTaken | None:
        def of(addresses: Iterable[Address]) -> list[DeviceSample]:
            agents = [self.agents[address] for address in addresses]
            if asked.gate == "cpu":
                return [DeviceSample(agent.address, 0.3) for agent in agents if agent.online]
            return [
                DeviceSample(agent.address, agent.requests * self.rate_of(agent), agent.requests)
                for agent in agents
                if agent.online
            ]

        return MeasurementTaken(
            asked.gate,
            asked.wave,
            asked.evaluation,
            asked.window_s,
            of(canary_group(self.rollout)),
            of(control_group(self.rollout)),
        )

    new_rate: float = 0.001

    def rate_of(self, agent: Agent) -> float:
        return self.new_rate if agent.version == "1.5.0" else agent.bad_rate

    # -- time

    def run_for(self, seconds: float, step_s: float = 10.0) -> None:
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            self.now_s += step_s
            self.round()

    def run_until(self, condition: Callable[[], bool], at_most_s: float = 6 * 3600.0, step_s: float = 10.0) -> None:
        end_s = self.now_s + at_most_s
        while not condition():
            assert self.now_s < end_s, f"still {self.status}, {self.rollout.head.phase}, {self.rollout.head.pauses}"
            self.now_s += step_s
            self.round()

    def round(self) -> None:
        events, self.pending = self.pending, []
        for agent in self.agents.values():
            events += self.live(agent)
        self.feed(*events, Tick())

    def live(self, agent: Agent) -> list[Event]:
        """What a device does and says in a round."""
        if not agent.online:
            return []
        found: list[Event] = []
        offered = agent.offered
        if offered is not None and not agent.deaf and offered[0] > agent.gen and offered[1] >= agent.epoch:
            agent.gen, agent.epoch = offered[0], offered[1]
            agent.before, agent.status = agent.version, "queued"
            agent.until_s = self.now_s + agent.step_s
            found.append(self.report(agent))
        elif agent.status not in {"committed", "failed", "rolled_back"} and self.now_s >= agent.until_s:
            following = {"queued": "downloading", "downloading": "applying", "applying": "checking", "checking": "committed"}
            agent.status = following[agent.status]
            agent.until_s = self.now_s + agent.step_s
            if agent.status == "committed" and agent.fails and agent.offered is not None and agent.offered[2] == NEW:
                agent.status = agent.fails
            elif agent.status == "checking" and agent.offered is not None and agent.offered[2].release is not None:
                agent.version = agent.offered[2].release.version
            if agent.status == "rolled_back":
                agent.version = agent.before
            found.append(self.report(agent))
        if agent.dies_when is not None and agent.status == agent.dies_when and agent.version != agent.before:
            agent.dead = True
            found.append(DeviceObserved(agent.address, "silent", None, agent.gen))
            return found
        if self.now_s - agent.beat_s >= BEAT_S:
            agent.beat_s = self.now_s
            found.append(HeartbeatHeard(agent.address, agent.gen, not agent.sick))
        return found

    def report(self, agent: Agent) -> ReportHeard:
        told = "9.9.9" if agent.lies else agent.version
        release = ReleaseReport(version=told, status=agent.status)  # type: ignore[arg-type]
        return ReportHeard(agent.address, Reported(session="s", gen=agent.gen, release=release))

    def see(self, agent: Agent, presence: Presence, obstacle: str | None = None) -> None:
        agent.presence, agent.obstacle = presence, obstacle
        self.feed(DeviceObserved(agent.address, presence, obstacle, agent.gen))

    def stages(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for device in self.rollout.devices.values():
            found[device.stage.value] = found.get(device.stage.value, 0) + 1
        return found


def fleet(size: int, sites: int = 4, **fields: Any) -> dict[Address, Agent]:
    made = (Address("default", f"plant-{number % sites}", f"gw-{number:05d}") for number in range(size))
    return {address: Agent(address, **fields) for address in made}


def world(size: int = 100, plan: Plan | None = None, **fields: Any) -> World:
    return World(plan or plan_of(), fleet(size, **fields))


def config_target(version: int) -> Target:
    return Target(config=ConfigTarget(version=version, document={"limit": version}))


def config_reported(target: Target, gen: int, **fields: Any) -> Reported:
    assert target.config is not None
    told: dict[str, Any] = {"version": target.config.version, "sha256": target.config.sha256, "status": "applied"} | fields
    return Reported(session="s", gen=gen, config=ConfigReport(**told))
