"""A line in which something is typed, and the short list of what fits there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input, Static

from fleetview.tui.glyphs import Glyphs
from fleetview.tui.offers import taken
from fleetview.tui.spans import Line, Span, fit, width_of
from fleetview.tui.widgets.lines import Lines

if TYPE_CHECKING:
    from fleetview.core.query.complete import Completion
    from fleetview.tui.app import FleetApp

MOST_LINES = 5
_WORD_WIDTH = 40

Source: TypeAlias = "Callable[[str, int], list[Completion]]"


def offer_lines(offers: list[Completion], selected: int | None, width: int, glyphs: Glyphs) -> list[Line]:
    """The offers around the chosen one, as many as there is room for; the last line says how many more there are."""
    first = max(0, min((selected or 0) - MOST_LINES // 2, len(offers) - MOST_LINES))
    shown = offers[first : first + MOST_LINES]
    size = min(_WORD_WIDTH, max((width_of(offer.text) for offer in shown), default=0))
    lines: list[Line] = []
    for index, offer in enumerate(shown, first):
        chosen = index == selected
        more = len(offers) - MOST_LINES if index == first + len(shown) - 1 else 0
        note = f"{more:,} more" if more > 0 else ""
        room = max(0, width - size - 6 - len(note))
        lines.append(
            (
                Span(glyphs.bar, "rule"),  # an edge, where there is no colour to tell it from what lies below
                Span(f"{glyphs.folded if chosen else ' '} ", "key"),
                Span(fit(offer.text, size), "key" if chosen else "plain"),
                Span("  " + fit(offer.hint, room), "plain" if chosen else "dim"),
                Span(note + " ", "dim"),
            )
        )
    return lines


def wanted_width(offers: list[Completion]) -> int:
    """Cells that these offers take at most, with the word on how many more there are."""
    size = min(_WORD_WIDTH, max((width_of(offer.text) for offer in offers), default=0))
    return size + 6 + max((width_of(offer.hint) for offer in offers), default=0) + (9 if len(offers) > MOST_LINES else 0)


class Offers(Lines):
    """What may be typed next. Lies over what is below, so that nothing moves for it.

    A floating one stands below the word that it is about and is no wider than it must be: what is found shows beside it.
    """

    DEFAULT_CSS = """
    Offers { display: none; height: 1; background: $panel; }
    """

    app: FleetApp

    class Clicked(Message):
        """One of them was clicked."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    def __init__(self, *, floating: bool = False) -> None:
        super().__init__()
        self._floating = floating
        self.offers: list[Completion] = []
        self.selected: int | None = None

    def offer(self, offers: list[Completion]) -> None:
        """Offer these, none of them chosen."""
        self.offers, self.selected = offers, None
        self.display = bool(offers)
        height = max(1, min(len(offers), MOST_LINES))
        if self.styles.height is None or self.styles.height.value != height:
            self.styles.height = height
        if self._floating and offers:
            width = min(wanted_width(offers), self.screen.size.width)
            self.styles.width = width
            self.styles.offset = (max(0, min(offers[0].start, self.screen.size.width - width)), 0)
        self.repaint()

    def choose(self, step: int) -> None:
        """Choose the next or the one before; before the first stands none."""
        if not self.offers:
            return
        at = -1 if self.selected is None else self.selected
        at += step
        self.selected = None if at < 0 else min(at, len(self.offers) - 1)
        self.repaint()

    def lines(self, width: int, height: int) -> list[Line]:  # noqa: ARG002
        return offer_lines(self.offers, self.selected, width, self.app.glyphs)

    def on_click(self, event: events.Click) -> None:
        first = max(0, min((self.selected or 0) - MOST_LINES // 2, len(self.offers) - MOST_LINES))
        self.post_message(self.Clicked(first + event.y))


class CompletingInput(Input):
    """An input that fills its offers while something is typed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,tab", "take", "takes", key_display="tab", id="typing.take", tooltip="Take what is offered"),
        Binding("down", "choose(1)", "Next", show=False, id="typing.next", tooltip="Choose the next of what is offered"),
        Binding("up", "choose(-1)", "Previous", show=False, id="typing.previous", tooltip="Choose the one before"),
    ]

    def __init__(self, source: Source, offers: Offers, placeholder: str = "") -> None:
        super().__init__(placeholder=placeholder, compact=True, select_on_focus=False)
        self._source = source
        self.offers = offers

    def look_for_offers(self) -> None:
        """Offer what fits at the cursor, if it is here that somebody types."""
        found = self._source(self.value, self.cursor_position) if self.screen.focused is self else []
        typed = self.value
        self.offers.offer([offer for offer in found if typed[offer.start : offer.end] != offer.text.rstrip()])

    def withdraw(self) -> None:
        """Offer nothing any more."""
        self.offers.offer([])

    @property
    def chosen(self) -> Completion | None:
        """The offer that the person chose with the arrows."""
        return None if self.offers.selected is None else self.offers.offers[self.offers.selected]

    def take(self, offer: Completion) -> None:
        """Put an offer in its place."""
        self.value, self.cursor_position = taken(self.value, offer)

    def take_clicked(self, index: int) -> None:
        """Put the offer in its place that was clicked."""
        if index < len(self.offers.offers):
            self.take(self.offers.offers[index])
            self.focus()

    def action_take(self) -> None:
        at_end = self.cursor_position >= len(self.value)
        if self.offers.offers and (at_end or self.chosen is not None):
            self.take(self.chosen or self.offers.offers[0])
        else:
            self.action_cursor_right()

    def action_choose(self, step: int) -> None:
        self.offers.choose(step)

    def on_blur(self) -> None:
        self.withdraw()


class CompletingLine(Vertical):
    """A line that opens for typing, with its offers floating below the word. Those made of it say what happens then.

    They override the two plain methods, not the handlers: Textual calls every handler of a class and its bases.
    The sign before the text tells what it is when nobody types any more.
    """

    SIGN: ClassVar[str]

    DEFAULT_CSS = """
    CompletingLine { height: auto; display: none; }
    CompletingLine.-open { display: block; }
    CompletingLine Horizontal { height: 1; }
    CompletingLine #sign { width: 3; padding: 0 1; color: $text-primary; text-style: bold; }
    CompletingLine Input { height: 1; width: 1fr; border: none; padding: 0; }
    CompletingLine Offers { overlay: screen; }
    """

    def __init__(self, typed: CompletingInput) -> None:
        super().__init__()
        self._input = typed

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Static(self.SIGN, id="sign", markup=False)
            yield self._input
        yield self._input.offers

    def text_edited(self, text: str) -> None:
        """The text changed."""

    def text_entered(self, text: str) -> None:
        """Enter, with nothing chosen of what was offered."""

    def open(self) -> None:
        """Start typing."""
        self.add_class("-open")
        self.screen.set_focus(self._input)  # at once: the next key may be there already

    def close_if_empty(self) -> None:
        """An empty line takes no room."""
        if not self._input.value.strip():
            self.remove_class("-open")

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._input.look_for_offers()
        self.text_edited(event.value)

    def on_offers_clicked(self, event: Offers.Clicked) -> None:
        event.stop()
        self._input.take_clicked(event.index)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if self._input.chosen is not None:
            self._input.take(self._input.chosen)
            return
        self.close_if_empty()
        self.text_entered(event.value)
