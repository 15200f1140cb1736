"""How far each device is, by what it reports, and how it ends.

    waiting ─▶ offered ─▶ accepted ─▶ applying ─▶ verifying ─▶ converged
    exits: failed(reason) rejected timed_out lost deferred rolled_back skipped

A device may skip stages (only its last report is retained), say the same twice, or answer an older generation: only a report
of the generation that it was offered moves it, and only forward.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from fleetview.core.device import Connectivity, Device
from fleetview.core.rollout.events import Outcome, Withdraw
from fleetview.core.rollout.state import UNDERWAY, DeviceState, Presence, Rollout, Stage, Status, is_quiet
from fleetview.core.rollout.target import Target
from fleetview_agent.wire import Reported

_S = Stage
_UNDERWAY_ENDS = frozenset({_S.CONVERGED, _S.FAILED, _S.REJECTED, _S.TIMED_OUT, _S.LOST, _S.ROLLED_BACK, _S.SKIPPED})
_BAD_ENDS = frozenset({_S.FAILED, _S.REJECTED, _S.LOST, _S.ROLLED_BACK})

STAGES: Mapping[Stage, frozenset[Stage]] = {
    _S.WAITING: frozenset({_S.OFFERED, _S.DEFERRED, _S.SKIPPED, _S.FAILED, _S.LOST}),
    _S.OFFERED: frozenset({_S.ACCEPTED, _S.APPLYING, _S.VERIFYING, _S.DEFERRED, *_UNDERWAY_ENDS}),
    _S.ACCEPTED: frozenset({_S.APPLYING, _S.VERIFYING, *_UNDERWAY_ENDS}),
    _S.APPLYING: frozenset({_S.VERIFYING, *_UNDERWAY_ENDS}),
    _S.VERIFYING: _UNDERWAY_ENDS,
    _S.CONVERGED: frozenset({_S.SKIPPED, *_BAD_ENDS}),
    _S.DEFERRED: frozenset({_S.ACCEPTED, _S.APPLYING, _S.VERIFYING, _S.SKIPPED, *_BAD_ENDS}),
    _S.SKIPPED: frozenset({_S.ACCEPTED, _S.APPLYING, _S.VERIFYING, *_BAD_ENDS}),
    _S.FAILED: frozenset({_S.SKIPPED}),
    _S.REJECTED: frozenset({_S.SKIPPED}),
    _S.TIMED_OUT: frozenset({_S.SKIPPED}),
    _S.LOST: frozenset({_S.SKIPPED}),
    _S.ROLLED_BACK: frozenset({_S.SKIPPED}),
}
"""From each stage to which others. Besides, a retry, a rollback, and the return of a deferred device lead back to waiting.

