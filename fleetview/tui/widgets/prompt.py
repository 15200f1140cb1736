"""A line that asks for one thing: what to find, a time, the name of a file."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input, Static


class PromptInput(Input):
    """What is typed into."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "go", key_display="enter", id="prompt.done", tooltip="Do it"),
    ]


class Prompt(Vertical):
    """An input that opens when something is asked."""

    DEFAULT_CSS = """
    Prompt { height: auto; display: none; }
    Prompt.-open { display: block; }
    Prompt Horizontal { height: 1; }
    Prompt #prompt-label { width: auto; padding: 0 1; color: $text-primary; }
    Prompt Input { height: 1; border: none; padding: 0; width: 1fr; }
    Prompt #prompt-wrong { height: auto; display: none; padding: 0 1; color: $text-error; }
    Prompt.-wrong #prompt-wrong { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "not now", id="prompt.cancel", tooltip="Back, with nothing done"),
    ]

    class Entered(Message):
        """Something was entered. Whoever hears it closes the line, or complains."""

        def __init__(self, purpose: str, text: str) -> None:
            super().__init__()
            self.purpose = purpose
            self.text = text

    class Closed(Message):
        """Back to what was there before."""

    def __init__(self) -> None:
        super().__init__()
        self._purpose = ""

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Static(id="prompt-label", markup=False)
            yield PromptInput(compact=True, select_on_focus=False)
        yield Static(id="prompt-wrong", markup=False)

    def ask(self, purpose: str, label: str, value: str = "", placeholder: str = "") -> None:
        """Ask for something."""
        self._purpose = purpose
        self.query_one("#prompt-label", Static).update(label)
        field = self.query_one(Input)
        field.placeholder = placeholder
        field.value = value
        field.cursor_position = len(value)
        self.complain(None)
        self.add_class("-open")
        self.screen.set_focus(field)  # at once: the next key may be there already

    def close(self) -> None:
        """Done."""
        self.remove_class("-open")
        self.post_message(self.Closed())

    def complain(self, problem: str | None) -> None:
        """Say what is wrong with what was entered; None for nothing."""
        self.set_class(problem is not None, "-wrong")
        self.query_one("#prompt-wrong", Static).update(problem or "")

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.complain(None)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if event.value.strip():
            self.post_message(self.Entered(self._purpose, event.value))
        else:
            self.close()

    def action_cancel(self) -> None:
        self.close()
