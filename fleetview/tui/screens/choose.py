"""A short list to choose from: what to sort or group by, which columns to show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from fleetview.tui.glyphs import Glyphs
from fleetview.tui.spans import Line, Span, fit
from fleetview.tui.widgets.bars import TitleLine
from fleetview.tui.widgets.lines import LineList

if TYPE_CHECKING:
    from fleetview.tui.app import FleetApp


_AROUND = 7
"""Rows of the box's edges and title, and of what should be seen around it."""


class Choice(NamedTuple):
    """One thing to choose."""

    value: str
    label: str
    hint: str = ""
    marked: bool = False
    """In force now."""


class _Choices(LineList):
    """The list."""

    def __init__(self, choices: Sequence[Choice], glyphs: Glyphs) -> None:
        super().__init__(id="choices")
        self._choices = choices
        self._glyphs = glyphs
        self.marked = {choice.value for choice in choices if choice.marked}
        self.cursor = next((place for place, choice in enumerate(choices) if choice.marked), 0)

    @property
    def value(self) -> str:
        """What the cursor is on."""
        return self._choices[self.cursor].value

    def toggle(self) -> None:
        """Mark what the cursor is on, or no longer."""
        self.marked ^= {self.value}
        self.repaint()

    def row_count(self) -> int:
        return len(self._choices)

    def row(self, index: int, width: int) -> Line:
        choice = self._choices[index]
        size = max(len(each.label) for each in self._choices)
        mark = self._glyphs.dot if choice.value in self.marked else " "
        return (Span(f" {mark} ", "accent"), Span(fit(choice.label, min(size, width - 4))), Span(f"  {choice.hint}", "dim"))


class ChooseScreen(ModalScreen[list[str] | None]):
    """Choose one, or several. Comes back with what was chosen; None when nothing was."""

    app: FleetApp

    CSS_PATH = "choose.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "leave", key_display="esc", id="choose.leave", tooltip="Leave all as it is"),
        Binding("colon", "app.command", "commands", key_display=":", id="choose.commands", tooltip="Run a command"),
        Binding("space", "mark", "mark", id="choose.mark", tooltip="Mark it, or no longer"),
    ]

    def __init__(self, title: str, choices: Sequence[Choice], *, many: bool = False) -> None:
        super().__init__()
        self._title = title
        self._choices = choices
        self._many = many

    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            yield TitleLine(id="title")
            yield _Choices(self._choices, self.app.glyphs)

    def on_mount(self) -> None:
        self.query_one(_Choices).focus()
        self.call_after_refresh(self._fill)

    def _fill(self) -> None:
        keys = (("space", " marks  "),) if self._many else ()
        spans = [Span(f"{self._title}   ", "title")]
        for key, word in (*keys, ("enter", " takes  "), ("esc", " cancels")):
            spans += [Span(key, "key"), Span(word, "dim")]
        self.query_one(TitleLine).set_line(tuple(spans))
        self.query_one(_Choices).set_rows_changed()

    def on_resize(self) -> None:
        # A list takes the room it is given, and none by itself.
        room = self.size.height - _AROUND
        self.query_one(_Choices).styles.height = max(1, min(len(self._choices), room))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        return action != "mark" or self._many

    def on_line_list_chosen(self) -> None:
        choices = self.query_one(_Choices)
        marked = [choice.value for choice in self._choices if choice.value in choices.marked]
        self.dismiss(marked if self._many else [choices.value])

    def action_mark(self) -> None:
        self.query_one(_Choices).toggle()

    def action_leave(self) -> None:
        self.dismiss(None)
