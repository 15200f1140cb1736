"""One device: what it said of itself, and the four axes that follow: connectivity, health, configuration, lifecycle."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from struct import Struct
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

from fleetview.core.payloads import unpack
from fleetview_agent.wire import Birth, Channel, Heartbeat, PreflightReport, Reported, WireError, decode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fleetview_agent.wire import Address, Desired, Health, Reported

DEFAULT_INTERVAL_S = 30.0
"""H of a device whose birth has not been seen."""
MAX_EVENTS = 64
FLAPPING_CHANGES = 5
FLAPPING_WINDOW_S = 600.0
SKEW_SAMPLES = 10
_SKEW = Struct("f")
SKEW_SHOWN_S = 5.0


class Connectivity(StrEnum):
    """Rule 2 of the contract."""

    UNSEEN = "unseen"
    """Known from somewhere, but there is no retained state."""
    ONLINE = "online"
    STALE = "stale"
    OFFLINE = "offline"
    """Said goodbye."""
    LOST = "lost"
    """Vanished."""
    SLEEPING = "sleeping"


class Trouble(IntEnum):
    """A device's worst trouble; the smaller, the worse. Each device is in one of these."""

    LOST = 0
    CRITICAL = 1
    DEGRADED = 2
    STALE = 3
    OFFLINE = 4
    SLEEPING = 5
    UNSEEN = 6
    OK = 7

    @property
    def text(self) -> str:
        """The word for it."""
        return self.name.lower()

    @property
    def needs_attention(self) -> bool:
        """Whether somebody should look: it is broken, or silent without a word."""
        return self <= Trouble.STALE


class Claim(StrEnum):
    """What a device's `state` topic last said of the current session, and what that means for the timers."""

    NONE = "none"
    ONLINE = "online"
    OFFLINE = "offline"
    SLEEPING = "sleeping"
    LOST = "lost"
    """The broker published its will, and the grace is over."""


class ConfigAxis(StrEnum):
    """How the configuration and release a device runs stand to those it should run."""

    UNMANAGED = "unmanaged"
    """Nothing is desired of it."""
    IN_SYNC = "in_sync"
    PENDING = "pending"
    APPLYING = "applying"
    REJECTED = "rejected"
    ROLLED_BACK = "rolled_back"
    FAILED = "failed"
    DRIFTED = "drifted"
    """It reports the generation that is desired, but another content."""


M = TypeVar("M", Heartbeat, Birth, Reported)
Lifecycle = Literal["discovered", "enrolled", "maintenance", "quarantined"]
EventKind = Literal["connectivity", "health", "module", "session", "config", "release", "rollout", "contract", "clock"]


class Event(NamedTuple):
    """Something that happened to a device while this program watched."""

    unix_s: float
    kind: EventKind
    text: str


class Vitals(NamedTuple):
    """Vitals of the last heartbeat; fractions of 0..1, temperature in degrees Celsius, None where it did not say."""

    cpu: float | None
    memory: float | None
    disk: float | None
    temperature_c: float | None


NO_VITALS = Vitals(None, None, None, None)


class DeviceAlerts(NamedTuple):
    """What Prometheus and Alertmanager say of one device, for who filters and sorts."""

    loud: int = 0
    """Firing or pending."""
    names: tuple[str, ...] = ()
    """Of each alert, the quiet ones too: its name, its state, and both as `name:state`."""
    severities: tuple[str, ...] = ()
    """Of those that are loud."""


NO_ALERTS = DeviceAlerts()


