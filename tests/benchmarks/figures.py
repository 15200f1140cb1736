"""One figure, its bound, and the table of all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured figure."""

    name: str
    value: float
    unit: str
    at_most: float | None = None
    at_least: float | None = None
    note: str = ""

    @property
    def holds(self) -> bool:
        """Whether it keeps its bound."""
        return (self.at_most is None or self.value <= self.at_most) and (
            self.at_least is None or self.value >= self.at_least
        )

    @property
    def bound(self) -> str:
        """The bound in words."""
        if self.at_most is not None:
            return f"at most {self.at_most:g}"
        return f"at least {self.at_least:g}" if self.at_least is not None else ""


def table(figures: Iterable[Figure]) -> str:
    """All figures, one a line."""
    return "\n".join(
        f"{'ok  ' if figure.holds else 'MISS'}  {figure.name:<62} {figure.value:>9.3g} {figure.unit:<6} {figure.bound:<14} {figure.note}"
        for figure in figures
    )
