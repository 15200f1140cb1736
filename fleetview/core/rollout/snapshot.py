"""What everybody may see of a rollout on `_fleet/rollout/<id>`: enough to draw it, and never too large for a message.

Counts are of all devices. By name there are at most `MAX_LISTED`: those with which something is wrong first, then those on
which it waits, the rest by wave; `unlisted` says how many are not. Readers ignore what they do not know.
"""

from __future__ import annotations

from datetime import UTC, datetime
from heapq import nsmallest
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from fleetview.core.rollout.plan import DEVICES_GATE
from fleetview.core.rollout.shown_logs import ShownLogDifference
from fleetview.core.rollout.state import (
    BAD,
    PRESENT_S,
    UNDERWAY,
    DeviceState,
    GateState,
    Measurement,
    PauseReason,
    Phase,
    Rollout,
    Stage,
    Status,
    Verdict,
)
from fleetview.core.rollout.words import consequences, count, waits_for
from fleetview_agent.wire import RolloutSnapshot, WireError
from fleetview_agent.wire.values import Time

MAX_LISTED = 1000
MAX_SITES = 300
MAX_ANSWERS = 16
MAX_REASON_CHARS = 160
_COURSE = 30


class _Shown(BaseModel):
    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True)


Counts = dict[Stage, int]
"""How many devices are in which stage; stages with none are left out."""


class ShownPause(_Shown):
    """One reason for which it stands still."""

    reason: PauseReason
    since: Time
    text: str
    by: str


class ShownMeasurement(_Shown):
    """The last measurement of a gate; see `state.Measurement`."""

    at: Time
    verdict: Verdict
    text: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    bound: float | None = None
    control: float | None = None
    control_bound: float | None = None
    compared_with: Literal["control", "baseline", "none"] = "none"
    devices: int = 0
    of_devices: int = 0
    control_devices: int = 0
    events: float | None = None
    window_s: float = 0.0
    query: str = ""


class ShownPoint(_Shown):
    """An earlier measurement, for the sparkline."""

    at: Time
    value: float | None = None
    verdict: Verdict


class ShownGate(_Shown):
    """A gate in the current wave."""

    name: str
    verdict: Verdict
    """Of the evaluation: three passes in a row pass, two fails of three fail."""
    text: str
    turn: str
    """What would turn it."""
    on_fail: str
    in_percent: bool = False
    """How its values are read."""
    skipped_by: str | None = None
    latest: ShownMeasurement | None = None
    course: list[ShownPoint] = []
    """Oldest first."""


class ShownWave(_Shown):
    """One wave. Its counts are of the devices that are new in it."""

    number: int
    """From 1."""
    to: str
    """As planned: `15 %` or a number of devices."""
    devices: int
    """New in it."""
    up_to: int
    """With all earlier ones."""
    counts: Counts
    started: Time | None = None
    ended: Time | None = None
    hold: str | None = None
    pilot: bool = False
    """Goes on unless something speaks against it. Empty where it is not needed."""
    verdicts: dict[str, str] = {}
    """By gate, for a wave that is over."""

    @property
    def ending(self) -> str:
        """How a wave ended that is over, in a few words."""
        if not self.devices:
            return "not needed" if self.pilot else "no new device"
        skipped = [name for name, verdict in self.verdicts.items() if verdict.startswith("skipped")]
        if skipped:
            return f"{', '.join(skipped)} skipped"
        return "passed" if all(verdict == "pass" for verdict in self.verdicts.values()) else "nothing against it"


class ShownDevice(_Shown):
    """One device."""

    device: str
    """`site/device`; the tenant is that of the topic."""
    wave: int
    """From 1."""
    stage: Stage
    since: Time
    reason: str = ""
    goal: Literal["change", "previous"] = "change"


class ShownSite(_Shown):
    """One site, in sum."""

    site: str
    counts: Counts


class ShownOperator(_Shown):
    """Somebody who looks at it or steers it."""

    who: str
    seen: Time


class ShownAnswer(_Shown):
    """What became of an order that somebody gave of late."""

    order: str
    """Its id."""
    taken: bool
    text: str
    """Why not, or what follows from it."""


