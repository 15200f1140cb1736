"""The fleet screen: what is broken, where, since when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from fleetview.core.device import Device
from fleetview.core.query import QueryError, compile_devices
from fleetview.core.query.fields import ALERT_FIELDS, LABEL_PREFIX
from fleetview.core.query.tree import names_in
from fleetview.core.query.typed import as_typed
from fleetview.core.roster import Changes
from fleetview.core.sorting import SEVERITY
from fleetview.tui.columns import ALWAYS, COLUMNS, column
from fleetview.tui.device_columns import DeviceColumns
from fleetview.tui.screens.choose import Choice, ChooseScreen
from fleetview.tui.silencing import silence_devices
from fleetview.tui.spans import Line, Span
from fleetview.tui.view import OPENS_INPUT, Place, View, opens_filter
from fleetview.tui.widgets.bars import KeyLine, StatusBar, TitleLine
from fleetview.tui.widgets.filter_line import FilterLine
from fleetview.tui.widgets.fleet_table import FleetTable
from fleetview.tui.widgets.jump import JumpLine
from fleetview.tui.widgets.overview import OverviewBar

if TYPE_CHECKING:
    from fleetview.tui.columns import Now

_GROUPS = (
    "site", "tenant", "release", "health", "state", "config", "lifecycle", "module", "alert", "severity", "rollout",
    "stage",
)  # fmt: skip


class FleetScreen(View):
    """All devices, worst first."""

    CSS_PATH = "fleet.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        opens_filter("fleet.filter", "Show only what a filter lets through"),
        Binding("l", "logs", "logs", id="fleet.logs", tooltip="The logs of the device under the cursor"),
        Binding("a", "alerts", "alerts", id="fleet.alerts", tooltip="What fires, of Prometheus and Alertmanager"),
        Binding("A", "silence", "silence", show=False, id="fleet.silence", tooltip="Silence the alerts of the selection"),
        Binding("f", "faults", "faults", id="fleet.faults", tooltip="Only devices that somebody should look at, or all"),
        Binding("g", "group", "group", id="fleet.group", tooltip="Group by site, release, health or a label"),
        Binding("s", "sort", "sort", id="fleet.sort", tooltip="Sort by a column; the same one again turns it round"),
        Binding("space", "select", "select", id="fleet.select", tooltip="Select the device, group or outage, or no longer"),
        Binding("x", "order", "ask", id="fleet.order", tooltip="Ask the selection, or what the cursor is on, for something"),
        Binding("c", "columns", "columns", id="fleet.columns", tooltip="Choose the columns"),
        Binding(
            "apostrophe", "jump", "jump", key_display="'", id="fleet.jump", tooltip="Go to a name by its beginning",
            priority=OPENS_INPUT,
        ),
        Binding("o", "overview", "overview", id="fleet.overview", tooltip="To the figures above; each becomes a filter"),
        Binding("L", "all_logs", "all logs", id="fleet.all_logs", tooltip="The logs of the whole fleet"),
        Binding("M", "metrics", "metrics", id="fleet.metrics", tooltip="The metrics of the fleet, from Prometheus"),
        Binding("C", "orders", "commands", show=False, id="fleet.orders", tooltip="What was asked, and what came of it"),
        Binding("y", "copy(False)", "copy", id="fleet.copy", tooltip="Copy the row, or the rows that are selected"),
        Binding("Y", "copy(True)", "copy JSON", show=False, id="fleet.copy_json", tooltip="Copy the same as JSON"),
        Binding("S", "reverse", "turn round", show=False, id="fleet.reverse", tooltip="Turn the order round"),
        Binding("z", "fold", "fold", show=False, id="fleet.fold", tooltip="Fold or unfold everything"),
        Binding(
            "asterisk", "select_all", "select all", show=False, key_display="*", id="fleet.select_all",
            tooltip="Select all that the filter lets through, or none",
        ),
        Binding("escape", "clear", "back to all", show=False, id="fleet.clear", tooltip="Selection, filter, groups: off"),
    ]  # fmt: skip

    @property
    def place(self) -> Place:
        return ("fleet", None)

    @property
    def crumb(self) -> str:
        return "fleet"

    def compose(self) -> ComposeResult:
        app = self.app
        yield StatusBar(id="status", counts=False)
        yield OverviewBar()
        yield FilterLine(app.commander.device_offers)
        yield JumpLine()
        yield TitleLine(id="hint")
        self._more = DeviceColumns(app)
        yield FleetTable(app.fleet, app.glyphs, app.now, app.desk.badge, self._more)
        yield KeyLine(id="keys")

    def on_mount(self) -> None:
        self._recall()
        self.table.focus()
        self.call_after_refresh(self.show_all)

    @property
    def table(self) -> FleetTable:
        """The table."""
        return self.query_one(FleetTable)

    def show(self, changes: Changes, now: Now) -> None:
        self.query_one(StatusBar).repaint()
        self.query_one(OverviewBar).repaint()
        self.table.show(changes, now)
        self._hint()
        self.query_one(KeyLine).repaint()

    def show_all(self) -> None:
        self.table.rebuild()
        super().show_all()

    # -- the line that says what is asked for

    def _hint(self) -> None:
        hint = self.query_one("#hint", TitleLine)
        line = self._asked_for()
        hint.display = bool(line)
        hint.set_line(line)

    def _asked_for(self) -> Line:
        table, bar, known = self.table.arrangement, self.query_one(FilterLine), len(self.app.fleet.devices)
        if self.app.is_filling:
            return (Span(f" reading what the broker has retained: {known:,} devices so far", "accent"),)
        if not known:
            return (Span(" no devices yet: nothing is retained on the broker, and nobody has spoken", "dim"),)
        wish = table.wish
        parts: list[str] = []
        if bar.text.strip() or wish.faults_only:
            parts.append(f"{table.shown:,} of {known:,} devices match" + (" what stands before the mistake" * bar.is_wrong))
        parts += ["faults only"] * wish.faults_only
        if wish.group_by:
            parts.append(f"{table.groups:,} groups by {wish.group_by}")
        if wish.sort != SEVERITY or wish.descending:
            parts.append(f"sorted by {wish.sort}{', the largest first' * wish.descending}")
        if bar.text and not self.app.desk.configured and self._asks_for_alerts():
            parts.append("nobody tells of alerts: neither Prometheus nor Alertmanager is configured")
        if self.table.more_columns:
            parts.append(self._more.words(self.table.more_columns, self.app.now()))
        if self.table.selection:
            parts.append(f"{len(self.table.selection):,} selected")
        return (Span(" " + "   ".join(parts), "dim"),) if parts else ()

    def _asks_for_alerts(self) -> bool:
        tree = getattr(self.table.arrangement.wish.predicate, "tree", None)
        return tree is not None and bool(ALERT_FIELDS & names_in(tree))

    # -- what the person asks for

    def filter_by(self, text: str) -> None:
        """Show only what this filter lets through, and have it stand where it can be changed."""
        self.query_one(FilterLine).put(text)
        self.table.focus()

    def _ask(self, **wish: Any) -> None:  # noqa: ANN401  # the fields of Wish
        try:
            self.table.ask(**wish)
        except QueryError as err:
            self.notify(str(err), severity="error", markup=False)
        self._hint()
        if self.is_mounted:
            self._remember()

    def on_filter_line_edited(self, event: FilterLine.Edited) -> None:
        typed = as_typed(event.text, lambda text: compile_devices(text, self.app.now))
        self.query_one(FilterLine).complain(typed.problem, unfinished=typed.unfinished)
        self.table.ask(predicate=typed.meaning)
        self._hint()

    def on_filter_line_done(self) -> None:
        self.table.focus()

    def on_fleet_table_arranged(self) -> None:
        self._hint()

    def on_fleet_table_device_chosen(self, event: FleetTable.DeviceChosen) -> None:
        self.app.open_device(event.device)

    def on_fleet_table_header_clicked(self, event: FleetTable.HeaderClicked) -> None:
        sort = column(event.column, self._more.specs).sort
        if event.column not in self._more.specs or self._more.sortable:
            self._sort_by(sort)
        else:
            self.notify("not sorted by it: Prometheus is asked for the rows in sight only, or there is none")

    def on_overview_bar_taken(self, event: OverviewBar.Taken) -> None:
        self.filter_by(event.filter)

    def on_overview_bar_left(self) -> None:
        self.table.focus()

    def on_jump_line_typed(self, event: JumpLine.Typed) -> None:
        self.query_one(JumpLine).set_class(not self.table.jump(event.text), "-missed")

    def on_jump_line_done(self) -> None:
        self.table.focus()

    def action_filter(self) -> None:
        self.query_one(FilterLine).open()

    def action_jump(self) -> None:
        self.query_one(JumpLine).open()

    def action_overview(self) -> None:
        self.query_one(OverviewBar).focus()

    def action_clear(self) -> None:
        """One thing at a time: what was asked for last is the first to go."""
        bar, wish = self.query_one(FilterLine), self.table.arrangement.wish
        if self.table.selection:
            self.table.select_none()
            self._hint()
        elif bar.text:
            bar.action_clear()
        elif wish.faults_only:
            self._ask(faults_only=False)
        elif wish.group_by:
            self._ask(group_by=None)

    def action_faults(self) -> None:
        self._ask(faults_only=not self.table.arrangement.wish.faults_only)

    def action_fold(self) -> None:
        self.table.fold_all()

    def action_select(self) -> None:
        self.table.select_row()
        self._hint()

    def action_select_all(self) -> None:
        self.table.select_all()
        self._hint()

    def action_reverse(self) -> None:
        self._ask(descending=not self.table.arrangement.wish.descending)

    def _sort_by(self, name: str) -> None:
        wish = self.table.arrangement.wish
        again = name == wish.sort
        # Of a figure the largest is looked for, of a name the first.
        largest = name in {"cpu", "memory", "disk", "temp", "seen", "alerts"} or name in self._more.specs
        self._ask(sort=name, descending=not wish.descending if again else largest)

    def action_sort(self) -> None:
        now = self.table.arrangement.wish.sort
        choices = [Choice(SEVERITY, SEVERITY, "worst first", now == SEVERITY)]
        choices += [
            Choice(spec.sort, spec.title.lower(), spec.hint, spec.sort == now)
            for spec in COLUMNS.values()
            if spec.sort != SEVERITY
        ]
        if self._more.sortable:
            choices += [Choice(name, spec.title.lower(), spec.hint, name == now) for name, spec in self._more.specs.items()]
        choices += [Choice(name, name, "a label", name == now) for name in self._labels()]
        self._choose("sort by", choices, lambda found: self._sort_by(found[0]))

    def action_group(self) -> None:
        now = self.table.arrangement.wish.group_by
        choices = [Choice("", "no groups", marked=now is None)]
        choices += [Choice(name, name, marked=name == now) for name in (*_GROUPS, *self._labels())]
        self._choose("group by", choices, lambda found: self._ask(group_by=found[0] or None))

    def action_columns(self) -> None:
        width = self.table.width
        shown = self.app.remembered.get("columns") or [name for name, _ in self.table.columns(width).widths]
        choices = [
            Choice(name, spec.title.lower(), spec.hint, name in shown)
            for name in (*COLUMNS, *self._more.specs, *self._labels())
            if name not in ALWAYS and (spec := column(name, self._more.specs))
        ]
        self._choose("columns", choices, self._show_columns, many=True)

    def _choose(self, title: str, choices: list[Choice], take: Any, *, many: bool = False) -> None:  # noqa: ANN401
        def chosen(found: list[str] | None) -> None:
            if found is not None:
                take(found)

        self.app.push_screen(ChooseScreen(title, choices, many=many), chosen)

    def _labels(self) -> list[str]:
        return [LABEL_PREFIX + name for name in self.app.fleet.roster.label_names]

    def _show_columns(self, names: list[str]) -> None:
        self.table.choose_columns(names or None)
        self._remember(columns=names or None)

    # -- remembered from one start to the next

    def _remember(self, **more: Any) -> None:  # noqa: ANN401  # JSON
        wish, remembered = self.table.arrangement.wish, self.app.remembered
        values = {"sort": wish.sort, "descending": wish.descending, "group_by": wish.group_by, **more}
        changed = [name for name, value in values.items() if remembered.get(name) != value]
        for name in changed:
            remembered.put(name, values[name])
        if changed:
            self.run_worker(remembered.save, thread=True, exit_on_error=False, group="remember")

    def _recall(self) -> None:
        get = self.app.remembered.get
        names = get("columns")
        if isinstance(names, list):
            known = [
                name for name in names if name in COLUMNS or name in self._more.specs or str(name).startswith(LABEL_PREFIX)
            ]
            self.table.choose_columns(known or None)
        try:
            self.table.ask(sort=str(get("sort") or SEVERITY), descending=get("descending") is True)
            self.table.ask(group_by=str(get("group_by")) if get("group_by") else None)
        except QueryError:  # of a version that knew other fields
            self.table.ask(sort=SEVERITY, descending=False, group_by=None)

    # -- the rest

    def action_logs(self) -> None:
        row = self.table.selected
        self.app.open_logs(row.address if isinstance(row, Device) else None)

    def action_alerts(self) -> None:
        self.app.open_alerts(None)

    def action_silence(self) -> None:
        silence_devices(self.app, self.table.chosen())

    def action_metrics(self) -> None:
        from fleetview.tui.screens.metrics import open_metrics  # noqa: PLC0415  # imported when first shown

        open_metrics(self.app)

    def action_all_logs(self) -> None:
        self.app.open_logs(None)

    def meant(self) -> tuple[list[Device], str | None]:
        devices = self.table.chosen()
        text = self.query_one(FilterLine).text.strip()
        shown = self.table.arrangement
        whole = bool(text) and not shown.wish.faults_only and set(devices) == set(shown.devices())
        return devices, text if whole and not self.query_one(FilterLine).is_wrong else None

    def action_order(self) -> None:
        devices, text = self.meant()
        self.app.orders.ask_verb(devices, text)

    def action_orders(self) -> None:
        self.app.orders.open()

    def action_copy(self, as_json: bool) -> None:  # noqa: FBT001  # a binding's parameter
        row = self.table.selected
        selected = sorted(self.table.selection, key=lambda device: device.address)
        if selected:
            self.app.copy_devices(selected, as_json=as_json)
        elif isinstance(row, Device):
            self.app.copy_device(row, as_json=as_json)
