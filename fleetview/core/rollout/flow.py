"""The course of a rollout: statuses, waves and their phases, pauses, and what a failed gate leads to."""

from __future__ import annotations

from fleetview.core.rollout.devices import enter
from fleetview.core.rollout.events import Audit, Measure, Outcome, Withdraw
from fleetview.core.rollout.gates import (
    BACKOFF_S,
    ERRORS_FOR_VERDICT,
    Fates,
    bad_in,
    judge_devices,
    overall,
)
from fleetview.core.rollout.pilot import how_it_let_go_on, is_pilot, lets_go_on
from fleetview.core.rollout.plan import DEVICES_GATE, OnFail
from fleetview.core.rollout.state import (
    BAD,
    LEFT_OUT,
    MAX_MEASUREMENTS,
    UNDERWAY,
    DeviceState,
    GateState,
    Measurement,
    Pause,
    PauseReason,
    Phase,
    Rollout,
    Stage,
    Status,
    Verdict,
)
from fleetview.core.rollout.table import leads
from fleetview.core.rollout.words import count, gate_title, goes_back, rolls_back_by_default, share

ANSWER_WITHIN_S = 120.0
"""A measurement that has not come by then failed."""
CONTROLLER = "controller"


# -- statuses and pauses


def set_status(rollout: Rollout, status: Status, out: Outcome, text: str, who: str = CONTROLLER) -> None:
    """Bring a rollout to a status to which there is a way from where it is."""
    head = rollout.head
    if not leads(head.status, status):
        msg = f"rollout {head.id}: there is no way from {head.status.value} to {status.value}"
        raise AssertionError(msg)
    out.effects.append(Audit(head.now_s, who, "state", f"{head.status.value} -> {status.value}", text))
    head.status, head.since_s, head.text = status, head.now_s, text
    changed(rollout, out)


def changed(rollout: Rollout, out: Outcome) -> None:
    """Something changed by which operators decide."""
    rollout.head.revision += 1
    out.head = True


def pause(rollout: Rollout, reason: PauseReason, out: Outcome, text: str, who: str = CONTROLLER) -> None:
    """Add a reason to stand still."""
    head = rollout.head
    if reason in head.pauses:
        return
    head.pauses[reason] = Pause(head.now_s, text, who)
    if head.status is Status.RUNNING:
        set_status(rollout, Status.PAUSED, out, f"{reason}: {text}", who)
    else:
        out.effects.append(Audit(head.now_s, who, "state", f"{reason} added to what holds it", text))
        changed(rollout, out)


def unpause(rollout: Rollout, reasons: tuple[PauseReason, ...], out: Outcome, text: str, who: str = CONTROLLER) -> None:
    """Remove reasons to stand still; without any left it runs on."""
    head = rollout.head
    gone = [reason for reason in reasons if head.pauses.pop(reason, None) is not None]
    if not gone:
        return
    changed(rollout, out)
    if head.status is Status.PAUSED and not head.pauses:
        set_status(rollout, Status.RUNNING, out, text, who)


def supersede(rollout: Rollout, by: str, who: str, out: Outcome) -> None:
    """Another rollout takes over: nothing more is offered, and what was not accepted is withdrawn."""
    withdraw_all(rollout, out, f"superseded by {by}")
    rollout.head.superseded_by = by
    rollout.head.pauses.clear()
    set_status(rollout, Status.SUPERSEDED, out, f"superseded by {by}", who)


def withdraw_all(rollout: Rollout, out: Outcome, why: str) -> None:
    """Take back all offers that were not accepted."""
    offered = [device for device in rollout.underway.values() if device.stage is Stage.OFFERED]
    for device in offered:
        out.effects.append(Withdraw(device.address, device.gen, rollout.head.epoch))
        enter(rollout, device, Stage.SKIPPED, out, f"withdrawn: {why}")


def abort(rollout: Rollout, out: Outcome, why: str, who: str = CONTROLLER) -> None:
    """Stop offering and withdraw; devices stay as they are."""
    head = rollout.head
    for reason in [reason for reason in head.pauses if reason != "recovering"]:
        del head.pauses[reason]
    if head.status in {Status.RUNNING, Status.PAUSED}:
        set_status(rollout, Status.ABORTING, out, why, who)
        withdraw_all(rollout, out, f"aborted by {who}")
    else:
        set_status(rollout, Status.ABORTED, out, why, who)


