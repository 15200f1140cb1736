"""What a chart shows, worked out in columns and rows: which time, which values, on which scale. Nothing here draws."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from fleetview.core.ages import age
from fleetview.core.numbers import counted
from fleetview.core.series import Series, step_s

RANGES_S = (900, 1_800, 3_600, 3 * 3_600, 6 * 3_600, 12 * 3_600, 86_400, 2 * 86_400, 7 * 86_400, 14 * 86_400, 30 * 86_400)
"""From a quarter of an hour to thirty days."""
_HOUR = RANGES_S.index(3_600)
_PAN = 4
"""A step of panning is this part of what is shown."""

Unit = Literal["percent", "seconds", "celsius", "bytes", "bytes_per_second", "per_second", "count"]
"""Ratios of 0..1 are shown as percent."""
UNITS: tuple[Unit, ...] = ("percent", "seconds", "celsius", "bytes", "bytes_per_second", "per_second", "count")


@dataclass(frozen=True, slots=True)
class Window:
    """Which time is shown."""

    size: int = _HOUR
    """An index of RANGES_S."""
    back_s: float = 0.0
    """How long before now it ends."""

    @property
    def range_s(self) -> float:
        """Its length."""
        return float(RANGES_S[self.size])

    @property
    def follows(self) -> bool:
        """Whether it ends now."""
        return self.back_s == 0

    def zoomed(self, steps: int) -> Window:
        """A shorter (positive) or longer one with the same end."""
        return replace(self, size=max(0, min(len(RANGES_S) - 1, self.size - steps)))

    def panned(self, steps: int) -> Window:
        """An earlier (negative) or later one of the same length, but not of the future."""
        back = self.back_s - steps * self.range_s / _PAN
        return replace(self, back_s=max(0.0, min(back, float(RANGES_S[-1]))))

    def span(self, now_unix_s: float, columns: int, least_step_s: float) -> Span:
        """Which points are to be asked for. It ends with the last scrape: of 30 days, a step is half a day.

        All in whole seconds: prometheus-api-client 0.7.2 rounds both ends, and the newest point would fall out behind.
        """
        least = max(1, math.ceil(least_step_s))
        step = math.ceil(step_s(self.range_s, columns, least))
        end = math.floor((now_unix_s - self.back_s) / least) * least
        return Span(end - round(self.range_s / step) * step, end, step)


class Span(NamedTuple):
    """A stretch of time, from which the first point excluded is taken, and the seconds between points."""

    begin_s: float
    end_s: float
    step_s: float

    def column_of(self, unix_s: float, columns: int) -> int | None:
        """The column in which a moment lies; None when it lies in none."""
        if not self.begin_s < unix_s <= self.end_s:
            return None
        return max(0, math.ceil((unix_s - self.begin_s) / (self.end_s - self.begin_s) * columns - 1e-9) - 1)

    def time_of(self, column: int, columns: int) -> float:
        """The end of a column's time."""
        return self.begin_s + (column + 1) * (self.end_s - self.begin_s) / columns


Course = tuple[float | None, ...]
"""A value for each column; None where nothing was said. NaN and the infinities are said."""


def course(series: Series, span: Span, columns: int, covers_s: float | None = None) -> Course:
    """A series in columns. A point stands for the step before it; where several meet in a column, the largest is shown."""
    covers_s = span.step_s if covers_s is None else covers_s
    found: list[float | None] = [None] * columns
    width = (span.end_s - span.begin_s) / columns
    for at, value in zip(series.times_s, series.values, strict=True):
        first = math.floor((at - covers_s - span.begin_s) / width + 0.5 + 1e-9)
        last = math.ceil((at - span.begin_s) / width - 1e-9) - 1
        for column in range(max(0, min(first, last)), min(columns - 1, last) + 1):
            before = found[column]
            if before is None or math.isnan(before) or value > before:
                found[column] = value
    return tuple(found)


class Scale(NamedTuple):
    """What the lowest and the highest row of a chart stand for."""

    low: float
    high: float

    def row_of(self, value: float, rows: int) -> int | None:
        """The row of a value, 0 the lowest; None for NaN. What is beyond the scale stands at its edge."""
        if math.isnan(value):
            return None
        part = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return min(rows - 1, int(part * rows))