@dataclass(slots=True, eq=False)
class Device:
    """What is known of one device. Written by Fleet only.

    Times that end in `_obs` are seconds of the fleet's observed clock, which stands still while the reader's link is down;
    those in `_mono` the reader's monotonic clock, those in `_unix` seconds since 1970.
    """

    address: Address

    # connectivity
    connectivity: Connectivity = Connectivity.UNSEEN
    confirmed: bool = False
    """A live message, or the device's own goodbye, stands behind `connectivity`."""
    since_unix: float | None = None
    """When `connectivity` took its value, as far as this program saw it; None if it was so from the start."""
    session: str | None = None
    birth_session: str | None = None
    """The session of the latest birth; that of a device whose clock went back sorts before `session`."""
    replaced_session: str | None = None
    """A session that sorts after the current one, yet was followed by it: the device's clock had gone back."""
    claim: Claim = Claim.NONE
    claim_reason: str | None = None
    interval_s: float = DEFAULT_INTERVAL_S
    seen_obs: float | None = None
    """The last live message; for a device that is not confirmed, the time of its retained heartbeat."""
    seen_mono: float | None = None
    told_mono: float | None = None
    """The time of its retained heartbeat, for when nothing better is known."""
    live: bool = False
    """A live message has come."""
    claim_due_obs: float = math.inf
    """When a sleeping device means to be back."""
    will_due_obs: float = math.inf
    """When the will that the broker published counts; until then the device is what it was."""
    holds_counted: int = 0
    """How many returns of the reader's link `seen_obs` has been corrected for."""
    timer_obs: float = math.inf
    """When Fleet looks at this device next."""
    changes_obs: list[float] | None = None
    flapping: bool = False
    rival_session: str | None = None
    """A second session that spoke while the current one was alive: two machines use one device id."""

    # health
    health: Health | None = None
    """As last reported; None before the first heartbeat."""
    health_since_unix: float | None = None
    reasons: tuple[str, ...] = ()
    vitals: Vitals = NO_VITALS
    module_states: tuple[tuple[str, str], ...] = ()
    seq: int | None = None
    seq_epoch: int = 0
    lost_heartbeats: int = 0
    skews_s: bytes = b""
    """The last ten live heartbeats' time minus that of their receipt, as single-precision floats: 73 bytes."""
    release: str | None = None
    config_version: int | None = None
    heartbeat_packed: bytes | None = None
    """The last heartbeat, as `payloads.pack` makes it; likewise the birth."""
    birth_packed: bytes | None = None

    # configuration
    desired: Desired | None = None
    reported: Reported | None = None
    config: ConfigAxis = ConfigAxis.UNMANAGED
    preflight_packed: bytes | None = None
    """The last `reported` with what preflight found, which does not stand in `reported`."""

    lifecycle: Lifecycle = "discovered"
    labels: Mapping[str, str] | None = None
    """Shared with all devices that have the same."""
    certificate_until_unix: float | None = None
    trouble: Trouble = Trouble.UNSEEN
    """`trouble_of` this device, kept by Roster: worked out anew, it would make sorting 100,000 take 40 ms longer."""
    in_outage: bool = False
    """Part of a site outage (rule 7)."""
    malformed: int = 0
    malformed_reason: str | None = None
    log_gaps: int = 0
    """Holes in the numbers of its log records."""
    log_missing: int = 0
    """Records in those holes."""
    events: list[Event] | None = None
    stage: str | None = None
    """How far a rollout has it: a value of `core.rollout.state.Stage`, None while no rollout names it."""
    alerts: DeviceAlerts | None = None
    """None before anybody said."""

    @property
    def silent(self) -> bool:
        """Whether it fell silent without a word (rule 7 counts these)."""
        return self.connectivity is Connectivity.STALE or self.connectivity is Connectivity.LOST

    @property
    def rollout(self) -> str | None:
        """The rollout that it is part of."""
        return self.desired.rollout if self.desired is not None else None

    @property
    def clock_skew_s(self) -> float | None:
        """How far its clock is ahead, in seconds (rule 9); None before the first live heartbeat.

        The smallest in size: the way through the network only ever makes a message late, so the sample least off is the
        best, and one late message does not make a clock slow.
        """
        return min(array("f", self.skews_s), key=abs) if self.skews_s else None

    @property
    def plainly_online(self) -> bool:
        """Online beyond doubt, with no will waiting: another message changes nothing of that."""
        return (
            self.claim is Claim.ONLINE
            and self.confirmed
            and self.connectivity is Connectivity.ONLINE
            and self.will_due_obs == math.inf
        )

    def set_claim(self, claim: Claim, reason: str | None = None) -> None:
        """Take what the device says of itself in the place of all that was said before, a will that waits included."""
        self.claim, self.claim_reason = claim, reason
        self.claim_due_obs = self.will_due_obs = math.inf

    def count_heartbeat(self, seq: int, epoch: int) -> None:
        """Count the heartbeats lost before this one; over an interruption of the reader's own link they are the reader's."""
        if self.seq is not None and self.seq_epoch == epoch and seq > self.seq + 1:
            self.lost_heartbeats += seq - self.seq - 1
        if self.seq is None or seq > self.seq:
            self.seq = seq
        self.seq_epoch = epoch

    def measure_clock(self, skew_s: float) -> None:
        """Take a live heartbeat's time minus that of its receipt into the last ten."""
        self.skews_s = (self.skews_s + _SKEW.pack(skew_s))[-SKEW_SAMPLES * _SKEW.size :]

    def heartbeat(self) -> Heartbeat | None:
        """The last heartbeat, read again from what was received: 100,000 of them decoded would take a gigabyte."""
        return _reread(Channel.HEARTBEAT, self.heartbeat_packed, Heartbeat)

    def birth(self) -> Birth | None:
        """The inventory of the last birth, read again likewise."""
        return _reread(Channel.BIRTH, self.birth_packed, Birth)

    def preflight(self) -> PreflightReport | None:
        """What preflight last found on the device, read again likewise."""
        reported = _reread(Channel.REPORTED, self.preflight_packed, Reported)
        return None if reported is None else reported.preflight

    def flags(self) -> list[str]:
        """What else a person should know, in the words that a filter uses."""
        skew = self.clock_skew_s
        found = (
            (self.flapping, "flapping"),
            (self.in_outage, "site_outage"),
            (skew is not None and abs(skew) > SKEW_SHOWN_S, "clock_skew"),
            (self.malformed > 0, "malformed"),
            (self.log_gaps > 0, "log_gap"),
            (self.rival_session is not None, "duplicate_id"),
        )
        return [name for holds, name in found if holds]

    def note(self, unix_s: float, kind: EventKind, text: str) -> None:
        """Add to the timeline, which keeps the last 64."""
        if self.events is None:
            self.events = []
        elif len(self.events) >= MAX_EVENTS:
            del self.events[0]
        self.events.append(Event(unix_s, kind, text))


def _reread(channel: Channel, packed: bytes | None, model: type[M]) -> M | None:
    if packed is None:
        return None
    try:
        message = decode(channel, unpack(packed))
    except WireError:  # cannot be: only payloads that were decoded once are kept
        return None
    return message if isinstance(message, model) else None
