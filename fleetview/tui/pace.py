"""How much may go to the terminal: everything at once on a fast link; calmly, and in coarser steps, on a slow one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fleetview.config import Link


@dataclass(frozen=True, slots=True)
class Pace:
    """How often what is repainted."""

    link: Link
    ticks_per_s: float
    """How often what changed in the fleet is looked for."""
    repaints_per_s: int | None
    """At most so many of everything, what is typed included; None for as many as the toolkit makes."""
    figures_every_s: int
    """Steps in which what changes by itself moves: clock, ages, messages per second."""

    @property
    def coarse(self) -> bool:
        """Whether times are shown without seconds."""
        return self.figures_every_s > 1


PACES: Mapping[Link, Pace] = {
    "fast": Pace("fast", ticks_per_s=4, repaints_per_s=None, figures_every_s=1),
    "slow": Pace("slow", ticks_per_s=1, repaints_per_s=4, figures_every_s=5),
}


def size_rate(bytes_per_s: float) -> str:
    """`850 B/s`, `1.2 KB/s`, `3.4 MB/s`."""
    for limit, divisor, unit in ((1000, 1, "B/s"), (1000**2, 1000, "KB/s")):
        if bytes_per_s < limit * 0.9995:
            return f"{bytes_per_s / divisor:.{0 if divisor == 1 else 1}f} {unit}"
    return f"{bytes_per_s / 1000**2:.1f} MB/s"
