"""The rollout screens: how far, is it safe, what does it wait for, and what would turn it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from fleetview.core.rollout.board import Key, Shown
from fleetview.core.roster import Changes
from fleetview.tui.rollout_rows import RolloutRow, list_head, list_row, rollout_rows, title
from fleetview.tui.rollouts import WATCH_S, plan_of, say_watching
from fleetview.tui.screens.form import Field, FormScreen
from fleetview.tui.spans import Line, Span, pad, visible, wrap
from fleetview.tui.view import Place, View
from fleetview.tui.widgets.bars import KeyLine, StatusBar, TitleLine
from fleetview.tui.widgets.lines import LineList
from fleetview_agent.endpoint import LinkError

if TYPE_CHECKING:
    from fleetview.tui.app import FleetApp
    from fleetview.tui.fleet_rows import Now
    from fleetview_agent.wire.messages import RolloutVerb

NONE = "no rollouts; fleetview rollout plan FILE says what one would do, fleetview rollout start FILE begins it"
_VERBS: tuple[tuple[str, RolloutVerb, str], ...] = (
    ("p", "pause", "Offer it to nobody more; what is underway goes on"),
    ("r", "resume", "Judge the same wave again, or approve it"),
    ("R", "retry", "Offer it again to the devices that failed"),
    ("K", "skip", "Pass the gates without proof: needs a reason, and the id typed"),
    ("x", "abort", "Stop offering; devices stay as they are"),
    ("b", "rollback", "Bring the devices back to what they ran before"),
)


class RolloutList(LineList):
    """The rollouts, those that are not over first; the cursor stays with the one it is on."""

    app: FleetApp

    def __init__(self) -> None:
        super().__init__(id="rollouts")
        self._rows: list[Shown] = []

    @property
    def selected(self) -> Shown | None:
        """What the cursor is on."""
        return self._rows[self.cursor] if self.cursor < len(self._rows) else None

    def fill(self, rows: list[Shown]) -> None:
        """Show these."""
        before = self.selected
        self._rows = rows
        places = [place for place, shown in enumerate(rows) if before is not None and shown.key == before.key]
        self.cursor = places[0] if places else min(self.cursor, max(0, len(rows) - 1))
        self._shown = {}
        self.set_rows_changed()
        self.refresh()

    def row_count(self) -> int:
        return len(self._rows)

    def header(self, width: int) -> Line | None:
        return list_head(width) if self._rows else None

    def row(self, index: int, width: int) -> Line:
        return list_row(self._rows[index], self.app.now(), self.app.glyphs, width)

    def line_at(self, y: int, width: int) -> Line:
        if self._rows:
            return super().line_at(y, width)
        lines = list(wrap(f" {NONE}", width, "dim", 1))
        return pad(lines[y] if y < len(lines) else (), width)


class RolloutsScreen(View):
    """All rollouts."""

    CSS_PATH = "rollouts.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace", "back", "back", id="rollouts.back", tooltip="Back to where you came from"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._changes = -1

    @property
    def place(self) -> Place:
        return ("rollouts", None)

    @property
    def crumb(self) -> str:
        return "rollouts"

    def compose(self) -> ComposeResult:
        yield StatusBar(id="status")
        yield TitleLine(id="title")
        yield RolloutList()
        yield KeyLine(id="keys")

    def on_mount(self) -> None:
        self.query_one(RolloutList).focus()
        self.call_after_refresh(self.show_all)

    def show(self, changes: Changes, now: Now) -> None:  # noqa: ARG002
        board, table = self.app.rollouts.board, self.query_one(RolloutList)
        if board.changes != self._changes:
            self._changes = board.changes
            table.fill(board.in_order())
        else:
            table.repaint()  # ages
        live = sum(not shown.over for shown in board.rollouts.values())
        spans = [Span(" rollouts   ", "title"), Span(f"{live} open, {len(board.rollouts) - live} over")]
        unled = sorted({shown.key.tenant for shown in board.rollouts.values() if not shown.over} - board.leaders.keys())
        if unled:
            spans.append(Span(f"   nobody runs those of {visible(', '.join(unled))}: nothing advances", "lost"))
        if board.malformed is not None:
            spans.append(Span(f"   cannot be read: {visible(board.malformed)[:80]}", "degraded"))
        self.query_one("#title", TitleLine).set_line(tuple(spans))
        self.query_one(StatusBar).repaint()
        self.query_one(KeyLine).repaint()

    def on_line_list_chosen(self) -> None:
        if (shown := self.query_one(RolloutList).selected) is not None:
            self.app.go(("rollout", shown.key), lambda: RolloutScreen(shown.key))

    def action_back(self) -> None:
        self.dismiss()


class RolloutPage(LineList):
    """One rollout."""

    def __init__(self) -> None:
        super().__init__(id="rollout")
        self._rows: list[RolloutRow] = []

    @property
    def selected(self) -> RolloutRow | None:
        """What the cursor is on."""
        return self._rows[self.cursor] if self.cursor < len(self._rows) else None

    def fill(self, rows: list[RolloutRow]) -> None:
        """Show these rows."""
        before = self.selected
        self._rows = rows
        if before is not None and (before.wave, before.address) != (None, None):
            known = [at for at, row in enumerate(rows) if (row.wave, row.address) == (before.wave, before.address)]
            self.cursor = known[0] if known else self.cursor
        self.cursor = min(self.cursor, max(0, len(rows) - 1))
        self.set_rows_changed()

    def row_count(self) -> int:
        return len(self._rows)

    def row(self, index: int, width: int) -> Line:  # noqa: ARG002
        return self._rows[index].line


class RolloutScreen(View):
    """One rollout: its waves, its devices, its gates, and what may be done."""

    CSS_PATH = "rollouts.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace", "back", "back", id="rollout.back", tooltip="Back to where you came from"),
        *(Binding(key, f"steer('{verb}')", verb, id=f"rollout.{verb}", tooltip=words) for key, verb, words in _VERBS),
        Binding("l", "logs", "logs", id="rollout.logs", tooltip="The logs of the device under the cursor"),
    ]

    def __init__(self, key: Key) -> None:
        super().__init__()
        self._key = key
        self._unfolded: frozenset[int] | None = None
        """Waves whose devices are shown; until somebody chooses, the current one."""
        self._said_mono_s = float("-inf")

    @property
    def place(self) -> Place:
        return ("rollout", self._key)

    @property
    def crumb(self) -> str:
        return self._key.id

    def compose(self) -> ComposeResult:
        yield StatusBar(id="status")
        yield TitleLine(id="title")
        yield RolloutPage()
        yield KeyLine(id="keys")

    def on_mount(self) -> None:
        self.query_one(RolloutPage).focus()
        self.call_after_refresh(self.show_all)

    def on_resize(self) -> None:
        self.call_after_refresh(self.show_all)

    @property
    def _known(self) -> Shown | None:
        return self.app.rollouts.board.rollouts.get(self._key)

    def show(self, changes: Changes, now: Now) -> None:  # noqa: ARG002
        shown, page = self._known, self.query_one(RolloutPage)
        self.query_one("#title", TitleLine).set_line(title(shown, self._key, now))
        if shown is not None and page.width > 0:
            unfolded = frozenset({shown.public.wave}) if self._unfolded is None else self._unfolded
            page.fill(rollout_rows(shown, self.app.rollouts.board, now, page.width, self.app.glyphs, unfolded=unfolded))
        if now.mono_s - self._said_mono_s >= WATCH_S and shown is not None and not shown.over:
            self._said_mono_s = now.mono_s
            self.run_worker(self._say_watching(), group="watching", exit_on_error=False)
        self.query_one(StatusBar).repaint()
        self.query_one(KeyLine).repaint()

    async def _say_watching(self) -> None:
        with suppress(LinkError):
            await say_watching(self.app.rollouts, self._key)

    def on_line_list_chosen(self) -> None:
        row, shown = self.query_one(RolloutPage).selected, self._known
        if row is None or shown is None:
            return
        if row.wave is not None:
            before = frozenset({shown.public.wave}) if self._unfolded is None else self._unfolded
            self._unfolded = before ^ {row.wave}
            self.show_all()
        elif (device := self.app.fleet.devices.get(row.address) if row.address is not None else None) is not None:
            self.app.open_device(device)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "steer":
            # Only what would be taken now, and nothing where nothing may be changed.
            shown = self._known
            return self.app.rollouts.read_only is None and shown is not None and parameters[0] in shown.public.verbs
        return super().check_action(action, parameters)

    def action_back(self) -> None:
        self.dismiss()

    def action_logs(self) -> None:
        row = self.query_one(RolloutPage).selected
        self.app.open_logs(row.address if row is not None else None)

    def action_steer(self, verb: RolloutVerb) -> None:
        fields = [Field("reason", "reason", "", "why; it stands in the record")]
        if verb == "skip":
            fields.append(Field("confirm", "its id", "", self._key.id))
        form = FormScreen(f"{verb} {self._key.id}", fields, plan_of(self.app.rollouts, self._key, verb))
        self.app.push_screen(form)
