"""Log records as rows of spans. Pure."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from fleetview.core.logbook import Entry
from fleetview.core.streams import Hole
from fleetview.tui.glyphs import Glyphs
from fleetview.tui.spans import Line, Span, StyleName, fit, line_width, visible, width_of
from fleetview_agent.wire import Level

LEVEL_STYLE: dict[Level, StyleName] = {
    Level.UNKNOWN: "dim",
    Level.DEBUG: "debug",
    Level.INFO: "info",
    Level.WARN: "warn",
    Level.ERROR: "error",
}
MAX_MESSAGE = 4096
"""Characters of a message that a row looks at; the detail shows all."""
_WIDE = 100
_FAR_MS = 10_000
_WORTH_IT = 4
"""Cells left for other fields, below which they tell nothing."""


def clock_ms(time_ms: int) -> str:
    """`10:31:05.120`, in UTC."""
    return f"{datetime.fromtimestamp(time_ms // 1000, UTC):%H:%M:%S}.{time_ms % 1000:03d}"


def log_row(entry: Entry, width: int, *, device_width: int = 0) -> Line:
    """One record as a row: time, level, device (unless that has no width), service, message, and other fields that fit."""
    wide = width >= _WIDE
    time = clock_ms(entry.time_ms) if wide else clock_ms(entry.time_ms)[:8]
    style = LEVEL_STYLE[entry.level]
    spans = [
        Span(f" {time}{'~' if entry.time_is_receipt else ' '} ", "dim"),
        Span(fit(entry.level.text, 6), style),
    ]
    if device_width:
        spans.append(Span(fit(entry.address.device, device_width) + " ", "accent"))
    spans.append(Span(fit(entry.service or "-", 16 if wide else 10) + " ", "dim"))
    late = _timeliness(entry)
    message = visible(entry.message[:MAX_MESSAGE])
    size, room = width_of(message), max(0, width - line_width(tuple(spans)) - len(late))
    message_style: StyleName = style if entry.level in {Level.WARN, Level.ERROR} else "plain"
    if size + _WORTH_IT < room:
        extra = "  ".join(f"{name}={_short(value)}" for name, value in entry.extra().items())
        spans += [
            Span(message + "  ", message_style),
            Span(fit(extra, room - size - 2), "dim"),
        ]
    else:
        spans.append(Span(fit(message, room), message_style))
    if late:
        spans.append(Span(late, "dim"))
    return tuple(spans)


def _timeliness(entry: Entry) -> str:
    delay_ms = entry.received_ms - entry.time_ms
    return "" if abs(delay_ms) <= _FAR_MS else " (late)" if delay_ms > 0 else " (clock ahead)"


def _short(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def copied_record(entry: Entry) -> str:
    """One record as a line of text to paste somewhere: pasted into a shell, it must be no more than text."""
    time = datetime.fromtimestamp(entry.time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return visible(f"{time} {entry.level.text} {entry.address} {entry.service or '-'} {entry.message}")


def hole_row(entry: Entry, hole: Hole, width: int, glyphs: Glyphs) -> Line:
    """Where records are missing."""
    because = f" ({hole.reason})" if hole.owned and hole.reason else "" if hole.owned else " (nobody owned up to it)"
    records = "record" if hole.size == 1 else "records"
    text = f" {glyphs.rule * 3} {hole.size:,} {records} of {entry.address.device} missing{because} "
    return (Span(fit(text + glyphs.rule * width, width), "warn"),)
