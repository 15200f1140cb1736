"""The commands screen: what was asked of which devices, how far each is, and how long it is still waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from fleetview.core.commandbook import Order, Outcome, Request
from fleetview.core.roster import Changes
from fleetview.tui.command_desk import PLACE
from fleetview.tui.command_rows import Widths, order_sum, order_title, request_head, request_row, widths
from fleetview.tui.spans import EMPTY, Line, Span, pad, visible, wrap
from fleetview.tui.view import Place, View
from fleetview.tui.widgets.bars import KeyLine, StatusBar, TitleLine
from fleetview.tui.widgets.lines import LineList, Lines

if TYPE_CHECKING:
    from fleetview.tui.app import FleetApp
    from fleetview.tui.fleet_rows import Now


class OrderList(LineList):
    """The devices of one order."""

    app: FleetApp

    def __init__(self) -> None:
        super().__init__(id="order")
        self._order: Order | None = None
        self._requests: list[Request] = []
        self._columns = Widths(0, 0)
        self._columns_for: tuple[object, int] = (None, 0)

    @property
    def selected(self) -> Request | None:
        """What the cursor is on."""
        return self._requests[self.cursor] if self.cursor < len(self._requests) else None

    def fill(self, order: Order | None, requests: list[Request]) -> None:
        """Show these; the cursor stays with its device."""
        pinned = self.selected
        same = order is self._order
        self._order, self._requests = order, requests
        place = requests.index(pinned) if same and pinned in requests else 0 if not same else self.cursor
        self.cursor = min(place, max(0, len(requests) - 1))
        self._shown = {}
        self.set_rows_changed()
        self.refresh()
        self.show_cursor()

    def row_count(self) -> int:
        return len(self._requests)

    def header(self, width: int) -> Line | None:
        return request_head(self._widths(width)) if self._requests else None

    def row(self, index: int, width: int) -> Line:
        request, order = self._requests[index], self._order
        note = "" if order is None else self.app.orders.note(order, request.address)
        return request_row(request, self._widths(width), self.app.now().mono_s, self.app.glyphs, note)

    def line_at(self, y: int, width: int) -> Line:
        if self._requests:
            return super().line_at(y, width)
        words = "nothing was asked of devices from here yet: x on the fleet, c on a device" if self._order is None else ""
        return pad((Span(f" {words}", "dim"),) if y == 0 else EMPTY, width)

    def _widths(self, width: int) -> Widths:
        key = (self._requests, width)
        if self._columns_for[0] is not key[0] or self._columns_for[1] != width:
            self._columns_for, self._columns = key, widths(self._requests, width)
        return self._columns


class _Said(Lines):
    """All that the device under the cursor said, where its row has no room for it."""

    app: FleetApp

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  # Textual's name for it
        super().__init__(id=id)
        self._words = ""

    def say(self, words: str) -> None:
        """Show these."""
        self._words = words
        self.repaint()

    def lines(self, width: int, height: int) -> list[Line]:
        return list(wrap(f" {self._words}", max(1, width - 1), "dim", indent=1))[:height] if self._words else []


class CommandsScreen(View):
    """The orders of this session, one at a time."""

    CSS_PATH = "commands.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace", "back", "back", id="commands.back", tooltip="Back to where you came from"),
        Binding("f", "faults", "not done", id="commands.faults", tooltip="Only devices that did not do it, or all"),
        Binding("a", "again", "again", id="commands.again", tooltip="Ask those again that did not do it"),
        Binding("p,left", "turn(-1)", "older", id="commands.older", tooltip="The order before this one"),
        Binding("n,right", "turn(1)", "newer", id="commands.newer", tooltip="The order after this one"),
        Binding("y", "copy", "copy", id="commands.copy", tooltip="Copy the outcomes, a line for each device"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._order: Order | None = None
        self._only_faults = False
        self._filled: tuple[object, ...] = ()

    @property
    def place(self) -> Place:
        return PLACE

    @property
    def crumb(self) -> str:
        return "commands"

    def compose(self) -> ComposeResult:
        yield StatusBar(id="status")
        yield TitleLine(id="title")
        yield TitleLine(id="sum")
        yield OrderList()
        yield _Said(id="said")
        yield KeyLine(id="keys")

    def on_mount(self) -> None:
        self.table.focus()
        self.call_after_refresh(self.show_all)

    @property
    def table(self) -> OrderList:
        """The rows."""
        return self.query_one(OrderList)

    @property
    def orders(self) -> tuple[Order, ...]:
        """All there are, the oldest first."""
        book = self.app.orders.book
        return () if book is None else tuple(book.orders.values())

    def choose(self, order: Order) -> None:
        """Show this order."""
        self._order = order
        if self.is_mounted:
            self.show_all()

    def show(self, changes: Changes, now: Now) -> None:  # noqa: ARG002  # what is waited for has an age of its own
        orders = self.orders
        if self._order not in orders:
            self._order = orders[-1] if orders else None
        order = self._order
        # Which rows there are changes only while those that did it are left out; what stands in them is painted anew anyway.
        wanted = (order, tuple(order.counts.items()) if order is not None and self._only_faults else None)
        if wanted != self._filled:
            self._filled = wanted
            self.table.fill(order, self._requests(order))
        self.table.repaint()
        self._titles(orders, now)
        self._say()
        self.query_one(StatusBar).repaint()
        self.query_one(KeyLine).repaint()

    def show_all(self) -> None:
        self._filled = ()
        super().show_all()

    def _requests(self, order: Order | None) -> list[Request]:
        if order is None:
            return []
        found = sorted(order.requests.values(), key=lambda request: request.address)
        return [request for request in found if not self._only_faults or _not_done(request)]

    def _titles(self, orders: tuple[Order, ...], now: Now) -> None:
        title, sums = self.query_one("#title", TitleLine), self.query_one("#sum", TitleLine)
        order = self._order
        if order is None:
            title.set_line((Span(" commands", "title"),))
            sums.set_line(EMPTY)
            return
        title.set_line(order_title(order, orders.index(order) + 1, len(orders)))
        only = (Span("   only those that did not do it", "accent"),) if self._only_faults else ()
        sums.set_line((*order_sum(order, now.mono_s, self.app.glyphs), *only))

    def _say(self) -> None:
        request, order = self.table.selected, self._order
        words = ""
        if request is not None and order is not None:
            parts = (str(request.address), request.message, self.app.orders.note(order, request.address))
            words = ": ".join(part for part in parts if part)
        self.query_one(_Said).say(words)

    # -- what the person asks for

    def on_line_list_moved(self) -> None:
        self._say()

    def on_line_list_chosen(self) -> None:
        request = self.table.selected
        device = None if request is None else self.app.fleet.devices.get(request.address)
        if device is not None:
            self.app.open_device(device)

    def action_back(self) -> None:
        if self._only_faults:
            self.action_faults()
        else:
            self.dismiss()

    def action_faults(self) -> None:
        self._only_faults = not self._only_faults
        self.show_all()

    def action_turn(self, step: int) -> None:
        orders = self.orders
        if self._order in orders:
            place = orders.index(self._order) + step
            if 0 <= place < len(orders):
                self._order = orders[place]
                self.show_all()

    def action_again(self) -> None:
        order = self._order
        if order is None:
            return
        devices = self.app.fleet.devices
        again = [
            devices[request.address]
            for request in self._requests(order)
            if _not_done(request) and not request.outcome.open and request.address in devices
        ]
        if not again:
            self.app.notify("there is none that did not do it")
            return
        args = {name: f"{value:g}s" if isinstance(value, float) else str(value) for name, value in order.args.items()}
        self.app.orders.ask(order.verb, again, args=args)

    def action_copy(self) -> None:
        order = self._order
        if order is None:
            return
        lines = [
            visible(f"{request.outcome.words}  {request.address}  {request.message}").rstrip()
            for request in self._requests(order)
        ]
        self.app.copy_to_clipboard("\n".join(lines))
        self.app.notify(f"copied the outcomes of {len(lines):,} devices")


def _not_done(request: Request) -> bool:
    return request.outcome is not Outcome.SUCCEEDED
