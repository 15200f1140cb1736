"""The metrics of the fleet: panels of the configuration or a default set, the ten worst devices, and any query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from fleetview.core.devicecolumns import DeviceColumn
from fleetview.core.panels import DEFAULT_PANELS, WORST, Panel, window_of, worst, worst_by
from fleetview.core.query.complete import Completion
from fleetview.tui.chart_lines import GUTTER
from fleetview.tui.device_pictures import Frame, layout, window_words
from fleetview.tui.metrics import Found
from fleetview.tui.panel_lines import panel_lines
from fleetview.tui.screens.charts import ChartPage, ChartView
from fleetview.tui.screens.choose import Choice, ChooseScreen
from fleetview.tui.spans import EMPTY, Line, Span, beside, wrap
from fleetview.tui.view import OPENS_INPUT, Place
from fleetview.tui.widgets.bars import KeyLine, StatusBar, TitleLine
from fleetview.tui.widgets.promql_line import PromqlLine

if TYPE_CHECKING:
    from textual.widget import AwaitMount

    from fleetview.tui.app import FleetApp
    from fleetview.tui.fleet_rows import Now

_NOBODY = (
    "this context has no Prometheus, so this is what is kept of the heartbeats. Say where one is with --prometheus,"
    " FLEETVIEW_PROMETHEUS or `prometheus` in its table of the configuration; `fleetview export` makes the fleet visible"
    " to it."
)
_KEPT_EVERY_S = 5.0
"""How often what is kept is worked out anew: it is kept by the minute."""


def open_metrics(app: FleetApp, panel: Panel | None = None) -> AwaitMount | None:
    """Show the metrics of the fleet, with a picture above them when one is given."""
    opened = app.go(("metrics", None), lambda: MetricsScreen(panel))
    if opened is None and panel is not None and isinstance(app.screen, MetricsScreen):
        app.screen.show_panel(panel)
    return opened


class MetricsScreen(ChartView):
    """Panels."""

    CSS_PATH = "metrics.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace", "back", "back", id="metrics.back", tooltip="Back to where you came from"),
        Binding("e", "ask", "ask", id="metrics.ask", tooltip="Ask any query (PromQL)", priority=OPENS_INPUT),
        Binding("w", "worst", "worst by", id="metrics.worst", tooltip="The ten worst devices by another figure"),
    ]

    def __init__(self, panel: Panel | None = None) -> None:
        super().__init__()
        self._asked = panel
        self._worst = next(iter(WORST))
        self._found: list[Found] = []
        self._kept: tuple[object, list[Line]] | None = None

    @property
    def place(self) -> Place:
        return ("metrics", None)

    @property
    def crumb(self) -> str:
        return "metrics"

    def compose(self) -> ComposeResult:
        yield StatusBar(id="status")
        yield TitleLine(id="title")
        yield PromqlLine(self._offers)
        yield ChartPage(id="page")
        yield KeyLine(id="keys")

    def _offers(self, text: str, cursor: int) -> list[Completion]:
        from fleetview.core.promql import complete_promql  # noqa: PLC0415  # when somebody types

        names = self.app.metrics.names
        return complete_promql(text, cursor, names.metrics, names.labels)

    def panels(self) -> Sequence[Panel]:
        """What is shown, the query that somebody asked first."""
        own = self.app.metrics.monitoring.panels
        shown = own or (*DEFAULT_PANELS, self._worst_panel())
        return shown if self._asked is None else (self._asked, *shown)

    def _columns(self) -> Sequence[DeviceColumn]:
        return self.app.metrics.monitoring.columns

    def _worst_panel(self) -> Panel:
        column = next((one for one in self._columns() if one.name == self._worst), None)
        if column is None:
            return worst(self._worst)
        query = column.asked(self.app.metrics.monitoring.labels, "$window")
        return worst_by(column.name, query, column.unit, column.thresholds)

    def show_panel(self, panel: Panel | None) -> None:
        """A picture above the others, or none."""
        self._asked = panel
        self.page.scroll_to(y=0, animate=False, force=True)
        self.page.focus()
        self.show_all()

    def document(self, now: Now) -> list[Line]:
        self._found = []
        if not self.app.metrics.available:
            return self._from_heartbeats(now)
        side, columns, rows = layout(self.page.width, self.size.height)
        width = columns + GUTTER + 1
        frame = Frame(columns, rows, self.cross)
        found = [self._look(panel, now) for panel in self.panels()]
        self._found = [each for _, each in found]
        drawn = [[*panel_lines(panel, each, frame, width, self.app.glyphs), EMPTY] for panel, each in found]
        lines: list[Line] = []
        for first in range(0, len(drawn), side):
            right = drawn[first + 1] if side > 1 and first + 1 < len(drawn) else []
            lines += beside(drawn[first], right, width, gap=3) if right else drawn[first]
        return lines

    def _from_heartbeats(self, now: Now) -> list[Line]:
        """Pictures of the last hour, for want of a longer memory."""
        from fleetview.tui.fleet_pictures import fleet_page  # noqa: PLC0415  # for those who have no Prometheus

        side, columns, rows = layout(self.page.width, self.size.height)
        key = (columns, rows, side, self.cross, self.window, self._worst, int(now.mono_s / _KEPT_EVERY_S))
        if self._kept is None or self._kept[0] != key:
            span = self.window.span(now.unix_s, columns, 1.0)
            frame, glyphs = Frame(columns, rows, self.cross), self.app.glyphs
            page = fleet_page(self.app.fleet, span, self._worst, frame, side, now_unix_s=now.unix_s, glyphs=glyphs)
            self._kept = key, page
        why = self.advice() or [*((Span(" "), *line) for line in wrap(_NOBODY, self.page.width - 2, "dim")), EMPTY]
        return [*why, *self._kept[1]]

    def _look(self, panel: Panel, now: Now) -> tuple[Panel, Found]:
        """The panel with its query as it is sent, for a server speaks of places in that; and what is known of it."""
        metrics = self.app.metrics
        scrape_s = metrics.monitoring.scrape_interval_s
        span = self.window.span(now.unix_s, self.columns, scrape_s)
        query = panel.asked(window_of(span.step_s, scrape_s))
        sent = replace(panel, query=query)
        if panel.list:
            return sent, metrics.values(query, ask=self.settled)
        return sent, metrics.course(query, span, self.window.back_s, ask=self.settled)

    def heading(self, now: Now) -> Line:
        span = self.window.span(now.unix_s, self.columns, self.app.metrics.monitoring.scrape_interval_s)
        lead = (Span(" metrics of the fleet", "bold"), Span(f"   {window_words(self.window, span)}"))
        return (*lead, *(self.asked_words(now, self._found) if self.app.metrics.available else self.kept_words()))

    # -- what the person asks for

    def action_ask(self) -> None:
        if not self.app.metrics.available:
            self.app.notify("there is no Prometheus to ask in this context")
            return
        self.app.metrics.learn_names()
        self.query_one(PromqlLine).open()

    def on_promql_line_asked(self, event: PromqlLine.Asked) -> None:
        if event.query:
            self.app.metrics.ask_anew(event.query)
        self.show_panel(Panel(event.query, event.query) if event.query else None)

    def on_promql_line_closed(self) -> None:
        self.page.focus()

    def action_worst(self) -> None:
        own = [Choice(one.name, one.name, "a column of the fleet table", one.name == self._worst) for one in self._columns()]
        choices = [*(Choice(name, name, marked=name == self._worst) for name in WORST), *own]
        self.app.push_screen(ChooseScreen("the ten worst devices by", choices), self._worst_chosen)

    def _worst_chosen(self, chosen: list[str] | None) -> None:
        if chosen:
            self._worst = chosen[0]
            if self.app.metrics.monitoring.panels:
                self._asked = self._worst_panel()
            self.show_all()

    def action_back(self) -> None:
        self.dismiss()
