"""Rollouts as rows of spans: a list of them, and one whole, with its waves as a tree and its gates explained. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from fleetview.core.ages import age
from fleetview.core.rollout.board import Board, Key, Shown
from fleetview.core.rollout.snapshot import PublicRollout, ShownDevice, ShownGate, ShownWave
from fleetview.core.rollout.state import BAD, UNDERWAY, Stage, Status, Verdict
from fleetview.core.rollout.words import count, share
from fleetview.tui.columns import Now
from fleetview.tui.glyphs import ASCII, Glyphs
from fleetview.tui.spans import EMPTY, Line, Span, StyleName, fit, line_width, visible, wrap
from fleetview_agent.wire import Address

STAGE_STYLE: Mapping[Stage, StyleName] = {
    **dict.fromkeys(BAD, "critical"),
    **dict.fromkeys(UNDERWAY, "accent"),
    Stage.LOST: "lost",
    Stage.CONVERGED: "ok",
    Stage.DEFERRED: "stale",
    Stage.SKIPPED: "dim",
    Stage.WAITING: "dim",
}
_ORDER = (
    Stage.CONVERGED, Stage.VERIFYING, Stage.APPLYING, Stage.ACCEPTED, Stage.OFFERED, Stage.FAILED, Stage.REJECTED,
    Stage.TIMED_OUT, Stage.LOST, Stage.ROLLED_BACK, Stage.DEFERRED, Stage.SKIPPED, Stage.WAITING,
)  # fmt: skip
"""From left to right in a bar: how far, what goes wrong, what is left."""
_STATUS_STYLE: Mapping[Status, StyleName] = {
    Status.PAUSED: "degraded",
    Status.AWAITING_APPROVAL: "degraded",
    Status.ROLLING_BACK: "critical",
    Status.ROLLED_BACK: "critical",
    Status.ROLLBACK_FAILED: "critical",
    Status.ABORTING: "degraded",
    Status.ABORTED: "degraded",
    Status.SUCCEEDED_WITH_STRAGGLERS: "degraded",
    Status.RUNNING: "accent",
}
_VERDICT: Mapping[Verdict, tuple[str, str, StyleName]] = {
    "pass": ("✓", "+", "ok"),
    "fail": ("✗", "X", "critical"),
    "inconclusive": ("?", "?", "dim"),
    "error": ("!", "!", "degraded"),
}
_NAME_WIDTH = 24
_BAR_IN_LIST = 20
_WIDE = 110
_STATE_WIDTH = 22
"""Of the words for how far a wave is, before the marks of its gates."""


@dataclass(frozen=True, slots=True)
class RolloutRow:
    """One line of a rollout, and what Enter opens there."""

    line: Line
    wave: int | None = None
    """Folds and unfolds."""
    address: Address | None = None
    """Is opened."""


def bar(counts: Mapping[Stage, int], total: int, width: int, glyphs: Glyphs) -> Line:
    """Devices by stage, as a bar of so many cells; who is bad has a cell at least."""
    if width <= 0 or total <= 0:
        return EMPTY
    there = [(stage, counts[stage]) for stage in _ORDER if counts.get(stage)]
    cells = {stage: max(number * width // total, 1 if stage in BAD or stage in UNDERWAY else 0) for stage, number in there}
    spare = width - sum(cells.values())
    # What rounding left over, or took too much of, is the largest part's.
    if there:
        largest = max(there, key=lambda part: part[1])[0]
        cells[largest] = max(0, cells[largest] + spare)
    return tuple(Span(_cell(stage, glyphs) * cells[stage], STAGE_STYLE[stage]) for stage, _ in there if cells[stage])


def _cell(stage: Stage, glyphs: Glyphs) -> str:
    plain = glyphs is ASCII
    if stage is Stage.CONVERGED:
        return "#" if plain else "█"
    if stage in BAD:
        return "X" if plain else "▚"
    if stage in UNDERWAY:
        return "=" if plain else "▒"
    if stage is Stage.DEFERRED:
        return "o" if plain else "░"
    return glyphs.rule


def counted(counts: Mapping[Stage, int]) -> Line:
    """`converged 31  failed 3`, in the order of the bar."""
    there = [stage for stage in _ORDER if counts.get(stage)]
    found = [
        Span(f"{stage.value} {counts[stage]:,}{'  ' * (stage is not there[-1])}", STAGE_STYLE[stage]) for stage in there
    ]
    return tuple(found) or (Span("no devices", "dim"),)


def status_span(public: PublicRollout) -> Span:
    """`paused: gate_failed`."""
    reasons = ", ".join(pause.reason for pause in public.pauses)
    text = f"{public.status.value}: {reasons}" if reasons else public.status.value
    return Span(visible(text), _STATUS_STYLE.get(public.status, "plain"))


def list_head(width: int) -> Line:
    """The titles above a list."""
    cells = _list_bar(width)
    return (Span(fit(f" {'rollout':<{_NAME_WIDTH}} {'devices':<{cells}} done        wave   status", width), "head"),)


def _list_bar(width: int) -> int:
    """Cells of a bar in a list: the status is worth more than a fine bar."""
    return _BAR_IN_LIST if width >= _WIDE else len("devices")


def list_row(shown: Shown, now: Now, glyphs: Glyphs, width: int) -> Line:
    """One rollout in a list."""
    public = shown.public
    done = public.counts.get(Stage.CONVERGED, 0)
    size = _list_bar(width)
    what = f"   {visible(public.what)}" if width >= _WIDE else ""
    cells = bar(public.counts, public.devices_total, size, glyphs) or (Span(" " * size),)
    return (
        Span(f" {fit(shown.key.id, _NAME_WIDTH)} "),
        *cells,
        Span(fit(f" {done:,}/{public.devices_total:,}", 12)),
        Span(fit(f" {public.wave}/{len(public.waves)}" if public.waves else " -", 7), "dim"),
        Span(" "),
        status_span(public),
        Span(f" for {age(now.unix_s - public.since.timestamp())}{what}", "dim"),
    )


def title(shown: Shown | None, key: Key, now: Now) -> Line:
    """Above one rollout."""
    if shown is None:
        return (Span(f" rollout {visible(str(key))}", "title"), Span("   is no more", "dim"))
    public = shown.public
    done = public.counts.get(Stage.CONVERGED, 0)
    wave = f"wave {public.wave}/{len(public.waves)}   " if public.wave else ""
    return (
        Span(f" {public.id}   ", "title"),
        status_span(public),
        Span(f" for {age(now.unix_s - public.since.timestamp())}   ", "dim"),
        Span(f"{wave}{done:,}/{public.devices_total:,} converged" if public.devices_total else ""),
    )


def rollout_rows(
    shown: Shown, board: Board, now: Now, width: int, glyphs: Glyphs, *, unfolded: frozenset[int]
) -> list[RolloutRow]:
    """One rollout, whole."""
    public = shown.public
    rows = []
    if public.devices_total:
        rows.append(RolloutRow((Span(" "), *bar(public.counts, public.devices_total, max(0, width - 2), glyphs))))
        rows.append(RolloutRow((Span(" "), *counted(public.counts))))
    rows += [RolloutRow(line) for line in _facts(shown, board, now, width)]
    gates = [RolloutRow(line) for gate in public.gates for line in _gate(gate, now, width, glyphs)]
    if any(pause.reason.startswith("gate_") for pause in public.pauses):
        rows += [RolloutRow(EMPTY), *gates]  # it stands still because of them: nobody has to look for them
        gates = []
    rows.append(RolloutRow(EMPTY))
    for wave in public.waves:
        rows.append(RolloutRow(_wave(wave, public, now, glyphs, folded=wave.number not in unfolded), wave=wave.number))
        if wave.number in unfolded:
            rows += _members(shown, wave, now)
    below = [*gates, *(RolloutRow(line) for line in _log_differences(public, width))]
    return [*rows, RolloutRow(EMPTY), *below] if below else rows


def _facts(shown: Shown, board: Board, now: Now, width: int) -> Iterator[Line]:
    public = shown.public
    leader = board.leads(shown.key.tenant)
    for pause in public.pauses:
        words = f"stands still {age(now.unix_s - pause.since.timestamp())}: {pause.reason}: {pause.text} ({pause.by})"
        yield from wrap(f" {words}", width, "degraded", 4)
    if public.text and not public.pauses:
        yield from wrap(f" why        {public.text}", width, "plain", 12)
    if public.waits_for:
        until = public.waits_until
        left = "" if until is None else f", {age(max(0.0, until.timestamp() - now.unix_s))} at most"
        yield from wrap(f" waits for  {public.waits_for}{left}", width, "plain", 12)
    yield from wrap(f" started    by {public.by}, {public.created:%H:%M}: {public.what}", width, "dim", 12)
    told = f"told {age(max(0.0, now.unix_s - public.at.timestamp()))} ago"
    if shown.over:
        yield (Span(f" over, {told}", "dim"),)
    elif leader is None:
        yield (Span(f" nobody runs the rollouts of {visible(shown.key.tenant)}: nothing advances; {told}", "lost"),)
    else:
        yield (Span(f" run by     {visible(leader.id)}, epoch {leader.epoch}; {told}", "dim"),)
    watching = [operator.who for operator in public.operators]
    if watching:
        yield from wrap(f" watched by {', '.join(watching)}", width, "dim", 12)


def _wave(wave: ShownWave, public: PublicRollout, now: Now, glyphs: Glyphs, *, folded: bool) -> Line:
    sign = glyphs.folded if folded else glyphs.unfolded
    to = "pilot" if wave.pilot else wave.to
    head = Span(f" {sign} wave {wave.number:<3}{to:>6}  {fit(count(wave.devices), 14)}", "bold" if wave.started else "dim")
    state = _wave_state(wave, public, now, glyphs)
    room = _STATE_WIDTH + 2 + 2 * len(public.gates)
    return (head, *state, Span(" " * max(0, room - line_width(state))), *counted(wave.counts))


def _wave_state(wave: ShownWave, public: PublicRollout, now: Now, glyphs: Glyphs) -> Line:
    if wave.ended is not None:
        if not wave.devices:
            return (Span(fit(wave.ending, _STATE_WIDTH), "dim"),)
        verdicts: list[Verdict] = ["pass" if verdict == "pass" else "inconclusive" for verdict in wave.verdicts.values()]
        return _with_gates(wave.ending, "ok" if wave.ending == "passed" else "degraded", verdicts, glyphs)
    if wave.started is None:
        hold = f"then waits for {wave.hold}" if wave.hold else ""
        return (Span(fit(hold, _STATE_WIDTH), "dim"),)
    if public.phase is None or public.phase_since is None or wave.number != public.wave:
        return (Span(fit("not finished", _STATE_WIDTH), "dim"),)
    phase = f"{public.phase.value} {age(now.unix_s - public.phase_since.timestamp())}"
    is_judged = any(gate.latest is not None for gate in public.gates)
    return _with_gates(phase, "accent", [gate.verdict for gate in public.gates] if is_judged else [], glyphs)


def _with_gates(text: str, style: StyleName, verdicts: Sequence[Verdict], glyphs: Glyphs) -> Line:
    """Words, and a mark for each gate in the order in which they are explained."""
    label = "gates " if verdicts and len(text) + len("gates ") < _STATE_WIDTH else ""
    marks = (_mark(verdict, glyphs) for verdict in verdicts)
    return (Span(fit(text, _STATE_WIDTH - len(label)), style), Span(label, "dim"), *marks, Span("  "))


def _mark(verdict: Verdict, glyphs: Glyphs) -> Span:
    fancy, plain, style = _VERDICT[verdict]
    return Span((plain if glyphs is ASCII else fancy) + " ", style)


def _members(shown: Shown, wave: ShownWave, now: Now) -> Iterator[RolloutRow]:
    """The devices of a wave that are named, by site."""
    found = [device for device in shown.public.devices if device.wave == wave.number]
    for site, devices in _by_site(found):
        yield RolloutRow((Span(f"     {visible(site)}", "head"), Span(f"  {count(len(devices))}", "dim")))
        for device in devices:
            _, _, name = device.device.partition("/")
            since = age(now.unix_s - device.since.timestamp())
            goal = " (back)" if device.goal == "previous" else ""
            line = (
                Span(f"       {fit(name, 24)} "),
                Span(fit(device.stage.value + goal, 19), STAGE_STYLE[device.stage]),
                Span(fit(since, 9), "dim"),
                Span(visible(device.reason)),
            )
            yield RolloutRow(line, address=Address(shown.key.tenant, site, name))
    if (missing := wave.devices - len(found)) > 0:
        yield RolloutRow((Span(f"     {count(missing, 'more device')}, with nothing to say of them", "dim"),))


def _by_site(devices: Iterable[ShownDevice]) -> list[tuple[str, list[ShownDevice]]]:
    sites: dict[str, list[ShownDevice]] = {}
    for device in devices:
        sites.setdefault(device.device.partition("/")[0], []).append(device)
    return sorted(sites.items())


def _gate(gate: ShownGate, now: Now, width: int, glyphs: Glyphs) -> Iterator[Line]:
    """What a gate says, what it rests on, the course of its value, and what would turn it."""
    by = f", skipped by {gate.skipped_by}" if gate.skipped_by else ""
    style: StyleName = _VERDICT[gate.verdict][2]
    head = (Span(f" gate {visible(gate.name)}  ", "bold"), _mark(gate.verdict, glyphs), Span(f"{gate.verdict}{by}  ", style))
    yield (*head, Span(fit(gate.text, max(0, width - line_width(head))).rstrip()))
    if facts := list(_figures(gate, now)):
        yield from wrap(f"   {'   '.join(facts)}", width, "plain", 3)
    course = _course(gate, glyphs)
    if course or gate.turn:
        turn = f"turns with {gate.turn}   " if gate.turn else ""
        lead = f"   {course}  " if course else "   "
        for line in wrap(f"{turn}on failure: {gate.on_fail}", max(1, width - len(lead)), "dim"):
            yield (Span(lead, "accent"), *line)
            lead = " " * len(lead)


def _figures(gate: ShownGate, now: Now) -> Iterator[str]:
    latest = gate.latest
    if latest is None or latest.value is None:
        return
    shown = share if gate.in_percent else "{:.4g}".format
    yield f"value {shown(latest.value)}"
    if latest.low is not None and latest.high is not None:
        yield f"between {shown(latest.low)} and {shown(latest.high)}"
    if latest.bound is not None:
        yield f"bound {shown(latest.bound)}"
    if latest.control is not None:
        yield f"{latest.compared_with} {shown(latest.control)} of {count(latest.control_devices)}"
    covered = f", {100 * latest.devices // latest.of_devices} % covered" if latest.of_devices else ""
    yield f"{count(latest.devices)}{covered}"
    if latest.events is not None:
        yield f"{latest.events:,.0f} events"
    over = f"over {age(latest.window_s)}, " if latest.window_s else ""  # what counts devices looks at a moment
    yield f"{over}{age(max(0.0, now.unix_s - latest.at.timestamp()))} ago"


def _log_differences(public: PublicRollout, width: int) -> Iterator[Line]:
    """What updated devices log and others do not."""
    for each in public.log_differences:
        style: StyleName = "critical" if each.level == "ERROR" else "degraded" if each.level == "WARN" else "plain"
        head = (Span(f" {each.head}  ", "bold"), Span(f"{visible(each.level):<5}  ", style))
        words = f"   {each.words}"
        text = f"{each.service}: {each.template}"
        room = max(20, width - line_width(head) - len(words))
        yield (*head, Span(fit(text, min(room, len(text)))), Span(words, "dim"))
        if each.example != each.template:
            yield (Span(fit(f"     such as {each.example}", width).rstrip(), "dim"),)
    if words := public.logs_missing:
        yield (Span(fit(f"     {words}", width).rstrip(), "dim"),)


def _course(gate: ShownGate, glyphs: Glyphs) -> str:
    values: Sequence[float | None] = [point.value for point in gate.course]
    known = [value for value in values if value is not None]
    if not known:
        return ""
    top = max(*known, gate.latest.bound or 0.0 if gate.latest is not None else 0.0)
    steps = len(glyphs.levels) - 1
    return "".join(
        glyphs.no_data
        if value is None
        else glyphs.levels[0 if top <= 0 else min(steps, round(max(0.0, value) / top * steps))]
        for value in values
    )
