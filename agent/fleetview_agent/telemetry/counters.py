"""What only counts up within a session, from counters that begin anew with whoever counts. No I/O."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

MOST_SERIES = 2000
"""Of one total: each is remembered for the session, for it may come back."""


@dataclass(slots=True)
class Counter:
    """A total over many series, each of which may begin anew, end, and come back."""

    total: float = 0.0
    _last: dict[Hashable, float] = field(default_factory=dict)

    def take(self, series: Iterable[tuple[Hashable, float]], *, resets: bool = True) -> float | None:
        """Take what the series stand at; the total. None, when there are more of them than can be remembered.

        A series below where it stood was set to zero meanwhile, as Prometheus reads it; or, without `resets`, is taken up
        again when it is above.
        """
        now = dict(series)
        if len(self._last.keys() | now.keys()) > MOST_SERIES:
            return None
        for key, value in now.items():
            last = self._last.get(key, 0.0)
            if value < last and not resets:
                continue
            self.total += value - last if value >= last else value
            self._last[key] = value
        return self.total


class Counters:
    """The totals of a session, by name: they outlive the module that counts."""

    def __init__(self) -> None:
        self._counters: dict[str, Counter] = {}

    def take(self, name: str, series: Iterable[tuple[Hashable, float]], *, resets: bool = True) -> float | None:
        """Take what the series of a total stand at; the total, which never falls. None, when there are too many."""
        return self._counters.setdefault(name, Counter()).take(series, resets=resets)
