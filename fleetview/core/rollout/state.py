"""All that is known of one rollout. Everything here survives a crash (`codec`), and only `machine.step` changes it.

Time that is spent paused, or blind after a start or a loss of the link, is taken out of deadlines: they are kept on the
rollout's own clock, `Head.active_s`, which stands still meanwhile. All other times are seconds since 1970.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from fleetview.core.rollout.plan import Plan
from fleetview.core.rollout.target import Target
from fleetview_agent.wire import Address

STATE_VERSION = 1
MAX_MEASUREMENTS = 60
"""Of one gate, in the state; the journal keeps all."""
MAX_ORDERS = 256
"""Whose ids are remembered."""
MAX_OPERATORS = 32
PRESENT_S = 120.0
"""How long an operator counts as present after being seen."""

Presence = Literal["online", "silent", "away"]
"""online; silent: stale or lost, without a word; away: offline, sleeping, or never seen. By rule 2 of the contract."""
PauseReason = Literal[
    "operator", "step", "approval", "gate_failed", "gate_inconclusive", "gate_error", "too_many_deferred", "recovering"
]
Verdict = Literal["pass", "fail", "inconclusive", "error"]
Goal = Literal["change", "previous"]
"""What a device is being brought to: the plan's target, or back."""


class Status(StrEnum):
    """The state of a rollout; `table.STATUSES` has the ways between them."""

    DRAFT = "draft"
    AWAITING_APPROVAL = "awaiting_approval"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    SUCCEEDED_WITH_STRAGGLERS = "succeeded_with_stragglers"
    ABORTING = "aborting"
    ABORTED = "aborted"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"
    ROLLBACK_FAILED = "rollback_failed"
    SUPERSEDED = "superseded"


class Phase(StrEnum):
    """Where a running wave stands; `table.PHASES`."""

    DISPATCHING = "dispatching"
    """Some of its devices have not been offered the change."""
    APPLYING = "applying"
    """Some have not finished."""
    BAKING = "baking"
    """All have finished, and are watched."""
    JUDGING = "judging"
    """Gates are judged."""


class Stage(StrEnum):
    """How far a device is; `devices.STAGES` has the ways between them."""

    WAITING = "waiting"
    OFFERED = "offered"
    ACCEPTED = "accepted"
    APPLYING = "applying"
    VERIFYING = "verifying"
    CONVERGED = "converged"
    """The generation and hash it reports are the desired ones, and three heartbeats since were ok."""
    FAILED = "failed"
    REJECTED = "rejected"
    TIMED_OUT = "timed_out"
    """Alive, but not done by its deadline."""
    LOST = "lost"
    """Accepted, then silent past its deadline."""
    DEFERRED = "deferred"
    """Never accepted, because it was not there."""
    ROLLED_BACK = "rolled_back"
    """Runs what it ran before: by itself, which is bad, or because the rollout was rolled back."""
    SKIPPED = "skipped"
    """Was not to be changed: in maintenance, withdrawn, removed."""


@dataclass(slots=True)
class DeviceState:
    """One member."""

    address: Address
    wave: int
    """The first wave that it is in, from 0."""
    rank: int
    """Its place in the order in which devices are offered the change."""
    group: tuple[str, ...] = ()
    pinned: bool = False
    stage: Stage = Stage.WAITING
    since_s: float = 0.0
    """When it came to this stage."""
    deadline_s: float | None = None
    """Of this stage, on the rollout's own clock."""
    reason: str = ""
    """Why it ended so, in plain words."""
    goal: Goal = "change"
    gen: int = 0
    """Of what it was offered last; 0 when nothing was."""
    gen_seen: int = 0
    """The highest generation that is known of it."""
    target: str = ""
    """What it was offered last: a key into `Rollout.targets`."""
    previous: str = ""
    """To what it can go back: the same; empty when nothing is known."""
    presence: Presence = "online"
    silent_since_s: float | None = None
    """Since when it is not online, on the rollout's own clock; None while it is."""
    obstacle: str | None = None
    proven: bool = False
    """It reports the generation and hash that are desired."""
    oks: int = 0
    """Heartbeats in a row since then that were ok."""
    reported: str = ""
    """What it said last of this generation, such as `applying`."""
    has_left: bool = False
    """It was removed from the fleet."""
    attempt: int = 0
    """How often it was offered the change."""
    exposed: bool = False
    """It accepted the change, so it has or had it."""