def roll_back(rollout: Rollout, out: Outcome, why: str, who: str = CONTROLLER) -> None:
    """Bring all that may have the change back to what they ran before."""
    head = rollout.head
    for reason in [reason for reason in head.pauses if reason != "recovering"]:
        del head.pauses[reason]
    set_status(rollout, Status.ROLLING_BACK, out, why, who)
    for device in rollout.devices.values():
        if goes_back(device) and not device.has_left:
            device.goal = "previous"
            enter(rollout, device, Stage.WAITING, out, device.reason)
    rollout.head.tokens_s = head.active_s


# -- waves


def start_wave(rollout: Rollout, wave: int, out: Outcome) -> None:
    """Begin a wave."""
    head = rollout.head
    head.wave, head.deferred_taken, head.waves[wave].started_s = wave, 0, head.now_s
    head.wave_clock_s = head.active_s
    set_phase(rollout, Phase.DISPATCHING, out)
    new_evaluation(rollout, out, bake=True)
    for gate in head.gates.values():
        gate.measurements, gate.has_failed, gate.skipped_by, gate.skip_reason = [], False, None, ""
    size = len(rollout.by_wave[wave])
    out.effects.append(Audit(head.now_s, CONTROLLER, "wave", f"wave {wave + 1} of {len(head.waves)} began", count(size)))
    changed(rollout, out)


def set_phase(rollout: Rollout, phase: Phase, out: Outcome) -> None:
    """Bring the current wave to a phase."""
    rollout.head.phase, rollout.head.phase_since_s = phase, rollout.head.now_s
    out.head = True


def new_evaluation(rollout: Rollout, out: Outcome, *, bake: bool) -> None:
    """Judge from the beginning: measurements of before do not count. `bake`: bake anew too."""
    head = rollout.head
    head.evaluation += 1
    head.wait_from_s = head.active_s
    if bake:
        head.judged_from_s = head.active_s
    for name in (DEVICES_GATE, *(gate.name for gate in rollout.plan.gates)):
        gate = head.gates.setdefault(name, GateState(name))
        gate.verdict, gate.text, gate.turn = "inconclusive", "not measured yet", ""
        gate.due_s, gate.asked_s, gate.errors = head.active_s, None, 0
    out.head = True


def advance(rollout: Rollout, out: Outcome) -> None:
    """What follows from all that is known now, of a running rollout that does not stand still."""
    head = rollout.head
    if head.status is not Status.RUNNING or head.stands:
        return
    if head.waves[head.wave].ended_s is not None:
        _after_wave(rollout, out)
        return
    if not rollout.by_wave[head.wave]:  # a small fleet has waves that add nothing: there is nothing to judge
        _end_wave(rollout, out, dict.fromkeys(head.gates, "no new device"))
        return
    if _devices_fail(rollout, out) or _too_many_deferred(rollout, out):
        return
    tally = rollout.tally[head.wave]
    if head.phase is Phase.DISPATCHING and not tally[Stage.WAITING]:
        set_phase(rollout, Phase.APPLYING, out)
    if head.phase is Phase.APPLYING and not any(tally[stage] for stage in UNDERWAY):
        head.judged_from_s = head.wait_from_s = head.active_s
        set_phase(rollout, Phase.BAKING, out)
    if head.phase is Phase.BAKING and head.active_s - head.judged_from_s >= rollout.plan.evidence.bake:
        head.wait_from_s = head.active_s
        set_phase(rollout, Phase.JUDGING, out)
    if head.phase in {Phase.BAKING, Phase.JUDGING}:
        _ask(rollout, out)
    if head.phase is Phase.JUDGING:
        _judge(rollout, out)


def _devices_fail(rollout: Rollout, out: Outcome) -> bool:
    """Judge the devices; whether that stopped the rollout. At once, without waiting for the bake."""
    found = judge_devices(rollout)
    gate = rollout.head.gates[DEVICES_GATE]
    if found.verdict == "fail":
        gate.skipped_by = None
        note(gate, found, out)
        gate.verdict = "fail"
        fail(rollout, gate, rollout.plan.devices_on_fail, out)
        return True
    verdict: Verdict = found.verdict if rollout.head.phase is Phase.JUDGING else "inconclusive"
    if (verdict, found.text) != (gate.verdict, gate.text):
        gate.verdict, gate.text, gate.turn = verdict, found.text, found.turn
        out.head = True
        if verdict == "pass":
            note(gate, found, out)
    return False


