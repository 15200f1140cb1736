"""The commands that were run, to walk through them again."""

from __future__ import annotations

MAX_HISTORY = 100


class History:
    """Lines that were run, and where one is among them."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._at = 0

    def add(self, line: str) -> None:
        """A line was run."""
        if line in self._lines:
            self._lines.remove(line)
        self._lines = [*self._lines, line][-MAX_HISTORY:]
        self.rewind()

    def rewind(self) -> None:
        """Back to behind the newest."""
        self._at = len(self._lines)

    def holds(self, line: str) -> bool:
        """Whether a line is the one that one is at."""
        return self._at < len(self._lines) and self._lines[self._at] == line

    def step(self, step: int) -> str:
        """The line before or after; an empty one behind the newest."""
        self._at = max(0, min(self._at + step, len(self._lines)))
        return self._lines[self._at] if self._at < len(self._lines) else ""
