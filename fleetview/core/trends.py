"""How many devices were in trouble over the last hour, a minute at a time."""

from __future__ import annotations

from collections import deque

MINUTES = 60
_MINUTE_S = 60


class Trends:
    """The worst of each minute. A minute in which nothing could be seen has no figure, and is not passed off as calm."""

    def __init__(self) -> None:
        self._minutes: deque[tuple[int, int]] = deque(maxlen=MINUTES)
        """Minute since 1970, and the most devices that were in trouble in it; oldest first."""

    def take(self, unix_s: float, in_trouble: int) -> None:
        """Note how many are in trouble now."""
        minute = int(unix_s // _MINUTE_S)
        if self._minutes and self._minutes[-1][0] >= minute:  # a clock that was set back adds to the latest
            last, worst = self._minutes[-1]
            if in_trouble > worst:
                self._minutes[-1] = (last, in_trouble)
        else:
            self._minutes.append((minute, in_trouble))

    def last(self, unix_s: float, cells: int, minutes: int = MINUTES) -> list[int | None]:
        """The worst of each of `cells` equal parts of the last minutes, oldest first; None where nothing was seen."""
        now = max(int(unix_s // _MINUTE_S), self._minutes[-1][0] if self._minutes else 0)
        found: list[int | None] = [None] * cells
        for minute, worst in self._minutes:
            back = now - minute
            if 0 <= back < minutes:
                cell = (minutes - 1 - back) * cells // minutes
                found[cell] = max(worst, found[cell] or 0)
        return found
