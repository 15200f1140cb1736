"""Log records as they come: followed at the end, or held still while somebody reads.

Rows that wrap have unequal heights, and those of a million rows are not worth measuring. So the scrollbar counts rows, one
row stands at the top, and only what is in sight is measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from time import perf_counter

from textual.geometry import Size
from textual.message import Message
from textual.timer import Timer

from fleetview.core.logbook import Entry, Logbook
from fleetview.core.logview import LogView, Question
from fleetview.core.sorted_rows import Gap, Key, Row
from fleetview.tui.log_rows import Look, hole_row, log_lines, log_row
from fleetview.tui.log_title import nothing_shown
from fleetview.tui.spans import EMPTY, Line, Span, pad
from fleetview.tui.widgets.lines import LineList
from fleetview_agent.wire import Address

MAX_DEVICE_WIDTH = 20
SLICE_S = 0.008
"""Of work between two keys, which then wait no longer than that and what the last records of it cost."""
PAUSE_S = 0.006
"""Between two slices: for keys, for what is drawn, and for what the broker sends."""
_SOON_S = 0.25


@dataclass(slots=True)
class Place:
    """What somebody was at before the rows changed."""

    cursor: Row | None
    top: Row | None
    bottom: Row | None
    look: Look


class LogList(LineList):
    """The records of the fleet, or of one device, that a level and a filter let through."""

    class RecordChosen(Message):
        """A record was opened."""

        def __init__(self, entry: Entry) -> None:
            super().__init__()
            self.entry = entry

    class Progressed(Message):
        """All records have been looked at, or some that were held back are shown."""

    def __init__(self, logbook: Logbook, look: Look, address: Address | None, now_ms: Callable[[], int]) -> None:
        super().__init__(id="log-list")
        self._logbook = logbook
        self._address = address
        self._now_ms = now_ms
        self._timer: Timer | None = None
        self._sought: Key | None = None
        """Where the cursor should be, when it has not been looked at yet."""
        self._devices = 0
        self._wrapped: list[tuple[int, Line]] | None = None
        self.view = LogView(logbook, address)
        self.look = look
        self.marks: set[int] = set()
        """Numbers of the records that somebody marked."""
        self.wrap = False
        self.following = True
        self.new = 0
        """Records that came since following stopped."""

    # -- keeping it up to date

    def ask(self, question: Question) -> None:
        """Look at all records anew, the newest first, after level or filter changed."""
        chosen = None if self.following else self.selected_row
        self.view.ask(question)
        self._sought = self.view.key(chosen) if chosen is not None else None if self.following else self._sought
        self.cursor = 0
        self._shown = {}
        self.advance()
        self.refresh()

    def advance(self) -> None:
        """Take in what came and was dropped, and look at older records, for as long as a slice lasts."""
        place = self._place()
        self._match_devices()
        end = perf_counter() + SLICE_S
        step = self.view.step(self._now_ms(), lambda: perf_counter() >= end)
        if not self.following:
            self.new += step.new
        if step.restarted and not self.following and place.cursor is not None and self._sought is None:
            self._sought = self.view.key(place.cursor)
        if step.changed:
            self._settle(place, moves=self.following and step.new > 0)
        if step.more:
            self._again(PAUSE_S)
        elif step.waiting:
            self._again(_SOON_S)

    def _again(self, seconds: float) -> None:
        if self._timer is None and self.is_attached:
            self._timer = self.set_timer(seconds, self._go_on)

    def _go_on(self) -> None:
        self._timer = None
        self.advance()
        if self._timer is None:
            self.post_message(self.Progressed())

    def _place(self) -> Place:
        rows, top = self.view.rows, self.scroll_offset.y
        bottom = top + self.page - 1
        return Place(
            self.selected_row,
            rows[top] if 0 <= top < len(rows) else None,
            rows[bottom] if 0 <= bottom < len(rows) else None,
            self.look,
        )

    def _match_devices(self) -> None:
        """Room for the longest id there is: a width that follows the rows in sight would jitter."""
        known = self._logbook.addresses
        if self._address is None and len(known) != self._devices:
            self._devices = len(known)
            size = min(MAX_DEVICE_WIDTH, max(len(address.device) for address in known))
            if size != self.look.device_width:
                self.look = replace(self.look, device_width=size)

    def _settle(self, place: Place, *, moves: bool) -> None:
        """Rows changed: what is read stays where it is, or the end is followed."""
        count = len(self.view.rows)
        if place.cursor is not None and place.top is not None:
            moved = self.view.position(place.cursor) - self.cursor
            in_sight = self.scroll_offset.y <= self.cursor <= self.row_at(self.page - 1)
            rows = moved if in_sight else self.view.position(place.top) - self.scroll_offset.y
            self.shift(max(rows, -self.scroll_offset.y), moved)
        most = max(0, self.scroll_height() - self.size.height)
        if self.scroll_offset.y > most:  # rows went, or there were fewer than a screen of them
            self.shift(most - self.scroll_offset.y, 0)
            self._shown = {}
            self.refresh()
        sought = self._sought
        if sought is not None:
            self.cursor = self.view.rows.position(sought)
            if self.view.complete:
                self._sought = None
        elif self.following or place.cursor is None:
            self.cursor = count - 1
        self.cursor = max(0, min(self.cursor, count - 1))
        if not moves and sought is None and self._is_unmoved(place):
            # Rows came above or below what is in sight: only the scrollbar tells.
            self._set_virtual_size(Size(self.width, self.scroll_height()))
            return
        self.set_rows_changed()
        if self.following or sought is not None or place.cursor is None:
            self.show_cursor()

    def _is_unmoved(self, place: Place) -> bool:
        """Whether what is in sight is what was."""
        rows, top = self.view.rows, self.scroll_offset.y
        bottom = top + self.page - 1
        unmoved = not self.wrap and place.look is self.look and bottom < len(rows) and bool(self._shown)
        return unmoved and rows[top] is place.top and rows[bottom] is place.bottom

    def set_following(self, following: bool) -> None:  # noqa: FBT001
        """Stay at the end, or hold still."""
        self.following = following
        if following:
            self.new = 0
            self._sought = None
            self.move_cursor(len(self.view.rows) - 1)

    def go(self, index: int) -> None:
        """Put the cursor on a row, and hold still there."""
        self.following = False
        self._sought = None
        self.move_cursor(index)

    def next_mark(self) -> int | None:
        """The index of the next marked record that is shown, the first one again after the last."""
        rows, here = self.view.rows, self.cursor
        found = []
        for number in self.marks:
            entry = next((each for some in self._logbook.after(number - 1) for each in some[:1]), None)
            index = self.view.position(entry) if entry is not None and entry.number == number else len(rows)
            if index < len(rows) and rows[index] is entry:
                found.append(index)
        return min((index for index in found if index > here), default=min(found, default=None))

    def go_to_time(self, time_ms: int) -> None:
        """Put the cursor on the first record that is not older, as soon as it has been looked at."""
        key = (time_ms, 0)
        self.go(self.view.rows.position(key))
        self._sought = None if self.view.complete else key

    def redraw(self) -> None:
        """All lines look different now."""
        self._shown = {}
        self.set_rows_changed()
        self.show_cursor()
        self.refresh()

    # -- LineList

    def row_count(self) -> int:
        return len(self.view.rows)

    def row(self, index: int, width: int) -> Line:
        row = self.view.rows[index]
        if isinstance(row, Gap):
            return hole_row(row.entry, self._logbook.missing_before(row.entry), width, self.look.glyphs)
        return log_row(row, width, self.look, time_ms=self._time_of(row), marked=row.number in self.marks)

    def _lines(self, index: int, width: int) -> list[Line]:
        """The lines of a row when rows wrap."""
        row = self.view.rows[index]
        if isinstance(row, Gap):
            return [self.row(index, width)]
        most, marked = max(1, self.page), row.number in self.marks
        return log_lines(row, width, self.look, time_ms=self._time_of(row), marked=marked, most=most)

    def _time_of(self, entry: Entry) -> int | None:
        return self.view.time_ms(entry) if self.look.corrected else None

    def repaint(self) -> None:
        self._wrapped = None
        super().repaint()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        self._wrapped = None
        super().watch_scroll_y(old_value, new_value)

    def scroll_height(self) -> int:
        # With unequal heights any row may be the one at the top, the last one too.
        return super().scroll_height() + (self.size.height - 1 if self.wrap and self.row_count() else 0)

    def row_at(self, y: int) -> int:
        if not self.wrap:
            return super().row_at(y)
        places = self._places()
        return places[y][0] if y < len(places) else self.row_count()

    def line_at(self, y: int, width: int) -> Line:
        if not self.row_count():
            return pad((Span(f" {nothing_shown(self.view)}", "dim"),) if y == 0 else EMPTY, width)
        if not self.wrap:
            return super().line_at(y, width)
        places = self._places()
        return pad(places[y][1] if y < len(places) else EMPTY, width)

    def _places(self) -> list[tuple[int, Line]]:
        if self._wrapped is None:
            found: list[tuple[int, Line]] = []
            index = self.scroll_offset.y
            while len(found) < self.page and index < self.row_count():
                found += [(index, line) for line in self._lines(index, self.width)]
                index += 1
            self._wrapped = found[: self.page]
        return self._wrapped

    def show_cursor(self) -> None:
        if not self.wrap:
            super().show_cursor()
            return
        if not self.size.height or not self.row_count():
            return
        top, left = self.cursor, self.page - len(self._lines(self.cursor, self.width))
        while top > 0 and (size := len(self._lines(top - 1, self.width))) <= left:
            top, left = top - 1, left - size
        # `top` is the last row that may stand at the top with the cursor's row still whole below it.
        wanted = min(max(self.scroll_offset.y, top), self.cursor)
        if wanted != self.scroll_offset.y:
            self.scroll_to(y=wanted, animate=False, force=True)

    def move_cursor(self, index: int) -> None:
        super().move_cursor(index)
        if self.wrap:
            self.refresh()

    def on_line_list_moved(self, event: LineList.Moved) -> None:
        self._sought = None
        at_end = self.at_bottom if event.by_wheel else self.cursor >= self.row_count() - 1
        if at_end != self.following:
            self.set_following(at_end)

    def on_line_list_chosen(self, event: LineList.Chosen) -> None:
        event.stop()
        row = self.view.rows[event.index]
        self.post_message(self.RecordChosen(row if isinstance(row, Entry) else row.entry))

    @property
    def selected_row(self) -> Row | None:
        """The row under the cursor."""
        return self.view.rows[self.cursor] if 0 <= self.cursor < len(self.view.rows) else None

    @property
    def selected(self) -> Entry | None:
        """The record under the cursor, or the one behind the gap there."""
        row = self.selected_row
        return row.entry if isinstance(row, Gap) else row
