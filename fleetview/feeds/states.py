"""In which state a feed's link is, for the screen and for the timers that stand still while we are blind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fleetview_agent.endpoint import Failure
    from fleetview_agent.mqtt import Protocol


@dataclass(frozen=True, slots=True)
class Connecting:
    """An attempt is under way."""

    attempt: int
    """Counts from 1, since the link last stood."""


@dataclass(frozen=True, slots=True)
class Up:
    """Connected and subscribed."""

    since_mono_s: float
    protocol: Protocol
    refused_filters: tuple[tuple[str, str], ...] = ()
    """Subscriptions that the broker did not grant, each with its reason in words: what they would tell stays unknown."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """The attempt failed, or the link ended; the next attempt comes by itself."""

    failure: Failure
    next_try_mono_s: float


@dataclass(frozen=True, slots=True)
class Refused:
    """The broker does not let us in. Tried again slowly, for somebody has to mend it first."""

    failure: Failure
    next_try_mono_s: float


LinkState = Connecting | Up | Backoff | Refused
