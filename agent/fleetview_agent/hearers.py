"""Who wants to hear of something that happens. Plain calls, at once: a hearer only takes note."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, ParamSpec

P = ParamSpec("P")


class Hearers(Generic[P]):
    """Those who hear of one kind of thing."""

    def __init__(self) -> None:
        self._hearers: list[Callable[P, object]] = []

    def add(self, hearer: Callable[P, object]) -> Callable[[], None]:
        """Tell this one too, from now on until what is returned is called."""
        self._hearers.append(hearer)
        return lambda: self._hearers.remove(hearer)

    def tell(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """It has happened."""
        for hearer in tuple(self._hearers):
            hearer(*args, **kwargs)