@dataclass(slots=True)
class Pause:
    """One reason for which a rollout stands still."""

    since_s: float
    text: str
    by: str = "controller"


@dataclass(frozen=True, slots=True)
class Measurement:
    """One judgement of a gate, with all it rests on."""

    gate: str
    wave: int
    evaluation: int
    at_s: float
    verdict: Verdict
    text: str
    """Why, in plain words, with the figures."""
    turn: str
    """What would turn it."""
    doubtful: bool = False
    """Inconclusive for being above its bound, though not for certain; not for want of evidence."""
    value: float | None = None
    low: float | None = None
    """The lower and upper bound within which the value is known."""
    high: float | None = None
    bound: float | None = None
    """The plan's `max`."""
    control: float | None = None
    control_high: float | None = None
    """Its upper bound."""
    control_bound: float | None = None
    """Above which the value would be too far from the control group's."""
    devices: int = 0
    """With samples."""
    of_devices: int = 0
    """Converged."""
    control_devices: int = 0
    events: float | None = None
    window_s: float = 0.0
    query: str = ""
    compared_with: Literal["control", "baseline", "none"] = "none"


@dataclass(slots=True)
class GateState:
    """A gate in the current wave."""

    name: str
    measurements: list[Measurement] = field(default_factory=list)
    """The last ones, oldest first, also of earlier evaluations of this wave."""
    verdict: Verdict = "inconclusive"
    """Of the evaluation: three passes in a row, or two fails of three."""
    text: str = ""
    turn: str = ""
    due_s: float = 0.0
    """When it is measured next, on the rollout's own clock."""
    asked_s: float | None = None
    """When a measurement that has not come yet was asked for, likewise."""
    errors: int = 0
    """In a row."""
    has_failed: bool = False
    """In this wave, whatever was measured since."""
    skipped_by: str | None = None
    skip_reason: str = ""


@dataclass(slots=True)
class WaveState:
    """One wave."""

    size: int
    """Devices in it, all earlier ones included."""
    started_s: float | None = None
    ended_s: float | None = None
    """When its gates were passed."""
    bad_taken: int = 0
    """Bad devices with which an operator chose to go on."""
    verdicts: dict[str, str] = field(default_factory=dict)
    """By gate: pass, or `skipped by NAME: REASON`; for waves that are over."""


@dataclass(slots=True)
class Head:
    """All but plan, targets and devices. Small; stored whole whenever it changes."""

    id: str
    by: str
    """Who started it."""
    created_s: float
    digest: str
    """Of the plan."""
    status: Status = Status.DRAFT
    since_s: float = 0.0
    """When it came to this status."""
    revision: int = 0
    """Counts all that changes what a verb would do: an operator decides by it."""
    epoch: int = 0
    approved_by: str | None = None
    waves: list[WaveState] = field(default_factory=list)
    wave: int = 0
    phase: Phase = Phase.DISPATCHING
    phase_since_s: float = 0.0
    wave_clock_s: float = 0.0
    """When the wave began, on the rollout's own clock."""
    judged_from_s: float = 0.0
    """When this evaluation's bake began, on the rollout's own clock."""
    evaluation: int = 0
    """Counts up with each wave, resume, retry and start: measurements of another one do not count."""
    gates: dict[str, GateState] = field(default_factory=dict)
    controls: dict[str, tuple[float, float]] = field(default_factory=dict)
    """By gate: the control group's value and its upper bound as measured last, for the last wave, which has none."""
    wait_from_s: float = 0.0
    """From when `max_wait` counts, on the rollout's own clock."""
    pauses: dict[PauseReason, Pause] = field(default_factory=dict)
    blind: bool = False
    """The controller's link is down."""
    recover_until_s: float | None = None
    """When it has seen enough again, seconds since 1970; None while blind, or when all is well."""
    deferred_taken: int = 0
    """Deferred devices of this wave with which an operator chose to go on."""
    stood_s: float = 0.0
    """For how long the rollout's own clock stood still, until `now_s`."""
    now_s: float = 0.0
    """The last moment that it knows of."""
    tokens: float = 0.0
    """Offers that may be made at once (token bucket)."""
    tokens_s: float = 0.0
    """When they were counted, on the rollout's own clock."""
    orders: list[str] = field(default_factory=list)
    """Ids of the last orders that were taken."""
    operators: dict[str, float] = field(default_factory=dict)
    """Who looked at it or steered it, and when last."""
    superseded_by: str | None = None
    text: str = ""
    """Why it is in this status."""

    @property
    def stands(self) -> bool:
        """Whether its clock stands still: paused, recovering or blind."""
        return bool(self.pauses) or self.blind

    @property
    def active_s(self) -> float:
        """The rollout's own clock: seconds since 1970, less what it stood still."""
        return self.now_s - self.stood_s


