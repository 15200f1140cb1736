"""Rollouts as plain text: lists, one rollout, and what a plan would do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fleetview.cli.text import aligned
from fleetview.core.ages import age
from fleetview.core.rollout.state import BAD, UNDERWAY, Stage
from fleetview.core.rollout.words import count, share
from fleetview.core.text import clean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fleetview.core.rollout.board import Board, Shown
    from fleetview.core.rollout.plan import Plan
    from fleetview.core.rollout.preview import Preview, WavePreview
    from fleetview.core.rollout.snapshot import PublicRollout, ShownGate, ShownWave

_HEADER = ("ROLLOUT", "STATUS", "SINCE", "WAVE", "DONE", "BAD", "OF", "WAITS FOR")
_SITES_NAMED = 5
_DEVICES_NAMED = 20


def done(counts: Mapping[Stage, int]) -> int:
    """How many have converged."""
    return counts.get(Stage.CONVERGED, 0)


def bad(counts: Mapping[Stage, int]) -> int:
    """How many ended badly."""
    return sum(counts.get(stage, 0) for stage in BAD)


def list_lines(rollouts: Sequence[Shown], board: Board, now_s: float) -> list[str]:
    """A table of rollouts, and who runs them."""
    rows = [_HEADER]
    for shown in rollouts:
        public = shown.public
        wave = f"{public.wave}/{len(public.waves)}" if public.waves else "-"
        rows.append(
            (
                str(shown.key),
                status_words(public),
                age(now_s - public.since.timestamp()),
                wave,
                f"{done(public.counts):,}",
                f"{bad(public.counts):,}",
                f"{public.devices_total:,}",
                clean(waiting(public, now_s)),
            )
        )
    lines = aligned(rows, frozenset({4, 5, 6})) if rollouts else []
    return lines + [f"{tenant}: nobody runs its rollouts, nothing advances" for tenant in _unled(rollouts, board)]


def _unled(rollouts: Sequence[Shown], board: Board) -> list[str]:
    return sorted({shown.key.tenant for shown in rollouts if not shown.over and board.leads(shown.key.tenant) is None})


def status_words(public: PublicRollout) -> str:
    """`paused: gate_failed, operator`."""
    reasons = ", ".join(pause.reason for pause in public.pauses)
    return f"{public.status.value}: {reasons}" if reasons else public.status.value


def waiting(public: PublicRollout, now_s: float) -> str:
    """What it waits for, and for how long at most."""
    if public.waits_until is None or not public.waits_for:
        return public.waits_for
    return f"{public.waits_for}, {age(max(0.0, public.waits_until.timestamp() - now_s))} at most"


def show_lines(shown: Shown, board: Board, now_s: float) -> list[str]:
    """One rollout, whole."""
    return [clean(line) for line in _show(shown, board, now_s)]


def _show(shown: Shown, board: Board, now_s: float) -> Iterator[str]:
    public = shown.public
    leader = board.leads(shown.key.tenant)
    yield f"rollout {shown.key}   {status_words(public)} for {age(now_s - public.since.timestamp())}"
    yield f"  what       {public.what}, to {public.select}"
    by = f"by {public.by}, created {age(now_s - public.created.timestamp())} ago"
    yield f"  {by}{f', approved by {public.approved_by}' if public.approved_by else ''}; revision {public.revision}"
    if public.text:
        yield f"  why        {public.text}"
    for pause in public.pauses:
        yield f"  stands     {pause.reason} for {age(now_s - pause.since.timestamp())}: {pause.text} ({pause.by})"
    if words := waiting(public, now_s):
        yield f"  waits for  {words}"
    told = f"told {age(now_s - public.at.timestamp())} ago"
    yield f"  run by     {f'{leader.id}, epoch {leader.epoch}' if leader else 'nobody: nothing advances'}; {told}"
    if public.operators:
        yield f"  watched by {', '.join(operator.who for operator in public.operators)}"
    yield f"  devices    {_counts(public.counts)} of {public.devices_total:,}"
    yield ""
    rows = [("WAVE", "TO", "DEVICES", "STATE", "STAGES")]
    rows += [
        (
            str(wave.number),
            _to(wave),
            f"{wave.devices:,}",
            _wave_state(wave, public),
            _counts(wave.counts),
        )
        for wave in public.waves
    ]
    yield from aligned(rows, frozenset({0, 2}))
    yield ""
    for gate in public.gates:
        yield from _gate(gate, now_s)
    yield from _log_differences(public)
    troubled = [device for device in public.devices if device.stage in BAD or device.stage in UNDERWAY]
    for device in troubled[:_DEVICES_NAMED]:
        since = age(now_s - device.since.timestamp())
        reason = f": {device.reason}" if device.reason else ""
        yield f"  {device.stage.value:<11} {device.device}  wave {device.wave}, {since}{reason}"
    if len(troubled) > _DEVICES_NAMED:
        yield f"  and {len(troubled) - _DEVICES_NAMED} more"
    for verb, consequence in public.verbs.items():
        yield f"  {verb:<9} {consequence}"


def _counts(counts: Mapping[Stage, int]) -> str:
    return ", ".join(f"{number:,} {stage.value}" for stage, number in counts.items()) or "none"


def _wave_state(wave: ShownWave, public: PublicRollout) -> str:
    if wave.ended is not None:
        return wave.ending
    if wave.started is None:
        return "not begun"
    return public.phase.value if public.phase is not None and wave.number == public.wave else "not finished"


def _gate(gate: ShownGate, now_s: float) -> Iterator[str]:
    """What a gate says, what it rests on, and what would turn it."""
    by = f", skipped by {gate.skipped_by}" if gate.skipped_by else ""
    yield f"  gate {gate.name}: {gate.verdict}{by}: {gate.text}"
    latest = gate.latest
    if latest is not None and latest.value is not None:
        shown = share if gate.in_percent else "{:.4g}".format
        parts = [f"value {shown(latest.value)}"]
        if latest.low is not None and latest.high is not None:
            parts.append(f"between {shown(latest.low)} and {shown(latest.high)}")
        if latest.bound is not None:
            parts.append(f"bound {shown(latest.bound)}")
        if latest.control is not None:
            parts.append(f"{latest.compared_with} {shown(latest.control)}")
        parts.append(f"{latest.devices} of {count(latest.of_devices)}")
        if latest.events is not None:
            parts.append(f"{latest.events:,.0f} events")
        if latest.window_s:
            parts.append(f"over {age(latest.window_s)}")
        parts.append(f"{age(now_s - latest.at.timestamp())} ago")
        yield f"       {', '.join(parts)}"
    if gate.turn:
        yield f"       turns with {gate.turn}; when it fails: {gate.on_fail}"


def _log_differences(public: PublicRollout) -> Iterator[str]:
    for each in public.log_differences:
        yield f"  {each.head}  {each.level:<5}  {each.service}: {each.template}   {each.words}"
        if each.example != each.template:
            yield f"       such as  {each.example}"
    if words := public.logs_missing:
        yield f"       {words}"


def preview_lines(plan: Plan, radius: Preview) -> list[str]:
    """What a plan would do."""
    return [clean(line) for line in _preview(plan, radius)]


def _preview(plan: Plan, radius: Preview) -> Iterator[str]:
    yield f"rollout {plan.tenant}/{plan.name}: {plan.target.words} to {plan.select}"
    sites, left_out = count(radius.sites, "site"), f"{radius.left_out} left out"
    yield f"  {count(radius.devices)} at {sites}, {radius.offline} of them offline, {left_out}; plan {plan.digest[:12]}"
    rows = [("WAVE", "TO", "NEW", "IN ALL", "OFFLINE", "LEFT OUT", "AT LEAST", "SITES")]
    for wave in radius.waves:
        named = [f"{site} {number}" for site, number in list(wave.sites.items())[:_SITES_NAMED]]
        if wave.pilot and not wave.devices:
            named = ["not needed: the next wave is no larger"]
        more = f" and {len(wave.sites) - _SITES_NAMED} more" if len(wave.sites) > _SITES_NAMED else ""
        rows.append(
            (
                str(wave.number),
                _to(wave),
                f"{wave.devices:,}",
                f"{wave.up_to:,}",
                str(len(wave.offline)),
                str(len(wave.left_out)),
                age(wave.at_least_s),
                ", ".join(named) + more + (f"   then waits for {wave.hold}" if wave.hold else ""),
            )
        )
    yield from aligned(rows, frozenset({0, 2, 3, 4, 5, 6}))
    yield f"  {age(radius.at_least_s)} at least, if everything passes at once"
    for warning in radius.warnings:
        yield f"  warning: {warning}"


def _to(wave: ShownWave | WavePreview) -> str:
    return "pilot" if wave.pilot else wave.to


def preview_json(plan: Plan, radius: Preview) -> dict[str, Any]:
    """The same for programs."""
    return {
        "rollout": plan.name,
        "tenant": plan.tenant,
        "digest": plan.digest,
        "devices": radius.devices,
        "sites": radius.sites,
        "offline": radius.offline,
        "left_out": radius.left_out,
        "unreached": radius.unreached,
        "at_least_s": radius.at_least_s,
        "warnings": list(radius.warnings),
        "waves": [
            {
                "number": wave.number,
                "to": wave.to,
                "devices": wave.devices,
                "up_to": wave.up_to,
                "sites": wave.sites,
                "offline": [str(address) for address in wave.offline],
                "left_out": {str(address): why for address, why in wave.left_out.items()},
                "hold": wave.hold,
                "pilot": wave.pilot,
                "at_least_s": wave.at_least_s,
            }
            for wave in radius.waves
        ],
        "places": {str(place.candidate.address): place.wave + 1 for place in radius.places},
    }
