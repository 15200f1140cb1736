"""The statistics of gates. From per-device figures to a value of the whole group, with the bounds within which it is known.

One device never decides for the others: of three and more, the worst is left out, on both sides of a comparison. And
devices differ: the more they do, the wider the bounds.

- A rate's bounds are Wilson's score interval (Wilson, JASA 22, 1927; recommended for small numbers by Brown, Cai and
  DasGupta, Statistical Science 16, 2001), of so many events as are worth it: their number over the dispersion between
  devices, Pearson's X² over its degrees of freedom (McCullagh and Nelder, Generalized Linear Models, 1989, section 4.5.2),
  where that is above 1.
- A mean's bounds are Student's t, its quantile by the expansion of Abramowitz and Stegun 26.7.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, sqrt

Z = 2.326
"""One-sided 99 %: of a hundred measurements of a value that lies at its bound, one is wrong about it. Two of three are
asked for before anything follows from it."""
LIKELY_Z = 0.674
"""One-sided 75 %: a value that is above its bound with so much certainty, three to one, does not pass."""
SEEN_Z = 1.282
"""One-sided 90 %: a value passes when one so far above its bound would have been seen with so much certainty."""
LEAVE_OUT_FROM = 3
"""From so many devices on, the worst is left out."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is known of a group's value."""

    value: float
    low: float
    high: float
    devices: int
    """With samples, one that was left out included."""
    events: float | None = None
    """Of a rate, those of the device that was left out included."""
    worth: float = 0.0
    """So many independent events or devices this is worth."""

    def within(self, z: float) -> tuple[float, float]:
        """The bounds within which the value is known with another certainty than `low` and `high`."""
        if self.events is not None:
            return wilson(self.value * self.worth, self.worth, z)
        return self.value - (self.value - self.low) * z / Z, self.value + (self.high - self.value) * z / Z


def wilson(bad: float, events: float, z: float = Z) -> tuple[float, float]:
    """The bounds of a rate of which `bad` of `events` were seen. Without events, all is possible."""
    if events <= 0:
        return 0.0, 1.0
    rate = min(1.0, max(0.0, bad / events))
    shift = z * z / events
    middle = (rate + shift / 2) / (1 + shift)
    half = z / (1 + shift) * sqrt(rate * (1 - rate) / events + shift / (4 * events))
    # Exactly 0 and 1 where only rounding keeps them from it.
    return max(0.0, middle - half) if rate > 0 else 0.0, min(1.0, middle + half) if rate < 1 else 1.0


def rate(counts: Sequence[tuple[float, float]], z: float = Z) -> Estimate:
    """The rate over devices, each with (bad, events). At least one of them has to have events."""
    devices, seen = len(counts), sum(events for _, events in counts)
    kept = _without_worst(counts)
    bad, events = sum(pair[0] for pair in kept), sum(pair[1] for pair in kept)
    value = bad / events
    worth = events / max(1.0, _dispersion(kept, value))
    low, high = wilson(value * worth, worth, z)
    return Estimate(value, low, high, devices, seen, worth)


def _without_worst(counts: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """All but the device with the most bad events beyond what the group's rate would have it."""
    if len(counts) < LEAVE_OUT_FROM:
        return counts
    bad, events = sum(pair[0] for pair in counts), sum(pair[1] for pair in counts)
    value = bad / events
    worst = max(range(len(counts)), key=lambda place: counts[place][0] - counts[place][1] * value)
    kept = [*counts[:worst], *counts[worst + 1 :]]
    return kept if any(pair[1] > 0 for pair in kept) else counts


def _dispersion(counts: Sequence[tuple[float, float]], value: float) -> float:
    """How much more devices differ than chance alone would have it; 1 for not at all."""
    if len(counts) < 2 or not 0 < value < 1:  # noqa: PLR2004
        return 1.0
    off = sum((bad - events * value) ** 2 / events for bad, events in counts if events > 0)
    return off / (value * (1 - value)) / (len(counts) - 1)


def student(freedom: int, z: float = Z) -> float:
    """The quantile of Student's t that has the same chance as `z` of the normal distribution."""
    cube, fifth = z**3, z**5
    first = (cube + z) / 4
    second = (5 * fifth + 16 * cube + 3 * z) / 96
    third = (3 * z**7 + 19 * fifth + 17 * cube - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3


def mean(values: Sequence[float], z: float = Z, spread_of: Sequence[float] | None = None) -> Estimate:
    """The mean over devices. `spread_of`: what varies, such as each one's difference to before, when not the values.

    Of one device nothing is known but its value: its bounds are the value itself.
    """
    devices = len(values)
    varying = values if spread_of is None else spread_of
    if devices >= LEAVE_OUT_FROM:
        worst = max(range(devices), key=lambda place: varying[place])
        values = [*values[:worst], *values[worst + 1 :]]
        varying = [*varying[:worst], *varying[worst + 1 :]]
    size = len(values)
    middle = sum(values) / size
    if size < 2:  # noqa: PLR2004
        return Estimate(middle, middle, middle, devices, None, size)
    centre = sum(varying) / size
    variance = sum((each - centre) ** 2 for each in varying) / (size - 1)
    half = student(size - 1, z) * sqrt(variance / size)
    return Estimate(middle, middle - half, middle + half, devices, None, size)


def usable(value: float | None) -> bool:
    """Whether a figure is one: NaN and infinities are not."""
    return value is not None and isfinite(value)