@dataclass(slots=True, eq=False)
class Rollout:
    """A rollout, whole."""

    plan: Plan
    head: Head
    devices: dict[Address, DeviceState] = field(default_factory=dict)
    targets: dict[str, Target] = field(default_factory=dict)
    """By `Target.key`: the plan's, and all to which devices can go back."""
    by_wave: list[list[DeviceState]] = field(default_factory=list)
    """Derived: the devices by the first wave they are in, in order of rank."""
    tally: list[dict[Stage, int]] = field(default_factory=list)
    """Derived: how many of each are in which stage."""
    underway: dict[Address, DeviceState] = field(default_factory=dict)
    """Derived: those that are offered, accepted, applying or verifying."""
    quiet: dict[Address, DeviceState] = field(default_factory=dict)
    """Derived: those of `is_quiet`."""

    @property
    def id(self) -> str:
        """By which it is known."""
        return self.head.id

    def index(self) -> None:
        """Work out anew what is derived; after loading."""
        waves = max(len(self.head.waves), 1)
        self.by_wave = [[] for _ in range(waves)]
        self.tally = [dict.fromkeys(Stage, 0) for _ in range(waves)]
        self.underway, self.quiet = {}, {}
        for device in sorted(self.devices.values(), key=lambda device: device.rank):
            self.by_wave[device.wave].append(device)
            self.tally[device.wave][device.stage] += 1
            if device.stage in UNDERWAY:
                self.underway[device.address] = device
            if is_quiet(device):
                self.quiet[device.address] = device


UNDERWAY = frozenset({Stage.OFFERED, Stage.ACCEPTED, Stage.APPLYING, Stage.VERIFYING})
"""Something is expected of the device, by a deadline."""
BAD = frozenset({Stage.FAILED, Stage.REJECTED, Stage.TIMED_OUT, Stage.LOST, Stage.ROLLED_BACK})
"""Ends that count against the change. (Going back because the rollout does is none: see `Goal`.)"""
FINISHED = BAD | {Stage.CONVERGED}
"""The denominator of the gate of the devices."""
LEFT_OUT = frozenset({Stage.DEFERRED, Stage.SKIPPED})
BUSY = frozenset({Status.SCHEDULED, Status.RUNNING, Status.PAUSED, Status.ABORTING, Status.ROLLING_BACK})
"""Something may happen to devices by itself, or once somebody says go on."""
FINAL = frozenset({Status.ROLLED_BACK, Status.ROLLBACK_FAILED, Status.SUPERSEDED})
"""Nothing follows."""


def is_quiet(device: DeviceState) -> bool:
    """Whether it accepted the change and is silent, at a stage without a deadline: if that lasts, it is lost."""
    if not device.exposed or device.presence != "silent" or device.goal != "change" or device.stage in UNDERWAY | BAD:
        return False
    return device.stage is not Stage.SKIPPED or not device.has_left
