"""Log records as they come: followed at the end, or held still while somebody reads."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable
from typing import NamedTuple

from textual.message import Message

from fleetview.core.logbook import Entry, Logbook
from fleetview.tui.glyphs import Glyphs
from fleetview.tui.log_rows import hole_row, log_row
from fleetview.tui.spans import Line
from fleetview.tui.widgets.lines import LineList
from fleetview_agent.wire import Address, Level

MAX_DEVICE_WIDTH = 20


class Row(NamedTuple):
    """A record, or the hole before it. Sorts by time, then by arrival."""

    time_ms: int
    """That of receipt for a record from a clock that is ahead: it would stand below all that comes until then."""
    number: int
    is_record: bool
    entry: Entry


class LogList(LineList):
    """The records of the fleet, or of one device, that a level and a filter let through."""

    class RecordChosen(Message):
        """A record was opened."""

        def __init__(self, entry: Entry) -> None:
            super().__init__()
            self.entry = entry

    def __init__(self, logbook: Logbook, glyphs: Glyphs, address: Address | None) -> None:
        super().__init__(id="log-list")
        self._logbook = logbook
        self._glyphs = glyphs
        self._address = address
        self._rows: list[Row] = []
        self._holes = 0
        self._taken = 0
        self._device_width = 0
        self._evicted = logbook.evicted
        self.level = Level.UNKNOWN
        self.text_filter: Callable[[Entry], bool] | None = None
        self.following = True
        self.new = 0
        """Records that came since following stopped."""
        self.hidden = 0
        """Records that level and filter keep out."""

    @property
    def records(self) -> int:
        """Records shown."""
        return len(self._rows) - self._holes

    def refill(self) -> None:
        """Look at all records anew, after level or filter changed."""
        chosen = self._rows[self.cursor] if self.cursor < len(self._rows) else None
        self._rows, self._holes, self._taken, self.hidden = [], 0, 0, 0
        self._take()
        self._shown = {}
        if self.following or chosen is None:
            self.cursor = max(0, len(self._rows) - 1)
        else:
            self.cursor = min(_position(self._rows, chosen), max(0, len(self._rows) - 1))
        self.set_rows_changed()
        self.show_cursor()
        self.refresh()

    def show(self) -> None:
        """Take in what came."""
        if self._logbook.evicted != self._evicted:
            self._evicted = self._logbook.evicted
            self._prune()
        chosen = self._rows[self.cursor] if self.cursor < len(self._rows) else None
        added = self._take()
        if not added:
            return
        if self.following:
            self.cursor = max(0, len(self._rows) - 1)
            self.set_rows_changed()
            self.show_cursor()
        else:
            self.new += added
            self.set_rows_changed()
            if chosen is not None:
                self._keep_still(chosen)

    def set_following(self, following: bool) -> None:  # noqa: FBT001
        """Stay at the end, or hold still."""
        self.following = following
        if following:
            self.new = 0
            self.move_cursor(len(self._rows) - 1)

    def _keep_still(self, chosen: Row) -> None:
        """A record that came late was put in above: what is read stays where it is."""
        position = _position(self._rows, chosen)
        shift = position - self.cursor
        if shift:
            self.cursor = position
            self.refresh()
            self.scroll_to(y=self.scroll_offset.y + shift, animate=False, force=True)

    def _take(self) -> int:
        added = 0
        for entry in self._logbook.newer_than(self._taken):
            self._taken = entry.number
            if self._address is not None and entry.address != self._address:
                continue
            if entry.level < self.level or (self.text_filter is not None and not self.text_filter(entry)):
                self.hidden += 1
                continue
            time_ms = min(entry.time_ms, entry.received_ms)
            if entry.hole is not None:
                self._holes += 1
                insort(self._rows, Row(time_ms, entry.number, False, entry))
            insort(self._rows, Row(time_ms, entry.number, True, entry))
            if self._address is None:
                self._device_width = max(self._device_width, min(len(entry.address.device), MAX_DEVICE_WIDTH))
            added += 1
        return added

    def _prune(self) -> None:
        chosen = self._rows[self.cursor] if self.cursor < len(self._rows) else None
        before = len(self._rows)
        self._rows = [row for row in self._rows if not row.entry.dropped]
        if len(self._rows) != before:
            self._holes = sum(not row.is_record for row in self._rows)
            self._shown = {}
            if chosen is not None and self._rows:
                self.cursor = min(_position(self._rows, chosen), len(self._rows) - 1)
            self.set_rows_changed()
            self.refresh()

    # -- LineList

    def row_count(self) -> int:
        return len(self._rows)

    def row(self, index: int, width: int) -> Line:
        row = self._rows[index]
        if row.is_record:
            return log_row(row.entry, width, device_width=self._device_width)
        hole = row.entry.hole
        return () if hole is None else hole_row(row.entry, hole, width, self._glyphs)

    def on_line_list_moved(self, event: LineList.Moved) -> None:
        at_end = self.at_bottom if event.by_wheel else self.cursor >= len(self._rows) - 1
        if at_end != self.following:
            self.set_following(at_end)

    def on_line_list_chosen(self, event: LineList.Chosen) -> None:
        event.stop()
        self.post_message(self.RecordChosen(self._rows[event.index].entry))

    @property
    def selected(self) -> Entry | None:
        """The record under the cursor."""
        return self._rows[self.cursor].entry if self.cursor < len(self._rows) else None


def _position(rows: list[Row], row: Row) -> int:
    return bisect_left(rows, row[:3], key=lambda other: other[:3])
