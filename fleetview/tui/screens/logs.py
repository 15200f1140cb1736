"""The log screen: what did it say, everywhere, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from fleetview.core.query import compile_logs
from fleetview.core.roster import Changes
from fleetview.tui.log_rows import LEVEL_STYLE
from fleetview.tui.spans import Span
from fleetview.tui.view import Place, View
from fleetview.tui.widgets.bars import KeyLine, StatusBar, TitleLine
from fleetview.tui.widgets.filter_line import FilterLine, readable
from fleetview.tui.widgets.log_list import LogList
from fleetview_agent.wire import Address, Level

if TYPE_CHECKING:
    from fleetview.tui.fleet_rows import Now

_LEVELS = (Level.UNKNOWN, Level.DEBUG, Level.INFO, Level.WARN, Level.ERROR)


class LogScreen(View):
    """Log records as they come."""

    CSS_PATH = "logs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "escape,backspace", "back", "back", id="logs.back", tooltip="Take the filter away; back to where you came from"
        ),
        Binding("p,space", "pause", "pause", key_display="p", id="logs.pause", tooltip="Hold still, or follow again"),
        Binding("G,end", "follow", "follow", key_display="G", id="logs.follow", tooltip="To the end, and follow"),
        Binding(
            "slash", "filter", "filter", key_display="/", id="logs.filter", tooltip="Show only what a filter lets through"
        ),
        Binding("plus,equals_sign", "level(1)", "level", id="logs.level_up", tooltip="Fewer records: a higher level"),
        Binding("minus", "level(-1)", "level", id="logs.level_down", tooltip="More records: a lower level"),
        Binding("d", "device", "device", id="logs.device", tooltip="The device of this record"),
        Binding("y", "copy(False)", "copy", id="logs.copy", tooltip="Copy the record as a line"),
        Binding("Y", "copy(True)", "copy JSON", id="logs.copy_json", tooltip="Copy the record as JSON"),
    ]

    def __init__(self, address: Address | None) -> None:
        super().__init__()
        self._address = address

    @property
    def place(self) -> Place:
        return ("logs", self._address)

    @property
    def crumb(self) -> str:
        return "logs" if self._address is None else f"logs of {self._address.device}"

    def compose(self) -> ComposeResult:
        yield StatusBar(id="status")
        yield TitleLine(id="title")
        yield FilterLine(self.app.commander.log_offers)
        yield LogList(self.app.fleet.logbook, self.app.glyphs, self._address)
        yield KeyLine(id="keys")

    def on_mount(self) -> None:
        self.list.focus()
        self.call_after_refresh(self._first)

    def _first(self) -> None:
        self.list.refill()
        self.show_all()

    @property
    def list(self) -> LogList:
        """The records."""
        return self.query_one(LogList)

    def show(self, changes: Changes, now: Now) -> None:  # noqa: ARG002
        self.list.show()
        self.query_one(StatusBar).repaint()
        self._title()
        self.query_one(KeyLine).repaint()

    def _title(self) -> None:
        records, book = self.list, self.app.fleet.logbook
        where = "all devices" if self._address is None else str(self._address)
        level = records.level
        spans = [
            Span(" logs ", "title"),
            Span(where, "bold"),
            Span("   level "),
            Span(f"{level.text}+" if level else "all", LEVEL_STYLE[level] if level else "plain"),
            Span("   "),
            self._following(),
            Span(f"   {records.records:,} shown", "dim"),
        ]
        if records.hidden:
            spans.append(Span(f", {records.hidden:,} hidden", "dim"))
        if book.evicted:
            spans.append(Span(f", {book.evicted:,} old ones dropped (bound {book.max_bytes // 2**20} MiB)", "dim"))
        self.query_one("#title", TitleLine).set_line(tuple(spans))

    def _following(self) -> Span:
        if self.list.following:
            return Span(f"{self.app.glyphs.dot} following", "ok")
        return Span(f"paused, +{self.list.new:,} new (G follows)", "degraded")

    # -- what the person asks for

    def on_line_list_moved(self) -> None:
        self._title()

    def on_filter_line_edited(self, event: FilterLine.Edited) -> None:
        self.list.text_filter, problem = readable(event.text, compile_logs)
        self.query_one(FilterLine).complain(problem)
        self.list.refill()
        self._title()

    def on_filter_line_done(self) -> None:
        self.list.focus()

    def on_log_list_record_chosen(self, event: LogList.RecordChosen) -> None:
        from fleetview.tui.screens.record import RecordScreen  # noqa: PLC0415  # imported when first shown

        if self.list.following:
            self.list.set_following(False)
        self.app.push_screen(RecordScreen(event.entry))

    def action_back(self) -> None:
        bar = self.query_one(FilterLine)
        if bar.text:
            bar.action_clear()  # as on the fleet screen: the filter goes first
        else:
            self.dismiss()

    def action_pause(self) -> None:
        self.list.set_following(not self.list.following)
        self._title()

    def action_follow(self) -> None:
        self.list.set_following(True)
        self._title()

    def action_filter(self) -> None:
        self.query_one(FilterLine).open()

    def action_level(self, step: int) -> None:
        position = max(0, min(_LEVELS.index(self.list.level) + step, len(_LEVELS) - 1))
        if _LEVELS[position] is not self.list.level:
            self.list.level = _LEVELS[position]
            self.list.refill()
            self._title()

    def action_device(self) -> None:
        entry = self.list.selected
        device = self.app.fleet.devices.get(entry.address) if entry else None
        if device is not None:
            self.app.open_device(device)

    def action_copy(self, as_json: bool) -> None:  # noqa: FBT001  # a binding's parameter
        entry = self.list.selected
        if entry is not None:
            self.app.copy_record(entry, as_json=as_json)
