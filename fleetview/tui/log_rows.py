"""Log records as rows of spans. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from fleetview.core.ages import age
from fleetview.core.logbook import Entry
from fleetview.core.query.sought import places
from fleetview.core.streams import Hole
from fleetview.tui.glyphs import UNICODE, Glyphs
from fleetview.tui.spans import Line, Span, StyleName, fit, line_width, visible, width_of, wrap
from fleetview_agent.wire import Level

LEVEL_STYLE: dict[Level, StyleName] = {
    Level.UNKNOWN: "dim",
    Level.DEBUG: "debug",
    Level.INFO: "info",
    Level.WARN: "warn",
    Level.ERROR: "error",
}
MAX_MESSAGE = 4096
"""Characters of a message that the list shows; the detail shows all."""
_MAX_RAW = 64 * 1024
"""Bytes of a record above which the list does not look for other fields in it: it is drawn many times a second."""
_WIDE = 100
_FAR_MS = 10_000
_WORTH_IT = 4
"""Cells left for other fields, below which they tell nothing."""
_LEAST_WRAPPED = 30
"""Cells for a wrapped message, below which it begins at the left edge instead."""


@dataclass(frozen=True, slots=True)
class Look:
    """How records are shown."""

    glyphs: Glyphs = UNICODE
    device_width: int = 0
    """Cells for the device's id; none when all are of one."""
    fields: bool = True
    """Other fields than time, level, service and message stand behind the message."""
    hidden_fields: frozenset[str] = frozenset()
    corrected: bool = False
    """The time is that of the reader's clock."""
    sought: tuple[str, ...] = ()
    """Texts, in lower case, that stand out where a message holds them."""


PLAIN = Look()


def clock_ms(time_ms: int) -> str:
    """`10:31:05.120`, in UTC."""
    return f"{datetime.fromtimestamp(time_ms // 1000, UTC):%H:%M:%S}.{time_ms % 1000:03d}"


def log_row(entry: Entry, width: int, look: Look = PLAIN, *, time_ms: int | None = None, marked: bool = False) -> Line:
    """One record as a row: time, level, device (unless that has no width), service, message, and other fields that fit."""
    style = LEVEL_STYLE[entry.level]
    spans = _lead(entry, width, look, entry.time_ms if time_ms is None else time_ms, marked=marked)
    late = _timeliness(entry, look)
    message = visible(entry.message[:MAX_MESSAGE])
    size, room = width_of(message), max(0, width - line_width(tuple(spans)) - width_of(late))
    message_style: StyleName = style if entry.level in {Level.WARN, Level.ERROR} else "plain"
    if size + _WORTH_IT < room:
        spans += _standing_out(Span(message + "  ", message_style), look)
        spans.append(Span(fit(_others(entry, look, room), room - size - 2), "dim"))
    else:
        spans += _standing_out(Span(fit(message, room), message_style), look)
    if late:
        spans.append(Span(late, "dim"))
    return tuple(spans)


def log_lines(
    entry: Entry, width: int, look: Look = PLAIN, *, time_ms: int | None = None, marked: bool = False, most: int = 100
) -> list[Line]:
    """One record in as many lines as its message needs, but no more than `most`."""
    lead = tuple(_lead(entry, width, look, entry.time_ms if time_ms is None else time_ms, marked=marked))
    style = LEVEL_STYLE[entry.level]
    message_style: StyleName = style if entry.level in {Level.WARN, Level.ERROR} else "plain"
    begin = line_width(lead)
    room = width - begin

    def wrapped(text: str, room: int) -> Iterator[Line]:
        lines = wrap(text, room, message_style)
        return (tuple(found for span in line for found in _standing_out(span, look)) for line in lines)

    if room < _LEAST_WRAPPED:
        lines: list[Line] = [lead, *_indented(wrapped(entry.message[:MAX_MESSAGE], width - 4), 3)]
        begin = 3
    else:
        first, *rest = wrapped(entry.message[:MAX_MESSAGE] or " ", room)
        lines = [(*lead, *first), *_indented(iter(rest), begin)]
    late = _timeliness(entry, look).strip()
    others = "  ".join(filter(None, (late, _others(entry, look, MAX_MESSAGE))))
    if others:
        lines += _indented(wrap(others, width - begin, "dim"), begin)
    return lines if len(lines) <= most else [*lines[: most - 1], (Span(" " * begin + "…", "dim"),)]