def _known(value: object) -> object:
    """Verbs of a later version are left out, not refused."""
    return value if isinstance(value, dict) else {}


class PublicRollout(_Shown):
    """A rollout, as everybody may see it."""

    v: Literal[1] = 1
    id: str
    revision: int
    """To be given back with a command: it is refused when the rollout has changed since."""
    at: Time
    epoch: int
    status: Status
    since: Time
    text: str = ""
    """Why it is in this status."""
    by: str
    approved_by: str | None = None
    created: Time
    what: str
    """`release 1.5.0 and config 12`."""
    select: str
    digest: str
    """Of the plan."""
    pauses: list[ShownPause] = []
    wave: int
    """The current one, from 1; 0 before the first."""
    phase: Phase | None = None
    """Inside a wave."""
    phase_since: Time | None = None
    waits_for: str = ""
    """In plain words."""
    waits_until: Time | None = None
    """At the latest, if nothing changes; None when that is up to a person."""
    devices_total: int
    counts: Counts
    waves: list[ShownWave]
    gates: list[ShownGate] = []
    verbs: Annotated[dict[str, str], BeforeValidator(_known)] = {}
    """Commands that would be taken now, each with its consequence."""
    sites: list[ShownSite] = []
    sites_unlisted: int = 0
    devices: list[ShownDevice] = []
    unlisted: int = 0
    operators: list[ShownOperator] = []
    """Present now."""
    answers: list[ShownAnswer] = []
    """To the last orders, oldest first. Whoever runs the rollout adds them: they are no part of its state."""
    log_differences: list[ShownLogDifference] = []
    """What updated devices log and others do not, worst first. Added by the same."""
    log_differences_unlisted: int = 0
    log_records_left_out: int = 0
    """Not compared: there were more kinds of them than are kept."""

    @property
    def logs_missing(self) -> str:
        """What is not in `log_differences`; empty when it is whole."""
        parts = []
        if self.log_differences_unlisted:
            parts.append(f"{self.log_differences_unlisted} more kinds of records on updated devices")
        if self.log_records_left_out:
            parts.append(f"{count(self.log_records_left_out, 'record')} not compared: too many kinds of them")
        return "; ".join(parts)


def read_snapshot(message: RolloutSnapshot) -> PublicRollout:
    """The rollout in a payload. Raises WireError, naming the field."""
    try:
        return PublicRollout.model_validate(message.model_dump(exclude_unset=True) | {"v": 1})
    except ValidationError as err:
        first = err.errors(include_url=False, include_context=False)[0]
        msg = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
        raise WireError(msg) from None


def message_of(public: PublicRollout) -> RolloutSnapshot:
    """Its payload, to be encoded with `compress=True`."""
    return RolloutSnapshot(**public.model_dump(mode="json", exclude_none=True, exclude_defaults=False))


def snapshot(rollout: Rollout) -> PublicRollout:
    """What everybody may see of a rollout now."""
    head = rollout.head
    running = head.status in {Status.RUNNING, Status.PAUSED}
    waiting = waits_for(rollout)
    listed = nsmallest(MAX_LISTED, rollout.devices.values(), key=_importance)
    sites = _sites(rollout)
    return PublicRollout(
        id=head.id,
        revision=head.revision,
        at=_time(head.now_s),
        epoch=head.epoch,
        status=head.status,
        since=_time(head.since_s),
        text=head.text,
        by=head.by,
        approved_by=head.approved_by,
        created=_time(head.created_s),
        what=rollout.plan.target.words,
        select=rollout.plan.select,
        digest=head.digest,
        pauses=[
            ShownPause(reason=reason, since=_time(pause.since_s), text=pause.text, by=pause.by)
            for reason, pause in head.pauses.items()
        ],
        wave=head.wave + 1 if head.waves and head.waves[0].started_s is not None else 0,
        phase=head.phase if running else None,
        phase_since=_time(head.phase_since_s) if running else None,
        waits_for=waiting.text,
        waits_until=None if waiting.until_s is None else _time(waiting.until_s),
        devices_total=len(rollout.devices),
        counts=_sum(rollout.tally),
        waves=_waves(rollout),
        gates=[_gate(rollout, gate) for gate in head.gates.values()],
        verbs=dict(consequences(rollout)),
        sites=sites[:MAX_SITES],
        sites_unlisted=max(0, len(sites) - MAX_SITES),
        devices=[_device(device) for device in sorted(listed, key=lambda device: (device.wave, device.address))],
        unlisted=len(rollout.devices) - len(listed),
        operators=[
            ShownOperator(who=who, seen=_time(seen))
            for who, seen in head.operators.items()
            if head.now_s - seen <= PRESENT_S
        ],
    )


