"""One event at a time: the decisions of a rollout."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from fleetview.core.rollout import devices, flow, membership, orders
from fleetview.core.rollout.dispatch import dispatch
from fleetview.core.rollout.events import (
    Audit,
    DeviceJoined,
    DeviceLeft,
    DeviceObserved,
    Event,
    FreezeMembers,
    HeartbeatHeard,
    LeadershipTaken,
    LinkLost,
    LinkRestored,
    MeasurementFailed,
    MeasurementTaken,
    MembersFrozen,
    OperatorSeen,
    OrderReceived,
    Outcome,
    ReportHeard,
    SupersededBy,
    Tick,
)
from fleetview.core.rollout.metrics import judge_metric
from fleetview.core.rollout.plan import Plan
from fleetview.core.rollout.state import BAD, BUSY, FINAL, GateState, Head, Rollout, Stage, Status
from fleetview.core.rollout.words import count

_UNSETTLED = frozenset({Status.DRAFT, Status.AWAITING_APPROVAL})


def create(plan: Plan, by: str, now_s: float, epoch: int = 0) -> Rollout:
    """A new rollout, as a draft, under the leadership of `epoch`. Its first Tick asks for members, or for approval."""
    head = Head(id=plan.name, by=by, created_s=now_s, digest=plan.digest, since_s=now_s, now_s=now_s, epoch=epoch)
    rollout = Rollout(plan, head, targets={plan.target.key: plan.target})
    rollout.index()
    return rollout


def step(rollout: Rollout, event: Event, now_s: float) -> Outcome:
    """Let one event happen. The rollout is changed in place: 10,000 devices are not copied for each heartbeat.

    Never raises for what devices, metrics or operators say. `now_s` is seconds since 1970; one that goes back counts as no
    time passed.
    """
    return run(rollout, (event,), now_s)


def run(rollout: Rollout, events: Iterable[Event], now_s: float) -> Outcome:
    """Let the events of a round happen, in order, at one moment. End a round with a Tick."""
    out = Outcome()
    known = len(rollout.targets)
    waiting = tuple(events)
    _pass_time(rollout, now_s, seen=not any(isinstance(event, LeadershipTaken) for event in waiting))
    for event in waiting:
        _HANDLERS[type(event)](rollout, event, out)
    if len(rollout.targets) > known:
        out.targets = dict(islice(rollout.targets.items(), known, None))
    return out


def _pass_time(rollout: Rollout, now_s: float, *, seen: bool) -> None:
    """`seen`: this controller watched meanwhile; until it has started, nobody did, and the time counts for nothing."""
    head = rollout.head
    passed_s = max(0.0, now_s - head.now_s)
    head.now_s += passed_s
    if head.stands or not seen:
        head.stood_s += passed_s


# -- devices


def _on_heartbeat(rollout: Rollout, event: HeartbeatHeard, out: Outcome) -> None:
    device = rollout.devices.get(event.address)
    if device is not None and (device.stage is Stage.VERIFYING or device.presence != "online"):
        devices.hear_heartbeat(rollout, device, event.gen, out, is_ok=event.is_ok)


def _on_report(rollout: Rollout, event: ReportHeard, out: Outcome) -> None:
    device = rollout.devices.get(event.address)
    if device is None or rollout.head.status in FINAL:
        return
    stage = device.stage
    devices.hear_report(rollout, device, event.reported, out)
    if device.stage is stage:
        return
    if rollout.head.status is Status.ROLLING_BACK and device.goal == "change":
        # It accepted just before its offer was taken back.
        device.goal = "previous"
        devices.enter(rollout, device, Stage.WAITING, out)
    elif device.stage in BAD:  # fails at once
        flow.advance(rollout, out)


def _on_observed(rollout: Rollout, event: DeviceObserved, out: Outcome) -> None:
    device = rollout.devices.get(event.address)
    if device is None:
        return
    if event.gen > device.gen_seen:
        device.gen_seen = event.gen
        out.devices.add(device.address)
    if event.previous is not None and device.gen == 0 and event.previous.key != device.previous:
        device.previous = event.previous.key
        rollout.targets.setdefault(device.previous, event.previous)
        out.devices.add(device.address)
    devices.observe(rollout, device, event.presence, event.obstacle, out)


def _on_left(rollout: Rollout, event: DeviceLeft, out: Outcome) -> None:
    device = rollout.devices.get(event.address)
    if device is None or device.has_left:
        return
    device.has_left = True
    if device.stage is Stage.SKIPPED:
        device.reason = devices.LEFT
        rollout.quiet.pop(device.address, None)
        out.devices.add(device.address)
    else:
        devices.enter(rollout, device, Stage.SKIPPED, out, devices.LEFT)


def _on_joined(rollout: Rollout, event: DeviceJoined, out: Outcome) -> None:
    head = rollout.head
    address = event.candidate.address
    known = rollout.devices.get(address)
    if head.status not in {Status.SCHEDULED, Status.RUNNING, Status.PAUSED}:
        return
    if known is None:
        out.devices.add(membership.join(rollout, event.candidate).address)
        out.head = True
    elif known.has_left:  # it was removed, and is there again
        known.has_left = False
        known.gen_seen = max(known.gen_seen, event.candidate.gen)
        devices.enter(rollout, known, Stage.WAITING, out)
        devices.observe(rollout, known, event.candidate.presence, event.candidate.obstacle, out)


# -- membership and time


def _on_frozen(rollout: Rollout, event: MembersFrozen, out: Outcome) -> None:
    head = rollout.head
    if head.status not in _UNSETTLED or (rollout.plan.approval and head.approved_by is None):
        return
    if not event.candidates:
        flow.set_status(rollout, Status.ABORTED, out, f"its selection means no device: {rollout.plan.select}")
        return
    membership.freeze(rollout, event.candidates)
    out.devices.update(rollout.devices)
    text = f"{count(len(rollout.devices))} in {count(len(head.waves), 'wave')}"
    flow.set_status(rollout, Status.SCHEDULED, out, text, head.approved_by or head.by)


def _on_tick(rollout: Rollout, _event: Tick, out: Outcome) -> None:
    head = rollout.head
    if head.recover_until_s is not None and not head.blind and head.now_s >= head.recover_until_s:
        head.recover_until_s = None
        flow.unpause(rollout, ("recovering",), out, "has seen enough to go on")
    if head.status in _UNSETTLED and not head.stands:
        _settle(rollout, out)
        return
    start = rollout.plan.start_at
    if head.status is Status.SCHEDULED and not head.stands and (start is None or start.timestamp() <= head.now_s):
        text = f"{count(len(rollout.devices))} in {count(len(head.waves), 'wave')}"
        flow.set_status(rollout, Status.RUNNING, out, text if start is None else f"its time has come: {text}")
        flow.start_wave(rollout, 0, out)
    if head.status in FINAL or head.stands:
        return
    devices.pass_time(rollout, out)
    flow.advance(rollout, out)
    dispatch(rollout, out)
    if head.status in {Status.ABORTING, Status.ROLLING_BACK}:
        flow.finish(rollout, out)


def _settle(rollout: Rollout, out: Outcome) -> None:
    head = rollout.head
    if not rollout.plan.approval or head.approved_by is not None:
        out.effects.append(FreezeMembers())
    elif head.status is Status.DRAFT:
        flow.set_status(rollout, Status.AWAITING_APPROVAL, out, f"of another operator than {head.by}")


# -- metrics


def _gate(rollout: Rollout, event: MeasurementTaken | MeasurementFailed) -> GateState | None:
    """The gate that was asked for this; None for what was asked before something changed, or was not asked at all."""
    head = rollout.head
    gate = head.gates.get(event.gate)
    if gate is None or gate.asked_s is None or (event.wave, event.evaluation) != (head.wave, head.evaluation):
        return None
    return gate if head.status is Status.RUNNING else None


def _on_measured(rollout: Rollout, event: MeasurementTaken, out: Outcome) -> None:
    gate = _gate(rollout, event)
    plan = next((each for each in rollout.plan.gates if each.name == event.gate), None)
    if gate is None or plan is None:
        return
    flow.measured(rollout, gate, judge_metric(rollout, plan, event), plan.interval, out)


def _on_not_measured(rollout: Rollout, event: MeasurementFailed, out: Outcome) -> None:
    if (gate := _gate(rollout, event)) is not None:
        flow.measuring_failed(rollout, gate, event.reason[: devices.MAX_REASON_CHARS], out)


# -- operators and controllers


def _on_order(rollout: Rollout, event: OrderReceived, out: Outcome) -> None:
    orders.take(rollout, event.order, out)


def _on_seen(rollout: Rollout, event: OperatorSeen, out: Outcome) -> None:
    orders.see(rollout, event.who, out)


def _on_leadership(rollout: Rollout, event: LeadershipTaken, out: Outcome) -> None:
    """A start. What passed since the last moment that is known was not seen by anybody: it counts for nothing."""
    head = rollout.head
    if event.epoch < head.epoch:
        what = f"leadership with epoch {event.epoch} ignored: {head.epoch} is known"
        out.effects.append(Audit(head.now_s, flow.CONTROLLER, "controller", what))
        return
    head.epoch = event.epoch
    out.effects.append(Audit(head.now_s, flow.CONTROLLER, "controller", f"leads with epoch {event.epoch}"))
    out.head = True
    _recover(rollout, event.recover_s, "the controller has started", out)


def _on_link_lost(rollout: Rollout, _event: LinkLost, out: Outcome) -> None:
    head = rollout.head
    head.blind, head.recover_until_s = True, None
    out.head = True
    if head.status in BUSY:
        flow.pause(rollout, "recovering", out, "the controller's link is down")


def _on_link_restored(rollout: Rollout, event: LinkRestored, out: Outcome) -> None:
    _recover(rollout, event.recover_s, "the controller's link is back", out)


def _recover(rollout: Rollout, recover_s: float, why: str, out: Outcome) -> None:
    head = rollout.head
    head.blind = False
    if head.status not in BUSY:
        head.pauses.pop("recovering", None)
        return
    flow.pause(rollout, "recovering", out, why)
    head.recover_until_s = head.now_s + recover_s
    if head.waves and head.waves[head.wave].started_s is not None:
        flow.new_evaluation(rollout, out, bake=False)


def _on_superseded(rollout: Rollout, event: SupersededBy, out: Outcome) -> None:
    if rollout.head.status not in FINAL:
        flow.supersede(rollout, event.rollout, event.who, out)


_HANDLERS: dict[type, Callable[[Rollout, Any, Outcome], None]] = {
    MembersFrozen: _on_frozen,
    DeviceJoined: _on_joined,
    DeviceObserved: _on_observed,
    DeviceLeft: _on_left,
    HeartbeatHeard: _on_heartbeat,
    ReportHeard: _on_report,
    Tick: _on_tick,
    MeasurementTaken: _on_measured,
    MeasurementFailed: _on_not_measured,
    OrderReceived: _on_order,
    OperatorSeen: _on_seen,
    LeadershipTaken: _on_leadership,
    LinkLost: _on_link_lost,
    LinkRestored: _on_link_restored,
    SupersededBy: _on_superseded,
}
