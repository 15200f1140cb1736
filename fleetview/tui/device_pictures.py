"""The charts of a device: from what Prometheus answered, or from the heartbeats that are kept, with its peers. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fleetview.core.ages import age
from fleetview.core.charts import Course, Span, Window, course, in_words, quantiles, scale, trouble_with
from fleetview.core.device import Device
from fleetview.core.fleet import Fleet
from fleetview.core.happened import KINDS, Happened
from fleetview.core.panels import PEERS, WHOSE, DeviceChart
from fleetview.core.samples import MINUTES
from fleetview.core.series import Answer, Series
from fleetview.tui import spans
from fleetview.tui.chart_lines import GUTTER, Curve, Plot, moment, plot_lines
from fleetview.tui.glyphs import Glyphs
from fleetview.tui.spans import Line, beside, visible, wrap

WIDE = 110
"""From here on two charts stand side by side."""
MOST_PEERS = 100
"""Whose heartbeats are looked at."""
_LEAST_COLUMNS = 10
_ROWS = 5
_TALL_ROWS = 8
_TALL = 40
_MOST_EVENTS = 10
_MINUTE_S = 60.0
LETTERS: Mapping[str, str] = {
    "alert": "A", "release": "R", "rollout": "O", "session": "S", "config": "G", "connectivity": "C", "module": "M",
    "health": "H",
}  # fmt: skip
"""On the time axis."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One chart before it is drawn."""

    chart: DeviceChart
    span: Span
    own: Course
    peers: tuple[Course, Course, Course] | None = None
    """Lower quartile, median, upper quartile."""
    note: str = ""
    """What is to be known of it: a problem, a warning, where it comes from."""
    whose: str = "peers"
    """Beside whom it stands."""


class Frame(NamedTuple):
    """In which a chart is drawn."""

    columns: int
    rows: int
    cross: int | None = None
    """The column that is read."""


def layout(width: int, height: int) -> tuple[int, int, int]:
    """Charts side by side, columns of each, rows of each."""
    side = 2 if width >= WIDE else 1
    columns = (width - (3 if side > 1 else 0)) // side - GUTTER - 1
    return side, max(_LEAST_COLUMNS, columns), _TALL_ROWS if height >= _TALL else _ROWS


def from_answer(chart: DeviceChart, answer: Answer, span: Span, columns: int, problem: str | None) -> Picture:
    """What Prometheus says."""
    found = {each.labels.get(WHOSE): course(each, span, columns) for each in answer.series}
    peers = [found.get(name) for name in PEERS]
    low, middle, high = peers
    known = None if low is None or middle is None or high is None else (low, middle, high)
    note = "; ".join(filter(None, (problem, *answer.badge)))
    return Picture(chart, span, found.get("own", (None,) * columns), known, note)


def from_heartbeats(
    chart: DeviceChart, fleet: Fleet, device: Device, peers: Iterable[Device], span: Span, *, columns: int, now_unix_s: float
) -> Picture:
    """What is kept of the last hour."""
    if chart.figure is None:
        return Picture(chart, span, (None,) * columns, note="not kept of heartbeats")
    own = minutes(fleet.samples.watch(device).last(chart.figure, now_unix_s), chart, span, columns, now_unix_s)
    hours = [hour for peer in peers if (hour := fleet.samples.hour(peer)) is not None][:MOST_PEERS]
    usual = quantiles([hour.last(chart.figure, now_unix_s) for hour in hours], MINUTES)
    if latest(usual[1]) is None:
        return Picture(chart, span, own)
    low, middle, high = (minutes(each, chart, span, columns, now_unix_s) for each in usual)
    return Picture(chart, span, own, (low, middle, high))