To lost from where nothing is expected of it: it accepted the change before a retry, and is not there any more.
A deferred or withdrawn device that accepted just before the offer was taken back goes on where it says it is. What converged
may still turn bad; what ended badly stays so until it is offered the change again. Any may leave the fleet (skipped)."""

OKS_TO_CONVERGE = 3
MAX_ATTEMPTS = 3
"""A device that comes and goes is offered the change so often without anybody asking for it."""
_FORWARD = {_S.OFFERED: 0, _S.ACCEPTED: 1, _S.APPLYING: 2, _S.VERIFYING: 3, _S.CONVERGED: 4}
MAX_REASON_CHARS = 300
"""Of what a device gives as its reason."""
LEFT = "removed from the fleet"
_GOALS = {"change": Stage.CONVERGED, "previous": Stage.ROLLED_BACK}


class Said(NamedTuple):
    """What a report means: how far the device is, and why."""

    stage: Stage
    reason: str
    proven: bool = False
    """It runs what is desired, by generation and hash."""


def presence_of(device: Device) -> Presence:
    """The presence of a device of the fleet, by rule 2 of the contract."""
    match device.connectivity:
        case Connectivity.ONLINE:
            return "online"
        case Connectivity.STALE | Connectivity.LOST:
            return "silent"
    return "away"


def obstacle_of(device: Device) -> str | None:
    """Why a device of the fleet is not eligible; None when it is."""
    if device.lifecycle in {"maintenance", "quarantined"}:
        return f"in {device.lifecycle}" if device.lifecycle == "maintenance" else "quarantined"
    if device.lifecycle != "enrolled":
        return "not enrolled: it has not said what it is"
    return "flapping" if device.flapping else None


def covers(previous: Target, target: Target) -> bool:
    """Whether a target says for all that another one changes what was there before."""
    return (target.config is None or previous.config is not None) and (
        target.release is None or previous.release is not None
    )


def enter(rollout: Rollout, device: DeviceState, stage: Stage, out: Outcome, reason: str = "") -> None:
    """Bring a device to a stage: the only place where one changes, so that counts and deadlines are always right."""
    tally = rollout.tally[device.wave]
    tally[device.stage] -= 1
    tally[stage] += 1
    began = device.stage
    device.stage, device.since_s, device.reason = stage, rollout.head.now_s, reason[:MAX_REASON_CHARS]
    deadlines, active_s = rollout.plan.deadlines, rollout.head.active_s
    match stage:
        case Stage.OFFERED:
            device.deadline_s = active_s + deadlines.accept
        case Stage.ACCEPTED:
            device.deadline_s = active_s + deadlines.apply
        case Stage.APPLYING if began is not Stage.ACCEPTED:
            device.deadline_s = active_s + deadlines.apply
        case Stage.VERIFYING:
            device.deadline_s = active_s + deadlines.verify
        case Stage.APPLYING:
            pass
        case _:
            device.deadline_s = None
    if stage in UNDERWAY:
        rollout.underway[device.address] = device
        device.exposed = device.exposed or (stage is not Stage.OFFERED and device.goal == "change")
    else:
        rollout.underway.pop(device.address, None)
        if stage is Stage.WAITING:
            device.proven, device.oks, device.reported = False, 0, ""
    _watch_silence(rollout, device)
    out.devices.add(device.address)


def hear_report(rollout: Rollout, device: DeviceState, reported: Reported, out: Outcome) -> None:
    """What a device says of what it runs."""
    if reported.gen > device.gen_seen:
        device.gen_seen = reported.gen
        out.devices.add(device.address)
    if device.gen == 0 or device.stage is Stage.WAITING or reported.gen != device.gen:
        if device.stage is Stage.OFFERED and device.reported != (told := f"answers generation {reported.gen}"):
            device.reported = told
            out.devices.add(device.address)
        return
    if device.has_left:
        return
    before = rollout.plan.target if device.goal == "previous" else rollout.targets.get(device.previous)
    said = meaning(rollout.targets[device.target], reported, before)
    if device.goal == "previous" and said.stage is Stage.ROLLED_BACK:
        said = Said(Stage.FAILED, f"did not stay with what it ran before: {said.reason}")
    if device.reported != said.stage.value or device.proven != said.proven:
        device.reported = said.stage.value
        out.devices.add(device.address)
    if device.proven and not said.proven:
        device.oks = 0
    device.proven = said.proven
    _follow(rollout, device, said, out)


def _follow(rollout: Rollout, device: DeviceState, said: Said, out: Outcome) -> None:
    stage = device.stage
    if said.stage not in _FORWARD:
        if said.stage in STAGES[stage]:
            if device.goal == "change" and said.stage is not Stage.REJECTED:
                device.exposed = True
            enter(rollout, device, said.stage, out, said.reason)
    elif said.stage in STAGES[stage]:
        enter(rollout, device, said.stage, out)
    elif stage is Stage.CONVERGED and said.stage is Stage.VERIFYING and not said.proven:
        device.oks = 0


def meaning(target: Target, reported: Reported, before: Target | None = None) -> Said:
    """What a report of the generation that was offered means.

    A hash or version that is another one than desired is a failure: a device that says it is done runs something else.
    That of `before` is none: it has not begun with this part, and the deadline tells when that takes too long.
    """
    parts = []
    if target.config is not None:
        parts.append(_config(target, reported, before))
    if target.release is not None:
        parts.append(_release(target, reported, before))
    ends = [part for part in parts if part.stage not in _FORWARD]
    if ends:
        return ends[0]
    least = min(parts, key=lambda part: _FORWARD[part.stage])
    return Said(least.stage, least.reason, all(part.proven for part in parts))


def _config(target: Target, reported: Reported, before: Target | None) -> Said:
    wanted, told = target.config, reported.config
    if told is None or wanted is None:
        return Said(Stage.ACCEPTED, "")
    match told.status:
        case "rejected":
            return Said(Stage.REJECTED, told.reason or "rejected its configuration")
        case "rolled_back":
            return Said(Stage.ROLLED_BACK, told.reason or "went back to its configuration of before")
        case "applying":
            return Said(Stage.APPLYING, "")
        case "applied":
            if told.sha256 is None:
                return Said(Stage.APPLYING, "reports no hash")
            if told.sha256 == wanted.sha256 and told.version in {None, wanted.version}:
                return Said(Stage.VERIFYING, "", proven=True)
            if before is not None and before.config is not None and told.sha256 == before.config.sha256:
                return Said(Stage.ACCEPTED, "")
            runs = f"runs config {told.version} ({told.sha256[:12]})"
            return Said(Stage.FAILED, f"{runs}, not {wanted.version} ({wanted.sha256[:12]})")
    return Said(Stage.ACCEPTED, "")


def _release(target: Target, reported: Reported, before: Target | None) -> Said:
    wanted, told = target.release, reported.release
    if told is None or wanted is None:
        return Said(Stage.ACCEPTED, "")
    match told.status:
        case "failed":
            return Said(Stage.FAILED, told.reason or "its update failed")
        case "rolled_back":
            return Said(Stage.ROLLED_BACK, told.reason or "went back to its release of before")
        case "downloading" | "verifying" | "staged" | "applying":
            return Said(Stage.APPLYING, "")
        case "checking":
            return Said(Stage.VERIFYING, "")
        case "committed" if told.version == wanted.version:
            return Said(Stage.VERIFYING, "", proven=True)
        case "committed" if before is not None and before.release is not None and told.version == before.release.version:
            return Said(Stage.ACCEPTED, "")
        case "committed":
            return Said(Stage.FAILED, f"runs release {told.version}, not {wanted.version}")
    return Said(Stage.ACCEPTED, "")


def hear_heartbeat(rollout: Rollout, device: DeviceState, gen: int | None, out: Outcome, *, is_ok: bool) -> None:
    """A live heartbeat: three in a row that are ok, of what is desired, and the device has converged."""
    if device.presence != "online":
        observe(rollout, device, "online", device.obstacle, out)
    if device.stage is not Stage.VERIFYING or not device.proven:
        return
    is_counted = is_ok and gen in {None, device.gen}
    oks = device.oks + 1 if is_counted else 0
    if oks != device.oks:
        device.oks = oks
        out.devices.add(device.address)
    if oks >= OKS_TO_CONVERGE:
        enter(rollout, device, _GOALS[device.goal], out)


def observe(rollout: Rollout, device: DeviceState, presence: Presence, obstacle: str | None, out: Outcome) -> None:
    """Its presence, or what keeps it from taking part, is this now. A device that was left out comes back."""
    if presence != device.presence or obstacle != device.obstacle:
        out.devices.add(device.address)
    if presence == "online":
        device.silent_since_s = None
    elif device.silent_since_s is None or (presence != device.presence and device.presence == "away"):
        device.silent_since_s = rollout.head.active_s
    device.presence, device.obstacle = presence, obstacle
    _watch_silence(rollout, device)
    if _comes_back(rollout, device):
        enter(rollout, device, Stage.WAITING, out)


def _watch_silence(rollout: Rollout, device: DeviceState) -> None:
    if is_quiet(device):
        rollout.quiet[device.address] = device
    else:
        rollout.quiet.pop(device.address, None)


def _comes_back(rollout: Rollout, device: DeviceState) -> bool:
    return (
        device.stage in {Stage.DEFERRED, Stage.SKIPPED}
        and device.presence == "online"
        and device.obstacle is None
        and device.goal == "change"
        and not device.has_left
        and device.attempt < MAX_ATTEMPTS
        and rollout.head.status in {Status.RUNNING, Status.PAUSED}
        and bool(device.previous)
    )


def pass_time(rollout: Rollout, out: Outcome) -> None:
    """End what is past its deadline."""
    active_s, deadlines = rollout.head.active_s, rollout.plan.deadlines
    late = [
        device for device in rollout.underway.values() if device.deadline_s is not None and device.deadline_s <= active_s
    ]
    for device in late:
        _end(rollout, device, out)
    for device in list(rollout.quiet.values()):
        if active_s - (device.silent_since_s or 0.0) >= deadlines.verify:
            enter(rollout, device, Stage.LOST, out, f"accepted, and fell silent later, for {deadlines.verify:.0f} s now")


def _end(rollout: Rollout, device: DeviceState, out: Outcome) -> None:
    deadlines, stage = rollout.plan.deadlines, device.stage
    is_there = device.presence == "online"
    if stage is Stage.OFFERED:
        told = f" ({device.reported})" if device.reported else ""
        if device.goal == "change":  # the way back stays on offer: a device that returns takes it by itself
            out.effects.append(Withdraw(device.address, device.gen, rollout.head.epoch))
        if is_there:
            enter(rollout, device, Stage.TIMED_OUT, out, f"did not accept within {deadlines.accept:.0f} s{told}")
        elif device.exposed and device.goal == "change":
            enter(rollout, device, Stage.LOST, out, "accepted the change before, and is not there")
        else:
            enter(rollout, device, Stage.DEFERRED, out, f"offline, did not accept within {deadlines.accept:.0f} s")
        return
    if not is_there:
        enter(rollout, device, Stage.LOST, out, f"accepted, then fell silent while {stage.value}")
    elif stage is Stage.VERIFYING and not device.proven:
        enter(rollout, device, Stage.TIMED_OUT, out, f"still checking after {deadlines.verify:.0f} s")
    elif stage is Stage.VERIFYING:
        enter(rollout, device, Stage.TIMED_OUT, out, f"runs it, but was not well within {deadlines.verify:.0f} s")
    else:
        enter(rollout, device, Stage.TIMED_OUT, out, f"still {stage.value} after {deadlines.apply:.0f} s")