def _too_many_deferred(rollout: Rollout, out: Outcome) -> bool:
    head = rollout.head
    size, deferred = len(rollout.by_wave[head.wave]), rollout.tally[head.wave][Stage.DEFERRED]
    # One of a pilot's few is soon a fifth of it; who is left of it can still speak against the change.
    allowed = size - 1 if is_pilot(rollout) else rollout.plan.max_deferred * size
    if deferred <= allowed or deferred <= head.deferred_taken:
        return False
    most = share(rollout.plan.max_deferred)
    pause(
        rollout, "too_many_deferred", out, f"{deferred} of {count(size)} of wave {head.wave + 1} not there, more than {most}"
    )
    return True


def _ask(rollout: Rollout, out: Outcome) -> None:
    """Ask for the measurements that are due."""
    head = rollout.head
    evidence = rollout.plan.evidence
    window_s = min(max(head.active_s - head.judged_from_s, 1.0), evidence.bake + evidence.max_wait)
    for plan in rollout.plan.gates:
        gate = head.gates[plan.name]
        if gate.asked_s is not None and head.active_s - gate.asked_s >= ANSWER_WITHIN_S:
            measuring_failed(rollout, gate, "no answer", out)
        if gate.asked_s is None and gate.skipped_by is None and gate.due_s <= head.active_s:
            gate.asked_s = head.active_s
            out.head = True
            out.effects.append(Measure(plan.name, head.wave, head.evaluation, window_s, gate.errors + 1))


def measuring_failed(rollout: Rollout, gate: GateState, reason: str, out: Outcome) -> None:
    """A measurement could not be taken: again after a while, and an error after five tries."""
    head = rollout.head
    gate.errors += 1
    gate.asked_s = None
    gate.due_s = head.active_s + BACKOFF_S[min(gate.errors, len(BACKOFF_S)) - 1]
    gate.text, gate.turn = f"{reason} ({gate.errors} in a row)", "a measurement"
    out.head = True
    if gate.errors >= ERRORS_FOR_VERDICT:
        gate.verdict = "error"
        note(gate, Measurement(gate.name, head.wave, head.evaluation, head.now_s, "error", gate.text, gate.turn), out)


def note(gate: GateState, found: Measurement, out: Outcome) -> None:
    """Keep a measurement."""
    gate.measurements.append(found)
    del gate.measurements[:-MAX_MEASUREMENTS]
    gate.text, gate.turn = found.text, found.turn
    out.measurements.append(found)
    out.head = True


def measured(rollout: Rollout, gate: GateState, found: Measurement, interval_s: float, out: Outcome) -> None:
    """A measurement came: what all of this evaluation say together."""
    head = rollout.head
    gate.errors, gate.asked_s, gate.due_s = 0, None, head.active_s + interval_s
    note(gate, found, out)
    if found.control is not None and found.control_high is not None and found.compared_with == "control":
        head.controls[gate.name] = (found.control, found.control_high)
    verdict = overall(gate, head.evaluation, rollout.plan.evidence.passes)
    if verdict != gate.verdict:
        gate.verdict = verdict
        out.effects.append(Audit(head.now_s, CONTROLLER, "gate", f"{gate.name}: {verdict}", found.text))
        changed(rollout, out)


def _judge(rollout: Rollout, out: Outcome) -> None:
    """What the gates together lead to."""
    head, plan = rollout.head, rollout.plan
    open_gates = [gate for gate in head.gates.values() if not lets_go_on(rollout, gate)]
    for gate in open_gates:
        if gate.verdict == "fail":
            fail(rollout, gate, next((each.on_fail for each in plan.gates if each.name == gate.name), None), out)
            return
    if open_gates:
        if head.active_s - head.wait_from_s >= plan.evidence.max_wait:
            worst = next((gate for gate in open_gates if gate.verdict == "error"), open_gates[0])
            reason: PauseReason = "gate_error" if worst.verdict == "error" else "gate_inconclusive"
            pause(rollout, reason, out, f"{gate_title(worst.name)}: {worst.text}")
        return
    is_last = head.wave == len(head.waves) - 1
    if is_last and (rollout.underway or _stragglers_wait(rollout)):
        return  # a device that came back late is on its way: whatever becomes of it is counted first
    if is_last or head.active_s - head.wave_clock_s >= plan.every:
        _end_wave(rollout, out, {gate.name: how_it_let_go_on(gate) for gate in head.gates.values()})