def _time(unix_s: float) -> datetime:
    return datetime.fromtimestamp(unix_s, UTC)


def _sum(tallies: list[dict[Stage, int]]) -> Counts:
    return {stage: count for stage in Stage if (count := sum(tally[stage] for tally in tallies))}


def _waves(rollout: Rollout) -> list[ShownWave]:
    return [
        ShownWave(
            number=number,
            to=str(plan.to),
            devices=len(rollout.by_wave[number - 1]),
            up_to=sum(len(devices) for devices in rollout.by_wave[:number]),
            counts=_sum([rollout.tally[number - 1]]),
            started=None if wave.started_s is None else _time(wave.started_s),
            ended=None if wave.ended_s is None else _time(wave.ended_s),
            hold=plan.hold,
            pilot=plan.pilot,
            verdicts=wave.verdicts,
        )
        for number, (wave, plan) in enumerate(zip(rollout.head.waves, rollout.plan.waves, strict=False), 1)
    ]


def _gate(rollout: Rollout, gate: GateState) -> ShownGate:
    latest = gate.measurements[-1] if gate.measurements else None
    plan = next((each for each in rollout.plan.gates if each.name == gate.name), None)
    on_fail = rollout.plan.devices_on_fail if gate.name == DEVICES_GATE else plan.on_fail if plan is not None else None
    return ShownGate(
        name=gate.name,
        verdict=gate.verdict,
        text=gate.text,
        turn=gate.turn,
        on_fail=on_fail or "by exposure",
        in_percent=gate.name == DEVICES_GATE or (plan is not None and plan.in_percent),
        skipped_by=gate.skipped_by,
        latest=None if latest is None else _measurement(latest),
        course=[
            ShownPoint(at=_time(each.at_s), value=each.value, verdict=each.verdict) for each in gate.measurements[-_COURSE:]
        ],
    )


def _measurement(latest: Measurement) -> ShownMeasurement:
    shared = {name: getattr(latest, name) for name in ShownMeasurement.model_fields if name != "at"}
    return ShownMeasurement(at=_time(latest.at_s), **shared)


def _device(device: DeviceState) -> ShownDevice:
    return ShownDevice.model_construct(  # a thousand of them, of what is known to be right: validated, they would take 80 ms
        device=f"{device.address.site}/{device.address.device}",
        wave=device.wave + 1,
        stage=device.stage,
        since=_time(device.since_s),
        reason=device.reason[:MAX_REASON_CHARS],
        goal=device.goal,
    )


def _importance(device: DeviceState) -> tuple[int, int, int]:
    stage = device.stage
    if stage in BAD and not (stage is Stage.ROLLED_BACK and device.goal == "previous"):
        rank = 0
    elif stage in UNDERWAY:
        rank = 1
    elif stage is Stage.DEFERRED or stage is Stage.SKIPPED:
        rank = 2
    else:
        rank = 3 if stage is not Stage.WAITING else 4
    return rank, device.wave, device.rank


def _sites(rollout: Rollout) -> list[ShownSite]:
    found: dict[str, Counts] = {}
    for device in rollout.devices.values():
        counts = found.setdefault(device.address.site, {})
        counts[device.stage] = counts.get(device.stage, 0) + 1
    worst = sorted(found.items(), key=lambda item: (-sum(item[1].get(stage, 0) for stage in BAD), item[0]))
    return [ShownSite(site=site, counts=counts) for site, counts in worst]
