"""The line above a log: what is asked, whether it is followed, and what is not shown, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleetview.tui.log_rows import LEVEL_STYLE
from fleetview.tui.spans import Line, Span, visible

if TYPE_CHECKING:
    from fleetview.core.logbook import Logbook
    from fleetview.core.logview import LogView
    from fleetview.tui.widgets.log_list import LogList
    from fleetview_agent.wire import Level

_SHOWN_TEXT = 32


def nothing_shown(view: LogView) -> str:
    """What stands where records would be, when there are none; nothing while they are still looked at."""
    if not view.complete:
        return ""
    if view.hidden:
        of = f"none of {view.hidden:,} records passes" if view.hidden > 1 else "the only record there is does not pass"
        return f"{of}: esc takes the filter away, - lowers the level"
    return "no records yet: those that come are shown here"


def log_title(records: LogList, book: Logbook, where: str, level: Level, looking_for: str | None) -> Line:
    """The line. `looking_for` is the text of a find that goes on."""
    view, look = records.view, records.look
    spans = [
        Span(" logs ", "title"),
        Span(where, "bold"),
        Span("   level "),
        Span(f"{level.text}+" if level else "all", LEVEL_STYLE[level] if level else "plain"),
        Span("   "),
        Span(f"{look.glyphs.dot} following", "ok")
        if records.following
        else Span(f"paused, +{records.new:,} new (G follows)", "degraded"),
        Span(f"   {view.shown:,} shown", "dim"),
    ]
    if view.hidden:
        spans.append(Span(f", {view.hidden:,} hidden", "dim"))
    if not view.complete:
        spans.append(Span(f", {view.looked_at:.0%} looked at", "degraded"))
    if looking_for is not None:
        spans.append(Span(f"   looking for {visible(looking_for[:_SHOWN_TEXT])}", "degraded"))
    if look.corrected:
        spans.append(Span("   times by our clock (=)", "degraded"))
    if look.hidden_fields:
        number = len(look.hidden_fields)
        spans.append(Span(f"   {number} field{'' if number == 1 else 's'} hidden", "dim"))
    if book.evicted:
        bound = f"{book.max_bytes // 2**20} MiB, {book.max_records:,} records"
        spans.append(Span(f"   {book.evicted:,} old ones dropped (bound {bound})", "dim"))
    return tuple(spans)
