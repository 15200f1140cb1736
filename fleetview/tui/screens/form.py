"""A few questions before something is changed: what it would do is said in numbers first, and done on a second Enter."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from fleetview.tui.spans import Line, Span, StyleName, fit, line_width, width_of, wrap
from fleetview.tui.widgets.bars import TitleLine
from fleetview.tui.widgets.lines import Lines

if TYPE_CHECKING:
    from fleetview.tui.alert_desk import Plan
    from fleetview.tui.app import FleetApp

_MOST_LINES = 12


class Field(NamedTuple):
    """One thing that is asked."""

    name: str
    label: str
    value: str = ""
    placeholder: str = ""


class FormInput(Input):
    """What is typed into."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "app.focus_next", "next", show=False, id="form.next", tooltip="To the next line; so does tab"),
        Binding("up", "app.focus_previous", "previous", show=False, id="form.previous", tooltip="To the line before"),
    ]


class _Text(NamedTuple):
    """What is said, before it is broken into lines."""

    text: str
    style: StyleName
    indent: int = 0


class _Said(Lines):
    """What came of the last Enter."""

    def __init__(self) -> None:
        super().__init__(id="said")
        self._said: tuple[_Text, ...] = ()

    def say(self, *texts: _Text) -> None:
        """Show these texts, broken as there is room for."""
        self._said = texts
        self.on_resize()

    def on_resize(self) -> None:
        self.styles.height = max(1, len(self.lines(self.size.width, 0)))
        super().on_resize()

    def lines(self, width: int, height: int) -> list[Line]:  # noqa: ARG002
        found = [line for each in self._said for line in wrap(each.text, width, each.style, each.indent)]
        return found[:_MOST_LINES]


class FormScreen(ModalScreen[bool]):
    """Asks, says the consequence and the command that does the same, and does it. Comes back with whether it was done."""

    app: FleetApp

    CSS_PATH = "form.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "leave", key_display="esc", id="form.leave", tooltip="Leave all as it is"),
        Binding(
            "enter",
            "go",
            "go on",
            key_display="enter",
            id="form.go",
            tooltip="What would it do; again: do it",
            priority=True,
        ),
    ]

    def __init__(
        self,
        title: str,
        fields: Sequence[Field],
        plan: Callable[[Mapping[str, str]], Awaitable[Plan]],
        first: str | None = None,
        *,
        carry_out: Callable[[Plan], Awaitable[object]] | None = None,
        at_once: bool = False,
    ) -> None:
        """`carry_out` does a plan, in place of the desk of alerts. With `at_once` the consequence is said unasked."""
        super().__init__()
        self._title = title
        self._fields = fields
        self._make_plan = plan
        self._first = first
        self._carry_out = carry_out
        self._at_once = at_once
        self._plan: Plan | None = None
        self._planned: dict[str, str] = {}
        """What was typed when it was made."""
        self._busy = False

    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            yield TitleLine(id="title")
            for field in self._fields:
                with Horizontal():
                    yield Static(field.label, markup=False)
                    yield FormInput(
                        field.value,
                        placeholder=field.placeholder,
                        id=f"form-{field.name}",
                        compact=True,
                        select_on_focus=False,
                    )
            yield _Said()

    def on_mount(self) -> None:
        first = self._first or (self._fields[0].name if self._fields else None)
        if first is not None:
            self.query_one(f"#form-{first}", Input).focus()
        if first is None or self._at_once:
            self.action_go()  # nothing to type: what it would do is said at once
        self.call_after_refresh(self._title_line)

    def _title_line(self) -> None:
        what = " does it   " if self._plan is not None else " says what it would do   "
        hint = (Span("enter", "key"), Span(what, "dim"), Span("esc", "key"), Span(" cancels", "dim"))
        line = self.query_one("#title", TitleLine)
        room = max(8, line.size.width - line_width(hint) - 3)
        title = fit(self._title, min(room, width_of(self._title)))
        line.set_line((Span(f"{title}   ", "title"), *hint))

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if self._plan is not None and self._values() != self._planned:
            # What was said is not what would be done any more.
            self._plan = None
            self._say()
            self._title_line()

    def _values(self) -> dict[str, str]:
        return {field.name: self.query_one(f"#form-{field.name}", Input).value for field in self._fields}

    def action_leave(self) -> None:
        self.dismiss(False)

    def action_go(self) -> None:
        if not self._busy:
            self._busy = True
            self.run_worker(self._go(), exit_on_error=False, group="form")

    async def _go(self) -> None:
        try:
            if self._plan is None:
                self._say(_Text("asking ...", "dim"))
                values = self._values()
                plan = await self._make_plan(values)
                if self._values() == values:  # else somebody typed on meanwhile
                    self._plan, self._planned = plan, values
                    self._say(_Text(plan.consequence, "degraded"), _Text(plan.command, "dim", indent=4))
                else:
                    self._say()
            else:
                await asyncio.shield((self._carry_out or self.app.desk.carry_out)(self._plan))
                self.dismiss(True)
                return
        except Exception as err:  # noqa: BLE001  # what a feed or a parser says; it is shown, and nothing was done
            self._say(_Text(str(err), "error"))
        finally:
            self._busy = False
        self._title_line()

    def _say(self, *texts: _Text) -> None:
        self.query_one(_Said).say(*texts)
