"""Charts as lines of text. Pure, so that a test can say in which cell a value must stand.

Drawn by our own few lines and not by textual-plotext: that one repaints a whole widget for one new point, takes its
colours as RGB instead of from the theme, and has no picture without Unicode.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import NamedTuple

from fleetview.core.charts import Scale, Span, Unit, in_words
from fleetview.tui import spans
from fleetview.tui.glyphs import ASCII, Glyphs
from fleetview.tui.spans import Line, StyleName, fit, width_of

GUTTER = 9
"""Cells left of the columns, for the scale."""
_DAY_S = 86_400
_DOTS = 4
"""Heights of a braille cell."""
_BRAILLE = 0x2800
_LEFT = (0x40, 0x04, 0x02, 0x01)
_RIGHT = (0x80, 0x20, 0x10, 0x08)
"""The dots of a braille cell's left and right half, the lowest first."""


class Curve(NamedTuple):
    """One line of a chart."""

    course: Sequence[float | None]
    style: StyleName = "accent"
    letter: str = ""
    """Stands where the line ends: colour alone must not tell several apart."""


@dataclass(frozen=True, slots=True)
class Plot:
    """A chart, ready to be drawn: all courses have a value for each column."""

    curves: Sequence[Curve]
    scale: Scale
    unit: Unit
    span: Span
    columns: int
    rows: int
    band: tuple[Sequence[float | None], Sequence[float | None]] | None = None
    """From and to: what is usual."""
    median: Sequence[float | None] | None = None
    bounds: Mapping[float, StyleName] = field(default_factory=dict)
    marks: Mapping[int, str] = field(default_factory=dict)
    """A letter on the time axis, by column."""
    cross: int | None = None
    """The column that is read."""


class _Cell(NamedTuple):
    text: str
    style: StyleName


_BLANK = _Cell(" ", "plain")


def plot_lines(plot: Plot, glyphs: Glyphs) -> Iterator[Line]:
    """The rows, the highest first, and the time axis."""
    cells = _Canvas(plot, plain=glyphs is ASCII).cells()
    for row in range(plot.rows - 1, -1, -1):
        label = ""
        if row == plot.rows - 1:
            label = in_words(plot.scale.high, plot.unit)
        elif row == 0:
            label = in_words(plot.scale.low, plot.unit)
        edge = spans.Span(fit(label, GUTTER - 1, right=True), "dim")
        yield (edge, spans.Span(glyphs.bar, "rule"), *_runs(cells[row]))
    yield _axis(plot, glyphs)


def _runs(cells: Sequence[_Cell]) -> Iterator[spans.Span]:
    for style, run in groupby(cells, key=lambda cell: cell.style):
        yield spans.Span("".join(cell.text for cell in run), style)


