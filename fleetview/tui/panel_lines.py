"""The panels of the metrics screen as lines: courses with a letter each, or the largest values with bars. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from fleetview.core.charts import Course, course, in_words, scale, trouble_with
from fleetview.core.panels import Panel, position_of
from fleetview.core.series import Answer
from fleetview.tui.chart_lines import Curve, Plot, bar_lines, plot_lines
from fleetview.tui.device_pictures import Frame, latest
from fleetview.tui.glyphs import Glyphs
from fleetview.tui.metrics import Found
from fleetview.tui.spans import EMPTY, Line, Span, StyleName, fit, pad, visible, width_of, wrap

MOST_DRAWN = 6
"""Lines of one chart; more cannot be told apart."""
MOST_LISTED = 10
_LETTERS = "abcdef"
_STYLES: tuple[StyleName, ...] = ("accent", "ok", "stale", "title", "outage", "plain")
_JUDGED: Mapping[str, StyleName] = {"degraded": "degraded", "critical": "critical"}
_ERROR_LINES = 4


class Drawn(NamedTuple):
    """A series of a panel."""

    name: str
    course: Course


def panel_lines(panel: Panel, found: Found, frame: Frame, width: int, glyphs: Glyphs) -> Iterator[Line]:
    """A panel with its heading."""
    answer = found.answer
    if answer is None:
        yield _heading(panel, "" if found.problem else "asking Prometheus")
        yield from problem_lines(panel, found.problem, width)
        return
    notes = "; ".join(answer.badge)
    if answer.text is not None:
        yield _heading(panel, f'the answer is a text: "{visible(answer.text)}"')
    elif panel.list:
        yield from _listed(panel, answer, notes, width, glyphs)
    else:
        yield from _drawn(panel, found, notes, frame, glyphs)
    yield from problem_lines(panel, found.problem, width)


def _heading(panel: Panel, words: str, style: StyleName = "dim") -> Line:
    return (Span(f" {visible(panel.title)}", "head"), Span(f"  {visible(words)}" if words else "", style))


def problem_lines(panel: Panel, problem: str | None, width: int) -> Iterator[Line]:
    """A server's own words, and below the query the place that they speak of."""
    if problem is None:
        return
    place = position_of(problem)
    if place is not None and "\n" not in panel.query and place <= len(panel.query):
        # Of a long query, the part around that place.
        first = max(0, place - (width - 4) // 2)
        yield (Span("  " + fit(panel.query[first:], max(1, width - 3)), "plain"),)
        yield (Span(" " * (2 + width_of(visible(panel.query[first:place]))) + "^", "error"),)
    for line in list(wrap(problem, width - 3, "error"))[:_ERROR_LINES]:
        yield (Span("  "), *line)


def _listed(panel: Panel, answer: Answer, notes: str, width: int, glyphs: Glyphs) -> Iterator[Line]:
    found = sorted(
        ((panel.name_of(series.labels), series.last) for series in answer.series),
        key=lambda row: (math.isnan(row[1]), -row[1] if not math.isnan(row[1]) else 0.0, row[0]),
    )
    more = len(found) - MOST_LISTED
    words = "; ".join(filter(None, ("" if found else "no data", f"{more:,} more" if more > 0 else "", notes)))
    yield _heading(panel, words, "degraded" if notes else "dim")
    rows = [(name, value, _told(panel, value, glyphs), _style(panel, value, "plain")) for name, value in found[:MOST_LISTED]]
    yield from (line for line in bar_lines(rows, width, glyphs))


def _told(panel: Panel, value: float | None, glyphs: Glyphs) -> str:
    mark = {"critical": glyphs.bad, "degraded": glyphs.warning}.get(panel.judge(value) or "")
    return f"{mark} {in_words(value, panel.unit)}" if mark else in_words(value, panel.unit)


def _style(panel: Panel, value: float | None, other: StyleName) -> StyleName:
    judged = panel.judge(value)
    return other if judged is None else _JUDGED[judged]


def _drawn(panel: Panel, found: Found, notes: str, frame: Frame, glyphs: Glyphs) -> Iterator[Line]:
    assert found.answer is not None  # noqa: S101 (looked at before)
    assert found.span is not None  # noqa: S101 (likewise)
    span, columns = found.span, frame.columns
    common = _common(found.answer)
    every = [
        Drawn(panel.name_of(series.labels, without=common), course(series, span, columns)) for series in found.answer.series
    ]
    every.sort(key=_last_first)
    shown, more = every[:MOST_DRAWN], len(every) - MOST_DRAWN
    courses = [each.course for each in shown]
    trouble = trouble_with(courses)
    left_out = f"{more:,} more series are not drawn" if more > 0 else ""
    words = "; ".join(filter(None, (trouble, left_out, notes)))
    yield _heading(panel, words, "degraded" if notes else "dim")
    if trouble == "no data":
        return
    curves = [
        Curve(each.course, style, letter if len(shown) > 1 else "")
        for each, style, letter in zip(shown, _STYLES, _LETTERS, strict=False)
    ]
    # A bound far above all that there is would press it flat.
    most = max((value for each in courses for value in each if value is not None and math.isfinite(value)), default=0.0)
    near = [bound for bound in panel.thresholds.values() if panel.from_bounds or bound <= 2 * most]
    plot = Plot(
        curves,
        scale(courses, also=near),
        panel.unit,
        span,
        columns,
        frame.rows,
        bounds={bound: _JUDGED[name] for name, bound in panel.thresholds.items()},
        cross=frame.cross,
    )
    yield from plot_lines(plot, glyphs)
    yield from _legend(panel, shown, frame, glyphs)


def _common(answer: Answer) -> frozenset[str]:
    """The names of labels that are the same in all of several series: they tell nothing apart."""
    first, *others = answer.series or (None,)
    if first is None or not others:
        return frozenset()
    return frozenset(name for name, text in first.labels.items() if all(each.labels.get(name) == text for each in others))


def _last_first(drawn: Drawn) -> tuple[bool, float, str]:
    """The largest of the latest values first, and always in the same order."""
    at = latest(drawn.course)
    value = None if at is None else drawn.course[at]
    unknown = value is None or math.isnan(value)
    return (unknown, 0.0 if value is None or unknown else -value, drawn.name)


def _legend(panel: Panel, shown: Sequence[Drawn], frame: Frame, glyphs: Glyphs) -> Iterator[Line]:
    """Each series with its letter and its value, two in a line."""
    items: list[Line] = []
    size = (frame.columns + 8) // 2
    for each, letter, style in zip(shown, _LETTERS, _STYLES, strict=False):
        at = frame.cross if frame.cross is not None else latest(each.course)
        value = None if at is None else each.course[at]
        words = _told(panel, value, glyphs)
        name = fit(each.name, max(4, size - width_of(words) - 6))
        lead = f" {letter} " if len(shown) > 1 else "   "
        items.append((Span(lead, style), Span(name), Span(f" {words}", _style(panel, value, "bold"))))
    for first in range(0, len(items), 2):
        second = items[first + 1] if first + 1 < len(items) else EMPTY
        yield (*pad(items[first], size), Span(" "), *second)
