"""The line in which a filter is typed: takes effect while it is typed, and an invalid one changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input, Static

from fleetview.tui.widgets.completing import CompletingInput, Offers, Source

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


class FilterLine(Vertical):
    """An input that opens with `/`."""

    DEFAULT_CSS = """
    FilterLine { height: auto; display: none; }
    FilterLine.-open { display: block; }
    FilterLine Input { height: 1; border: none; padding: 0 1; }
    FilterLine Static { height: auto; display: none; padding: 0 1; color: $text-error; }
    FilterLine.-wrong Static { display: block; }
    FilterLine Offers { overlay: screen; }
    """
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
        super().__init__()
        self._problem: str | None = None
        self._offers = Offers(floating=True)
        self._input = FilterInput(
            lambda text, cursor: _wanted(text, cursor, source(text, cursor)),
            self._offers,
            placeholder,
        )

    def compose(self) -> ComposeResult:
        yield self._input
        yield Static(markup=False)
        yield self._offers

    @property
    def text(self) -> str:
        """What is typed."""
        return self.query_one(Input).value

    @property
    def is_wrong(self) -> bool:
        """Whether what is typed cannot be read, and something else is in force."""
        return self._problem is not None

    def open(self) -> None:
        """Start typing."""
        self.add_class("-open")
        self.screen.set_focus(self._input)  # at once: the next key may be there already

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
        self.query_one(Static).update(problem or "")

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._input.look_for_offers()
        self.post_message(self.Edited(event.value))

    def on_offers_clicked(self, event: Offers.Clicked) -> None:
        event.stop()
        if event.index < len(self._offers.offers):
            self._input.take(self._offers.offers[event.index])
            self._input.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if self._input.chosen is not None:
            self._input.take(self._input.chosen)
            return
        if not event.value.strip():
            self.remove_class("-open")
        self.complain(self._problem)
        self.post_message(self.Done())

    def action_clear(self) -> None:
        self.query_one(Input).value = ""
        self.remove_class("-open")
        self.complain(None)
        self.post_message(self.Done())
