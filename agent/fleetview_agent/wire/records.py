"""Log records of many dialects, read into one.

Agents write the contract's five fields. Other shippers, and the applications that an agent follows, write what their logging
library writes: pino, bunyan, structlog, Python's logging, zap, logrus, Serilog, GELF, journald, OpenTelemetry, ECS. What
cannot be told is said to be unknown, never guessed and never dropped; the record as received stays in `raw`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

_DAY_MS = 86_400_000
_YEAR_2000_MS = 946_684_800_000
_HEX = re.compile(r"[0-9a-f]+")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_ZONE = re.compile(r"\s*(?:z|utc|gmt)$|\s+(?=[+-]\d\d:?\d\d$)", re.IGNORECASE)
_EPOCH = re.compile(r"(?!\d{14}$)\d{9,}")
_INTEGER = re.compile(r"\s*-?[0-9]{1,20}\s*", re.ASCII)
_MAX_ID = 64


class Level(IntEnum):
    """How bad a record is. Sorts by severity; UNKNOWN is what could not be told, shown as `?`."""

    UNKNOWN = 0
    DEBUG = 10
    INFO = 20
    WARN = 30
    ERROR = 40

    @property
    def text(self) -> str:
        """As the contract spells it, or `?`."""
        return self.name if self else "?"


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One log record, whatever dialect it came in."""

    time_ms: int
    """Milliseconds since 1970, by the device's clock or, with `time_is_receipt`, by the reader's."""
    time_is_receipt: bool
    """The record had no believable time: missing, before 2000, or more than a day ahead."""
    level: Level
    service: str
    trace_id: str | None
    """32 lower-case hex digits where it is one; None for none or all zeros."""
    message: str
    raw: dict[str, Any]
    """The record as received."""

    def extra(self) -> dict[str, Any]:
        """The fields beside the fixed part, as received."""
        return {name: value for name, value in self.raw.items() if name not in FIXED_KEYS}


_TIME_KEYS = (
    "timestamp", "time", "ts", "@timestamp", "@t", "asctime", "datetime", "date", "Timestamp", "eventTime",
    "timeUnixNano", "TimeUnixNano", "observedTimeUnixNano", "__REALTIME_TIMESTAMP", "t",
)  # fmt: skip
_MESSAGE_KEYS = (
    "message", "msg", "@m", "@mt", "short_message", "MESSAGE", "body", "Body", "event", "text", "log", "@message",
)  # fmt: skip
_SERVICE_KEYS = (
    "service", "service.name", "service_name", "serviceName", "app", "application", "SYSLOG_IDENTIFIER", "_SYSTEMD_UNIT",
    "component", "logger", "logger_name", "@logger", "name",
)  # fmt: skip
_TRACE_KEYS = (
    "trace_id", "traceId", "TraceId", "traceid", "trace.id", "otelTraceID", "@tr", "traceparent", "trace",
    "logging.googleapis.com/trace",
)  # fmt: skip
_TEXT_LEVEL_KEYS = (
    "level", "severity", "levelname", "lvl", "log.level", "loglevel", "log_level", "severityText", "severity_text",
    "SeverityText", "@l", "levelName", "l",
)  # fmt: skip
_OTEL_KEYS = ("severityNumber", "SeverityNumber", "severity_number")
_SYSLOG_KEYS = ("PRIORITY", "syslog_severity", "syslog.severity", "severity_code")
_PYTHON_KEYS = frozenset({"levelname", "asctime", "funcName", "lineno", "threadName", "pathname", "process"})
FIXED_KEYS = frozenset(
    (*_TIME_KEYS, *_MESSAGE_KEYS, *_SERVICE_KEYS, *_TRACE_KEYS, *_TEXT_LEVEL_KEYS, *_OTEL_KEYS, *_SYSLOG_KEYS, "levelno")
) - {"name", "event", "t", "l", "date", "trace"}  # fmt: skip
"""Keys that are always part of the fixed five. The others among the above are words that applications use for their own."""

