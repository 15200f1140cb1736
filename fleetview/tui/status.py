"""The status lines: what is watched, how well it can be seen, and how many devices are in which trouble."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Literal

from fleetview.core.ages import age, rough_age
from fleetview.core.fleet import Fleet
from fleetview.feeds.states import Backoff, Connecting, LinkState, Refused, Up
from fleetview.tui.columns import Now
from fleetview.tui.glyphs import Glyphs
from fleetview.tui.overview import count_parts
from fleetview.tui.spans import Line, Span, StyleName, fit, line_width, visible, width_of, wrap

_NARROW = 100
_CRUMB = 24
"""Cells of a step of the trail; whoever wants all of a device's name reads the title below."""
_FRESH_S = 10
"""A link that is younger has no age to speak of."""
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
    trail: tuple[str, ...] = ()
    """How the person came here from the fleet, such as a device and its logs."""
    coarse: bool = False
    """Times without seconds: each change of them is bytes on a slow link."""
    alerts: tuple[Line, ...] = ()
    """What is known of alerts and of who tells, the longest first: the first line takes what it has room for."""
    switch: str | None = None
    """What is wrong with the dead man's switch."""
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


def clock(watch: Watch) -> Span:
    """The time of day, at the right of the first line. A widget of its own: it alone moves while all is quiet."""
    time = datetime.fromtimestamp(watch.now.unix_s, UTC)
    return Span(f" {time:%H:%M} UTC " if watch.coarse else f" {time:%H:%M:%S} UTC ", "dim")


def _first(watch: Watch, width: int, glyphs: Glyphs) -> Line:
    style: StyleName = {"up": "ok", "connecting": "degraded", "down": "error"}[watch.link.kind]  # type: ignore[assignment]
    bar = Span(f" {glyphs.bar} ", "rule")
    broker = (Span(f"{watch.broker} ", "dim"),) if width >= _NARROW else ()
    word = watch.link.words if watch.link.kind == "up" else watch.link.kind
    link, rate = Span(f"{glyphs.dot} {word}", style), (bar, Span(f"{watch.messages_per_s:,.0f} msg/s", "dim"))
    state = (link, *rate)
    name = (Span(" fleetview", "title"), Span(f"  {watch.context}", "bold"))
    found: Line = (*name, bar, *state)
    for middle in (len(watch.trail), 1, 0):  # as much of the trail as there is room for; its end says where one is
        crumbs = _crumbs(watch.trail, middle, glyphs)
        for more in (broker, ()):
            found = (*name, *crumbs, bar, *more, *state)
            if line_width(found) <= width:
                return _with_alerts(watch, found, rate, width)
    return found


def _with_alerts(watch: Watch, line: Line, rate: Line, width: int) -> Line:
    """The line with what is known of alerts before its end, if that costs nothing of what is there, the clock included."""
    room = width - line_width(line) - line_width((clock(watch),))
    for alerts in watch.alerts:
        if line_width(alerts) <= room:
            return (*line[: -len(rate)], *alerts, *rate)
    return line


def _crumbs(trail: tuple[str, ...], most: int, glyphs: Glyphs) -> Line:
    """` › gw-0042 › logs`, or ` › … › logs`."""
    shown = trail[-most:] if most else ()
    left_out = ("…",) if len(trail) > len(shown) else ()
    spans: list[Span] = []
    for crumb in (*left_out, *shown):
        text = visible(crumb)
        text = text if width_of(text) <= _CRUMB else fit(text, _CRUMB)
        spans += [Span(f" {glyphs.crumb} ", "dim"), Span(text, "bold")]
    return tuple(spans)


def _blindness(watch: Watch) -> Iterator[str]:
    if watch.link.kind == "down":
        blind = "" if watch.blind_since_mono is None else f"blind for {age(watch.now.mono_s - watch.blind_since_mono)}: "
        yield blind + watch.link.words
    if watch.link.warning:
        yield watch.link.warning
    if watch.switch:
        yield watch.switch
    if watch.half_seen:
        known = len(watch.fleet.devices)
        yield (
            f"{known - watch.half_seen:,} of {known:,} devices seen whole: the broker cuts what it has retained short"
            " (mosquitto: max_queued_messages 0)"
        )
    if watch.fleet.refused_devices:
        yield f"more than {len(watch.fleet.devices):,} devices: {watch.fleet.refused_devices:,} messages of others not shown"


def link_view(state: LinkState, now: Now) -> LinkView:
    """How the connection stands, in words."""
    match state:
        case Up(since_mono_s=since, protocol=protocol, refused_filters=refused):
            old = "" if protocol == "5" else f" (MQTT {protocol})"
            warning = None
            if refused:
                names = ", ".join(f"{name} ({why})" for name, why in refused)
                warning = f"the broker refused {len(refused)} subscriptions: {names}"
            lasted = now.mono_s - since
            return LinkView("up", f"up{'' if lasted < _FRESH_S else f' {rough_age(lasted)}'}{old}", warning)
        case Connecting():
            return LinkView("connecting", "connecting")
        case Backoff(failure=failure, next_try_mono_s=due) | Refused(failure=failure, next_try_mono_s=due):
            return LinkView("down", f"{failure.words}; next try in {age(due - now.mono_s + 1)} (ctrl+r: at once)")
