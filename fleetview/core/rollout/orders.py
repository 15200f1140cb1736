"""The six verbs: whether an order is taken, and what it does. `words.consequence` says it beforehand."""

from __future__ import annotations

from fleetview.core.rollout.commands import Order
from fleetview.core.rollout.devices import enter
from fleetview.core.rollout.events import Answer, Audit, FreezeMembers, Outcome
from fleetview.core.rollout.flow import abort, changed, new_evaluation, pause, roll_back, set_phase, take_bad, unpause
from fleetview.core.rollout.plan import DEVICES_GATE
from fleetview.core.rollout.state import (
    BAD,
    MAX_OPERATORS,
    MAX_ORDERS,
    PauseReason,
    Phase,
    Rollout,
    Stage,
    Status,
)
from fleetview.core.rollout.table import VERBS
from fleetview.core.rollout.words import consequence

SAFE = frozenset({"pause", "abort"})
"""Taken whatever the operator last saw: they only ever make less happen."""
_GATES: tuple[PauseReason, ...] = ("gate_failed", "gate_inconclusive", "gate_error")


def see(rollout: Rollout, who: str, out: Outcome) -> None:
    """Somebody looks at a rollout, or steers it."""
    operators = rollout.head.operators
    operators.pop(who, None)
    operators[who] = rollout.head.now_s
    while len(operators) > MAX_OPERATORS:
        del operators[next(iter(operators))]
    out.head = True


def take(rollout: Rollout, order: Order, out: Outcome) -> None:
    """Carry out an order, or say why not."""
    head = rollout.head
    if (refusal := _refusal(rollout, order)) is not None:
        out.effects.append(Answer(order.id, taken=False, text=refusal))
        out.effects.append(Audit(head.now_s, order.by, "order", f"{order.verb} refused: {refusal}", order.reason))
        return
    text = consequence(rollout, order.verb)
    head.orders = [*head.orders, order.id][-MAX_ORDERS:]
    see(rollout, order.by, out)
    out.effects.append(Audit(head.now_s, order.by, "order", f"{order.verb}: {text}", order.reason))
    _VERBS[order.verb](rollout, order, out)
    changed(rollout, out)
    out.effects.append(Answer(order.id, taken=True, text=text))


def _refusal(rollout: Rollout, order: Order) -> str | None:
    """Why an order is not taken; None when it is."""
    head = rollout.head
    if order.id in head.orders:
        return "it was taken already"
    if order.expires_at_s < head.now_s:
        return "it came too late: it had expired"
    if head.status not in VERBS[order.verb]:
        can = ", ".join(verb for verb, statuses in VERBS.items() if head.status in statuses)
        return f"the rollout is {head.status.value}" + (f"; it takes {can}" if can else "")
    if order.revision is not None and order.revision != head.revision and order.verb not in SAFE:
        return f"the rollout has changed since (revision {head.revision}, not {order.revision}): look again, then decide"
    match order.verb:
        case "skip":
            return _refuse_skip(rollout, order)
        case "resume":
            return _refuse_resume(rollout, order)
        case "retry" if not _retried(rollout):
            return "no device has failed"
    return None


def _refuse_skip(rollout: Rollout, order: Order) -> str | None:
    gates = rollout.head.gates
    if not order.reason:
        return "to pass a gate without proof needs a reason"
    if order.confirm != rollout.id:
        return f"to pass a gate without proof needs the rollout's id typed: {rollout.id}"
    if order.gate is not None and order.gate not in gates:
        return f"there is no gate {order.gate!r}; there are {', '.join(gates)}"
    return None if _to_skip(rollout, order) else "all its gates are passed"


def _refuse_resume(rollout: Rollout, order: Order) -> str | None:
    head = rollout.head
    if head.status is Status.AWAITING_APPROVAL:
        if order.by == head.by:
            return f"{head.by} started it: somebody else has to approve it"
        return "it is approved already" if head.approved_by is not None else None
    named = order.reasons or tuple(reason for reason in head.pauses if reason not in {"approval", "recovering"})
    if "recovering" in named:
        return "it recovers by itself, when it has seen enough"
    if missing := [reason for reason in named if reason not in head.pauses]:
        return f"it is not paused for {', '.join(missing)}, but for {', '.join(head.pauses)}"
    if "approval" in named and order.by == head.by:
        return f"{head.by} started it: somebody else has to approve it"
    return None if named else f"it is paused for {', '.join(head.pauses)}: name what you remove"


def _pause(rollout: Rollout, order: Order, out: Outcome) -> None:
    pause(rollout, "operator", out, order.reason or "no reason given", order.by)


def _resume(rollout: Rollout, order: Order, out: Outcome) -> None:
    head = rollout.head
    if head.status is Status.AWAITING_APPROVAL:
        head.approved_by = order.by
        out.effects.append(FreezeMembers())
        return
    named = order.reasons or tuple(reason for reason in head.pauses if reason not in {"approval", "recovering"})
    if "too_many_deferred" in named:
        head.deferred_taken = rollout.tally[head.wave][Stage.DEFERRED]
    if head.waves[head.wave].ended_s is None and set(named) - {"step", "approval", "too_many_deferred"}:
        _judge_again(rollout, out, bake="gate_failed" in named)
    unpause(rollout, named, out, order.reason, order.by)


def _judge_again(rollout: Rollout, out: Outcome, *, bake: bool) -> None:
    new_evaluation(rollout, out, bake=bake)
    if rollout.head.phase is Phase.JUDGING and bake:
        set_phase(rollout, Phase.BAKING, out)


def _retried(rollout: Rollout) -> list[Stage]:
    waves = rollout.tally[: rollout.head.wave + 1]
    return [stage for stage in BAD if any(tally[stage] for tally in waves)]


def _retry(rollout: Rollout, order: Order, out: Outcome) -> None:
    head = rollout.head
    for wave in rollout.by_wave[: head.wave + 1]:
        for device in wave:
            if device.stage in BAD and not device.has_left:
                device.attempt = 0
                enter(rollout, device, Stage.WAITING, out)
    for wave_state in head.waves:
        wave_state.bad_taken = 0
    new_evaluation(rollout, out, bake=True)
    if head.waves[head.wave].ended_s is None:
        set_phase(rollout, Phase.DISPATCHING, out)
    unpause(rollout, _GATES, out, order.reason or "failed devices are tried again", order.by)


def _to_skip(rollout: Rollout, order: Order) -> list[str]:
    return [
        gate.name
        for gate in rollout.head.gates.values()
        if order.gate in {None, gate.name} and gate.verdict != "pass" and gate.skipped_by is None
    ]


def _skip(rollout: Rollout, order: Order, out: Outcome) -> None:
    head = rollout.head
    for name in _to_skip(rollout, order):
        gate = head.gates[name]
        gate.skipped_by, gate.skip_reason = order.by, order.reason
        if name == DEVICES_GATE:
            take_bad(rollout)
        if gate.verdict == "fail":
            gate.verdict = "inconclusive"
    if not any(gate.verdict == "fail" and gate.skipped_by is None for gate in head.gates.values()):
        head.wait_from_s = head.active_s
        unpause(rollout, _GATES, out, order.reason, order.by)


def _abort(rollout: Rollout, order: Order, out: Outcome) -> None:
    abort(rollout, out, order.reason or f"by {order.by}", order.by)


def _roll_back(rollout: Rollout, order: Order, out: Outcome) -> None:
    roll_back(rollout, out, order.reason or f"by {order.by}", order.by)


_VERBS = {"pause": _pause, "resume": _resume, "retry": _retry, "skip": _skip, "abort": _abort, "rollback": _roll_back}
