"""One log record, whole: what it says, and its JSON, which folds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from fleetview.core.logbook import Entry
from fleetview.tui.glyphs import Glyphs
from fleetview.tui.json_rows import DetailRow, Folds, condition_of, copied_value, detail_rows, path_of
from fleetview.tui.log_rows import LEVEL_STYLE
from fleetview.tui.screens.overlay import Overlay
from fleetview.tui.spans import Line, Span, visible
from fleetview.tui.widgets.bars import KeyLine, TitleLine
from fleetview.tui.widgets.lines import LineList

_SERVICE = 32
"""Characters of the service in the heading; all of it stands below."""
_MOST_COPIED = 1_000_000
"""Characters: terminals take no more by OSC 52, and some hang."""


class RecordTree(LineList):
    """The rows of a record."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "fold", "fold", id="record.fold", tooltip="Fold or unfold; so does enter"),
    ]

    def __init__(self, entry: Entry, glyphs: Glyphs) -> None:
        super().__init__(id="document")
        self._entry = entry
        self._glyphs = glyphs
        self._folds = Folds()
        self._rows: list[DetailRow] = []

    def fill(self) -> None:
        """Work out the rows, for a width or with other folds."""
        self._rows = detail_rows(self._entry, self._folds, max(20, self.width), self._glyphs)
        self.cursor = max(0, min(self.cursor, len(self._rows) - 1))
        self._shown = {}
        self.set_rows_changed()
        self.refresh()

    @property
    def selected(self) -> DetailRow | None:
        """The row under the cursor."""
        return self._rows[self.cursor] if self.cursor < len(self._rows) else None

    def row_count(self) -> int:
        return len(self._rows)

    def row(self, index: int, width: int) -> Line:  # noqa: ARG002
        return self._rows[index].line

    def action_fold(self) -> None:
        row = self.selected
        if row is not None and row.foldable and row.place is not None:
            self._folds = self._folds.turn(row.place)
            self.fill()
            # From within a text that was unfolded, the cursor goes to where it begins.
            self.move_cursor(next(at for at, each in enumerate(self._rows) if each.place == row.place))

    def on_line_list_chosen(self, event: LineList.Chosen) -> None:
        event.stop()
        self.action_fold()


class RecordScreen(Overlay):
    """A record with all its fields."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy_value", "copy value", id="record.copy", tooltip="Copy the value under the cursor"),
        Binding("p", "copy_path", "copy path", id="record.copy_path", tooltip="Copy its path, as the filter spells it"),
        Binding("Y", "copy_all", "copy JSON", id="record.copy_json", tooltip="Copy the record as JSON"),
        Binding("equals_sign", "filter", "filter by it", id="record.filter", tooltip="Add it to the filter of the list"),
        Binding("h", "hide", "hide field", id="record.hide", tooltip="Show the field in the list, or do not"),
    ]

    def __init__(
        self,
        entry: Entry,
        on_filter: Callable[[str], None] | None = None,
        on_hide: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__()
        self._entry = entry
        self._add_to_filter = on_filter
        self._turn_field = on_hide

    def body(self) -> Iterable[Widget]:
        yield RecordTree(self._entry, self.app.glyphs)
        yield KeyLine(id="record-keys")

    @property
    def tree_rows(self) -> RecordTree:
        """The rows."""
        return self.query_one(RecordTree)

    def _fill(self) -> None:
        self.tree_rows.fill()
        self.query_one(TitleLine).set_line(self.heading())
        self.query_one(KeyLine).repaint()

    def heading(self) -> Line:
        entry = self._entry
        return (
            Span(f"{entry.level.text}  ", LEVEL_STYLE[entry.level]),
            Span(f"{entry.address}", "bold"),
            Span(visible(f"  {entry.service[:_SERVICE] or 'no service'}"), "dim"),
        )

    # -- what the person asks for

    def action_copy_value(self) -> None:
        row = self.tree_rows.selected
        if row is not None and row.value is not None:
            self._copy("the value", copied_value(row.value))

    def action_copy_path(self) -> None:
        row = self.tree_rows.selected
        path = None if row is None else path_of(row)
        if path is None:
            self.app.notify("the filter language has no path for this")
        else:
            self._copy(f"the path {path[:80]}", path)

    def action_copy_all(self) -> None:
        self._copy("the record as JSON", self._entry.raw.decode("utf-8", "replace"))

    def _copy(self, what: str, text: str) -> None:
        text = visible(text[:_MOST_COPIED])
        self.app.copy_to_clipboard(text)
        self.app.notify(f"copied {visible(what)}, {len(text):,} characters", markup=False)

    def action_filter(self) -> None:
        row = self.tree_rows.selected
        condition = None if row is None else condition_of(row)
        if condition is None or self._add_to_filter is None:
            self.app.notify("there is no filter for this")
            return
        self.dismiss()
        self._add_to_filter(condition)

    def action_hide(self) -> None:
        row = self.tree_rows.selected
        if row is None or not row.place or self._turn_field is None:
            self.app.notify("only fields of the JSON can be hidden")
            return
        self._turn_field(str(row.place[0]))
        self.app.notify(f"the list shows {visible(str(row.place[0])[:80])} no more, or again", markup=False)
