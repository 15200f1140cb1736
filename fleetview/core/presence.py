"""Rules 2 to 5 of the contract: what a device's claim and its silence make of its connectivity."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fleetview.core.device import FLAPPING_CHANGES, FLAPPING_WINDOW_S, Claim, Connectivity

if TYPE_CHECKING:
    from fleetview.core.device import Device
    from fleetview.core.received import Received
    from fleetview_agent.wire import State

STALE_INTERVALS = 3
LOST_INTERVALS = 6
LOST_AT_LEAST_S = 120.0
GRACE_INTERVALS = 2
GRACE_AT_MOST_S = 30.0


def stale_after_s(interval_s: float) -> float:
    """Silence after which a device is stale (rule 2)."""
    return STALE_INTERVALS * interval_s


def lost_after_s(interval_s: float) -> float:
    """Silence after which a device is lost (rule 2)."""
    return max(LOST_INTERVALS * interval_s, LOST_AT_LEAST_S)


def grace_s(interval_s: float) -> float:
    """How long a will waits for a new birth (rule 3)."""
    return min(GRACE_INTERVALS * interval_s, GRACE_AT_MOST_S)


def judge(device: Device, now_obs: float) -> tuple[Connectivity, float]:
    """A device's connectivity at a moment, and when it changes next if nothing is heard (infinity: never).

    A will that waits for the end of its grace changes nothing yet.
    """
    match device.claim:
        case Claim.OFFLINE:
            return Connectivity.OFFLINE, math.inf
        case Claim.LOST:
            return Connectivity.LOST, math.inf
        case Claim.SLEEPING:
            if now_obs < device.claim_due_obs:
                return Connectivity.SLEEPING, device.claim_due_obs
            # It was silent by intent until now, so its silence counts from the moment it meant to be back.
            gone = device.claim_due_obs + lost_after_s(device.interval_s)
            return (Connectivity.STALE, gone) if now_obs < gone else (Connectivity.LOST, math.inf)
        case Claim.NONE if not device.live:
            return Connectivity.UNSEEN, math.inf
    return _judge_silence(device, now_obs)


def _judge_silence(device: Device, now_obs: float) -> tuple[Connectivity, float]:
    if device.seen_obs is None:
        return Connectivity.ONLINE, math.inf
    stale = device.seen_obs + stale_after_s(device.interval_s)
    lost = device.seen_obs + lost_after_s(device.interval_s)
    if now_obs < stale:
        return Connectivity.ONLINE, stale
    return (Connectivity.STALE, lost) if now_obs < lost else (Connectivity.LOST, math.inf)


def sleeps_for_s(body: State, received: Received) -> float:
    """How long a device means to sleep from now; by its own clock alone where that tells, for it may be skewed."""
    if body.wake_by is None:
        return math.inf
    if not received.retained and body.at is not None:
        return (body.wake_by - body.at).total_seconds()
    return body.wake_by.timestamp() - received.unix_s


def count_change(device: Device, now_obs: float) -> None:
    """Rule 5: five changes of connectivity within ten minutes are flapping."""
    if device.changes_obs is None:
        device.changes_obs = []
    changes = device.changes_obs
    changes.append(now_obs)
    del changes[:-FLAPPING_CHANGES]
    if len(changes) == FLAPPING_CHANGES and now_obs - changes[0] <= FLAPPING_WINDOW_S:
        device.flapping = True


def calm_down(device: Device, now_obs: float) -> float:
    """Rule 5: flapping ends when there is at most one change in ten minutes. Returns when to look again."""
    if not device.flapping or not device.changes_obs:
        return math.inf
    calm = device.changes_obs[-2] + FLAPPING_WINDOW_S
    if now_obs < calm:
        return calm
    device.flapping = False
    return math.inf