_LEVEL_WORDS = {
    "trace": Level.DEBUG, "trc": Level.DEBUG, "verbose": Level.DEBUG, "vrb": Level.DEBUG, "finest": Level.DEBUG,
    "finer": Level.DEBUG, "fine": Level.DEBUG, "debug": Level.DEBUG, "dbg": Level.DEBUG, "debg": Level.DEBUG,
    "d": Level.DEBUG, "v": Level.DEBUG,
    "info": Level.INFO, "inf": Level.INFO, "information": Level.INFO, "informational": Level.INFO, "notice": Level.INFO,
    "note": Level.INFO, "config": Level.INFO, "i": Level.INFO, "n": Level.INFO, "success": Level.INFO, "default": Level.INFO,
    "warn": Level.WARN, "wrn": Level.WARN, "warning": Level.WARN, "w": Level.WARN,
    "error": Level.ERROR, "err": Level.ERROR, "eror": Level.ERROR, "severe": Level.ERROR, "e": Level.ERROR,
    "critical": Level.ERROR, "crit": Level.ERROR, "fatal": Level.ERROR, "ftl": Level.ERROR, "f": Level.ERROR,
    "alert": Level.ERROR, "emergency": Level.ERROR, "emerg": Level.ERROR, "panic": Level.ERROR, "dpanic": Level.ERROR,
}  # fmt: skip
_CANONICAL = {"DEBUG": Level.DEBUG, "INFO": Level.INFO, "WARN": Level.WARN, "ERROR": Level.ERROR}
_PINO = {10: Level.DEBUG, 20: Level.DEBUG, 30: Level.INFO, 40: Level.WARN, 50: Level.ERROR, 60: Level.ERROR}
_PYTHON = {10: Level.DEBUG, 20: Level.INFO, 30: Level.WARN, 40: Level.ERROR, 50: Level.ERROR}
_SYSLOG_WARNING = 4
_SYSLOG_ERROR = 3
_SYSLOG_DEBUG = 7


def parse_level(text: str) -> Level:
    """The level that a word stands for, in any case and abbreviation; UNKNOWN for any other word."""
    return _LEVEL_WORDS.get(text.strip(" []<>:.").lower(), Level.UNKNOWN)


def _syslog(number: int) -> Level:
    if not 0 <= number <= _SYSLOG_DEBUG:
        return Level.UNKNOWN
    if number <= _SYSLOG_ERROR:
        return Level.ERROR
    if number == _SYSLOG_WARNING:
        return Level.WARN
    return Level.DEBUG if number == _SYSLOG_DEBUG else Level.INFO


def _otel(number: int) -> Level:
    # OpenTelemetry log data model: 1-4 trace, 5-8 debug, 9-12 info, 13-16 warn, 17-20 error, 21-24 fatal.
    bands = ((1, 8, Level.DEBUG), (9, 12, Level.INFO), (13, 16, Level.WARN), (17, 24, Level.ERROR))
    return next((level for low, high, level in bands if low <= number <= high), Level.UNKNOWN)


def _integer(value: Any) -> int | None:  # noqa: ANN401
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    return None


def _number_level(record: dict[str, Any], number: int) -> Level:
    """A number under `level` or `severity`: whose scale it is, only the record's other fields can tell."""
    if "short_message" in record:  # GELF
        return _syslog(number)
    # bunyan and pino name the process and the host; pino writes epoch times too
    if "pid" in record and "hostname" in record:
        return _PINO.get(number, Level.UNKNOWN)
    if not _PYTHON_KEYS.isdisjoint(record):
        return _PYTHON.get(number, Level.UNKNOWN)
    if _PINO.get(number) is _PYTHON.get(number):  # 10 and 50 mean the same on both
        return _PINO.get(number, Level.UNKNOWN)
    return Level.UNKNOWN


def _named_level(record: dict[str, Any]) -> Level:
    for key in _TEXT_LEVEL_KEYS:
        value = record.get(key)
        level = Level.UNKNOWN
        if (number := _integer(value)) is not None:
            level = _number_level(record, number) if key in {"level", "severity"} else level
        elif isinstance(value, str):
            level = parse_level(value)
        if level:
            return level
    return Level.UNKNOWN


def _level(record: dict[str, Any]) -> Level:
    if level := _named_level(record):
        return level
    for keys, scale in ((_OTEL_KEYS, _otel), (_SYSLOG_KEYS, _syslog)):
        for key in keys:
            if (number := _integer(record.get(key))) is not None:
                return scale(number)
    if (number := _integer(record.get("levelno"))) is not None:
        return _PYTHON.get(number, Level.UNKNOWN)
    log = record.get("log")
    if isinstance(log, dict) and isinstance(log.get("level"), str):  # ECS, nested
        return parse_level(log["level"])
    if "@t" in record:  # Serilog's compact format leaves out Information
        return Level.INFO
    return Level.UNKNOWN


