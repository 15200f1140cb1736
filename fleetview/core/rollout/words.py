"""A rollout in plain words: what it waits for and until when, and what each verb would do now."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from fleetview.core.rollout.pilot import lets_go_on
from fleetview.core.rollout.plan import DEVICES_GATE, MASS_ROLLBACK
from fleetview.core.rollout.state import BAD, FINISHED, DeviceState, Phase, Rollout, Stage, Status
from fleetview.core.rollout.table import VERBS
from fleetview_agent.wire.messages import RolloutVerb


class Waiting(NamedTuple):
    """What a rollout waits for."""

    text: str
    until_s: float | None = None
    """At the latest, seconds since 1970; None when that is up to a person, or never."""


def count(number: int, noun: str = "device") -> str:
    """`1 device`, `31 devices`."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def exposed(rollout: Rollout) -> int:
    """How many devices have accepted the change."""
    return sum(device.exposed for device in rollout.devices.values())


def rolls_back_by_default(rollout: Rollout) -> bool:
    """Whether a gate without `on_fail` rolls back now: at most 10 % of the fleet have the change."""
    return exposed(rollout) <= MASS_ROLLBACK * len(rollout.devices)


def waits_for(rollout: Rollout) -> Waiting:
    """What has to happen before a rollout goes on by itself."""
    head = rollout.head
    match head.status:
        case Status.DRAFT:
            return Waiting("the devices that its selection means")
        case Status.AWAITING_APPROVAL:
            return Waiting(f"the approval of another operator than {head.by}")
        case Status.SCHEDULED:
            start = rollout.plan.start_at
            return Waiting("its start", None if start is None else start.timestamp())
        case Status.ABORTING | Status.ROLLING_BACK:
            return Waiting(f"{count(len(rollout.underway))} underway", _last_deadline_s(rollout))
        case Status.RUNNING if not head.stands:
            return _phase(rollout)
        case Status.RUNNING | Status.PAUSED:
            return _pause(rollout)
    return Waiting("")


def _pause(rollout: Rollout) -> Waiting:
    head = rollout.head
    if head.blind:
        return Waiting("the controller's link")
    others = [reason for reason in head.pauses if reason != "recovering"]
    if others:
        return Waiting(f"an operator ({', '.join(others)})")
    return Waiting("three heartbeats, to see how the devices are", head.recover_until_s)


def _phase(rollout: Rollout) -> Waiting:
    head, plan = rollout.head, rollout.plan
    match head.phase:
        case Phase.DISPATCHING:
            waiting = sum(tally[Stage.WAITING] for tally in rollout.tally[: head.wave + 1])
            return Waiting(f"{count(waiting)} to be offered the change, as fast as the plan allows")
        case Phase.APPLYING:
            return Waiting(f"{count(len(rollout.underway))} underway", _last_deadline_s(rollout))
        case Phase.BAKING:
            return Waiting("the bake to be over", head.judged_from_s + plan.evidence.bake + head.stood_s)
    undecided = [gate.name for gate in head.gates.values() if not lets_go_on(rollout, gate)]
    if undecided:
        until_s = head.wait_from_s + plan.evidence.max_wait + head.stood_s
        return Waiting(f"{', '.join(undecided)} to pass", until_s)
    return Waiting("the next wave's time", head.wave_clock_s + plan.every + head.stood_s)


def _last_deadline_s(rollout: Rollout) -> float | None:
    found = [device.deadline_s for device in rollout.underway.values() if device.deadline_s is not None]
    return max(found) + rollout.head.stood_s if found else None


def consequences(rollout: Rollout) -> Iterator[tuple[RolloutVerb, str]]:
    """Each verb that would be taken now, with what it would do, in numbers."""
    for verb, statuses in VERBS.items():
        if rollout.head.status in statuses and (text := consequence(rollout, verb)):
            yield verb, text


def consequence(rollout: Rollout, verb: RolloutVerb) -> str:
    """What a verb would do now; empty when it would do nothing."""
    head = rollout.head
    offered = sum(device.stage is Stage.OFFERED for device in rollout.underway.values())
    underway = len(rollout.underway)
    match verb:
        case "pause":
            return f"no new offers; {count(underway)} underway go on" if "operator" not in head.pauses else ""
        case "resume":
            return _resume(rollout)
        case "retry":
            bad = retryable(rollout)
            return (
                f"offers the change again to {count(bad)} that failed, and judges wave {head.wave + 1} anew" if bad else ""
            )
        case "skip":
            names = [gate.name for gate in head.gates.values() if gate.verdict != "pass" and gate.skipped_by is None]
            return f"passes {', '.join(names)} without proof{_next(rollout)}" if names else ""
        case "abort":
            kept = exposed(rollout)
            return f"withdraws {count(offered, 'offer')} not yet accepted; {count(kept)} keep the change"
        case "rollback":
            back = [device.address.site for device in rollout.devices.values() if goes_back(device)]
            minutes = -(-len(back) // rollout.plan.rollback_per_minute)
            return (
                f"brings {count(len(back))} at {count(len(set(back)), 'site')} back to what they ran, the newest wave "
                f"first, in {count(minutes, 'minute')} or more"
            )


def goes_back(device: DeviceState) -> bool:
    """Whether a rollback offers a device what it ran before: if it has taken the change, or may yet."""
    return device.gen > 0 and (device.exposed or device.stage in {Stage.OFFERED, Stage.REJECTED})


def retryable(rollout: Rollout) -> int:
    """How many devices a retry would offer the change again."""
    return sum(tally[stage] for tally in rollout.tally[: rollout.head.wave + 1] for stage in BAD)


def _resume(rollout: Rollout) -> str:
    head = rollout.head
    if head.status is Status.AWAITING_APPROVAL:
        return f"approves it, if you are not {head.by}: membership is frozen, and it starts"
    reasons = [reason for reason in head.pauses if reason != "recovering"]
    if not reasons:
        return ""
    if reasons in (["step"], ["approval"]):
        return f"goes on{_next(rollout)}"
    return f"removes {', '.join(reasons)}, and judges wave {head.wave + 1} again"


def _next(rollout: Rollout) -> str:
    after = rollout.head.wave + 1
    if after >= len(rollout.by_wave):
        return ": it was the last wave"
    return f": wave {after + 1} would give {count(len(rollout.by_wave[after]))} more the change"


def share(value: float) -> str:
    """`4.1 %`, with two digits that say something."""
    percent = value * 100
    return f"{percent:.3g} %" if abs(percent) >= 0.01 else f"{percent:.2g} %"  # noqa: PLR2004 (a hundredth of a percent)


def finished_and_bad(rollout: Rollout, wave: int) -> tuple[int, int]:
    """Of a wave: how many devices have finished, and how many of them badly."""
    tally = rollout.tally[wave]
    return sum(tally[stage] for stage in FINISHED), sum(tally[stage] for stage in BAD)


def gate_title(name: str) -> str:
    """How a gate is called in a sentence."""
    return "the devices" if name == DEVICES_GATE else name
