"""Durations, shares, bounds and numbers of devices as a person writes them in a plan."""

from __future__ import annotations

from math import ceil, isfinite
from typing import Annotated, NamedTuple

from pydantic import BeforeValidator

from fleetview.core.query import values

_ROUNDING = 9
"""Digits after which 0.15 x 20 is 3, not 3.0000000000000004."""


def said(kind: str, example: str) -> str:
    """What is wrong with a value: that it is not of this kind."""
    return f"{kind} expected, such as {example}"


def _duration(value: object) -> float:
    """`10m`, `1h30m`; a number is in seconds."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(said("a duration", "90s, 10m or 1h30m"))  # noqa: TRY004 (pydantic asks for ValueError)
    found = values.duration_s(value) if isinstance(value, str) else float(value)
    if found is None or not 0 <= found <= _LONGEST_S:
        raise ValueError(said("a duration of at most 30 days", "90s, 10m or 1h30m"))
    return found


def _fraction(value: object) -> float:
    """`0.5%`; a number is a fraction of 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(said("a share", "5% or 0.05"))  # noqa: TRY004 (see above)
    found = values.fraction(value) if isinstance(value, str) else float(value)
    if found is None or not 0 <= found <= 1:
        raise ValueError(said("a share between 0% and 100%", "5% or 0.05"))
    return found


_LONGEST_S = 30 * 86400.0
Duration = Annotated[float, BeforeValidator(_duration)]
"""Seconds; written as `10m` too."""
Fraction = Annotated[float, BeforeValidator(_fraction)]
"""0..1; written as `5%` too."""


def _bound(value: object) -> float:
    """Any number; `0.5%` is 0.005."""
    if isinstance(value, str) and value.endswith("%") and (percent := values.number(value[:-1])) is not None:
        return percent / 100
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise ValueError(said("a number or a share", "0.5% or 80"))
    return float(value)


Bound = Annotated[float, BeforeValidator(_bound)]
"""A number; written as `0.5%` too."""


class Size(NamedTuple):
    """How many devices: a share of them, or a number. One of the two is there."""

    share: float | None = None
    devices: int | None = None

    def of(self, total: int) -> int:
        """The number of devices, of `total`: at least one, unless there is none."""
        wanted = self.devices if self.share is None else ceil(round(self.share * total, _ROUNDING))
        return min(total, max(1, wanted or 0))

    def __str__(self) -> str:
        return f"{self.devices}" if self.share is None else f"{round(self.share * 100, 6):g} %"


def _size(value: object) -> Size:
    if isinstance(value, Size):
        return value
    match value:  # as JSON has it
        case [float(share), None] if 0 < share <= 1:
            return Size(share=share)
        case [None, value]:
            pass
    if isinstance(value, str) and value.strip().endswith("%"):
        found = values.fraction(value.strip().replace(" ", ""))
        if found is not None and 0 < found <= 1:
            return Size(share=found)
        raise ValueError(said("a share above 0% and up to 100%", "5%"))
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return Size(devices=value)
    raise ValueError(said("a share or a number of devices", '"5%" or 20'))


DeviceCount = Annotated[Size, BeforeValidator(_size)]
