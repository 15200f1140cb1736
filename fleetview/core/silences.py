"""Silences of Alertmanager: matchers as people write them, how long, and which of them hold now."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from fleetview.core.ages import age
from fleetview.core.alertread import unix_s
from fleetview.core.alerts import Place, Places

MAX_SILENCES = 10_000
MAX_MATCHERS = 32
LONGEST_S = 366 * 86400.0
"""A slip of the finger, such as 300d for 300m, hides trouble for good."""
_MATCHER = re.compile(r"\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(=~|!~|!=|=)\s*(.*?)\s*\Z", re.DOTALL)
_PART = re.compile(r"(\d+(?:\.\d+)?)(w|d|h|m|s)")
_UNITS_S = {"w": 604800.0, "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_ESCAPED = re.compile(r'\\(["\\n])')


class SilenceState(StrEnum):
    """As Alertmanager has it; the order is that of the list."""

    ACTIVE = "active"
    PENDING = "pending"
    EXPIRED = "expired"


_STATE_RANK = {state: rank for rank, state in enumerate(SilenceState)}


class Matcher(NamedTuple):
    """What one label of an alert must be."""

    name: str
    value: str
    is_regex: bool = False
    is_equal: bool = True

    def __str__(self) -> str:
        operator = {(False, True): "=", (False, False): "!=", (True, True): "=~", (True, False): "!~"}[
            self.is_regex, self.is_equal
        ]
        value = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.name}{operator}"{value}"'


@dataclass(frozen=True, slots=True)
class Silence:
    """Keeps the alerts quiet that all its matchers mean. Its texts are as received: hostile until cleaned."""

    id: str
    matchers: tuple[Matcher, ...]
    state: SilenceState
    starts_unix_s: float
    ends_unix_s: float
    author: str
    comment: str


class Silences(NamedTuple):
    """What Alertmanager tells."""

    silences: tuple[Silence, ...]
    """Those that hold first, and among them the one that ends first."""
    malformed: int = 0
    dropped: int = 0


def parse_matcher(text: str) -> Matcher:
    """`device="gw-1"`, `site=~plant-.*` or `ring!=canary`; quotes are not needed. Raises ValueError in words."""
    found = _MATCHER.match(text)
    if found is None:
        msg = f'{text!r} is not a matcher such as device="gw-1", site=~"plant-.*" or ring!=canary'
        raise ValueError(msg)
    name, operator, value = found.groups()
    if value[:1] == '"':
        if len(value) < 2 or value[-1] != '"' or _odd_backslash(value[:-1]):  # noqa: PLR2004
            msg = f"{text!r}: the quote is not closed"
            raise ValueError(msg)
        value = _ESCAPED.sub(lambda match: "\n" if match[1] == "n" else match[1], value[1:-1])
    if not value and operator in {"=", "=~"}:
        msg = f"{text!r} means every alert without this label: say what it must be"
        raise ValueError(msg)
    return Matcher(name, value, operator.endswith("~"), not operator.startswith("!"))


def parse_matchers(text: str) -> tuple[Matcher, ...]:
    """Matchers with commas between them. Raises ValueError in words."""
    parts, quoted, begin, at = [], False, 0, 0
    while at < len(text):
        if text[at] == "\\" and quoted:
            at += 1
        elif text[at] == '"':
            quoted = not quoted
        elif text[at] == "," and not quoted:
            parts.append(text[begin:at])
            begin = at + 1
        at += 1
    found = tuple(parse_matcher(part.strip()) for part in (*parts, text[begin:]) if part.strip())
    if not found:
        msg = 'say which alerts: matchers such as alertname="DiskFull", device="gw-1"'
        raise ValueError(msg)
    if len(found) > MAX_MATCHERS:
        msg = f"{len(found)} matchers are more than {MAX_MATCHERS}"
        raise ValueError(msg)
    return found


def _odd_backslash(text: str) -> bool:
    return (len(text) - len(text.rstrip("\\"))) % 2 == 1


def matchers_for(place: Place, places: Places) -> tuple[Matcher, ...]:
    """The matchers that mean one device, site or tenant."""
    named = zip((places.tenant, places.site, places.device), place, strict=True)
    return tuple(Matcher(name, value) for name, value in named if value is not None)


def parse_duration(text: str) -> float:
    """Seconds of `2h`, `1d12h`, `90m`. Raises ValueError in words."""
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text.strip():
        msg = f"{text!r} is not a duration such as 30m, 2h or 1d12h"
        raise ValueError(msg)
    seconds = sum(float(number) * _UNITS_S[unit] for number, unit in parts)
    if not 0 < seconds <= LONGEST_S:
        msg = f"{text!r} is not between a second and {age(LONGEST_S)}"
        raise ValueError(msg)
    return seconds


def read_silences(items: Any) -> Silences:  # noqa: ANN401 (JSON of a server)
    """The body of Alertmanager's `/api/v2/silences`."""
    found = items if isinstance(items, list) else []
    read = [_silence(item) for item in found[:MAX_SILENCES]]
    good = [silence for silence in read if silence is not None]
    good.sort(key=_order)
    return Silences(tuple(good), len(read) - len(good), max(0, len(found) - MAX_SILENCES))


def _order(silence: Silence) -> tuple[int, float, str]:
    # Of those that are over the last one first, for it is looked for most.
    over = silence.state is SilenceState.EXPIRED
    return _STATE_RANK[silence.state], -silence.ends_unix_s if over else silence.ends_unix_s, silence.id


def _silence(item: Any) -> Silence | None:  # noqa: ANN401
    try:
        starts, ends = unix_s(item["startsAt"]), unix_s(item["endsAt"])
        if starts is None or ends is None:
            return None
        return Silence(
            str(item["id"]),
            tuple(
                Matcher(str(one["name"]), str(one["value"]), bool(one["isRegex"]), bool(one.get("isEqual", True)))
                for one in item["matchers"]
            ),
            SilenceState(item["status"]["state"]),
            starts,
            ends,
            str(item.get("createdBy", "")),
            str(item.get("comment", "")),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