def minutes(values: Sequence[float | None], chart: DeviceChart, span: Span, columns: int, now_unix_s: float) -> Course:
    """Values of the last minutes in columns."""
    times, known = array("d"), array("d")
    end_s = (now_unix_s // _MINUTE_S + 1) * _MINUTE_S
    for place, value in enumerate(values):
        if value is not None:
            # The minute that is not over ends now: else nothing would be seen of it at its beginning.
            times.append(min(now_unix_s, end_s - (MINUTES - 1 - place) * _MINUTE_S))
            known.append(value * chart.factor)
    return course(Series({}, times, known), span, columns, _MINUTE_S)


def marks_of(events: Sequence[Happened], span: Span, columns: int) -> dict[int, str]:
    """The letter of each column in which something happened: where it is more, of the most telling."""
    found: dict[int, str] = {}
    for at, kind, _ in events:
        column = span.column_of(at, columns)
        if column is not None and (column not in found or KINDS.index(kind) < KINDS.index(found[column])):
            found[column] = kind
    return {column: LETTERS[kind] for column, kind in found.items()}


def pictures_page(
    pictures: Sequence[Picture],
    events: Sequence[Happened],
    cross: int | None,
    size: tuple[int, int],
    glyphs: Glyphs,
) -> list[Line]:
    """All charts, and below them what happened."""
    width, height = size
    side, columns, rows = layout(width, height)
    frame = Frame(columns, rows, cross)
    # Those with nothing to draw are a line each, below: an empty chart would only push the others off the screen.
    empty = [picture for picture in pictures if latest(picture.own) is None and picture.peers is None]
    drawn = [list(picture_lines(picture, events, frame, glyphs)) for picture in pictures if picture not in empty]
    lines: list[Line] = []
    for first in range(0, len(drawn), side):
        pair = drawn[first : first + side]
        if side > 1 and len(pair) > 1:
            lines += beside(pair[0], pair[1], GUTTER + columns + 1, gap=3)
        else:
            lines += pair[0]
    lines += [_heading(picture, None, columns, "no data") for picture in empty]
    if pictures:
        lines += _events(pictures[0].span, events, cross, columns, width)
    return lines


def picture_lines(
    picture: Picture,
    events: Sequence[Happened],
    frame: Frame,
    glyphs: Glyphs,
) -> Iterator[Line]:
    """One chart with its heading."""
    chart, own, peers = picture.chart, picture.own, picture.peers
    columns, rows, cross = frame
    problem = trouble_with([own])
    yield _heading(picture, cross, columns, problem)
    courses = [own, *(peers or ())]
    plot = Plot(
        [Curve(own)],
        scale(courses, chart.top),
        chart.unit,
        picture.span,
        columns,
        rows,
        band=None if peers is None else (peers[0], peers[2]),
        median=None if peers is None else peers[1],
        marks=marks_of(events, picture.span, columns),
        cross=cross,
    )
    yield from plot_lines(plot, glyphs)


def _heading(picture: Picture, cross: int | None, columns: int, problem: str | None) -> Line:
    chart, own, peers = picture.chart, picture.own, picture.peers
    at = cross if cross is not None else latest(own)
    value = None if at is None else own[at]
    old_s = 0.0 if at is None or cross is not None else picture.span.end_s - picture.span.time_of(at, columns)
    stamp = f" {age(old_s)} earlier" if old_s > 2 * max(picture.span.step_s, _MINUTE_S) else ""
    found = [
        spans.Span(f" {chart.title}  ", "head"),
        spans.Span(in_words(value, chart.unit), "dim" if stamp else "bold"),
        spans.Span(stamp, "dim"),
    ]
    place = cross if cross is not None else None if peers is None else latest(peers[1])
    if peers is not None and place is not None and peers[1][place] is not None:
        low, middle, high = (in_words(each[place], chart.unit) for each in peers)
        found.append(spans.Span(visible(f"  {picture.whose} {middle} ({low} to {high})"), "dim"))
    words = picture.note or problem or ""
    if problem and picture.note:
        words = f"{problem}; {picture.note}"
    if words:
        found.append(spans.Span(visible(f"  {words}"), "degraded" if picture.note else "dim"))
    return tuple(found)


def latest(values: Sequence[float | None]) -> int | None:
    """The last column with a value."""
    return next((at for at in range(len(values) - 1, -1, -1) if values[at] is not None), None)


def _events(span: Span, events: Sequence[Happened], cross: int | None, columns: int, width: int) -> Iterator[Line]:
    shown = list(events)
    head = " what happened in this time"
    if cross is not None:
        shown = [event for event in events if span.column_of(event[0], columns) == cross]
        head = f" what happened at {moment(span.time_of(cross, columns), span, whole=True)}"
    yield (spans.Span(head, "head"),)
    if not shown:
        yield (spans.Span("  nothing that is known", "dim"),)
    for at, kind, text in reversed(shown[-_MOST_EVENTS:]):
        lead = spans.Span(f"  {LETTERS[kind]} {moment(at, span, whole=True)}  ", "key")
        yield from ((lead, *line) for line in list(wrap(text, width - 24))[:1])
    if len(shown) > _MOST_EVENTS:
        yield (spans.Span(f"  and {len(shown) - _MOST_EVENTS:,} before", "dim"),)


def window_words(window: Window, span: Span) -> str:
    """Which time is shown: `1h 00m until now`."""
    until = "now" if window.follows else moment(span.end_s, span, whole=True) + " UTC"
    return f"{age(window.range_s)} until {until}"
