"""One line of an application's log, read into one record of the contract.

The fixed five fields are written in their one spelling, all else is kept as it came. The contract knows four levels and has
no word for "not known": a record of unknown level is written as INFO with `level_assumed`, and the original beside it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from pydantic_core import from_json

from fleetview_agent.spool import Record
from fleetview_agent.wire import Level, LogRecord, format_time, normalize
from fleetview_agent.wire.records import FIXED_KEYS, parse_level, parse_time, parse_trace_id

FIXED = ("timestamp", "service", "level", "trace_id", "message")

_TIME_WITH_ZONE = re.compile(r"\[?(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d))\]?(?=\s|$)")
_LEVEL_WORD = re.compile(
    r"(?:^|[\s\[(|<])(TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|SEVERE|CRIT(?:ICAL)?|FATAL|ALERT|EMERG|PANIC)(?=$|[\s\])|>:,;])"
)
_LEVEL_PREFIX = re.compile(r"\[?(debug|info|notice|warn(?:ing)?|error|critical|fatal|panic)[\]:](?=\s|$)", re.IGNORECASE)
_LOGFMT_LEVEL = re.compile(r"(?:^|\s)(?:level|lvl|severity)=\"?([A-Za-z]+)\"?(?=\s|$)")
_SYSLOG_PREFIX = re.compile(r"<(\d{1,3})>")
_SEVERITIES = 8
_SYSLOG_LEVELS = (Level.ERROR,) * 4 + (Level.WARN, Level.INFO, Level.INFO, Level.DEBUG)
_HEAD = 80
"""Characters in which a level in capitals counts: further on it is likelier to be a word of the message."""


def record_of_line(line: bytes, *, service: str, now_ms: int, cut_from_bytes: int | None = None) -> Record:
    """The record in a line without its end.

    `service` names the application for lines that do not, `now_ms` (since 1970) stands in for a time that is missing or not
    believable, and `cut_from_bytes` is the length of the whole line where this is only its beginning.
    """
    raw = None if cut_from_bytes is not None else _json_object(line)
    record = _of_text(line.decode("utf-8", "replace"), service, now_ms) if raw is None else _of_json(raw, service, now_ms)
    if cut_from_bytes is not None:
        record["cut"] = f"{cut_from_bytes} bytes, the first {len(line)} are kept"
    return record


def _json_object(line: bytes) -> dict[str, Any] | None:
    if not line.lstrip().startswith(b"{"):
        return None
    try:
        value = from_json(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _of_json(raw: dict[str, Any], service: str, now_ms: int) -> Record:
    read = normalize(raw, now_ms, default_service=service)
    record = _fixed(read.time_ms, read.service or service, read.level, read.trace_id, read.message)
    for name, value in raw.items():
        if name in FIXED:
            if not _says(name, value, read):
                record[f"original_{name}"] = value
        elif name not in FIXED_KEYS or not _says_any(value, read):
            record.setdefault(name, value)
    return record


def _fixed(time_ms: int, service: str, level: Level, trace_id: str | None, message: str) -> Record:
    record: Record = {
        "timestamp": _time_text(time_ms),
        "service": service,
        "level": level.name if level else "INFO",
        "trace_id": trace_id,
        "message": message,
    }
    if not level:
        record["level_assumed"] = True
    return record


def _time_text(time_ms: int) -> str:
    return format_time(datetime.fromtimestamp(time_ms / 1000, UTC))


def _says(name: str, value: Any, read: LogRecord) -> bool:  # noqa: ANN401  (any JSON value)
    """Whether the record's own field `name` says no more than the field of the contract that takes its place."""
    match name:
        case "timestamp":
            return parse_time(value) == read.time_ms
        case "level":
            return read.level is not Level.UNKNOWN and (isinstance(value, int) or parse_level(str(value)) is read.level)
        case "trace_id":
            none = value is None or isinstance(value, str)  # of texts only all zeros and the empty one stand for none
            return parse_trace_id(value) == read.trace_id and (none or read.trace_id is not None)
        case "service":
            return bool(value == read.service)
        case _:
            return bool(value == read.message)


def _says_any(value: Any, read: LogRecord) -> bool:  # noqa: ANN401  (any JSON value)
    return any(_says(name, value, read) for name in FIXED if name != "level") or (
        isinstance(value, str) and read.level is not Level.UNKNOWN and parse_level(value) is read.level
    )


def _of_text(text: str, service: str, now_ms: int) -> Record:
    time_ms = _time_of(text, now_ms)
    return _fixed(time_ms, service, level_of_text(text), None, text)


def _time_of(text: str, now_ms: int) -> int:
    """The time that a line begins with, if it says its zone (local time without one would be off by hours), or `now_ms`."""
    found = _TIME_WITH_ZONE.match(text)
    if found is None:
        return now_ms
    return normalize({"time": found[1].replace(",", ".")}, now_ms).time_ms


def level_of_text(text: str) -> Level:
    """The level of a line that is not JSON, where it is plain to see; UNKNOWN where it is a matter of opinion."""
    if found := _SYSLOG_PREFIX.match(text):
        return _SYSLOG_LEVELS[int(found[1]) % _SEVERITIES]
    if found := _LOGFMT_LEVEL.search(text):
        return parse_level(found[1])
    if found := _LEVEL_PREFIX.match(text):
        return parse_level(found[1])
    found = _LEVEL_WORD.search(text[:_HEAD])
    return Level.UNKNOWN if found is None else parse_level(found[1])
