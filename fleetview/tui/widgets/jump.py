"""The line in which the beginning of a name is typed, and the cursor goes there."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input


class JumpLine(Input):
    """Opens with a key, follows every letter, and goes with Enter or Escape."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "done", key_display="esc", id="jump.leave", tooltip="Back to the list"),
        Binding("enter", "submit", "done", key_display="enter", id="jump.done", tooltip="Back to the list"),
    ]

    class Typed(Message):
        """Go to what begins so."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Done(Message):
        """Back to the list."""

    def __init__(self) -> None:
        super().__init__(placeholder="go to: the beginning of a name", compact=True, id="jump")

    def open(self) -> None:
        """Start typing."""
        self.value = ""
        self.add_class("-open")
        self.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if event.value:
            self.post_message(self.Typed(event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_leave()

    def action_leave(self) -> None:
        self.remove_class("-open")
        self.post_message(self.Done())
