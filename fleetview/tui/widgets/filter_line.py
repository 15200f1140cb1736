"""The line in which a filter is typed: takes effect while it is typed, and an invalid one changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input, Static

from fleetview.tui.widgets.completing import CompletingInput, CompletingLine, Offers, Source

if TYPE_CHECKING:
    from fleetview.core.query.complete import Completion

_OPENING = (":", "=", "<", ">", "~", ",")
"""Behind these stands a value."""


def _nothing(_text: str, _cursor: int) -> list[Completion]:
    return []


def _wanted(text: str, cursor: int, offers: list[Completion]) -> list[Completion]:
    """Offers for something begun: with nothing typed they would only hide the list."""
    behind = text[:cursor].rstrip()
    begun = bool(offers) and offers[0].start < cursor
    return offers if begun or behind.endswith(_OPENING) else []


class FilterInput(CompletingInput):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter",
            "submit",
            "to the list",
            key_display="enter",
            id="filter.done",
            tooltip="Keep the filter, and back to the list",
        ),
    ]


class FilterLine(CompletingLine):
    """An input that opens with `/`."""

    DEFAULT_CSS = """
    FilterLine #problem { height: auto; display: none; padding: 0 1; color: $text-error; }
    FilterLine.-wrong #problem { display: block; }
    """
    SIGN = "/"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "clear", "no filter", id="filter.clear", tooltip="Take the filter away"),
    ]

    class Edited(Message):
        """The text changed."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Done(Message):
        """Enter or Escape: back to the list."""

    def __init__(
        self, source: Source = _nothing, placeholder: str = "filter: health:critical site:plant-*  or any text"
    ) -> None:
        offers = Offers(floating=True)
        super().__init__(FilterInput(lambda text, at: _wanted(text, at, source(text, at)), offers, placeholder))
        self._problem: str | None = None

    def compose(self) -> ComposeResult:
        yield from super().compose()
        yield Static(id="problem", markup=False)

    @property
    def text(self) -> str:
        """What is typed."""
        return self.query_one(Input).value

    @property
    def is_wrong(self) -> bool:
        """Whether what is typed cannot be read, and something else is in force."""
        return self._problem is not None

    def put(self, text: str) -> None:
        """Have this filter, as if somebody had typed it; nothing is typed further."""
        self._input.value = text
        self._input.cursor_position = len(text)
        self.set_class(bool(text.strip()), "-open")

    def complain(self, problem: str | None, *, unfinished: bool = False) -> None:
        """Show what is wrong with the text; None for nothing.

        Of what is not typed to its end only when somebody thinks it is: a line that comes and goes with every word would
        make the list below jump.
        """
        self._problem = problem
        self.set_class(problem is not None and not (unfinished and self._input.has_focus), "-wrong")
        self.query_one("#problem", Static).update(problem or "")

    def text_edited(self, text: str) -> None:
        self.post_message(self.Edited(text))

    def text_entered(self, text: str) -> None:  # noqa: ARG002  # it is in force already
        self.complain(self._problem)
        self.post_message(self.Done())

    def action_clear(self) -> None:
        self.query_one(Input).value = ""
        self.remove_class("-open")
        self.complain(None)
        self.post_message(self.Done())
