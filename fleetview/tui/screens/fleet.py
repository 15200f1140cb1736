"""The fleet screen: what is broken, where, since when."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from fleetview.core.device import Device
from fleetview.core.query import compile_devices
from fleetview.core.roster import Changes
from fleetview.tui.spans import Line, Span
from fleetview.tui.view import Place, View
from fleetview.tui.widgets.bars import KeyLine, StatusBar, TitleLine
from fleetview.tui.widgets.filter_line import FilterLine, readable
from fleetview.tui.widgets.fleet_table import FleetTable

if TYPE_CHECKING:
    from fleetview.tui.fleet_rows import Now


class FleetScreen(View):
    """All devices, worst first."""

    CSS_PATH = "fleet.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "slash", "filter", "filter", key_display="/", id="fleet.filter", tooltip="Show only what a filter lets through"
        ),
        Binding("l", "logs", "logs", id="fleet.logs", tooltip="The logs of the device under the cursor"),
        Binding("L", "all_logs", "all logs", id="fleet.all_logs", tooltip="The logs of the whole fleet"),
        Binding("y", "copy(False)", "copy", id="fleet.copy", tooltip="Copy the row"),
        Binding("Y", "copy(True)", "copy JSON", show=False, id="fleet.copy_json", tooltip="Copy the device as JSON"),
        Binding("escape", "clear_filter", "no filter", show=False, id="fleet.clear", tooltip="Take the filter away"),
    ]

    @property
    def place(self) -> Place:
        return ("fleet", None)

    @property
    def crumb(self) -> str:
        return "fleet"

    def compose(self) -> ComposeResult:
        app = self.app
        yield StatusBar(id="status")
        yield FilterLine(app.commander.device_offers)
        yield TitleLine(id="hint")
        yield FleetTable(app.fleet, app.glyphs, app.now)
        yield KeyLine(id="keys")

    def on_mount(self) -> None:
        self.table.focus()
        self.call_after_refresh(self.show_all)

    @property
    def table(self) -> FleetTable:
        """The table."""
        return self.query_one(FleetTable)

    def show(self, changes: Changes, now: Now) -> None:
        self.query_one(StatusBar).repaint()
        self.table.show(changes, now)
        self._hint()
        self.query_one(KeyLine).repaint()

    def show_all(self) -> None:
        self.table.rebuild()
        super().show_all()

    def _hint(self) -> None:
        hint = self.query_one("#hint", TitleLine)
        known, bar = len(self.app.fleet.devices), self.query_one(FilterLine)
        line: Line = ()
        if not known:
            line = (Span(" no devices yet: nothing is retained on the broker, and nobody has spoken", "dim"),)
        elif bar.text.strip():
            matching = f" {self.table.shown:,} of {known:,} devices match"
            line = (Span(matching + (" what stands before the mistake" if bar.is_wrong else ""), "dim"),)
        hint.display = bool(line)
        hint.set_line(line)

    # -- what the person asks for

    def on_filter_line_edited(self, event: FilterLine.Edited) -> None:
        predicate, problem = readable(event.text, lambda text: compile_devices(text, self.app.now))
        self.query_one(FilterLine).complain(problem)
        self.table.set_filter(predicate)
        self._hint()

    def on_filter_line_done(self) -> None:
        self.table.focus()

    def on_fleet_table_device_chosen(self, event: FleetTable.DeviceChosen) -> None:
        self.app.open_device(event.device)

    def action_filter(self) -> None:
        self.query_one(FilterLine).open()

    def action_clear_filter(self) -> None:
        self.query_one(FilterLine).action_clear()

    def action_logs(self) -> None:
        row = self.table.selected
        self.app.open_logs(row.address if isinstance(row, Device) else None)

    def action_all_logs(self) -> None:
        self.app.open_logs(None)

    def action_copy(self, as_json: bool) -> None:  # noqa: FBT001  # a binding's parameter
        row = self.table.selected
        if isinstance(row, Device):
            self.app.copy_device(row, as_json=as_json)