def epoch_ms(number: float) -> int | None:
    """Milliseconds of an epoch time in s, ms, us or ns, told by its magnitude; None if it is none."""
    if not -1e20 < number < 1e20:  # noqa: PLR2004  # also false for NaN
        return None
    size = abs(number)
    if size < 1e11:  # noqa: PLR2004
        return int(number * 1000)
    if size < 1e14:  # noqa: PLR2004
        return int(number)
    return int(number // 1000) if size < 1e17 else int(number // 1_000_000)  # noqa: PLR2004


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    # RFC 3339 allows "t" and "z"; other writers put a space before the zone, or name it UTC.
    loose = _ZONE.sub(lambda found: "+00:00" if found[0].strip() else "", text)
    try:
        return datetime.fromisoformat(loose) if loose != text else None
    except ValueError:
        return None


def parse_time(value: Any) -> int | None:  # noqa: ANN401
    """Milliseconds since 1970 of a time in any of the usual spellings; a time without a zone is UTC. None if it is none."""
    if isinstance(value, str):
        text = value.strip()
        # Eight and fourteen digits are dates written together; of others, fromisoformat makes dates of the year 9890.
        moment = None if _EPOCH.fullmatch(text) else _moment(text)
        if moment is None:
            try:
                return epoch_ms(float(text)) if len(text) <= 32 else None  # noqa: PLR2004
            except ValueError:
                return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return round(moment.timestamp() * 1000)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return epoch_ms(value)
    return None


def parse_trace_id(value: Any) -> str | None:  # noqa: ANN401
    """A trace id in its one spelling: lower case, no dashes, 16 hex digits padded to 32; None for none or all zeros."""
    if isinstance(value, dict):
        value = value.get("id")
    if not isinstance(value, str) or not value:
        return None
    text = value.strip().lower()
    if found := _TRACEPARENT.fullmatch(text):
        text = found[1]
    text = text.rpartition("/")[2].replace("-", "")
    if not text.strip("0"):
        return None
    if len(text) == 16 and _HEX.fullmatch(text):  # noqa: PLR2004
        text = text.rjust(32, "0")
    return text[:_MAX_ID]


def _text(value: Any) -> str | None:  # noqa: ANN401
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        inner = value.get("stringValue", value.get("name"))
        return inner if isinstance(inner, str) else None
    return None


def _first_text(record: dict[str, Any], keys: tuple[str, ...]) -> str | None:
    for key in keys:
        value = record.get(key)
        if key == "MESSAGE" and isinstance(value, list):
            value = _journal_bytes(value)
        if (text := _text(value)) is not None:
            return text
    return None


def _journal_bytes(numbers: list[Any]) -> str | None:
    """What journald writes as an array of bytes because it is not UTF-8 (systemd's JSON Export Format)."""
    try:
        return bytes(numbers).decode("utf-8", "replace")
    except (TypeError, ValueError):
        return None


def normalize(raw: dict[str, Any], received_ms: int, *, default_service: str = "") -> LogRecord:
    """The record in one form. `received_ms` (since 1970) stands in for a time that is missing or not believable."""
    level = _CANONICAL.get(raw["level"]) if isinstance(raw.get("level"), str) else None
    time_ms = None
    for key in _TIME_KEYS:
        if (value := raw.get(key)) is not None and (time_ms := parse_time(value)) is not None:
            break
    receipt = time_ms is None or not _YEAR_2000_MS <= time_ms <= received_ms + _DAY_MS
    trace_id = None
    for key in _TRACE_KEYS:
        if (value := raw.get(key)) is not None and (trace_id := parse_trace_id(value)) is not None:
            break
    service = _first_text(raw, _SERVICE_KEYS)
    if service is None and isinstance(resource := raw.get("resource"), dict):
        service = _text(resource.get("service.name"))
    return LogRecord(
        time_ms=received_ms if receipt or time_ms is None else time_ms,
        time_is_receipt=receipt,
        level=_level(raw) if level is None else level,
        service=default_service if service is None else service,
        trace_id=trace_id,
        message=_first_text(raw, _MESSAGE_KEYS) or "",
        raw=raw,
    )
