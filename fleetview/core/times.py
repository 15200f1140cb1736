"""Moments as people write them: `-15m`, `14:05`, a date. All in UTC, as all that is shown."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_AGE = re.compile(r"-?\s*((?:\d+(?:\.\d+)?(?:ms|[smhdw])\s*)+)(?:ago)?", re.IGNORECASE)
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])", re.IGNORECASE)
_CLOCK = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d)(?:[.,](\d{1,3})\d*)?)?\s*z?", re.IGNORECASE)
_UNIT_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_DAY_MS = 86_400_000
_LONGEST = 64
_FORMS = "15m (ago), 14:05, 14:05:30, 2026-11-22, 2026-11-22 14:05"


def parse_when(text: str, now_ms: int) -> int:
    """Milliseconds since 1970 of a moment in the past. Raises ValueError, which says what could be written.

    A clock time is the last time that it was so late; an age may have a minus in front.
    """
    words = text.strip()
    if len(words) <= _LONGEST:
        if words.lower() == "now":
            return now_ms
        if age := _AGE.fullmatch(words):
            return max(0, now_ms - round(sum(float(size) * _UNIT_MS[unit.lower()] for size, unit in _PART.findall(age[1]))))
        if clock := _CLOCK.fullmatch(words):
            return _clock(clock, now_ms, words)
        if (moment := _date(words)) is not None:
            return moment
    raise ValueError(_complaint(text))


def _clock(clock: re.Match[str], now_ms: int, words: str) -> int:
    hour, minute, second = int(clock[1]), int(clock[2]), int(clock[3] or 0)
    try:
        day = datetime.fromtimestamp(now_ms // 1000, UTC).replace(hour=hour, minute=minute, second=second, microsecond=0)
    except ValueError:
        raise ValueError(_complaint(words)) from None
    found = round(day.timestamp() * 1000) + int((clock[4] or "").ljust(3, "0"))
    return found if found <= now_ms else found - _DAY_MS


def _date(words: str) -> int | None:
    try:
        moment = datetime.fromisoformat(words)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        return max(0, (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1))
    except OverflowError:
        return None


def _complaint(text: str) -> str:
    return f"{text[:_LONGEST]!r} is no time; write {_FORMS}"
