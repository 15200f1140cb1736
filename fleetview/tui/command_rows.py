"""Commands that were sent, as lines of spans: one a device, and the order in sum. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fleetview.core.ages import age
from fleetview.core.commandbook import Order, Outcome, Request
from fleetview.core.trouble import Trouble
from fleetview.tui.glyphs import Glyphs
from fleetview.tui.spans import Line, Span, StyleName, fit, visible

_LOOK: dict[Outcome, tuple[Trouble | None, StyleName]] = {
    Outcome.FAILED: (Trouble.CRITICAL, "critical"),
    Outcome.NO_ANSWER: (Trouble.LOST, "lost"),
    Outcome.NOT_SENT: (Trouble.OFFLINE, "degraded"),
    Outcome.UNKNOWN_VERB: (Trouble.DEGRADED, "degraded"),
    Outcome.EXPIRED: (Trouble.STALE, "stale"),
    Outcome.WAITING: (Trouble.UNSEEN, "dim"),
    Outcome.SENT: (None, "accent"),
    Outcome.ACCEPTED: (None, "accent"),
    Outcome.SUCCEEDED: (Trouble.OK, "ok"),
}
"""Worst first: where there is no room for all, what went well is missing."""
_OUTCOME, _TIME = 15, 12
_NARROWEST_NAME, _WIDEST_NAME = 10, 28
_SITE_FROM = 100
"""Cells from which on there is room for the site."""


class Widths(NamedTuple):
    """Cells of the columns."""

    name: int
    site: int


def widths(requests: Sequence[Request], width: int) -> Widths:
    """The columns for these requests."""
    names = max((len(request.address.device) for request in requests), default=0)
    sites = max((len(request.address.site) for request in requests), default=0)
    name = max(_NARROWEST_NAME, min(names, _WIDEST_NAME))
    return Widths(name, max(4, min(sites, _WIDEST_NAME)) if width >= _SITE_FROM else 0)


def request_head(columns: Widths) -> Line:
    """The titles of the columns."""
    site = f"{fit('SITE', columns.site)}  " if columns.site else ""
    return (Span(f"  {fit('OUTCOME', _OUTCOME)}{fit('DEVICE', columns.name)}  {site}{fit('TIME', _TIME)}MESSAGE", "head"),)


def outcome_span(outcome: Outcome, glyphs: Glyphs, count: int | None = None) -> Span:
    """`✗ failed`, or `✗ 3 failed`."""
    trouble, style = _LOOK[outcome]
    glyph = (glyphs.crumb if outcome is Outcome.SENT else glyphs.folded) if trouble is None else glyphs.trouble[trouble]
    return Span(f"{glyph} {'' if count is None else f'{count:,} '}{outcome.words}", style)


def request_row(request: Request, columns: Widths, mono_s: float, glyphs: Glyphs, note: str = "") -> Line:
    """One device: how far it is, how long it took or may still take, what it said."""
    left, took = request.left_s(mono_s), request.took_s
    time = f"{age(left)} left" if left is not None else "" if took is None else f"{took:.1f}s"
    late = "late: " if request.late else ""
    words = f"{late}{request.message}" + (f"; {note}" if note else "")
    name = outcome_span(request.outcome, glyphs)
    spans = [Span("  "), Span(fit(name.text, _OUTCOME), name.style), Span(f"{fit(request.address.device, columns.name)}  ")]
    if columns.site:
        spans.append(Span(f"{fit(request.address.site, columns.site)}  ", "dim"))
    return (*spans, Span(fit(time, _TIME), "dim"), Span(visible(words), "plain" if request.outcome.final else "dim"))


def order_title(order: Order, place: int, orders: int) -> Line:
    """What was asked, by whom, why, and which of the orders it is."""
    args = "  ".join(f"{name}={value}" for name, value in order.args.items())
    why = f": {order.reason}" if order.reason else ""
    which = f"   {place} of {orders}" if orders > 1 else ""
    return (
        Span(f" {order.verb}", "title"),
        Span(visible(f"  {args}" if args else "")),
        Span(visible(f"   by {order.by}{why}"), "dim"),
        Span(which, "dim"),
    )


def order_sum(order: Order, mono_s: float, glyphs: Glyphs) -> Line:
    """How many are how far, and how long is still waited."""
    spans: list[Span] = []
    for outcome in _LOOK:
        if order.counts[outcome]:
            spans += [Span("  " if spans else " "), outcome_span(outcome, glyphs, order.counts[outcome])]
    left = [found for request in order.requests.values() if (found := request.left_s(mono_s)) is not None]
    if left:
        spans.append(Span(f"   {age(max(left))} left", "dim"))
    return tuple(spans)
