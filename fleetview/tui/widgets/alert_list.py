"""Alerts, worst first, or the silences, the rules, the groups; the cursor stays with what it is on."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Literal

from fleetview.core.alertbook import AlertBook
from fleetview.core.alerts import Alert, AlertGroup, Rule
from fleetview.core.silences import Silence
from fleetview.tui.alert_rows import (
    alert_head,
    alert_row,
    group_head,
    group_row,
    rule_head,
    rule_row,
    silence_head,
    silence_row,
)
from fleetview.tui.columns import Now
from fleetview.tui.glyphs import Glyphs
from fleetview.tui.spans import EMPTY, Line, Span, pad, wrap
from fleetview.tui.widgets.lines import LineList

Row = Alert | Silence | Rule | AlertGroup
Key = Hashable
"""What tells rows apart from one round to the next."""
Kind = Literal["alerts", "silences", "rules", "groups"]


class AlertList(LineList):
    """What the screen of alerts shows."""

    def __init__(self, glyphs: Glyphs, now: Callable[[], Now]) -> None:
        super().__init__(id="alerts")
        self.selection: set[Key] = set()
        """Keys of alerts."""
        self._glyphs, self._now = glyphs, now
        self._book = AlertBook()
        self._rows: list[Row] = []
        self._instead: tuple[str, ...] = ()
        self._kind: Kind = "alerts"

    @property
    def selected(self) -> Row | None:
        """What the cursor is on."""
        return self._rows[self.cursor] if self.cursor < len(self._rows) else None

    def chosen(self) -> list[Alert]:
        """The alerts that are selected, or the one under the cursor."""
        found = [row for row in self._rows if isinstance(row, Alert) and _key(row) in self.selection]
        return found or [row for row in (self.selected,) if isinstance(row, Alert)]

    def fill(self, book: AlertBook, rows: list[Row], kind: Kind, instead: tuple[str, ...] = ()) -> None:
        """Show these rows; `instead` where there are none."""
        pinned = self.selected if kind == self._kind else None
        self._book, self._rows, self._instead, self._kind = book, rows, instead, kind
        known = {_key(row): place for place, row in enumerate(rows)}
        if kind == "alerts":
            self.selection &= known.keys()  # what is not shown must not be silenced
        place = None if pinned is None else known.get(_key(pinned))
        cursor = min(self.cursor, max(0, len(rows) - 1)) if place is None else place
        if cursor != self.cursor:
            self.cursor = cursor
            self.refresh()
        self._shown = {}
        self.set_rows_changed()
        self.refresh()
        self.show_cursor()

    def select_row(self) -> None:
        """Select what the cursor is on, or no longer."""
        row = self.selected
        if isinstance(row, Alert):
            self.selection ^= {_key(row)}
            self.move_cursor(self.cursor + 1)
            self.repaint()

    def select_none(self) -> None:
        """Nothing is selected any more."""
        self.selection = set()
        self.repaint()

    # -- LineList

    def row_count(self) -> int:
        return len(self._rows)

    def header(self, width: int) -> Line | None:
        if not self._rows:
            return None
        heads = {"alerts": alert_head, "silences": silence_head, "rules": rule_head, "groups": group_head}
        return heads[self._kind](width)

    def row(self, index: int, width: int) -> Line:
        row = self._rows[index]
        if isinstance(row, Silence):
            return silence_row(row, self._book, self._now(), self._glyphs)
        if isinstance(row, Rule):
            return rule_row(row, self._now(), width, self._glyphs)
        if isinstance(row, AlertGroup):
            return group_row(row, self._book.places, self._glyphs)
        selected = _key(row) in self.selection
        return alert_row(row, self._book, self._now(), width, self._glyphs, selected=selected)

    def line_at(self, y: int, width: int) -> Line:
        if self._rows:
            return super().line_at(y, width)
        lines = [line for text in self._instead for line in (list(wrap(f" {text}", width - 1)) or [EMPTY])]
        return pad(lines[y] if y < len(lines) else (Span(""),), width)


def _key(row: Row) -> Key:
    if isinstance(row, Rule):
        return (row.group, row.name, row.query)
    if isinstance(row, AlertGroup):
        return (row.receiver, frozenset(row.labels.items()))
    # Not the fingerprint: of ten thousand alerts that takes half a second.
    return row.id if isinstance(row, Silence) else frozenset(row.labels.items())
