"""One log record, whole."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from fleetview.core.logbook import Entry
from fleetview.tui.device_page import record_lines
from fleetview.tui.log_rows import LEVEL_STYLE, clock_ms
from fleetview.tui.screens.overlay import Overlay
from fleetview.tui.spans import EMPTY, Line, Span, visible, wrap

_SERVICE = 32
"""Characters of the service in the heading; all of it stands below."""


class RecordScreen(Overlay):
    """A record with all its fields."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy(False)", "copy", id="record.copy", tooltip="Copy the record as a line"),
        Binding("Y", "copy(True)", "copy JSON", id="record.copy_json", tooltip="Copy the record as JSON"),
    ]

    def __init__(self, entry: Entry) -> None:
        super().__init__()
        self._entry = entry

    def heading(self) -> Line:
        entry = self._entry
        return (
            Span(f"{entry.level.text}  ", LEVEL_STYLE[entry.level]),
            Span(f"{entry.address}", "bold"),
            Span(visible(f"  {entry.service[:_SERVICE] or 'no service'}  "), "dim"),
            Span("esc", "key"),
            Span(" closes  ", "dim"),
            Span("y", "key"),
            Span(" copies  ", "dim"),
            Span("Y", "key"),
            Span(" copies as JSON", "dim"),
        )

    def document(self, width: int) -> list[Line]:
        entry = self._entry
        lines: list[Line] = [EMPTY, *wrap(entry.message or "(no message)", width - 1, "bold"), EMPTY]
        when = f"{clock_ms(entry.time_ms)} UTC"
        if entry.time_is_receipt:
            when += ", the time of receipt: the record has no believable time of its own"
        facts = [("time", when), ("received", f"{clock_ms(entry.received_ms)} UTC"), ("trace", entry.trace_id or "-")]
        if entry.seq is not None:
            facts.append(("number", f"{entry.seq} of stream {entry.stream}"))
        for name, value in facts:
            first, *rest = wrap(value, width - 12)
            lines.append((Span(f"{name:<10} ", "dim"), *first))
            lines += ((Span(" " * 11), *line) for line in rest)
        return [*lines, EMPTY, (Span("as received", "head"),), *record_lines(entry.fields(), width)]

    def action_copy(self, as_json: bool) -> None:  # noqa: FBT001  # a binding's parameter
        self.app.copy_record(self._entry, as_json=as_json)
