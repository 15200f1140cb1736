"""Who is offered something now: in order, at a bounded rate, and not more of a group at once than may be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from fleetview.core.rollout.devices import covers, enter
from fleetview.core.rollout.events import Offer, Outcome
from fleetview.core.rollout.flow import rollback_fails
from fleetview.core.rollout.state import DeviceState, Rollout, Stage, Status

LAST_GEN = 2**62
"""A device that claims to have come so far cannot be offered anything newer: the contract ends at 2**63."""
_BURST_S = 10.0
"""Offers of so many seconds may be made at once."""


def dispatch(rollout: Rollout, out: Outcome) -> None:
    """Offer what may be offered now. Nothing while the rollout stands still, whatever its status."""
    head = rollout.head
    if head.stands or head.status not in {Status.RUNNING, Status.ROLLING_BACK}:
        return
    is_back = head.status is Status.ROLLING_BACK
    if not any(tally[Stage.WAITING] for tally in (rollout.tally if is_back else rollout.tally[: head.wave + 1])):
        return
    if is_back and rollback_fails(rollout):
        return
    tokens = _tokens(rollout, rollout.plan.rollback_per_minute if is_back else rollout.plan.per_minute)
    room = _Room(rollout)
    for device in list(_newest_first(rollout) if is_back else _in_order(rollout)):
        if tokens < 1:
            break
        if not is_back and (stage := _left_out(rollout, device)) is not None:
            enter(rollout, device, stage[0], out, stage[1])
            continue
        if not room.take(device):
            continue
        if device.gen_seen >= LAST_GEN:
            enter(rollout, device, Stage.FAILED, out, f"claims generation {device.gen_seen}: no newer one can be offered")
            continue
        _offer(rollout, device, device.previous if is_back else rollout.plan.target.key, out)
        tokens -= 1
    head.tokens = tokens
    out.head = True


def _offer(rollout: Rollout, device: DeviceState, target: str, out: Outcome) -> None:
    device.gen = device.gen_seen = max(device.gen, device.gen_seen) + 1
    device.target = target
    device.attempt += device.goal == "change"
    enter(rollout, device, Stage.OFFERED, out)
    out.effects.append(Offer(device.address, device.gen, rollout.head.epoch, target))


def _in_order(rollout: Rollout) -> Iterator[DeviceState]:
    for wave, tally in zip(rollout.by_wave[: rollout.head.wave + 1], rollout.tally, strict=False):
        if tally[Stage.WAITING]:
            yield from (device for device in wave if device.stage is Stage.WAITING)


def _newest_first(rollout: Rollout) -> Iterator[DeviceState]:
    for wave in reversed(rollout.by_wave):
        yield from (device for device in reversed(wave) if device.stage is Stage.WAITING and device.goal == "previous")


def _left_out(rollout: Rollout, device: DeviceState) -> tuple[Stage, str] | None:
    """Where a device goes that is not eligible now; None for one that is."""
    if device.exposed and device.presence != "online":  # a retry does not excuse what the change did to it
        return Stage.LOST, "accepted the change before, and is not there"
    if device.obstacle is not None:
        return Stage.SKIPPED, device.obstacle
    if not device.previous or not covers(rollout.targets[device.previous], rollout.plan.target):
        return Stage.SKIPPED, "nothing is known to which it could go back"
    return (Stage.DEFERRED, "offline") if device.presence != "online" else None


def _tokens(rollout: Rollout, per_minute: int) -> float:
    """How many offers may be made now (token bucket)."""
    head = rollout.head
    most = max(1.0, per_minute / 60 * _BURST_S)
    found = min(most, head.tokens + (head.active_s - head.tokens_s) * per_minute / 60)
    head.tokens_s = head.active_s
    return found


class _Room:
    """How many devices of each group may begin to change."""

    def __init__(self, rollout: Rollout) -> None:
        self._most = rollout.plan.max_unavailable
        if self._most is None:
            return
        self._changing = Counter(device.group for device in rollout.underway.values())
        self._sizes = Counter(device.group for device in rollout.devices.values())

    def take(self, device: DeviceState) -> bool:
        """Whether there is room for one more of its group, which is then taken."""
        if self._most is None:
            return True
        if self._changing[device.group] >= self._most.of(self._sizes[device.group]):
            return False
        self._changing[device.group] += 1
        return True
