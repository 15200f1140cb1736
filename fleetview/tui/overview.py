"""The fleet in a few figures: how many are in which trouble, which releases run, the last hour, the worst sites. Pure.

Every figure knows the filter that it stands for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import nlargest
from typing import NamedTuple

from fleetview.core.fleet import Fleet
from fleetview.core.outages import Site
from fleetview.core.query.tree import Word
from fleetview.core.trouble import Trouble
from fleetview.tui.columns import Now
from fleetview.tui.glyphs import Glyphs, trouble_span
from fleetview.tui.spans import EMPTY, Line, Span, StyleName, fit, line_width

ATTENTION = (Trouble.CRITICAL, Trouble.DEGRADED, Trouble.STALE, Trouble.LOST)
QUIET = (Trouble.OFFLINE, Trouble.SLEEPING, Trouble.UNSEEN)
"""Nothing is wrong with these: shown where there are any, each for itself where there is room for them."""
_RELEASES = 4
_SITES = 3
_BAR = 8
_WIDE = 110
_WIDER = 140
_STRIP = (30, 60)
"""Cells of the last hour: of two minutes each, and of one where there is room."""
_GAP = "   "


class Part(NamedTuple):
    """A span of a line, and the filter that it stands for, if it stands for one."""

    span: Span
    filter: str | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """Where a figure stands, and what it stands for."""

    y: int
    begin: int
    end: int
    filter: str


@dataclass(frozen=True, slots=True)
class Overview:
    """Lines, and the figures in them from left to right and top to bottom."""

    lines: tuple[Line, ...]
    figures: tuple[Figure, ...]


def overview(fleet: Fleet, now: Now, width: int, height: int, glyphs: Glyphs) -> Overview:
    """The figures in so much room: the counts always, then the last hour with the worst sites, then the releases."""
    counts = count_parts(fleet, glyphs, width)
    releases = list(_releases(fleet, glyphs))
    rows = [counts]
    if _width(counts) + _width(releases) + len(_GAP) <= width:
        rows[0] = _apart(counts, releases, width)
        releases = []
    if height > 1:
        rows.append(_last_hour(fleet, now, width, glyphs))
    if height > len(rows) and releases:
        rows.append([Part(Span(" ")), *releases])
    lines, figures = [], []
    for y, row in enumerate(rows[: max(1, height)]):
        x = 0
        for span, meaning in row:
            size = line_width((span,))
            if meaning is not None:
                figures.append(Figure(y, x, x + size, meaning))
            x += size
        lines.append(tuple(part.span for part in row))
    return Overview(tuple(lines), tuple(figures))


def count_parts(fleet: Fleet, glyphs: Glyphs, width: int) -> list[Part]:
    """Devices by trouble, in as many words as there is room for; how many are broken and how many are well always fit."""
    found: list[Part] = []
    for fold, gap, total in ((False, 2, True), (True, 2, True), (True, 1, True), (True, 1, False)):
        found = _counted(fleet, glyphs, fold_absent=fold, gap=gap, with_total=total, with_none=width >= _WIDE - 10)
        if _width(found) <= width:
            break
    return found


def _counted(fleet: Fleet, glyphs: Glyphs, *, fold_absent: bool, gap: int, with_total: bool, with_none: bool) -> list[Part]:
    parts: list[Part] = []
    outages = len(fleet.outages)
    if outages:
        parts.append(Part(Span(f"{outages} site outage{'s' if outages > 1 else ''}", "outage"), "flag:site_outage"))
    absent = sum(fleet.troubles.get(trouble, 0) for trouble in QUIET)
    for trouble in (*ATTENTION, *QUIET, Trouble.OK):
        count = fleet.troubles.get(trouble, 0)
        if trouble in QUIET and (fold_absent or not count):
            continue
        if trouble is Trouble.OK and fold_absent and absent:
            words = ",".join(each.text for each in QUIET)
            parts.append(Part(Span(f"{glyphs.trouble[Trouble.OFFLINE]} {absent:,} away", "offline"), f"state:{words}"))
        if count or with_none or trouble is Trouble.OK:
            span = trouble_span(trouble, glyphs, count)
            parts.append(Part(span if count else Span(span.text, "dim"), f"state:{trouble.text}" if count else None))
    if with_total:
        parts.append(Part(Span(f"of {len(fleet.devices):,}", "dim")))
    found = [Part(Span(" "))]
    for part in parts:
        found += [part, Part(Span(" " * gap))]
    return found[:-1]


def _releases(fleet: Fleet, glyphs: Glyphs) -> Iterable[Part]:
    releases = fleet.roster.releases
    told = sum(releases.values())
    if not told:
        return
    yield Part(Span("releases", "dim"))
    most = nlargest(_RELEASES, releases.items(), key=lambda item: (item[1], item[0]))
    for name, count in most:
        share = count / told
        bar = glyphs.bar_cell * max(1, round(share * _BAR))
        percent = f"{share:.0%}" if share >= 0.01 or not count else "<1%"  # noqa: PLR2004
        text = f"{fit(name, min(len(name), 16))} {bar} {percent}"
        yield Part(Span("  "))
        yield Part(Span(text), f"release:{_quoted(name)}")
    if len(releases) > len(most):
        yield Part(Span(f"  and {len(releases) - len(most):,} more", "dim"))


def _last_hour(fleet: Fleet, now: Now, width: int, glyphs: Glyphs) -> list[Part]:
    cells = _STRIP[width >= _WIDER]
    found = fleet.trends.last(now.unix_s, cells)
    worst = max((count for count in found if count), default=0)
    worst = max(worst, fleet.roster.in_trouble)  # nothing has been drawn yet of this moment
    parts = [Part(Span(" last hour ", "dim"))]
    text = "".join(_bar(count, worst, glyphs) for count in found)
    unseen = next((place for place, count in enumerate(found) if count is not None), cells)
    anybody = fleet.roster.in_trouble > 0
    in_trouble = "state:" + ",".join(trouble.text for trouble in ATTENTION)
    style: StyleName = "degraded" if anybody else "dim"
    parts.append(Part(Span(text[:unseen], "rule")))
    parts.append(Part(Span(text[unseen:], style), in_trouble if anybody else None))
    parts.append(Part(Span(f" {fleet.roster.in_trouble:,} in trouble, at most {worst:,}" if width >= _WIDE else "", "dim")))
    sites: list[Part] = []
    with_tenant = len(fleet.roster.tenants) > 1
    for site, count in nlargest(_SITES, fleet.roster.attention.items(), key=lambda item: (item[1], item[0])):
        shown = str(site) if with_tenant else site.name
        part = Part(Span(f"{shown} {count:,} of {len(fleet.sites[site]):,}"), _at(site, with_tenant=with_tenant))
        more = [Part(Span(_GAP if sites else "worst sites  ", "dim")), part]
        if _width([*parts, *sites, *more]) + len(_GAP) > width:
            break
        sites += more
    return _apart(parts, sites, width)


def _bar(count: int | None, worst: int, glyphs: Glyphs) -> str:
    if count is None:
        return glyphs.no_data
    return glyphs.levels[0 if not worst else (count * (len(glyphs.levels) - 1) + worst - 1) // worst]


def _at(site: Site, *, with_tenant: bool) -> str:
    return f"tenant:{site.tenant} site:{site.name}" if with_tenant else f"site:{site.name}"


def _quoted(value: str) -> str:
    return str(Word(value, quoted="*" in value or "?" in value or ".." in value))


def _width(parts: Iterable[Part]) -> int:
    return line_width(tuple(part.span for part in parts))


def _apart(left: list[Part], right: list[Part], width: int) -> list[Part]:
    gap = width - _width(left) - _width(right) - 1
    return [*left, Part(Span(" " * gap)), *right] if right and gap > 0 else left


NOTHING = Overview((EMPTY,), ())
