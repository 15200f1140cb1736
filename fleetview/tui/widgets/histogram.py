"""Records over time, a line for each kind of level stacked on the next, and a time axis below.

Each line has its own scale: in one stack of columns, ten errors among ten thousand records would be nothing to see, and
without colours the parts of a column could not be told apart.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from fleetview.core.ages import age
from fleetview.core.histogram import LEVELS, Columns, Histogram
from fleetview.tui.glyphs import Glyphs
from fleetview.tui.log_rows import clock_ms
from fleetview.tui.spans import Line, Span, StyleName, fit, visible
from fleetview.tui.widgets.lines import Lines
from fleetview_agent.wire import Level

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from fleetview.core.staged import WaveBegan

_LABEL = 7
_TOTAL = 10
_TALL = 4
_OTHERS = (Level.UNKNOWN, Level.DEBUG, Level.INFO)
_THREE: tuple[tuple[str, StyleName, tuple[Level, ...]], ...] = (
    ("ERROR", "error", (Level.ERROR,)),
    ("WARN", "warn", (Level.WARN,)),
    ("other", "dim", _OTHERS),
)
_TWO: tuple[tuple[str, StyleName, tuple[Level, ...]], ...] = (
    ("ERROR", "error", (Level.ERROR,)),
    ("rest", "dim", (*_OTHERS, Level.WARN)),
)
_DAY_MS = 86_400_000


_WAVE = "O"
"""The letter that marks rollouts on the charts of a device, too."""


class HistogramChart(Lines, can_focus=True):
    """The chart. It can be clicked, and moved through when it has the focus."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "move(-1)", "earlier", id="histogram.earlier", tooltip="To the column before"),
        Binding("right,l", "move(1)", "later", id="histogram.later", tooltip="To the column behind"),
        Binding("home", "end(-1)", "first", show=False, id="histogram.first", tooltip="To the first column"),
        Binding("end", "end(1)", "last", show=False, id="histogram.last", tooltip="To the last column"),
        Binding("e", "bad(1)", "next with errors", id="histogram.next_error", tooltip="To the next column with errors"),
        Binding("E", "bad(-1)", "previous", id="histogram.previous_error", tooltip="To the column before with errors"),
        Binding(
            "enter", "pick", "go there", key_display="enter", id="histogram.pick", tooltip="To the records of this time"
        ),
        Binding("escape,i", "leave", "back", id="histogram.leave", tooltip="Back to the list"),
    ]

    class Picked(Message):
        """A moment was chosen; None for none."""

        def __init__(self, time_ms: int | None) -> None:
            super().__init__()
            self.time_ms = time_ms

    def __init__(
        self, histogram: Callable[[], Histogram], glyphs: Glyphs, waves: Callable[[], Iterable[WaveBegan]] = tuple
    ) -> None:
        super().__init__(id="histogram")
        self._histogram = histogram
        self._glyphs = glyphs
        self._waves = waves
        self._columns: Columns | None = None
        self._known: tuple[int, int] = (-1, -1)
        self._cells = 1
        """Of one column: few columns are wide."""
        self._at_ms: int | None = None

    def lines(self, width: int, height: int) -> list[Line]:
        room = width - _LABEL - _TOTAL - 1
        known = (self._histogram().version, room)
        if known != self._known:
            self._known, self._columns = known, self._histogram().columns(room) if room > 0 else None
            self._cells = room // len(self._columns.counts) if self._columns is not None else 1
        columns = self._columns
        if columns is None:
            return [(Span(fit(" nothing to count", width), "dim"),)]
        lanes = _THREE if height >= _TALL else _TWO
        return [*(self._lane(columns, lane, room) for lane in lanes), self._axis(columns, width)]

    def _lane(self, columns: Columns, lane: tuple[str, StyleName, tuple[Level, ...]], room: int) -> Line:
        name, style, levels = lane
        places = [LEVELS.index(level) for level in levels]
        counts = [sum(column[place] for place in places) for column in columns.counts]
        most = max(counts)
        heights = " " + self._glyphs.levels
        # Rounded up: one record is something to see.
        bars = "".join(heights[-(-count * (len(heights) - 1) // most) if count else 0] * self._cells for count in counts)
        total = sum(counts)
        return (
            Span(f" {name:<{_LABEL - 1}}", style if total else "dim"),
            Span(fit(bars, room), style),
            Span(f"{_short(total):>{_TOTAL}}", style if total else "dim"),
        )

    def _axis(self, columns: Columns, width: int) -> Line:
        seconds = columns.width_ms < 60_000  # noqa: PLR2004
        begin, end = _clock(columns.begin_ms, seconds=seconds), _clock(columns.end_ms, seconds=seconds)
        days = columns.end_ms - columns.begin_ms > _DAY_MS
        if days:
            begin, end = _date(columns.begin_ms), _date(columns.end_ms)
        size = len(columns.counts) * self._cells
        older = f"{columns.older:,} older  " if columns.older else ""
        each = f"  {older}each {age(columns.width_ms / 1000)}"
        if self.has_focus and self._at_ms is not None:
            return self._pointer(columns, columns.column_of(self._at_ms), width)
        line = f"{begin} {self._glyphs.rule * max(1, size - len(begin) - len(end) - 2)} {end}"
        marks = self._began(columns)
        if marks:
            each += f"  {_WAVE} wave began"
        return (Span(" " * _LABEL), *self._marked(line, marks), Span(fit(each, max(0, width - _LABEL - len(line))), "dim"))

    def _began(self, columns: Columns) -> dict[int, str]:
        """What is said of the columns in which waves of rollouts began."""
        inside = ((int(at * 1000), text) for at, text in self._waves())
        return {columns.column_of(ms): text for ms, text in inside if columns.begin_ms <= ms < columns.end_ms}

    def _marked(self, line: str, marks: Mapping[int, str]) -> Line:
        found: list[Span] = []
        done = 0
        for place in sorted(column * self._cells + (self._cells - 1) // 2 for column in marks):
            found += (Span(line[done:place], "dim"), Span(_WAVE, "key"))
            done = place + 1
        return (*found, Span(line[done:], "dim"))

    def _pointer(self, columns: Columns, column: int, width: int) -> Line:
        """The column that the person is at, and what it holds: on the side where there is more room for it."""
        count, bad = sum(columns.counts[column]), columns.counts[column][LEVELS.index(Level.ERROR)]
        words = f" {_clock(columns.begin_ms + column * columns.width_ms, seconds=True)}: {count:,}, {bad:,} errors "
        if (wave := self._began(columns).get(column)) is not None:
            words += f" {visible(wave)} "
        left = column * self._cells + (self._cells - 1) // 2
        right = max(0, width - _LABEL - left - 1)
        if left > right:
            text: Line = (
                Span(fit(words, min(left, len(words))), "bold"),
                Span(self._glyphs.rule * (left - len(words)), "rule"),
            )
            return (Span(" " * _LABEL), *text, Span("^", "key"))
        lead = (Span(" " * _LABEL), Span(self._glyphs.rule * left, "rule"), Span("^", "key"))
        return (*lead, Span(fit(words, min(right, len(words))), "bold"))

    # -- moving

    def on_focus(self) -> None:
        self._at_ms = None if self._columns is None else self._columns.end_ms - 1
        self.repaint()

    def on_blur(self) -> None:
        self.repaint()

    def action_move(self, step: int) -> None:
        if self._columns is not None and self._at_ms is not None:
            self._put(self._columns.column_of(self._at_ms) + step)

    def action_end(self, direction: int) -> None:
        if self._columns is not None:
            self._put(0 if direction < 0 else len(self._columns.counts) - 1)

    def action_bad(self, step: int) -> None:
        columns = self._columns
        if columns is None or self._at_ms is None:
            return
        place, at = LEVELS.index(Level.ERROR), columns.column_of(self._at_ms) + step
        while 0 <= at < len(columns.counts) and not columns.counts[at][place]:
            at += step
        if 0 <= at < len(columns.counts):
            self._put(at)

    def _put(self, column: int) -> None:
        columns = self._columns
        if columns is not None:
            column = max(0, min(column, len(columns.counts) - 1))
            self._at_ms = columns.begin_ms + column * columns.width_ms
            self.repaint()

    def action_pick(self) -> None:
        columns = self._columns
        found = self._at_ms
        if columns is not None and found is not None:
            found = columns.begin_ms + columns.column_of(found) * columns.width_ms
        self.post_message(self.Picked(found))

    def action_leave(self) -> None:
        self.post_message(self.Picked(None))

    def on_click(self, event: events.Click) -> None:
        columns, column = self._columns, (event.x - _LABEL) // self._cells
        if columns is not None and 0 <= column < len(columns.counts):
            self.post_message(self.Picked(columns.begin_ms + column * columns.width_ms))


def _clock(ms: int, *, seconds: bool) -> str:
    return clock_ms(ms)[: 8 if seconds else 5]


def _date(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms // 1000, UTC):%m-%d %H:%M}"


def _short(count: int) -> str:
    return f"{count:,}" if count < 10_000_000 else f"{count / 1e6:,.0f} M"  # noqa: PLR2004