def _standing_out(span: Span, look: Look) -> list[Span]:
    """The span, cut so that what is looked for stands out in it."""
    if not look.sought:
        return [span]
    cut, at = [], 0
    for begin, end in places(span.text, look.sought):
        cut += [Span(span.text[at:begin], span.style), Span(span.text[begin:end], "found")]
        at = end
    return [each for each in (*cut, Span(span.text[at:], span.style)) if each.text]


def _indented(lines: Iterator[Line], size: int) -> Iterator[Line]:
    return ((Span(" " * size), *line) for line in lines)


def _lead(entry: Entry, width: int, look: Look, time_ms: int, *, marked: bool) -> list[Span]:
    wide = width >= _WIDE
    time = clock_ms(time_ms) if wide else clock_ms(time_ms)[:8]
    sign = "~" if entry.time_is_receipt else "=" if look.corrected else " "
    spans = [
        Span(look.glyphs.selected if marked else " ", "key"),
        Span(f"{time}{sign} ", "dim"),
        Span(fit(entry.level.text, 6), LEVEL_STYLE[entry.level]),
    ]
    if look.device_width:
        spans.append(Span(fit(entry.address.device, look.device_width) + " ", "accent"))
    spans.append(Span(fit(entry.service or "-", 16 if wide else 10) + " ", "dim"))
    return spans


def _others(entry: Entry, look: Look, room: int) -> str:
    if not look.fields:
        return ""
    if len(entry.raw) > _MAX_RAW:
        return f"({len(entry.raw) / 1024:,.0f} KiB)"
    try:
        found: dict[str, Any] = entry.extra()
    except ValueError:  # nested deeper than the parser goes
        return ""
    parts = (f"{name}={_short(value, room)}" for name, value in found.items() if name not in look.hidden_fields)
    return "  ".join(islice(parts, room // 3 + 1))


def _timeliness(entry: Entry, look: Look) -> str:
    delay_ms = entry.received_ms - entry.time_ms
    if look.corrected or abs(delay_ms) <= _FAR_MS:
        return ""
    return f" {look.glyphs.late} {age(delay_ms / 1000)} late" if delay_ms > 0 else " (clock ahead)"


def _short(value: object, room: int) -> str:
    return value[:room] if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)[:room]


def copied_record(entry: Entry) -> str:
    """One record as a line of text to paste somewhere: pasted into a shell, it must be no more than text."""
    time = datetime.fromtimestamp(entry.time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return visible(f"{time} {entry.level.text} {entry.address} {entry.service or '-'} {entry.message}")


def hole_row(entry: Entry, hole: Hole | None, width: int, glyphs: Glyphs) -> Line:
    """Where records are missing, or were: None when they came after all."""
    if hole is None:
        size = 0 if entry.hole is None else entry.hole.size
        text = f" {_rule(glyphs)} {size:,} {_records(size)} of {entry.address.device} came after what follows "
        return (Span(fit(text + glyphs.rule, width), "dim"),)
    because = f" ({hole.reason.replace('_', ' ')})" if hole.owned and hole.reason else ""
    if not hole.owned:
        because = " (nobody owned up to it)"
    span = _between(hole.since_ms, entry.time_ms)
    text = f" {_rule(glyphs)} {hole.size:,} {_records(hole.size)} of {entry.address.device} missing{because} {span}"
    return (Span(fit(text + _rule(glyphs), width), "warn"),)


def _between(since_ms: int | None, until_ms: int) -> str:
    if since_ms is None:
        return ""
    since, until = clock_ms(since_ms)[:8], clock_ms(until_ms)[:8]
    return f"at {until} " if since == until else f"{since} to {until} "


def _rule(glyphs: Glyphs) -> str:
    return " ".join(glyphs.rule * 3)


def _records(size: int) -> str:
    return "record" if size == 1 else "records"
