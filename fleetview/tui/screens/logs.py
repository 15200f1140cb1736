"""The log screen: what did it say, everywhere, in order."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from fleetview.core.logfind import Find
from fleetview.core.logview import Question, everything
from fleetview.core.query import QueryError
from fleetview.core.query.gaps import LogFilter, comparison, compile_with_gaps, narrowed
from fleetview.core.query.sought import sought
from fleetview.core.query.typed import as_typed
from fleetview.core.roster import Changes
from fleetview.core.sorted_rows import bit
from fleetview.core.staged import waves_of
from fleetview.core.times import parse_when
from fleetview.tui.log_export import export
from fleetview.tui.log_rows import Look
from fleetview.tui.log_title import log_title
from fleetview.tui.screens.log_keys import LOG_BINDINGS
from fleetview.tui.view import Place, View
from fleetview.tui.widgets.bars import KeyLine, StatusBar, TitleLine
from fleetview.tui.widgets.filter_line import FilterLine
from fleetview.tui.widgets.histogram import HistogramChart
from fleetview.tui.widgets.log_list import PAUSE_S, SLICE_S, LogList
from fleetview.tui.widgets.prompt import Prompt
from fleetview_agent.wire import Address, Level

if TYPE_CHECKING:
    from fleetview.tui.fleet_rows import Now

_LEVELS = (Level.UNKNOWN, Level.DEBUG, Level.INFO, Level.WARN, Level.ERROR)
_TALL_ROWS = 30
_LOW_ROWS = 16
"""Rows of the terminal, below which the histogram would take too many of them."""


class LogScreen(View):
    """Log records as they come."""

    CSS_PATH = "logs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = LOG_BINDINGS

    def __init__(self, address: Address | None, text: str = "") -> None:
        super().__init__()
        self._address = address
        self._text = text
        self._level = Level.UNKNOWN
        self._filter: LogFilter | None = None
        self._found_text = ""
        self._find: Find | None = None
        self._chart = True
        self._second = -1

    @property
    def place(self) -> Place:
        return ("logs", self._address)

    @property
    def crumb(self) -> str:
        return "logs" if self._address is None else f"logs of {self._address.device}"

    def compose(self) -> ComposeResult:
        look = Look(self.app.glyphs)
        yield StatusBar(id="status")
        yield TitleLine(id="title")
        yield FilterLine(self.app.commander.log_offers)
        yield Prompt()
        rows = LogList(self.app.fleet.logbook, look, self._address, self._now_ms)
        tenant = None if self._address is None else self._address.tenant
        yield HistogramChart(
            lambda: rows.view.histogram, self.app.glyphs, lambda: waves_of(self.app.rollouts.board, tenant=tenant)
        )
        yield rows
        yield KeyLine(id="keys")

    def on_mount(self) -> None:
        self.list.focus()
        self.call_after_refresh(self._first)

    def _first(self) -> None:
        if self._text:
            self.query_one(FilterLine).put(self._text)
        else:
            self._ask()
        self.show_all()

    def _now_ms(self) -> int:
        return int(self.app.now().unix_s * 1000)

    @property
    def list(self) -> LogList:
        """The records."""
        return self.query_one(LogList)

    def show(self, changes: Changes, now: Now) -> None:  # noqa: ARG002
        self.list.advance()
        self._title()
        if int(now.mono_s) != self._second:  # in a flood all of its columns change, and nobody reads it faster
            self._second = int(now.mono_s)
            self._draw_chart()
            self.list.repaint()  # a gap may have been filled
        self.query_one(StatusBar).repaint()
        self.query_one(KeyLine).repaint()

    def on_resize(self) -> None:
        self._fit_chart()

    def _fit_chart(self) -> None:
        rows = self.size.height
        chart = self.query_one(HistogramChart)
        chart.styles.height = 4 if rows >= _TALL_ROWS else 3
        chart.display = self._chart and rows >= _LOW_ROWS

    def _draw_around(self) -> None:
        self._title()
        self._draw_chart()

    def _draw_chart(self) -> None:
        chart = self.query_one(HistogramChart)
        if chart.display:
            chart.repaint()

    def _title(self) -> None:
        where = "all devices" if self._address is None else str(self._address)
        looking_for = self._found_text if self._find is not None else None
        title = log_title(self.list, self.app.fleet.logbook, where, self._level, looking_for)
        self.query_one("#title", TitleLine).set_line(title)

    def _ask(self) -> None:
        """Show what level, filter and clock ask for."""
        found = self._filter
        skew = self._skew_ms if self.list.look.corrected else None
        self.list.ask(Question(self._level, found and found.test, found.gap_test if found else everything, skew))
        self._draw_around()

    def _skew_ms(self, address: Address) -> int:
        device = self.app.fleet.devices.get(address)
        return 0 if device is None or device.clock_skew_s is None else round(device.clock_skew_s * 1000)

    # -- what widgets say

    def on_line_list_moved(self) -> None:
        self._find = None
        self._title()

    def on_log_list_progressed(self) -> None:
        self._draw_around()

    def on_filter_line_edited(self, event: FilterLine.Edited) -> None:
        typed = as_typed(event.text, compile_with_gaps)
        self._filter = typed.meaning
        self.query_one(FilterLine).complain(typed.problem, unfinished=typed.unfinished)
        self._ask()

    def on_filter_line_done(self) -> None:
        self.list.focus()

    def on_prompt_closed(self) -> None:
        self.list.focus()

    def on_log_list_record_chosen(self, event: LogList.RecordChosen) -> None:
        from fleetview.tui.screens.record import RecordScreen  # noqa: PLC0415  # imported when first shown

        if self.list.following:
            self.list.set_following(False)
        self.app.push_screen(RecordScreen(event.entry, on_filter=self._narrow, on_hide=self._hide_field))

    def on_histogram_chart_picked(self, event: HistogramChart.Picked) -> None:
        self.list.focus()
        if event.time_ms is not None:
            self.list.go_to_time(event.time_ms)
            self._title()

    def on_prompt_entered(self, event: Prompt.Entered) -> None:
        match event.purpose:
            case "find":
                self._find_text(event.text)
            case "time":
                self._go_to_time(event.text)
            case "export":
                self._export_to(event.text)

    # -- what is shown

    def action_back(self) -> None:
        bar = self.query_one(FilterLine)
        if self._find is not None:
            self._find = None
            self._title()
        elif bar.text:
            bar.action_clear()  # as on the fleet screen: the filter goes first
        else:
            self.dismiss()

    def action_filter(self) -> None:
        self.query_one(FilterLine).open()

    def action_level(self, step: int) -> None:
        position = max(0, min(_LEVELS.index(self._level) + step, len(_LEVELS) - 1))
        if _LEVELS[position] is not self._level:
            self._level = _LEVELS[position]
            self._ask()

    def _narrow(self, part: str) -> None:
        """Add a part to the filter, in the line where the person can see and edit it."""
        bar = self.query_one(FilterLine)
        bar.put(narrowed(bar.text, part))

    def action_only(self, field: str) -> None:
        entry = self.list.selected
        if entry is None:
            return
        value = entry.address.device if field == "device" else entry.service
        self._narrow(comparison(field, value) if value else f"-exists({field})")

    def action_trace(self) -> None:
        entry = self.list.selected
        if entry is None:
            return
        if entry.trace_id is None:
            self.app.notify("this record has no trace id")
            return
        part = comparison("trace", entry.trace_id)
        if self._address is not None:
            self.app.push_screen(LogScreen(None, part))  # a trace goes across devices
            return
        self._level = Level.UNKNOWN  # it is a story, of which the errors are the end
        self.list.following = False
        self.query_one(FilterLine).put(part)

    def action_clock(self) -> None:
        self.list.look = replace(self.list.look, corrected=not self.list.look.corrected)
        self._ask()

    def action_wrap(self) -> None:
        self.list.wrap = not self.list.wrap
        self.list.redraw()

    def action_fields(self) -> None:
        look = self.list.look
        shown = not look.fields or bool(look.hidden_fields)  # those that are hidden come back first
        self.list.look = replace(look, fields=shown, hidden_fields=frozenset())
        self.list.redraw()
        self._title()

    def _hide_field(self, name: str) -> None:
        self.list.look = replace(self.list.look, hidden_fields=self.list.look.hidden_fields ^ {name})
        self.list.redraw()
        self._title()

    # -- going places

    def action_pause(self) -> None:
        self.list.set_following(not self.list.following)
        self._title()

    def action_follow(self) -> None:
        self.list.set_following(True)
        self._title()

    def action_seek(self, level: str, step: int) -> None:
        found = self.list.view.rows.seek(self.list.cursor, step, bit(Level[level]))
        if found is None:
            what = "error" if level == "ERROR" else "warning"
            rest = "" if step > 0 or self.list.view.complete else " among those looked at so far"
            self.app.notify(f"no {what} {'below' if step > 0 else 'above'}{rest}")
            return
        self._go(found)

    def _go(self, index: int) -> None:
        self.list.go(index)
        self._title()

    def action_mark(self) -> None:
        entry = self.list.selected
        if entry is not None:
            self.list.marks ^= {entry.number}
            self.list.repaint()

    def action_next_mark(self) -> None:
        index = self.list.next_mark()
        if index is None:
            self.app.notify("no record that is shown is marked (m marks)")
        else:
            self._go(index)

    def action_time(self) -> None:
        self.query_one(Prompt).ask("time", "go to", placeholder="-15m   14:05   14:05:30   2026-11-22   2026-11-22 14:05")

    def _go_to_time(self, text: str) -> None:
        try:
            time_ms = parse_when(text, self._now_ms())
        except ValueError as err:
            self.query_one(Prompt).complain(str(err))
            return
        self.query_one(Prompt).close()
        self.list.go_to_time(time_ms)
        self._title()

    def action_histogram(self) -> None:
        self._chart = True
        self._fit_chart()
        self._draw_chart()
        self.query_one(HistogramChart).focus()

    def action_chart(self) -> None:
        self._chart = not self._chart
        self._fit_chart()

    def action_device(self) -> None:
        entry = self.list.selected
        device = self.app.fleet.devices.get(entry.address) if entry else None
        if device is not None:
            self.app.open_device(device)

    # -- finding

    def action_find(self) -> None:
        self.query_one(Prompt).ask("find", "find", self._found_text, 'a text, or a filter such as .code:500 or "timed out"')

    def _find_text(self, text: str) -> None:
        prompt = self.query_one(Prompt)
        try:
            compile_with_gaps(text)
        except QueryError as err:
            prompt.complain(str(err))
        else:
            self._found_text = text
            self.list.look = replace(self.list.look, sought=sought(text))
            self.list.redraw()
            prompt.close()
            self._begin_find(-1 if self.list.following else 1)

    def action_find_on(self, step: int) -> None:
        if not self._found_text:
            self.action_find()
        else:
            self._begin_find(step)

    def _begin_find(self, step: int) -> None:
        row = self.list.selected_row
        if row is not None:
            self.list.following = False
            self._find = Find(self.list.view, compile_with_gaps(self._found_text).test, self.list.view.key(row), step)
            self._go_on_finding(self._find, "below" if step > 0 else "above")

    def _go_on_finding(self, find: Find, where: str) -> None:
        if find is not self._find:
            return
        end = perf_counter() + SLICE_S
        index, more = find.go_on(lambda: perf_counter() >= end)
        if more:
            self.set_timer(PAUSE_S, partial(self._go_on_finding, find, where))
        else:
            self._find = None
            if index is None:
                self.app.notify(f"not found {where}")
            else:
                self.list.go(index)
        self._title()

    # -- taking along

    def action_copy(self, as_json: bool) -> None:  # noqa: FBT001  # a binding's parameter
        entry = self.list.selected
        if entry is not None:
            self.app.copy_record(entry, as_json=as_json)

    def action_export(self) -> None:
        moment = datetime.fromtimestamp(self.app.now().unix_s, UTC)
        self.query_one(Prompt).ask("export", "write what is shown to", f"fleetview-logs-{moment:%Y%m%dT%H%M%SZ}.jsonl")

    def _export_to(self, text: str) -> None:
        path = Path(text.strip()).expanduser()
        if path.exists():
            self.query_one(Prompt).complain(f"{path} is there already; choose another name")
            return
        self.query_one(Prompt).close()
        export(self.app, path, self.list.view.rows.snapshot(), complete=self.list.view.complete)
