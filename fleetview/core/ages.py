"""Durations in words: at most two units, so that a figure does not jitter."""

from __future__ import annotations

_UNITS = ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s"))


def age(seconds: float) -> str:
    """`4s`, `1m 05s`, `3h 12m`, `2d 04h`; below zero counts as zero."""
    whole = max(0, int(seconds))
    for size, unit, small_size, small_unit in _UNITS:
        if whole >= size:
            return f"{whole // size}{unit} {whole % size // small_size:02d}{small_unit}"
    return f"{whole}s"


def rough_age(seconds: float) -> str:
    """The same in steps that change seldom: `now` for less than ten seconds, `20s`, `4m`, `3h 12m`, `2d 04h`."""
    if seconds < 10:  # noqa: PLR2004
        return "now"
    if seconds < 60:  # noqa: PLR2004
        return f"{int(seconds) // 10 * 10}s"
    return f"{int(seconds) // 60}m" if seconds < 3600 else age(seconds)  # noqa: PLR2004
