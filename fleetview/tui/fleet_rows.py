"""The fleet table's rows as lines of spans. Pure, so that what a row says is tested without a terminal."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

from fleetview.core.ages import age
from fleetview.core.alertbook import Badge
from fleetview.core.arrangement import Group
from fleetview.core.device import Device
from fleetview.core.outages import Outage
from fleetview.core.why import first_reason
from fleetview.tui.columns import Columns, Now, cell, column, seen
from fleetview.tui.glyphs import Glyphs, severity_look, trouble_span
from fleetview.tui.spans import Line, Span, fit, line_width, visible, width_of

__all__ = ["Now", "copied_row", "device_row", "group_row", "outage_row"]

Drawn: TypeAlias = "Callable[[str, Device, Now, Glyphs], Line]"
"""What stands in a column that is filled from elsewhere, as wide as the column is."""
RECENT_S = 5.0
"""How long a change is marked."""
_GROUP_WIDTHS = (12, 32)
_BOTH_FIT = 40
"""Cells for alerts and a reason; in fewer, the reason is what says what is broken."""


def changed_just_now(device: Device, now: Now) -> bool:
    """Whether its connectivity or health changed in the last seconds, before the eyes of whoever looks."""
    last = max(device.since_unix or 0.0, device.health_since_unix or 0.0)
    return 0 <= now.unix_s - last < RECENT_S


def device_row(
    device: Device,
    columns: Columns,
    now: Now,
    glyphs: Glyphs,
    *,
    indent: bool = False,
    selected: bool = False,
    badge: Badge | None = None,
    drawn: Drawn | None = None,
) -> Line:
    """One device as a row. What its alerts are stands before the reason why; where there is room for one only, behind it."""
    mark = glyphs.selected if selected else " "
    changed = glyphs.changed if changed_just_now(device, now) else " "
    spans = [Span(mark + changed, "accent")]
    for name, width in columns.widths:
        if drawn is not None and name in columns.more:
            spans += (*drawn(name, device, now, glyphs), Span(" "))
            continue
        if name == "alerts":
            text, style = _alerts(device, badge, now)
        else:
            text, style = cell(name, device, now, glyphs, with_tenant=columns.with_tenant)
        if name == "device" and indent and width_of(text) + 2 <= width:
            text = "  " + text
        if name == "why" and badge is not None and not columns.has("alerts"):
            parts = (badge.words(now.unix_s), text) if width >= _BOTH_FIT else (text, badge.words(now.unix_s))
            text = "; ".join(filter(None, parts))
            style = "degraded" if badge.loud and style == "dim" else style
        spans.append(Span(fit(text, width, right=column(name, columns.more).right) + " ", style))
    return tuple(spans)


def _alerts(device: Device, badge: Badge | None, now: Now) -> Span:
    if badge is None:
        return Span("-" if device.alerts is None else "0", "dim")
    if not badge.loud or badge.is_old:
        return Span(badge.short(now.unix_s), "dim")
    return Span(badge.short(now.unix_s), severity_look(badge.worst)[1])


def outage_row(outage: Outage, width: int, now: Now, glyphs: Glyphs, *, folded: bool) -> Line:
    """A site outage as one row."""
    since = datetime.fromtimestamp(now.unix_s - (now.mono_s - outage.first_mono), UTC)
    glyph = glyphs.folded if folded else glyphs.unfolded
    hint = "Enter unfolds" if folded else "Enter folds"
    text = f"  {glyph} {outage.site.name}  site outage: {len(outage.devices)} of {outage.of} silent since {since:%H:%M:%S}"
    together = f" (within {age(outage.spread_s)} of each other)"
    room = width - len(hint) - 2
    if len(text) + len(together) <= room:
        text += together
    return (Span(fit(text, max(0, room)), "outage"), Span(" " + hint, "dim"))


def group_row(group: Group, title: str, width: int, glyphs: Glyphs, *, folded: bool, selected: int = 0) -> Line:
    """A group as one row: what its devices have in common, how many they are, and how many are in which trouble."""
    size = max(_GROUP_WIDTHS[0], min(_GROUP_WIDTHS[1], width // 3))
    glyph = glyphs.folded if folded else glyphs.unfolded
    count = len(group.devices)
    spans = [
        Span(glyphs.selected if selected == count else " ", "accent"),
        Span(f" {glyph} "),
        Span(fit(group.value, size), "bold"),
        Span(f"{count:>7,} device{'s' if count != 1 else ' '}  "),
    ]
    if group.worst.needs_attention:
        for trouble in sorted(group.counts):
            span = trouble_span(trouble, glyphs, group.counts[trouble])
            if line_width((*spans, span)) + 2 <= width:
                spans += [span, Span("  ")]
    else:
        quiet = "  ".join(trouble_span(trouble, glyphs, group.counts[trouble]).text for trouble in sorted(group.counts))
        spans.append(Span(quiet, "dim"))
    hint = f"{title}  "
    gap = width - line_width(tuple(spans)) - len(hint)
    return (*spans, Span(" " * gap + hint, "dim")) if gap > 0 else tuple(spans)


def copied_row(device: Device, now: Now) -> str:
    """One device as a line of text to paste somewhere."""
    why = first_reason(device, now.mono_s, now.unix_s)
    parts = [
        str(device.address),
        device.connectivity.value,
        device.health or "no health",
        f"seen {seen(device, now)}",
        why,
    ]
    return visible("  ".join(part for part in parts if part))
