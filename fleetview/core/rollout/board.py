"""What is known of all rollouts by their public snapshots: for whoever looks or steers, on a screen or in a script."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from fleetview.core.rollout.snapshot import PublicRollout, ShownAnswer, ShownDevice, read_snapshot
from fleetview.core.rollout.state import Status
from fleetview_agent.wire import Address, Channel, Controller, FleetTopic, Message, RolloutSnapshot, WireError

MAX_ROLLOUTS = 1000
"""Of a tenant; the oldest that are over go first."""
QUIET_S = 90.0
"""A rollout that is not over is told again every 30 s: after three of them without a word nobody runs it."""
OVER = frozenset(
    {
        Status.SUCCEEDED,
        Status.SUCCEEDED_WITH_STRAGGLERS,
        Status.ABORTED,
        Status.ROLLED_BACK,
        Status.ROLLBACK_FAILED,
        Status.SUPERSEDED,
    }
)
"""Nothing more happens by itself."""


class Key(NamedTuple):
    """By what a rollout is known."""

    tenant: str
    id: str

    def __str__(self) -> str:
        return f"{self.tenant}/{self.id}"


@dataclass(slots=True)
class Shown:
    """A rollout as it was last told."""

    key: Key
    public: PublicRollout
    received_mono_s: float
    retained: bool

    @property
    def over(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.public.status in OVER

    def devices(self) -> Iterator[tuple[Address, ShownDevice]]:
        """The devices that it names."""
        for device in self.public.devices:
            site, _, name = device.device.partition("/")
            yield Address(self.key.tenant, site, name), device


@dataclass(slots=True)
class Leader:
    """Who runs a tenant's rollouts."""

    id: str
    epoch: int
    heard_mono_s: float


@dataclass(slots=True)
class Board:
    """All rollouts, by tenant and id."""

    rollouts: dict[Key, Shown] = field(default_factory=dict)
    leaders: dict[str, Leader] = field(default_factory=dict)
    malformed: str | None = None
    """Why the last payload that could not be read was none; None when all could."""
    changes: int = 0
    """Counts up with whatever is told."""

    def take(self, topic: FleetTopic, body: Message | WireError | None, mono_s: float, *, retained: bool) -> None:
        """Take one message of a control plane."""
        match topic.channel:
            case Channel.CONTROLLER:
                self._take_leader(topic.tenant, body, mono_s)
            case Channel.ROLLOUT if topic.rollout_id is not None:
                self._take_rollout(Key(topic.tenant, topic.rollout_id), body, mono_s, retained=retained)
            case _:
                return
        self.changes += 1

    def _take_leader(self, tenant: str, body: Message | WireError | None, mono_s: float) -> None:
        if isinstance(body, Controller) and body.id is not None:
            self.leaders[tenant] = Leader(body.id, body.epoch or 0, mono_s)
        elif body is None:
            self.leaders.pop(tenant, None)

    def _take_rollout(self, key: Key, body: Message | WireError | None, mono_s: float, *, retained: bool) -> None:
        if body is None:
            self.rollouts.pop(key, None)
            return
        try:
            public = read_snapshot(body) if isinstance(body, RolloutSnapshot) else None
        except WireError as err:
            self.malformed = f"rollout {key}: {err}"
            return
        if public is None:
            self.malformed = f"rollout {key}: {body}"
            return
        self.rollouts[key] = Shown(key, public, mono_s, retained)
        if len(self.rollouts) > MAX_ROLLOUTS:
            oldest = min(self.rollouts.values(), key=lambda shown: (not shown.over, shown.public.created))
            del self.rollouts[oldest.key]

    def in_order(self) -> list[Shown]:
        """Those that are not over first, each the newest first."""
        newest = sorted(self.rollouts.values(), key=lambda shown: shown.public.created, reverse=True)
        return sorted(newest, key=lambda shown: shown.over)

    def named(self, text: str) -> list[Shown]:
        """The rollouts that a person means: `tenant/id`, an id, or the beginning of one when only one begins so."""
        exact = [shown for key, shown in self.rollouts.items() if text in {str(key), key.id}]
        return exact or [shown for key, shown in self.rollouts.items() if key.id.startswith(text)]

    def leads(self, tenant: str) -> Leader | None:
        """Who runs a tenant's rollouts; None: nobody, and nothing advances."""
        return self.leaders.get(tenant)

    def answer(self, key: Key, order_id: str) -> ShownAnswer | None:
        """What became of an order; None while nothing is told."""
        shown = self.rollouts.get(key)
        return next((each for each in shown.public.answers if each.order == order_id), None) if shown is not None else None
