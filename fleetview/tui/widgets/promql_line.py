"""The line in which a query is typed, with names offered. What is wrong with it, the server says."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from fleetview.tui.widgets.completing import CompletingInput, CompletingLine, Offers, Source


class PromqlInput(CompletingInput):
    """What is typed into."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "ask", key_display="enter", id="promql.done", tooltip="Ask it"),
    ]


class PromqlLine(CompletingLine):
    """An input that opens when a query is to be asked."""

    SIGN = "="

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
        super().__init__(PromqlInput(source, Offers(floating=True), "PromQL: topk(5, fleet_device_cpu_ratio)"))

    def text_entered(self, text: str) -> None:
        self.post_message(self.Asked(text.strip()))

    def action_cancel(self) -> None:
        self.close_if_empty()
        self.post_message(self.Closed())