def _stragglers_wait(rollout: Rollout) -> bool:
    return any(tally[Stage.WAITING] for tally in rollout.tally)


def _end_wave(rollout: Rollout, out: Outcome, verdicts: dict[str, str]) -> None:
    head = rollout.head
    wave = head.waves[head.wave]
    wave.ended_s, wave.verdicts = head.now_s, verdicts
    out.effects.append(Audit(head.now_s, CONTROLLER, "wave", f"wave {head.wave + 1} of {len(head.waves)} ended"))
    changed(rollout, out)
    hold = rollout.plan.waves[head.wave].hold
    if hold is not None and head.wave < len(head.waves) - 1:
        text = "somebody is to say go on" if hold == "step" else f"somebody else than {head.by} is to say go on"
        pause(rollout, hold, out, f"{text} after wave {head.wave + 1}")
        return
    _after_wave(rollout, out)


def _after_wave(rollout: Rollout, out: Outcome) -> None:
    head = rollout.head
    if head.wave < len(head.waves) - 1:
        start_wave(rollout, head.wave + 1, out)
        return
    behind = sum(device.stage in BAD | LEFT_OUT and not device.has_left for device in rollout.devices.values())
    done = sum(tally[Stage.CONVERGED] for tally in rollout.tally)
    if behind:
        set_status(
            rollout,
            Status.SUCCEEDED_WITH_STRAGGLERS,
            out,
            f"{count(done)} converged, {behind} did not; a new rollout of the same reaches them",
        )
    else:
        set_status(rollout, Status.SUCCEEDED, out, f"{count(done)} converged")


def fail(rollout: Rollout, gate: GateState, on_fail: OnFail | None, out: Outcome) -> None:
    """A gate failed: roll back, pause or abort."""
    head = rollout.head
    gate.has_failed = True
    why = f"{gate_title(gate.name)}: {gate.text}"
    out.effects.append(Audit(head.now_s, CONTROLLER, "gate", f"{gate.name} failed", gate.text))
    match on_fail or ("rollback" if rolls_back_by_default(rollout) else "pause"):
        case "rollback":
            roll_back(rollout, out, why)
        case "abort":
            abort(rollout, out, why)
        case "pause":
            pause(rollout, "gate_failed", out, why)


# -- the ends of abort and rollback


def finish(rollout: Rollout, out: Outcome) -> None:
    """End an abort or a rollback of which nothing is underway any more."""
    head = rollout.head
    if head.stands or rollout.underway:
        return
    if head.status is Status.ABORTING:
        set_status(rollout, Status.ABORTED, out, head.text)
        return
    going = [device for device in rollout.devices.values() if device.goal == "previous"]
    if not rollback_fails(rollout) and any(device.stage is Stage.WAITING for device in going):
        return
    back = sum(device.stage is Stage.ROLLED_BACK for device in going)
    unreached = sum(device.stage is Stage.DEFERRED and device.exposed for device in going)
    bad = sum(map(_is_stuck, going))
    fails = rollback_fails(rollout) or unreached > rollout.plan.max_deferred * len(going)
    # Until now the text says what led to it, and that is what people ask for afterwards.
    cause = f"{'rollback failed' if fails else 'rolled back'}: {head.text}; " if head.text else ""
    text = f"{cause}{back} of {count(len(going))} are back; {bad} failed, {unreached} not reached"
    set_status(rollout, Status.ROLLBACK_FAILED if fails else Status.ROLLED_BACK, out, text)


def rollback_fails(rollout: Rollout) -> bool:
    """The rollback's own gate of the devices: over those that it brings back."""
    going = [device for device in rollout.devices.values() if device.goal == "previous"]
    bad = sum(map(_is_stuck, going))
    finished = bad + sum(device.stage is Stage.ROLLED_BACK for device in going)
    return Fates(len(going), finished, bad, len(rollout.underway)).fails(rollout.plan.max_bad)


def _is_stuck(device: DeviceState) -> bool:
    """Whether it has the change, and did not go back. Who never took the change has nothing to go back from."""
    return device.stage in BAD and device.stage is not Stage.ROLLED_BACK and (device.exposed or device.stage is Stage.FAILED)


def take_bad(rollout: Rollout) -> None:
    """An operator chose to go on in spite of the devices that ended badly."""
    for wave, tally in zip(rollout.head.waves, rollout.tally, strict=True):
        wave.bad_taken = bad_in(tally)
