"""The overview above the table. Every figure in it can be clicked, or gone to with the arrows, and becomes a filter."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from fleetview.tui.overview import NOTHING, Figure, Overview, overview
from fleetview.tui.spans import Line, Span, line_width
from fleetview.tui.widgets.lines import Lines

if TYPE_CHECKING:
    from fleetview.tui.app import FleetApp

_TALL = 32
_LOW = 20
"""Rows of the screen from which on there are three lines, and below which there is one."""


class OverviewBar(Lines, can_focus=True):
    """The figures."""

    app: FleetApp

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "left,up,h,k", "go(-1)", "previous", key_display="left", id="overview.previous", tooltip="The figure before"
        ),
        Binding("right,down,l,j", "go(1)", "next", key_display="right", id="overview.next", tooltip="The next figure"),
        Binding("enter", "take", "filter by it", key_display="enter", id="overview.take", tooltip="Show what it counts"),
        Binding("escape,o", "leave", "to the list", key_display="esc", id="overview.leave", tooltip="Back to the list"),
    ]

    class Taken(Message):
        """A figure was chosen: filter by what it stands for."""

        def __init__(self, filter: str) -> None:  # noqa: A002  # what it is
            super().__init__()
            self.filter = filter

    class Left(Message):
        """Back to the list."""

    def __init__(self) -> None:
        super().__init__(id="overview")
        self._found: Overview = NOTHING
        self._place = 0

    def lines(self, width: int, height: int) -> list[Line]:
        self._found = overview(self.app.fleet, self.app.now(), width, height, self.app.glyphs)
        lines = list(self._found.lines)
        figure = self._figure
        if self.has_focus and figure is not None:
            lines[figure.y] = _marked(lines[figure.y], figure)
        return lines

    def repaint(self) -> None:
        rows = self.screen.size.height
        allowed = 3 if rows >= _TALL else 2 if rows >= _LOW else 1
        wanted = len(overview(self.app.fleet, self.app.now(), self.size.width or 1, allowed, self.app.glyphs).lines)
        if self.styles.height is None or self.styles.height.value != wanted:
            self.styles.height = wanted
        super().repaint()

    @property
    def _figure(self) -> Figure | None:
        figures = self._found.figures
        return figures[min(self._place, len(figures) - 1)] if figures else None

    def on_focus(self) -> None:
        self.repaint()

    def on_blur(self) -> None:
        self.repaint()

    def action_go(self, step: int) -> None:
        if self._found.figures:
            self._place = (min(self._place, len(self._found.figures) - 1) + step) % len(self._found.figures)
            self.repaint()

    def action_take(self) -> None:
        if self._figure is not None:
            self.post_message(self.Taken(self._figure.filter))

    def action_leave(self) -> None:
        self.post_message(self.Left())

    def on_click(self, event: events.Click) -> None:
        for place, figure in enumerate(self._found.figures):
            if figure.y == event.y and figure.begin <= event.x < figure.end:
                self._place = place
                self.action_take()


def _marked(line: Line, figure: Figure) -> Line:
    found, x = [], 0
    for span in line:
        found.append(Span(span.text, "cursor") if figure.begin <= x < figure.end else span)
        x += line_width((span,))
    return tuple(found)
