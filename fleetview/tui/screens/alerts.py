"""The alerts screen: what fires, where, since when, how far beyond its threshold, and what keeps it quiet."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from fleetview.core.alertbook import AlertBook, holds, matchers_of
from fleetview.core.alertcharts import alert_panel, rule_panel
from fleetview.core.alerts import Alert, AlertGroup, Rule
from fleetview.core.device import Device
from fleetview.core.roster import Changes
from fleetview.core.silences import Silence
from fleetview.tui.alert_rows import group_words, not_configured
from fleetview.tui.alert_servers import counts, server_lines
from fleetview.tui.screens.form import Field, FormScreen
from fleetview.tui.silencing import ask_for_silence, refused
from fleetview.tui.spans import Line, Span, visible
from fleetview.tui.view import Place, View, opens_filter
from fleetview.tui.widgets.alert_list import AlertList, Kind, Row
from fleetview.tui.widgets.bars import KeyLine, StatusBar, TitleLine
from fleetview.tui.widgets.filter_line import FilterLine
from fleetview.tui.widgets.lines import Lines
from fleetview_agent.wire import Address

if TYPE_CHECKING:
    from fleetview.tui.app import FleetApp
    from fleetview.tui.fleet_rows import Now

_MOST_NOTES = 3
_NOT_FOR: dict[Kind, frozenset[str]] = {
    "alerts": frozenset(),
    "silences": frozenset({"expression", "details", "silence", "runbook", "select", "copy"}),
    "rules": frozenset({"silence", "extend", "expire", "runbook", "select", "copy"}),
    "groups": frozenset({"expression", "silence", "extend", "expire", "runbook", "select", "copy"}),
}
"""Actions that have nothing to act on in a list."""


class _Servers(Lines):
    """Who tells, and how well; and what is missing from what they tell."""

    app: FleetApp

    def lines(self, width: int, height: int) -> list[Line]:  # noqa: ARG002
        desk, glyphs, now = self.app.desk, self.app.glyphs, self.app.now()
        advice = desk.setup.advice
        if desk.broken is not None:
            return [(Span(f" {glyphs.bad} {desk.broken}", "error"),)]
        book = desk.book
        if book is None:
            return [(Span(" asked, and not answered yet", "dim"),)] if desk.configured else []
        lines = [line for server in book.servers for line in server_lines(server, now, width, glyphs)]
        lines += [(Span(visible(f" {glyphs.warning} {note}"), "degraded"),) for note in book.notes[:_MOST_NOTES]]
        if advice is not None:
            lines.append((Span(f" no Alertmanager: {advice}", "dim"),))
        return lines

    def repaint(self) -> None:
        height = len(self.lines(self.size.width, 0))
        if self.styles.height is None or self.styles.height.value != height:
            self.styles.height = height
        super().repaint()


class AlertsScreen(View):
    """Alerts, worst first; of the fleet, or of one device."""

    CSS_PATH = "alerts.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace", "back", "back", id="alerts.back", tooltip="Selection, filter: off; then back"),
        opens_filter("alerts.filter", "Show only what holds these words"),
        Binding("x", "expression", "chart", id="alerts.expression", tooltip="The course of its expression, as a chart"),
        Binding("d", "details", "details", id="alerts.details", tooltip="All of it: expression, labels, runbook, group"),
        Binding("s", "silence", "silence", id="alerts.silence", tooltip="Silence the selection, or what the cursor is on"),
        Binding("e", "extend", "extend", id="alerts.extend", tooltip="Let the silence end later"),
        Binding("E", "expire", "end silence", id="alerts.expire", tooltip="End the silence now"),
        Binding("S", "turn('silences')", "silences", id="alerts.silences", tooltip="The silences, or the alerts again"),
        Binding("R", "turn('rules')", "rules", id="alerts.rules", tooltip="The rules of Prometheus, or the alerts again"),
        Binding("g", "turn('groups')", "groups", id="alerts.groups", tooltip="Alertmanager's groups, or the alerts again"),
        Binding("o", "runbook", "runbook", show=False, id="alerts.runbook", tooltip="Copy the link of the runbook"),
        Binding("space", "select", "select", id="alerts.select", tooltip="Select the alert, or no longer"),
        Binding("r", "ask", "ask now", show=False, id="alerts.ask", tooltip="Ask the servers at once"),
        Binding("y", "copy", "copy", show=False, id="alerts.copy", tooltip="Copy name, place and runbook of the alert"),
    ]  # fmt: skip

    def __init__(self, address: Address | None, text: str = "") -> None:
        super().__init__()
        self._address = address
        self._text = text
        self._kind: Kind = "alerts"
        self._counts = ""
        self._shown: tuple[AlertBook | None, str, Kind] | None = None

    @property
    def place(self) -> Place:
        return ("alerts", self._address)

    @property
    def crumb(self) -> str:
        return "alerts" if self._address is None else f"alerts of {self._address.device}"

    def compose(self) -> ComposeResult:
        yield StatusBar(id="status")
        yield TitleLine(id="title")
        yield _Servers(id="servers")
        yield FilterLine(placeholder="words that must stand in an alert: firing disk plant-7 -gw-1")
        yield AlertList(self.app.glyphs, self.app.now)
        yield KeyLine(id="keys")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in _NOT_FOR[self._kind]:
            return False  # the line of keys has room for those that do something
        return super().check_action(action, parameters)

    def on_mount(self) -> None:
        self.table.focus()
        self.call_after_refresh(self._first)

    def _first(self) -> None:
        if self._text:
            self.query_one(FilterLine).put(self._text)
        self.show_all()

    @property
    def table(self) -> AlertList:
        """The rows."""
        return self.query_one(AlertList)

    def show(self, changes: Changes, now: Now) -> None:  # noqa: ARG002
        # Of two such screens, one above the other, the lower one may have said that nobody looks any more.
        self.app.desk.want_groups(wanted=self._kind == "groups")
        state = (self.app.desk.book, self.query_one(FilterLine).text, self._kind)
        if state != self._shown:
            self._shown = state
            self._fill()
        else:
            self.table.repaint()  # ages
        self._title()
        self.query_one(_Servers).repaint()
        self.query_one(StatusBar).repaint()
        self.query_one(KeyLine).repaint()

    def show_all(self) -> None:
        self._shown = None
        super().show_all()

    def _fill(self) -> None:
        desk = self.app.desk
        if not desk.configured:
            self.table.fill(AlertBook(), [], "alerts", not_configured(desk.setup.advice))
            return
        book, text = desk.book or AlertBook(), self.query_one(FilterLine).text
        rows: list[Row]
        if self._kind == "groups":
            rows = [one for one in self._groups(book) if _holds(f"{one.receiver} {group_words(one)}", text)]
            none = "Alertmanager has no groups" if book.groups is not None else "Alertmanager is asked for its groups"
        elif self._kind == "rules":
            rows = [one for one in book.rules if _holds(f"{one.name} {one.group} {one.state} {one.query}", text)]
            none = "Prometheus has told of no alerting rules" if desk.book else ""
        elif self._kind == "silences":
            rows = [one for one in book.silences.values() if _said(one, text) and self._concerns(one, book)]
            none = "no silence holds; s on an alert makes one" if desk.book else ""
        else:
            alerts = self._alerts(book)
            self._counts = counts(alerts)
            rows = [one for one in alerts if holds(one, text)]
            none = "no alert holds these words" if alerts else "no alerts" if desk.book else ""
            unsure = any(server.answered_mono_s is None for server in book.servers)
            none += ", as far as those that answered know" if unsure and none else ""
        self.table.fill(book, rows, self._kind, (none,))

    def _alerts(self, book: AlertBook) -> list[Alert]:
        return list(book.alerts if self._address is None else book.of(self._address))

    def _groups(self, book: AlertBook) -> list[AlertGroup]:
        own = None if self._address is None else {alert.fingerprint for alert in book.of(self._address)}
        return [
            group for group in book.groups or () if own is None or any(alert.fingerprint in own for alert in group.alerts)
        ]

    def _concerns(self, silence: Silence, book: AlertBook) -> bool:
        return self._address is None or any(silence.id in alert.silenced_by for alert in book.of(self._address))

    def _title(self) -> None:
        book, where = self.app.desk.book, "all devices" if self._address is None else str(self._address)
        where = {"rules": "Prometheus", "groups": "Alertmanager"}.get(self._kind, where)
        spans = [Span(f" {self._kind}", "title"), Span(f" of {visible(where)}   ", "dim")]
        if book is not None and self._kind == "alerts":
            spans.append(Span(self._counts))
        if self._kind != "alerts":
            spans.append(Span(f"{self.table.row_count():,}"))
        if self.table.selection:
            spans.append(Span(f"   {len(self.table.selection):,} selected", "accent"))
        if self.app.desk.setup.read_only:
            spans.append(Span("   read-only", "dim"))
        self.query_one("#title", TitleLine).set_line(tuple(spans))

    # -- what widgets say

    def on_filter_line_edited(self) -> None:
        self.show(Changes(), self.app.now())

    def on_filter_line_done(self) -> None:
        self.table.focus()

    def on_line_list_chosen(self) -> None:
        row = self.table.selected
        device = self._device(row) if isinstance(row, Alert) else None
        if device is None:
            self.action_details()
        else:
            self.app.open_device(device)

    def _device(self, alert: Alert) -> Device | None:
        """The device that it is about; None when that cannot be told, or no device is called so."""
        book = self.app.desk.book or AlertBook()
        place = alert.place(book.places)
        if place.device is None:
            return None
        devices = self.app.fleet.devices
        if place.tenant is not None and place.site is not None:
            return devices.get(Address(place.tenant, place.site, place.device))
        found = [
            device
            for address, device in devices.items()
            if address.device == place.device
            and place.site in {None, address.site}
            and place.tenant in {None, address.tenant}
        ]
        return found[0] if len(found) == 1 else None

    # -- what the person asks for

    def action_back(self) -> None:
        bar = self.query_one(FilterLine)
        if self.table.selection:
            self.table.select_none()
            self._title()
        elif bar.text:
            bar.action_clear()
        elif self._kind != "alerts":
            self.action_turn("alerts")
        else:
            self.dismiss()

    def action_filter(self) -> None:
        self.query_one(FilterLine).open()

    def action_ask(self) -> None:
        self.app.desk.ask_now()

    def action_select(self) -> None:
        self.table.select_row()
        self._title()

    def action_turn(self, kind: Kind) -> None:
        self._kind = "alerts" if kind == self._kind else kind
        self.table.cursor = 0
        self.show(Changes(), self.app.now())

    def on_unmount(self) -> None:
        self.app.desk.want_groups(wanted=False)

    def action_expression(self) -> None:
        from fleetview.tui.screens.metrics import open_metrics  # noqa: PLC0415  # imported when first shown

        row, book = self.table.selected, self.app.desk.book or AlertBook()
        panel = None
        if isinstance(row, Alert):
            panel = alert_panel(row, book.places)
        elif isinstance(row, Rule):
            panel = rule_panel(row)
        if panel is None:
            self.app.notify("Prometheus does not tell of its expression: there is nothing to draw")
        else:
            open_metrics(self.app, panel)

    def action_runbook(self) -> None:
        row = self.table.selected
        link = row.runbook if isinstance(row, Alert) else None
        if link is None:
            self.app.notify("no runbook is given")
            return
        self.app.copy_to_clipboard(visible(link))
        self.app.notify(f"copied the link of the runbook: {visible(link)}", markup=False)

    def action_details(self) -> None:
        from fleetview.tui.screens.alert import AlertScreen  # noqa: PLC0415  # imported when first shown

        row, book = self.table.selected, self.app.desk.book
        if isinstance(row, Alert | Rule | AlertGroup) and book is not None:
            self.app.push_screen(AlertScreen(row, book))

    def action_copy(self) -> None:
        row, book = self.table.selected, self.app.desk.book
        if isinstance(row, Alert) and book is not None:
            parts = (row.name, row.severity, row.state.value, str(row.place(book.places)), row.summary, row.runbook or "")
            self.app.copy_to_clipboard(visible("  ".join(part for part in parts if part)))
            self.app.notify("copied the alert")

    # -- silences

    def action_silence(self) -> None:
        desk = self.app.desk
        chosen = self.table.chosen()
        if refused(self.app) or not chosen or desk.book is None:
            return
        what = chosen[0].name if len(chosen) == 1 else f"{len(chosen)} alerts"
        ask_for_silence(self.app, what, matchers_of(chosen, desk.book.places))

    def action_extend(self) -> None:
        if (silence := self._silence()) is not None:
            fields = (
                Field("by", "longer by", "2h", "30m, 2h, 1d12h"),
                Field("author", "author", self.app.desk.setup.author, "who does it"),
            )
            plan = partial(self.app.desk.plan_extension, silence)
            self.app.push_screen(FormScreen(f"extend the silence: {visible(silence.comment)}", fields, plan))

    def action_expire(self) -> None:
        if (silence := self._silence()) is not None:
            plan = partial(self.app.desk.plan_end, silence)
            self.app.push_screen(FormScreen(f"end the silence: {visible(silence.comment)}", (), plan))

    def _silence(self) -> Silence | None:
        """The silence under the cursor, or the one over the alert there that ends last."""
        if refused(self.app):
            return None
        row, book = self.table.selected, self.app.desk.book or AlertBook()
        if isinstance(row, Silence):
            return row
        found = book.silences_of(row) if isinstance(row, Alert) else []
        if len(found) > 1:
            self.app.notify(f"{len(found)} silences are over it; choose one in the list of silences (S)")
            return None
        if not found:
            self.app.notify("no silence is over it")
        return found[-1] if found else None


def _said(silence: Silence, text: str) -> bool:
    return _holds(f"{silence.author} {silence.comment} {' '.join(map(str, silence.matchers))}", text)


def _holds(hay: str, text: str) -> bool:
    return all(word in hay.casefold() for word in text.casefold().split())
