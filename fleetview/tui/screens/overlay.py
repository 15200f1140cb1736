"""A document over the screen below: the whole record, the keys."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widget import Widget

from fleetview.tui.screens.device import Document
from fleetview.tui.spans import Line
from fleetview.tui.widgets.bars import TitleLine
from fleetview.tui.widgets.lines import LineList

if TYPE_CHECKING:
    from fleetview.tui.app import FleetApp


class Overlay(ModalScreen[None]):
    """Lines in a box; Escape closes it."""

    app: FleetApp

    CSS_PATH = "overlay.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,backspace", "close", "close", id="overlay.close", tooltip="Close"),
        Binding(
            "question_mark", "app.keys", "keys", key_display="?", id="overlay.keys", tooltip="The keys that work right now"
        ),
        Binding(
            "colon", "app.command", "commands", key_display=":", show=False, id="overlay.commands", tooltip="Run a command"
        ),
        Binding("q", "app.quit", "quit", show=False, id="overlay.quit", tooltip="Leave fleetview"),
    ]

    def heading(self) -> Line:
        """The heading."""
        raise NotImplementedError

    def document(self, width: int) -> list[Line]:
        """The lines below it, unless there is another body."""
        raise NotImplementedError

    def body(self) -> Iterable[Widget]:
        """What stands below the heading. What scrolls in it gets the focus."""
        yield Document(id="document")

    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            yield TitleLine(id="title")
            yield from self.body()

    def on_mount(self) -> None:
        self.query_one(LineList).focus()
        self.call_after_refresh(self._fill)

    def on_resize(self) -> None:
        self.call_after_refresh(self._fill)

    def _fill(self) -> None:
        document = self.query_one(Document)
        document.set_document(self.document(document.width))
        self.query_one(TitleLine).set_line(self.heading())

    def action_close(self) -> None:
        self.dismiss()
