"""What happens to a rollout, and what is to be done about it.

Who runs the controller makes events of what devices, metrics and operators say, calls `machine.step` with each, and does
what comes back, in this order: store (the changed rollout and the effects, in one transaction), then publish.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from fleetview.core.rollout.commands import Order
from fleetview.core.rollout.state import Measurement, Presence
from fleetview.core.rollout.target import Target
from fleetview_agent.wire import Address, Reported

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# -- events


@dataclass(frozen=True, slots=True)
class Candidate:
    """A device that the selection means, as it is when membership is frozen, or when it joins later."""

    address: Address
    group: tuple[str, ...] = ()
    """The values of the plan's `group_by` labels, in its order."""
    pinned: bool = False
    """The plan's `canaries` mean it."""
    presence: Presence = "online"
    obstacle: str | None = None
    """Why it cannot take part now (`devices.obstacle_of`); None when it can."""
    gen: int = 0
    """The highest generation that is known of it, desired or reported."""
    previous: Target | None = None
    """To what it can go back."""


@dataclass(frozen=True, slots=True)
class MembersFrozen:
    """The answer to FreezeMembers: all devices that the selection means. An empty one is refused."""

    candidates: Sequence[Candidate]


@dataclass(frozen=True, slots=True)
class DeviceJoined:
    """A device that the selection means came after membership was frozen: it belongs to the last wave."""

    candidate: Candidate


@dataclass(frozen=True, slots=True)
class DeviceObserved:
    """What is known of a member besides what it reports changed: presence by rule 2 of the contract, or an obstacle."""

    address: Address
    presence: Presence
    obstacle: str | None = None
    gen: int = 0
    previous: Target | None = None


@dataclass(frozen=True, slots=True)
class DeviceLeft:
    """A member was removed from the fleet."""

    address: Address


@dataclass(frozen=True, slots=True)
class HeartbeatHeard:
    """A live heartbeat; a retained one proves nothing and is no event."""

    address: Address
    gen: int | None
    """The generation it says it runs; None when it does not say."""
    is_ok: bool
    """Its health."""


@dataclass(frozen=True, slots=True)
class ReportHeard:
    """A device's `reported`, live or retained."""

    address: Address
    reported: Reported


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed. Once a second or so; and once before anything else after a start."""


@dataclass(frozen=True, slots=True)
class DeviceSample:
    """What a measurement says of one device."""

    address: Address
    value: float
    """The mean over the window; for a rate, how many of the events were bad."""
    events: float | None = None
    """Of how many, for a rate."""
    age_s: float = 0.0
    """Since its latest sample."""


@dataclass(frozen=True, slots=True)
class MeasurementTaken:
    """The answer to Measure."""

    gate: str
    wave: int
    evaluation: int
    """As in Measure; one of an older evaluation does not count."""
    window_s: float
    canary: Sequence[DeviceSample]
    """Of devices that Measure named; those without a sample are left out."""
    control: Sequence[DeviceSample] = ()
    baseline: Sequence[DeviceSample] = ()
    """Of the canary devices, from before they changed; for when there is no control group."""
    scalar: float | None = None
    """The one value of a query that is not by device."""
    query: str = ""
    """As it was asked; for the record."""


@dataclass(frozen=True, slots=True)
class MeasurementFailed:
    """Prometheus could not be asked, or refused the query."""

    gate: str
    wave: int
    evaluation: int
    reason: str


@dataclass(frozen=True, slots=True)
class OrderReceived:
    """An operator's command (`commands.parse_order`). Answered by an Answer."""

    order: Order


@dataclass(frozen=True, slots=True)
class OperatorSeen:
    """Somebody looks at this rollout."""

    who: str


@dataclass(frozen=True, slots=True)
class LeadershipTaken:
    """This controller leads now, with this epoch; also after every start. The rollout recovers first."""

    epoch: int
    recover_s: float
    """Three heartbeats, of the slowest interval among its devices."""


@dataclass(frozen=True, slots=True)
class LinkLost:
    """The controller's own link is down: it sees nothing, so nothing counts."""


@dataclass(frozen=True, slots=True)
class LinkRestored:
    """It is back, and everything is subscribed again."""

    recover_s: float
    """As in LeadershipTaken."""


@dataclass(frozen=True, slots=True)
class SupersededBy:
    """Another rollout takes over its devices."""

    rollout: str
    who: str


Event = (
    MembersFrozen
    | DeviceJoined
    | DeviceObserved
    | DeviceLeft
    | HeartbeatHeard
    | ReportHeard
    | Tick
    | MeasurementTaken
    | MeasurementFailed
    | OrderReceived
    | OperatorSeen
    | LeadershipTaken
    | LinkLost
    | LinkRestored
    | SupersededBy
)

# -- effects


@dataclass(frozen=True, slots=True)
class FreezeMembers:
    """Find the devices that the plan's selection means now, and answer with MembersFrozen."""


@dataclass(frozen=True, slots=True)
class Offer:
    """Publish `desired`, retained. Idempotent by (address, gen)."""

    address: Address
    gen: int
    epoch: int
    target: str
    """Key into `Rollout.targets`."""


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Publish an empty `desired`, retained, in the place of generation `gen`, which was not accepted."""

    address: Address
    gen: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Measure:
    """Take a measurement for a gate, and answer with MeasurementTaken or MeasurementFailed.

    The devices are those of `gates.canary_group` and `gates.control_group`.
    """

    gate: str
    wave: int
    evaluation: int
    window_s: float
    attempt: int = 1
    """Of five; more of them after that, at the longest delay."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of an order, for who gave it."""

    order: str
    """Its id."""
    taken: bool
    text: str
    """Why not, or what follows from it."""


AuditKind = Literal["order", "state", "wave", "gate", "controller"]


@dataclass(frozen=True, slots=True)
class Audit:
    """A record of who did what and why, to be kept for ever."""

    at_s: float
    who: str
    """An operator, or `controller`."""
    kind: AuditKind
    what: str
    why: str = ""


Effect = FreezeMembers | Offer | Withdraw | Measure | Answer | Audit


@dataclass(slots=True)
class Outcome:
    """What one event led to."""

    effects: list[Effect] = field(default_factory=list)
    devices: set[Address] = field(default_factory=set)
    """Whose state changed, and must be stored."""
    measurements: list[Measurement] = field(default_factory=list)
    """New ones, to be stored for ever; the state keeps the last ones only."""
    targets: Mapping[str, Target] = field(default_factory=dict)
    """New ones, by key."""
    head: bool = False
    """Whether anything but devices changed, and must be stored and shown."""

    def merge(self, other: Outcome) -> None:
        """Take in what a later event of the same round led to."""
        self.effects += other.effects
        self.devices |= other.devices
        self.measurements += other.measurements
        self.targets = {**self.targets, **other.targets}
        self.head = self.head or other.head
