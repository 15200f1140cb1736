"""The lines above and below every screen: what is watched and how well, and the keys that work now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleetview.tui.keymap import working_keys
from fleetview.tui.spans import Line, Span
from fleetview.tui.status import status_lines
from fleetview.tui.widgets.lines import Lines

if TYPE_CHECKING:
    from fleetview.tui.app import FleetApp

_HELP = "app.keys"


class StatusBar(Lines):
    """Connection, rate, time, and how many devices are in which trouble."""

    app: FleetApp

    def __init__(self, *, id: str | None = None, counts: bool = True) -> None:  # noqa: A002  # Textual's name for it
        super().__init__(id=id)
        self._counts = counts

    def lines(self, width: int, height: int) -> list[Line]:  # noqa: ARG002
        return status_lines(self.app.watching(), width, self.app.glyphs, counts=self._counts)

    def repaint(self) -> None:
        wanted = len(self.lines(self.size.width, 0))
        if self.styles.height is None or self.styles.height.value != wanted:
            self.styles.height = wanted
        super().repaint()


class KeyLine(Lines):
    """The keys that work now, most useful first; whatever does not fit is under `?`, and `?` always fits."""

    def lines(self, width: int, height: int) -> list[Line]:  # noqa: ARG002
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
        return [tuple(spans)]


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
