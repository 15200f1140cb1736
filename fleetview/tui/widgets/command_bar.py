"""The line behind `:` at the bottom of any screen, with what may be typed there above it."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, Static

from fleetview.tui.commands import Call, CommandError
from fleetview.tui.history import History
from fleetview.tui.widgets.completing import CompletingInput, Offers, Source


class CommandInput(CompletingInput):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "runs", key_display="enter", id="command.run", tooltip="Run the command"),
        Binding("escape", "leave", "closes", id="command.close", tooltip="Close the command line"),
    ]

    def __init__(self, source: Source, offers: Offers, history: History) -> None:
        super().__init__(source, offers, placeholder="a command: devices, logs, device, theme, ...")
        self._history = history

    def action_choose(self, step: int) -> None:
        walks = not self.value if step < 0 else False
        if self.chosen is None and (walks or self._history.holds(self.value)):
            line = self._history.step(step)
            with self.prevent(Input.Changed):  # offers would take the arrows for themselves
                self.value = line
            self.cursor_position = len(line)
            self.withdraw()
            if not line:
                self.look_for_offers()
        else:
            super().action_choose(step)

    def action_leave(self) -> None:
        self.post_message(CommandBar.Left())


class CommandBar(Vertical):
    """Reads one command."""

    DEFAULT_CSS = """
    CommandBar { layer: overlay; dock: bottom; height: auto; width: 100%; background: $panel; }
    CommandBar Horizontal { height: 1; background: $boost; }
    CommandBar Horizontal Static { width: 2; padding: 0 0 0 1; color: $text-primary; text-style: bold; }
    CommandBar Input { height: 1; width: 1fr; border: none; padding: 0; }
    CommandBar #problem { display: none; height: auto; padding: 0 1; color: $text-error; }
    CommandBar.-wrong #problem { display: block; }
    """

    class Asked(Message):
        """A command is to be run."""

        def __init__(self, bar: CommandBar, call: Call) -> None:
            super().__init__()
            self.bar = bar
            self.call = call

    class Left(Message):
        """Escape."""

    def __init__(self, source: Source, read: Callable[[str], Call | None], history: History) -> None:
        super().__init__()
        self._offers = Offers()
        self._input = CommandInput(source, self._offers, history)
        self._read = read
        self._history = history
        self._came_from: Widget | None = None

    def compose(self) -> ComposeResult:
        yield self._offers
        yield Static(id="problem", markup=False)
        with Horizontal():
            yield Static(":", markup=False)
            yield self._input

    def on_mount(self) -> None:
        self._history.rewind()
        self._came_from = self.screen.focused
        self.screen.set_focus(self._input)
        self._input.look_for_offers()

    def complain(self, problem: str | None) -> None:
        """Show what is wrong; None for nothing."""
        self.set_class(problem is not None, "-wrong")
        self.query_one("#problem", Static).update(problem or "")

    async def close(self) -> None:
        """Go, and give the keys back to where they came from."""
        screen, focus = self.screen, self._came_from
        await self.remove()
        if focus is not None and focus.is_attached:
            screen.set_focus(focus)

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.complain(None)
        self._input.look_for_offers()

    def on_offers_clicked(self, event: Offers.Clicked) -> None:
        event.stop()
        self._input.take_clicked(event.index)

    async def on_command_bar_left(self) -> None:
        await self.close()

    async def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if self._input.chosen is not None:
            self._input.take(self._input.chosen)
        line = self._input.value
        try:
            call = self._read(line)
        except CommandError as err:
            self.complain(str(err))
            return
        if call is None:
            await self.close()
            return
        self._history.add(line.strip())
        self.post_message(self.Asked(self, call))