def scale(courses: Iterable[Sequence[float | None]], top: float | None = None, also: Iterable[float] = ()) -> Scale:
    """A scale that has room for all finite values, from 0 unless some are below; `top` is the least high end."""
    known = [value for each in courses for value in each if value is not None and math.isfinite(value)]
    known += [value for value in also if math.isfinite(value)]
    low, high = min([0.0, *known]), max([top or 0.0, *known])
    low = -_round_up(-low) if low < 0 else 0.0
    high = high if high == top else _round_up(high)
    return Scale(low, high) if high > low else Scale(low, low + 1)


def _round_up(value: float) -> float:
    """The next of 1, 1.5, 2, 3, 4, 5, 6, 8, 10 times a power of ten."""
    if value <= 0:
        return 0.0
    power = 10.0 ** math.floor(math.log10(value))
    if not power:
        return value
    return next((step * power for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * power >= value * (1 - 1e-9)), value)


def trouble_with(courses: Iterable[Sequence[float | None]]) -> str | None:
    """What is to be said of values that cannot be drawn; None when all can be."""
    said = [value for each in courses for value in each if value is not None]
    if not said:
        return "no data"
    nans = sum(math.isnan(value) for value in said)
    infinite = sum(math.isinf(value) for value in said)
    if nans == len(said):
        return "not a number (NaN): nothing to divide by"
    words = [f"not a number (NaN) in {counted(nans, 'column')}"] if nans else []
    words += [f"infinite in {counted(infinite, 'column')}, drawn at the edge"] if infinite else []
    return ", ".join(words) or None


def quantiles(courses: Sequence[Sequence[float | None]], columns: int) -> tuple[Course, Course, Course]:
    """The lower quartile, the median and the upper quartile of several courses, column by column."""
    found: list[tuple[float | None, float | None, float | None]] = []
    for column in range(columns):
        known = sorted(value for each in courses if (value := each[column]) is not None and not math.isnan(value))
        found.append(
            (_quantile(known, 0.25), _quantile(known, 0.5), _quantile(known, 0.75)) if known else (None, None, None)
        )
    low, middle, high = zip(*found, strict=True) if found else ((), (), ())
    return low, middle, high


def _quantile(known: Sequence[float], part: float) -> float:
    """As Prometheus' `quantile`: between the two nearest ranks, by distance."""
    place = part * (len(known) - 1)
    below = math.floor(place)
    above = min(below + 1, len(known) - 1)
    if known[below] == known[above]:
        return known[below]
    return known[below] * (1 - (place - below)) + known[above] * (place - below)


_SMALL = ((1e-6, 1e6, "us"), (1e-3, 1e3, "ms"))
_LARGE = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def in_words(value: float | None, unit: Unit) -> str:
    """A value with its unit, in at most nine characters or so."""
    if value is None:
        return "-"
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return _WORDS[unit](value)


def _plain(value: float) -> str:
    for size, name in _LARGE:
        if abs(value) >= size:
            return f"{value / size:.3g}{name}" if abs(value) < 1e15 else f"{value:.2g}"  # noqa: PLR2004
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"  # noqa: PLR2004


def _seconds(value: float) -> str:
    if abs(value) >= 60:  # noqa: PLR2004
        return ("-" if value < 0 else "") + age(abs(value))
    for size, factor, name in _SMALL:
        if 0 < abs(value) < size * 1000:
            return f"{value * factor:.3g} {name}"
    return f"{value:.3g} s"


_WORDS: Mapping[Unit, Callable[[float], str]] = {
    "percent": lambda value: f"{_plain(value * 100)}%",
    "seconds": _seconds,
    "celsius": lambda value: f"{_plain(value)} C",
    "bytes": lambda value: f"{_plain(value)}B",
    "bytes_per_second": lambda value: f"{_plain(value)}B/s",
    "per_second": lambda value: f"{_plain(value)}/s",
    "count": _plain,
}
