"""The status lines: what is watched, how well it can be seen, and how many devices are in which trouble."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Literal

from fleetview.core.ages import age
from fleetview.core.fleet import Fleet
from fleetview.core.trouble import Trouble
from fleetview.tui.fleet_rows import Now
from fleetview.tui.glyphs import Glyphs, trouble_span
from fleetview.tui.spans import Line, Span, StyleName, line_width, wrap

_NARROW = 100
_ATTENTION = (Trouble.CRITICAL, Trouble.DEGRADED, Trouble.STALE, Trouble.LOST)
_QUIET = (Trouble.OFFLINE, Trouble.SLEEPING, Trouble.UNSEEN)
"""Nothing is wrong with these: shown where there are any, each for itself where there is room for them."""
_MOST_LINES = 3
"""Of what is wrong with the reader's own sight."""


@dataclass(frozen=True, slots=True)
class LinkView:
    """How the connection to the broker stands, in words."""

    kind: Literal["up", "connecting", "down"]
    words: str
    """`up 3d 04h`, or what is wrong."""
    warning: str | None = None
    """What does not work although it is up, such as a refused subscription."""


@dataclass(frozen=True, slots=True)
class Watch:
    """All that the status lines show."""

    fleet: Fleet
    now: Now
    context: str
    broker: str
    link: LinkView
    messages_per_s: float
    blind_since_mono: float | None
    """Since when nothing can be seen."""


def status_lines(watch: Watch, width: int, glyphs: Glyphs) -> list[Line]:
    """Two lines, and up to three more while something is wrong with the reader's own sight."""
    lines = [_first(watch, width, glyphs), _counts(watch, width, glyphs)]
    for trouble in _blindness(watch):
        lead = Span(f" {glyphs.warning} ", "error")
        for line in islice(wrap(trouble, width - 4, "error"), _MOST_LINES):
            lines.append((lead, *line))
            lead = Span("   ", "error")
    return lines[: 2 + _MOST_LINES]


def _first(watch: Watch, width: int, glyphs: Glyphs) -> Line:
    style: StyleName = {"up": "ok", "connecting": "degraded", "down": "error"}[watch.link.kind]  # type: ignore[assignment]
    bar = Span(f" {glyphs.bar} ", "rule")
    spans = [Span(" fleetview", "title"), Span(f"  {watch.context}", "bold"), bar]
    if width >= _NARROW:
        spans.append(Span(f"{watch.broker} ", "dim"))
    word = watch.link.words if watch.link.kind == "up" else watch.link.kind
    spans += [Span(f"{glyphs.dot} {word}", style), bar, Span(f"{watch.messages_per_s:,.0f} msg/s", "dim")]
    clock = Span(f"{datetime.fromtimestamp(watch.now.unix_s, UTC):%H:%M:%S} UTC ", "dim")
    gap = width - line_width(tuple(spans)) - len(clock.text)
    return (*spans, Span(" " * gap), clock) if gap > 0 else tuple(spans)


def _counts(watch: Watch, width: int, glyphs: Glyphs) -> Line:
    """Devices by trouble, in as many words as there is room for; how many are broken and how many are well always fit."""
    found: Line = ()
    for fold, gap, total in ((False, 2, True), (True, 2, True), (True, 1, True), (True, 1, False)):
        found = _counted(watch, glyphs, fold_absent=fold, gap=gap, with_total=total, with_none=width >= _NARROW)
        if line_width(found) <= width:
            break
    return found


def _counted(watch: Watch, glyphs: Glyphs, *, fold_absent: bool, gap: int, with_total: bool, with_none: bool) -> Line:
    spans: list[Span] = []
    outages = len(watch.fleet.outages)
    if outages:
        spans.append(Span(f"{outages} site outage{'s' if outages > 1 else ''}", "outage"))
    absent = sum(watch.fleet.troubles.get(trouble, 0) for trouble in _QUIET)
    for trouble in (*_ATTENTION, *_QUIET, Trouble.OK):
        count = watch.fleet.troubles.get(trouble, 0)
        if trouble in _QUIET and (fold_absent or not count):
            continue
        if trouble is Trouble.OK and fold_absent and absent:
            spans.append(Span(f"{glyphs.trouble[Trouble.OFFLINE]} {absent:,} away", "offline"))
        if count or with_none or trouble is Trouble.OK:
            span = trouble_span(trouble, glyphs, count)
            spans.append(span if count else Span(span.text, "dim"))
    if with_total:
        spans.append(Span(f"of {len(watch.fleet.devices):,}", "dim"))
    between = Span(" " * gap)
    return (Span(" "), *chain.from_iterable((span, between) for span in spans))[:-1]


def _blindness(watch: Watch) -> Iterator[str]:
    if watch.link.kind == "down":
        blind = "" if watch.blind_since_mono is None else f"blind for {age(watch.now.mono_s - watch.blind_since_mono)}: "
        yield blind + watch.link.words
    if watch.link.warning:
        yield watch.link.warning
    if watch.fleet.refused_devices:
        yield f"more than {len(watch.fleet.devices):,} devices: {watch.fleet.refused_devices:,} messages of others not shown"
