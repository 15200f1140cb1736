"""The status lines: what is watched, how well it can be seen, and how many devices are in which trouble."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Literal

from fleetview.core.ages import age
from fleetview.core.fleet import Fleet
from fleetview.tui.columns import Now
from fleetview.tui.glyphs import Glyphs
from fleetview.tui.overview import count_parts
from fleetview.tui.spans import Line, Span, StyleName, line_width, wrap

_NARROW = 100
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
    half_seen: int = 0
    """Devices of which something is retained, but not the state that an agent always publishes."""


def status_lines(watch: Watch, width: int, glyphs: Glyphs, *, counts: bool = True) -> list[Line]:
    """A line, one with the counts, and up to three more while something is wrong with the reader's own sight."""
    lines = [_first(watch, width, glyphs)]
    if counts:
        lines.append(tuple(part.span for part in count_parts(watch.fleet, glyphs, width)))
    most = len(lines) + _MOST_LINES
    for trouble in _blindness(watch):
        lead = Span(f" {glyphs.warning} ", "error")
        for line in islice(wrap(trouble, width - 4, "error"), _MOST_LINES):
            lines.append((lead, *line))
            lead = Span("   ", "error")
    return lines[:most]


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


def _blindness(watch: Watch) -> Iterator[str]:
    if watch.link.kind == "down":
        blind = "" if watch.blind_since_mono is None else f"blind for {age(watch.now.mono_s - watch.blind_since_mono)}: "
        yield blind + watch.link.words
    if watch.link.warning:
        yield watch.link.warning
    if watch.half_seen:
        known = len(watch.fleet.devices)
        yield (
            f"{known - watch.half_seen:,} of {known:,} devices seen whole: the broker cuts what it has retained short"
            " (mosquitto: max_queued_messages 0)"
        )
    if watch.fleet.refused_devices:
        yield f"more than {len(watch.fleet.devices):,} devices: {watch.fleet.refused_devices:,} messages of others not shown"
