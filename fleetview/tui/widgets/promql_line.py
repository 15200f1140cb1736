"""The line in which a query is typed, with names offered. What is wrong with it, the server says."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input

from fleetview.tui.widgets.completing import CompletingInput, Offers, Source


class PromqlInput(CompletingInput):
    """What is typed into."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "ask", key_display="enter", id="promql.done", tooltip="Ask it"),
    ]


class PromqlLine(Vertical):
    """An input that opens when a query is to be asked."""

    DEFAULT_CSS = """
    PromqlLine { height: auto; display: none; }
    PromqlLine.-open { display: block; }
    PromqlLine Input { height: 1; border: none; padding: 0 1; }
    PromqlLine Offers { overlay: screen; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "not now", id="promql.cancel", tooltip="Back to the panels; the query stays"),
    ]

    class Asked(Message):
        """A query was entered; an empty one takes the last away."""

        def __init__(self, query: str) -> None:
            super().__init__()
            self.query = query

    class Closed(Message):
        """Back to the panels."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self._offers = Offers(floating=True)
        self._input = PromqlInput(source, self._offers, "PromQL: topk(5, fleet_device_cpu_ratio)")

    def compose(self) -> ComposeResult:
        yield self._input
        yield self._offers

    def open(self) -> None:
        """Start typing."""
        self.add_class("-open")
        self.screen.set_focus(self._input)  # at once: the next key may be there already

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._input.look_for_offers()

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
        self.post_message(self.Asked(event.value.strip()))

    def action_cancel(self) -> None:
        if not self._input.value.strip():
            self.remove_class("-open")
        self.post_message(self.Closed())
