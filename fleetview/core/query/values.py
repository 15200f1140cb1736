"""Values as people write them: numbers, fractions, durations, sizes, versions. None for what is none of that kind."""

from __future__ import annotations

import math
import re

_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:e[+-]?[0-9]{1,3})?", re.IGNORECASE)
_WITH_UNIT = re.compile(rf"({_NUMBER.pattern})\s*([a-z%°]*)", re.IGNORECASE)
_VERSION = re.compile(r"v?([0-9]{1,18}(?:\.[0-9]{1,18}){0,8})(?:[-.~]?([a-z][0-9a-z.-]*|(?<=-)[0-9][0-9a-z.-]*))?(?:\+.*)?")
_RUN = re.compile(r"[0-9]+|[a-z]+")
_MAX_VERSION_CHARS = 80

DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
SIZE_UNITS = {
    "": 1.0, "b": 1.0, "k": 1e3, "kb": 1e3, "m": 1e6, "mb": 1e6, "g": 1e9, "gb": 1e9, "t": 1e12, "tb": 1e12,
    "kib": 1024.0, "mib": 1024.0**2, "gib": 1024.0**3, "tib": 1024.0**4,
}  # fmt: skip
"""SI and IEC 80000-13: kB is 1,000 bytes, KiB 1,024."""

VersionKey = tuple[tuple[int, ...], tuple[tuple[int, int | str], ...]]
_RELEASED = ((2, 0),)
"""Sorts behind every pre-release, whose parts begin with 0 or 1."""


def number(text: str) -> float | None:
    """`0.5`, `-3`, `1e3`."""
    if not _NUMBER.fullmatch(text):
        return None
    found = float(text)
    return found if math.isfinite(found) else None


def fraction(text: str) -> float | None:
    """`0.8` or `80%`, as 0..1."""
    if text.endswith("%"):
        percent = number(text[:-1])
        return None if percent is None else percent / 100
    found = number(text)
    return found if found is not None and 0 <= found <= 1 else None


def temperature_c(text: str) -> float | None:
    """`70`, `70C` or `70°C`, in degrees Celsius."""
    return number(re.sub(r"°?c$", "", text, flags=re.IGNORECASE))


def duration_s(text: str) -> float | None:
    """`90`, `90s`, `1.5h` or `1h30m`, in seconds."""
    plain = number(text)
    if plain is not None:
        return plain if plain >= 0 else None
    total, position = 0.0, 0
    while position < len(text):
        match = _WITH_UNIT.match(text, position)
        if match is None or (unit := DURATION_UNITS.get(match[2].lower())) is None:
            return None
        part = number(match[1])
        if part is None or part < 0:
            return None
        total += part * unit
        position = match.end()
    return total if text else None


def size_bytes(text: str) -> float | None:
    """`500`, `10MB` or `4KiB`, in bytes."""
    match = _WITH_UNIT.fullmatch(text)
    if match is None or (unit := SIZE_UNITS.get(match[2].lower())) is None:
        return None
    found = number(match[1])
    return None if found is None or found < 0 else found * unit


def version(text: str) -> VersionKey | None:
    """A key that sorts as versions do: 1.9 before 1.10, 1.5.0-rc1 before 1.5.0, 1.5 the same as 1.5.0 (semver 2.0, rule 11).

    None for what is no version, such as `nightly`.
    """
    match = _VERSION.fullmatch(text.lower()) if len(text) <= _MAX_VERSION_CHARS else None
    if match is None:
        return None
    numbers = [int(part) for part in match[1].split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    if match[2] is None:
        return tuple(numbers), _RELEASED
    runs = _RUN.findall(match[2])
    return tuple(numbers), tuple((0, int(run)) if run.isdecimal() else (1, run) for run in runs)
