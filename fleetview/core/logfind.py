"""Looking through what is shown for the next record that something is true of, in slices."""

from __future__ import annotations

from fleetview.core.logbook import Entry
from fleetview.core.logview import LOOKED_AT_ONCE, LogView, Over, Test
from fleetview.core.sorted_rows import Key


class Find:
    """A search from a row on, up or down. What comes in meanwhile is looked at, too."""

    def __init__(self, view: LogView, test: Test, start: Key, step: int) -> None:
        self._view = view
        self._test = test
        self._at = start
        self._step = step
        """1 is down, to newer records; -1 is up."""

    def go_on(self, over: Over) -> tuple[int | None, bool]:
        """The index of what was found, and whether there is more to look at."""
        rows = self._view.rows
        index = rows.position(self._at)
        if self._step < 0:
            index -= 1
        elif index < len(rows) and self._view.key(rows[index]) == self._at:
            index += 1
        weight = 0
        while 0 <= index < len(rows):
            row = rows[index]
            if weight >= LOOKED_AT_ONCE:
                weight = 0
                if over():
                    return None, True
            if isinstance(row, Entry):
                weight += 1 + len(row.raw) // 1024
                if self._test(row):
                    return index, False
            self._at = self._view.key(row)
            index += self._step
        # Upwards there is more as long as old records have not all been looked at.
        return None, self._step < 0 and not self._view.complete
