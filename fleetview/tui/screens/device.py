"""The device screen: why it is in this state, what changed, what it said."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from fleetview.core.device import Device
from fleetview.core.roster import Changes
from fleetview.tui.alert_page import alert_lines
from fleetview.tui.device_page import Page, device_page, device_title
from fleetview.tui.silencing import silence_devices
from fleetview.tui.spans import Line
from fleetview.tui.view import Place, View
from fleetview.tui.widgets.bars import KeyLine, StatusBar, TitleLine
from fleetview.tui.widgets.lines import LineList

if TYPE_CHECKING:
    from fleetview.tui.fleet_rows import Now


class Document(LineList):
    """Lines to read; scrolls, and has no cursor."""

    has_cursor = False

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  # Textual's name for it
        super().__init__(id=id)
        self._document: list[Line] = []

    def set_document(self, lines: list[Line]) -> None:
        """Show these lines."""
        self._document = lines
        self.set_rows_changed()

    def row_count(self) -> int:
        return len(self._document)

    def row(self, index: int, width: int) -> Line:  # noqa: ARG002
        return self._document[index]


class DeviceScreen(View):
    """One device."""

    CSS_PATH = "device.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace", "back", "back", id="device.back", tooltip="Back to where you came from"),
        Binding("l", "logs", "logs", id="device.logs", tooltip="The logs of this device"),
        Binding("a", "alerts", "alerts", id="device.alerts", tooltip="The alerts of this device"),
        Binding("A", "silence", "silence", id="device.silence", tooltip="Silence all alerts of this device"),
        Binding("m", "metrics", "metrics", id="device.metrics", tooltip="Charts of this device, from minutes to weeks"),
        Binding("c,x", "order", "ask", id="device.order", tooltip="Ask it: ping, restart, log level, diagnostics"),
        Binding("p", "order_for('ping')", "ping", show=False, id="device.ping", tooltip="Is the agent there"),
        Binding("R", "order_for('restart_module')", "restart", id="device.restart", tooltip="Restart one of its modules"),
        Binding(
            "v", "order_for('set_log_level')", "log level", show=False, id="device.log_level",
            tooltip="Another log level of the agent, for a while",
        ),
        Binding(
            "D", "order_for('diagnostics')", "diagnostics", show=False, id="device.diagnostics",
            tooltip="Have it send configuration, modules, vitals, logs and checks",
        ),
        Binding("C", "orders", "commands", show=False, id="device.orders", tooltip="What was asked, and what came of it"),
        Binding("y", "copy(False)", "copy", id="device.copy", tooltip="Copy the device's row"),
        Binding("Y", "copy(True)", "copy JSON", id="device.copy_json", tooltip="Copy the device as JSON"),
    ]  # fmt: skip

    def __init__(self, device: Device) -> None:
        super().__init__()
        self._device = device

    @property
    def place(self) -> Place:
        return ("device", self._device.address)

    @property
    def crumb(self) -> str:
        return self._device.address.device

    def compose(self) -> ComposeResult:
        yield StatusBar(id="status")
        yield TitleLine(id="title")
        yield Document(id="page")
        yield KeyLine(id="keys")

    def on_mount(self) -> None:
        self.query_one(Document).focus()
        self.call_after_refresh(self.show_all)

    def on_resize(self) -> None:
        self.call_after_refresh(self.show_all)

    def show(self, changes: Changes, now: Now) -> None:  # noqa: ARG002  # ages move even when nothing else does
        # A device that is removed and comes back is another object; one that is only removed stays as it was.
        self._device = self.app.fleet.devices.get(self._device.address, self._device)
        glyphs = self.app.glyphs
        self.query_one(StatusBar).repaint()
        document = self.query_one(Document)
        alerts = alert_lines(self.app.desk.book, self._device.address, now, document.width, glyphs)
        page = Page(self.app.fleet, self._device, now, glyphs, document.width, alerts)
        known = self._device.address in self.app.fleet.devices
        self.query_one(TitleLine).set_line(device_title(page, known=known))
        if page.width > 0:
            document.set_document(device_page(page))
        self.query_one(KeyLine).repaint()

    def action_back(self) -> None:
        self.dismiss()

    def action_alerts(self) -> None:
        self.app.open_alerts(self._device.address)

    def action_silence(self) -> None:
        silence_devices(self.app, (self._device,))

    def action_logs(self) -> None:
        self.app.open_logs(self._device.address)

    def action_metrics(self) -> None:
        from fleetview.tui.screens.charts import open_charts  # noqa: PLC0415  # imported when first shown

        open_charts(self.app, self._device)

    def meant(self) -> tuple[list[Device], str | None]:
        return [self._device], None

    def action_order(self) -> None:
        self.app.orders.ask_verb([self._device])

    def action_order_for(self, verb: str) -> None:
        self.app.orders.ask(verb, [self._device])

    def action_orders(self) -> None:
        self.app.orders.open()

    def action_copy(self, as_json: bool) -> None:  # noqa: FBT001  # a binding's parameter
        self.app.copy_device(self._device, as_json=as_json)