class _Canvas:
    """The cells, what lies below first."""

    def __init__(self, plot: Plot, *, plain: bool) -> None:
        self._plot, self._plain = plot, plain
        self._cells = [[_BLANK] * plot.columns for _ in range(plot.rows)]

    def cells(self) -> list[list[_Cell]]:
        """All of them by row, the lowest first."""
        plot = self._plot
        for bound, style in plot.bounds.items():
            if plot.scale.low <= bound <= plot.scale.high:
                at = plot.scale.row_of(bound, plot.rows) or 0
                self._cells[at] = [_Cell("." if self._plain else "┄", style)] * plot.columns
        if plot.band is not None:
            self._band(*plot.band)
        for column in plot.marks:
            for cells in self._cells:
                cells[column] = _Cell(":" if self._plain else "┊", "rule")
        if plot.median is not None:
            self._median(plot.median)
        for curve in reversed(plot.curves):
            self._curve(curve)
        if plot.cross is not None:
            for cells in self._cells:
                cells[plot.cross] = _Cell(cells[plot.cross].text, "cursor")
        return self._cells

    def _band(self, low: Sequence[float | None], high: Sequence[float | None]) -> None:
        scale, rows = self._plot.scale, self._plot.rows
        for column, (least, most) in enumerate(zip(low, high, strict=True)):
            if least is None or most is None:
                continue
            first, last = scale.row_of(least, rows), scale.row_of(most, rows)
            if first is not None and last is not None:
                for row in range(first, last + 1):
                    self._cells[row][column] = _Cell("," if self._plain else "░", "dim")

    def _median(self, median: Sequence[float | None]) -> None:
        for column, value in enumerate(median):
            row = None if value is None else self._plot.scale.row_of(value, self._plot.rows)
            if row is not None:
                self._cells[row][column] = _Cell("-" if self._plain else "─", "dim")

    def _curve(self, curve: Curve) -> None:
        per = 1 if self._plain else _DOTS
        before: int | None = None
        end: tuple[int, int] | None = None
        for column, value in enumerate(curve.course):
            height = None if value is None else self._plot.scale.row_of(value, self._plot.rows * per)
            if height is not None:
                self._column(column, height, height if before is None else before, curve.style)
                end = height // per, column
            before = height
        if end is not None and curve.letter:
            self._cells[end[0]][end[1]] = _Cell(curve.letter, curve.style)

    def _column(self, column: int, height: int, before: int, style: StyleName) -> None:
        """A value, joined to the one before."""
        if self._plain:
            for row in range(min(height, before + 1), max(height, before - 1) + 1):
                self._cells[row][column] = _Cell("*" if row == height else "|", style)
            return
        dots: dict[int, int] = {}
        for at in range(min(height, before), max(height, before) + 1):
            dots[at // _DOTS] = dots.get(at // _DOTS, 0) | _LEFT[at % _DOTS]
        dots[height // _DOTS] |= _LEFT[height % _DOTS] | _RIGHT[height % _DOTS]
        for row, found in dots.items():
            there = self._cells[row][column].text
            same = ord(there) & 0xFF if _BRAILLE <= ord(there) < _BRAILLE + 256 else 0
            self._cells[row][column] = _Cell(chr(_BRAILLE | found | same), style)


def _axis(plot: Plot, glyphs: Glyphs) -> Line:
    begin, end = moment(plot.span.begin_s, plot.span), moment(plot.span.end_s, plot.span)
    cells = [_Cell(glyphs.rule, "rule")] * plot.columns
    if plot.columns >= len(begin) + len(end) + 2 and plot.cross is None:
        for at, text in ((0, begin), (plot.columns - len(end), end)):
            if not any(at <= column < at + len(text) for column in plot.marks):  # half a time of day says nothing
                _write(cells, at, text, "dim")
    for column, letter in plot.marks.items():
        cells[column] = _Cell(letter, "key")
    if plot.cross is not None:
        text = moment(plot.span.time_of(plot.cross, plot.columns), plot.span, whole=True)
        right = plot.columns - plot.cross - 1
        if right > len(text):
            _write(cells, plot.cross + 1, f"{text}", "bold")
        elif plot.cross >= len(text):
            _write(cells, plot.cross - len(text), f"{text}", "bold")
        cells[plot.cross] = _Cell("^", "key")
    return (spans.Span(" " * GUTTER), *_runs(cells))


def _write(cells: list[_Cell], at: int, text: str, style: StyleName) -> None:
    cells[at : at + len(text)] = [_Cell(char, style) for char in text]


def moment(unix_s: float, span: Span, *, whole: bool = False) -> str:
    """A time on the axis: with its date where more than a day is shown."""
    days = span.end_s - span.begin_s > _DAY_S
    form = "%m-%d %H:%M" if days else "%H:%M:%S" if whole else "%H:%M"
    return datetime.fromtimestamp(unix_s, UTC).strftime(form)


def bar_lines(rows: Sequence[tuple[str, float, str, StyleName]], width: int, glyphs: Glyphs) -> Iterator[Line]:
    """Names with a value, its words and a bar, as they come."""
    most = max((value for _, value, _, _ in rows if value == value and value != float("inf")), default=0.0)  # noqa: PLR0124
    names = min(max((width_of(name) for name, _, _, _ in rows), default=0), max(8, width // 2 - 6))
    room = max(1, width - names - 14)
    for name, value, words, style in rows:
        part = 1.0 if value > most else max(0.0, value / most) if most > 0 and value == value else 0.0  # noqa: PLR0124
        size = min(room, round(part * room))
        yield (
            spans.Span(" " + fit(name, names)),
            spans.Span(fit(words, 10, right=True) + "  ", style),
            spans.Span(glyphs.bar_cell * size, "accent" if style == "plain" else style),
        )
