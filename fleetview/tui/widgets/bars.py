"""The lines above and below every screen: what is watched and how well, and the keys that work now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult

from fleetview.tui.keymap import working_keys
from fleetview.tui.pace import size_rate
from fleetview.tui.spans import Line, Span, line_width, pad
from fleetview.tui.status import clock, status_lines
from fleetview.tui.widgets.lines import Lines

if TYPE_CHECKING:
    from fleetview.tui.app import FleetApp

_HELP = "app.keys"
_RATE_WIDTH = 11


class Clock(Lines):
    """The time of day. Textual (8.2) sends a line from its widget's left edge on, so this must not be part of a long one."""

    app: FleetApp

    def lines(self, width: int, height: int) -> list[Line]:  # noqa: ARG002
        return [(clock(self.app.watching()),)]


class StatusBar(Lines):
    """Connection, rate, time, and how many devices are in which trouble."""

    app: FleetApp

    def __init__(self, *, id: str | None = None, counts: bool = True) -> None:  # noqa: A002  # Textual's name for it
        super().__init__(id=id)
        self._counts = counts

    def compose(self) -> ComposeResult:
        yield Clock()

    def lines(self, width: int, height: int) -> list[Line]:  # noqa: ARG002
        return status_lines(self.app.watching(), width, self.app.glyphs, counts=self._counts)

    def repaint(self) -> None:
        watch, width = self.app.watching(), self.size.width
        lines = status_lines(watch, width, self.app.glyphs, counts=self._counts)
        if self.styles.height is None or self.styles.height.value != len(lines):
            self.styles.height = len(lines)
        super().repaint()
        time = self.query_one(Clock)
        size = line_width((clock(watch),))
        fits = line_width(lines[0]) + size <= width
        if time.display != fits:  # assigned, it would lay out the screen, and the first picture would wait for that
            time.display = fits
        if time.styles.width is None or time.styles.width.value != size:
            time.styles.width = size
        time.repaint()


class KeyLine(Lines):
    """The keys that work now, most useful first; whatever does not fit is under `?`, and `?` always fits.

    On demand, what goes to the terminal stands at the right.
    """

    app: FleetApp

    def lines(self, width: int, height: int) -> list[Line]:  # noqa: ARG002
        if not self.app.shows_bytes:
            return [self._keys(width)]
        rate = Span(f"{size_rate(self.app.bytes_per_s)} ".rjust(_RATE_WIDTH), "dim")
        return [(*pad(self._keys(width - _RATE_WIDTH), width - _RATE_WIDTH), rate)]

    def _keys(self, width: int) -> Line:
        words: dict[str, list[str]] = {}
        last: list[str] = []
        for found in working_keys(self.screen):
            if found.shown:
                words.setdefault(found.word, []).append(found.keys[0])  # a second key for the same is under `?`
                last += [found.word] if found.name == _HELP else []
        left = width - sum(_size(word, words[word]) for word in last)
        spans: list[Span] = []
        for word in (*(word for word in words if word not in last), *last):
            size = _size(word, words[word])
            if word not in last:
                if size > left:
                    continue
                left -= size
            spans += [Span(f" {' '.join(words[word])}", "key"), Span(f" {word} ", "dim")]
        return tuple(spans)


def _size(word: str, keys: list[str]) -> int:
    return len(word) + sum(len(key) + 1 for key in keys) + 2


class TitleLine(Lines):
    """One line that a screen sets."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  # Textual's name for it
        super().__init__(id=id)
        self._line: Line = ()

    def set_line(self, line: Line) -> None:
        """Show this line."""
        self._line = line
        self.repaint()

    def lines(self, width: int, height: int) -> list[Line]:  # noqa: ARG002
        return [self._line]
