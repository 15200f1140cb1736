"""Log records in the wild: dialects of time, level, trace id, service and message read into one; nothing guessed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fleetview_agent.wire import Level, normalize
from fleetview_agent.wire.records import epoch_ms, parse_level, parse_time, parse_trace_id
from wire.strategies import json_objects, numbers, words

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
RECEIVED_MS = 1_795_347_000_000  # 2026-11-22T11:30:00Z
TOLD_MS = 1_795_346_920_120  # 2026-11-22T11:28:40.120Z


@pytest.mark.parametrize(
    ("dialect", "service", "message", "level"),
    [
        pytest.param(
            {"timestamp": "2026-11-22T11:28:40.120Z", "service": "s", "level": "ERROR", "trace_id": TRACE, "message": "m"},
            "s", "m", Level.ERROR, id="contract",
        ),
        pytest.param(
            {"level": 30, "time": TOLD_MS, "pid": 7, "hostname": "h", "name": "s", "msg": "m"}, "s", "m", Level.INFO, id="pino"
        ),
        pytest.param(
            {"v": 0, "level": 40, "time": "2026-11-22T11:28:40.120Z", "pid": 7, "hostname": "h", "name": "s", "msg": "m"},
            "s", "m", Level.WARN, id="bunyan",
        ),
        pytest.param(
            {"event": "m", "level": "warning", "timestamp": "2026-11-22T11:28:40.120000Z", "logger": "s"},
            "s", "m", Level.WARN, id="structlog",
        ),
        pytest.param(
            {"asctime": "2026-11-22 11:28:40,120", "levelname": "CRITICAL", "levelno": 50, "name": "s", "message": "m"},
            "s", "m", Level.ERROR, id="python",
        ),
        pytest.param(
            {"level": "info", "ts": TOLD_MS / 1000, "logger": "s", "msg": "m", "caller": "a.go:1"},
            "s", "m", Level.INFO, id="zap",
        ),
        pytest.param(
            {"@t": "2026-11-22T11:28:40.1200000Z", "@m": "m", "@l": "Warning", "service": "s"},
            "s", "m", Level.WARN, id="serilog",
        ),
        pytest.param(
            {"@t": "2026-11-22T11:28:40.1200000Z", "@mt": "m", "service": "s"}, "s", "m", Level.INFO, id="serilog-information"
        ),
        pytest.param(
            {"version": "1.1", "host": "h", "short_message": "m", "timestamp": TOLD_MS / 1000, "level": 3, "service": "s"},
            "s", "m", Level.ERROR, id="gelf",
        ),
        pytest.param(
            {"__REALTIME_TIMESTAMP": str(TOLD_MS * 1000), "PRIORITY": "4", "SYSLOG_IDENTIFIER": "s", "MESSAGE": "m"},
            "s", "m", Level.WARN, id="journald",
        ),
        pytest.param(
            {"timeUnixNano": str(TOLD_MS * 10**6), "severityNumber": 17, "body": {"stringValue": "m"},
             "resource": {"service.name": "s"}},
            "s", "m", Level.ERROR, id="opentelemetry",
        ),
        pytest.param(
            {"@timestamp": "2026-11-22T11:28:40.120Z", "log.level": "debug", "service.name": "s", "message": "m"},
            "s", "m", Level.DEBUG, id="ecs",
        ),
        pytest.param(
            {"@timestamp": "2026-11-22T11:28:40.120Z", "log": {"level": "warn"}, "service": {"name": "s"}, "message": "m"},
            "s", "m", Level.WARN, id="ecs-nested",
        ),
    ],
)  # fmt: skip
def test_dialects(dialect: dict[str, Any], service: str, message: str, level: Level) -> None:
    record = normalize(dialect, RECEIVED_MS)
    assert (record.service, record.message, record.level) == (service, message, level)
    assert (record.time_ms, record.time_is_receipt) == (TOLD_MS, False)
    assert record.raw is dialect


@pytest.mark.parametrize(
    ("fields", "level"),
    [
        ({"level": 30}, Level.UNKNOWN),  # info for pino, a warning for Python
        ({"level": 20}, Level.UNKNOWN),
        ({"level": 40}, Level.UNKNOWN),
        ({"level": 30, "pid": 1, "hostname": "h"}, Level.INFO),
        ({"level": 30, "funcName": "f"}, Level.WARN),
        ({"level": 10}, Level.DEBUG),  # both mean the same
        ({"level": 50}, Level.ERROR),
        ({"level": 60}, Level.UNKNOWN),
        ({"level": 3}, Level.UNKNOWN),  # syslog's only under its own keys
        ({"level": "3"}, Level.UNKNOWN),
        ({"severity": 0}, Level.UNKNOWN),
        ({"PRIORITY": 3}, Level.ERROR),
        ({"PRIORITY": "4"}, Level.WARN),
        ({"PRIORITY": 5}, Level.INFO),
        ({"PRIORITY": 7}, Level.DEBUG),
        ({"PRIORITY": 8}, Level.UNKNOWN),
        ({"PRIORITY": -1}, Level.UNKNOWN),
        ({"syslog_severity": 2}, Level.ERROR),
        ({"priority": 1}, Level.UNKNOWN),  # an application's own word
        ({"SeverityNumber": 1}, Level.DEBUG),
        ({"SeverityNumber": 8}, Level.DEBUG),
        ({"SeverityNumber": 9}, Level.INFO),
        ({"SeverityNumber": 12}, Level.INFO),
        ({"SeverityNumber": 13}, Level.WARN),
        ({"SeverityNumber": 16}, Level.WARN),
        ({"SeverityNumber": 17}, Level.ERROR),
        ({"SeverityNumber": 24}, Level.ERROR),
        ({"SeverityNumber": 25}, Level.UNKNOWN),
        ({"SeverityNumber": 0}, Level.UNKNOWN),
        ({"levelno": 30}, Level.WARN),
        ({"level": "odd", "severity": "err"}, Level.ERROR),
        ({"level": True}, Level.UNKNOWN),
        ({"level": 3.7}, Level.UNKNOWN),
        ({"level": None, "levelname": "info"}, Level.INFO),
        ({"level": {"name": "info"}}, Level.UNKNOWN),
        ({}, Level.UNKNOWN),
    ],
)
def test_levels_are_told_or_unknown_and_never_guessed(fields: dict[str, Any], level: Level) -> None:
    record = normalize({"message": "m", **fields}, RECEIVED_MS)
    assert record.level is level
    assert record.level.text == ("?" if level is Level.UNKNOWN else level.name)


@pytest.mark.parametrize(
    ("texts", "level"),
    [
        (("debug", "DEBUG", "Dbg", "trace", "TRACE", "verbose", "D"), Level.DEBUG),
        (("info", "INFO", "Information", "inf", "notice", "I", "[info]", " info "), Level.INFO),
        (("warn", "WARN", "Warning", "wrn", "W"), Level.WARN),
        (("error", "ERROR", "err", "Eror", "fatal", "CRITICAL", "crit", "panic", "alert", "emerg", "E", "F"), Level.ERROR),
        (("", "?", "loud", "information!", "0"), Level.UNKNOWN),
    ],
)
def test_level_words_in_every_case_and_abbreviation(texts: tuple[str, ...], level: Level) -> None:
    assert {text: parse_level(text) for text in texts} == dict.fromkeys(texts, level)


@pytest.mark.parametrize(
    "told",
    [
        "2026-11-22T11:28:40.120Z", "2026-11-22t11:28:40.120z", "2026-11-22 11:28:40.120Z", "2026-11-22T13:28:40.120+02:00",
        "2026-11-22T06:28:40.120-0500", "2026-11-22 11:28:40,120", "2026-11-22T11:28:40.120", "2026-11-22T11:28:40.120000001Z",
        "2026-11-22 11:28:40.120 +00:00", "2026-11-22 11:28:40.120 UTC", " 2026-11-22T11:28:40.12Z\n",
        TOLD_MS / 1000, TOLD_MS, TOLD_MS * 1000, TOLD_MS * 10**6, str(TOLD_MS), str(TOLD_MS * 10**6), f"{TOLD_MS / 1000}",
    ],
)  # fmt: skip
def test_times_in_every_spelling(told: str | float) -> None:
    record = normalize({"time": told, "message": "m"}, RECEIVED_MS)
    assert (record.time_ms, record.time_is_receipt) == (TOLD_MS, False)


@pytest.mark.parametrize(
    "told", [None, "", "yesterday", True, [], {}, -1, 0, "1999-12-31T23:59:59.999Z", float("nan"), 10**30]
)
def test_a_time_that_is_missing_or_not_believable_is_that_of_receipt_and_says_so(told: object) -> None:
    record = normalize({"time": told, "message": "m"}, RECEIVED_MS)
    assert (record.time_ms, record.time_is_receipt) == (RECEIVED_MS, True)


def test_the_edges_of_believable_times() -> None:
    day_ms, y2k_ms = 86_400_000, 946_684_800_000
    for told, believed in (
        (RECEIVED_MS + day_ms, True),
        (RECEIVED_MS + day_ms + 1, False),
        (y2k_ms, True),
        (y2k_ms - 1, False),
    ):
        assert normalize({"time": told}, RECEIVED_MS).time_is_receipt is not believed


def test_digits_written_together_are_a_date_or_an_epoch() -> None:
    assert parse_time("20261122") == parse_time("2026-11-22T00:00:00Z")
    assert parse_time("20261122T103000") == parse_time("2026-11-22T10:30:00Z")
    assert parse_time("989010060000000") == 989010060000  # microseconds, which are also a date of the year 9890


@given(st.datetimes(datetime(2000, 1, 1), datetime(2026, 11, 22)), st.sampled_from([1, 10**3, 10**6, 10**9]))  # noqa: DTZ001
def test_an_epoch_in_any_unit_is_told_by_its_size(moment: datetime, per_second: int) -> None:
    unix_s = int(moment.replace(tzinfo=UTC).timestamp())
    assert epoch_ms(unix_s * per_second) == unix_s * 1000
    assert parse_time(str(unix_s * per_second)) == unix_s * 1000


@pytest.mark.parametrize(
    ("value", "trace_id"),
    [
        (TRACE, TRACE),
        (TRACE.upper(), TRACE),
        ("4bf92f35-77b3-4da6-a3ce-929d0e0e4736", TRACE),
        (f"00-{TRACE}-00f067aa0ba902b7-01", TRACE),
        ("a3ce929d0e0e4736", "0000000000000000a3ce929d0e0e4736"),
        (f"projects/p/traces/{TRACE}", TRACE),
        ({"id": TRACE}, TRACE),
        ("0" * 32, None),
        ("0" * 16, None),
        ("00000000-0000-0000-0000-000000000000", None),
        ("", None),
        ("   ", None),
        (7, None),
        (None, None),
        ("req-17", "req17"),
    ],
)
def test_trace_ids_have_one_spelling(value: object, trace_id: str | None) -> None:
    assert parse_trace_id(value) == trace_id
    assert normalize({"trace_id": value}, RECEIVED_MS).trace_id == trace_id


def test_what_is_not_in_the_fixed_part_is_kept_as_it_is() -> None:
    raw = {"timestamp": "t", "service": "s", "level": "INFO", "trace_id": TRACE, "message": "m", "user": "u-17", "n": [1]}
    assert normalize(raw, RECEIVED_MS).extra() == {"user": "u-17", "n": [1]}


def test_a_record_that_names_no_service_has_the_one_its_source_was_given() -> None:
    assert normalize({"message": "m"}, RECEIVED_MS, default_service="user-auth").service == "user-auth"
    assert normalize({"service": "own"}, RECEIVED_MS, default_service="user-auth").service == "own"


_odd = st.none() | st.booleans() | st.integers() | st.floats() | words | st.lists(words) | st.dictionaries(words, words)
_keys = st.sampled_from(
    ["timestamp", "time", "ts", "@t", "level", "severity", "PRIORITY", "SeverityNumber", "levelno", "log", "message", "msg",
     "body", "service", "resource", "trace_id", "traceparent", "short_message", "pid", "hostname"]
)  # fmt: skip


@given(json_objects, st.dictionaries(_keys, _odd | numbers), st.integers(0, 4_000_000_000_000))
@example({}, {"time": 10**400, "level": 10**400}, RECEIVED_MS)
@example({}, {"time": "0001-01-01T00:00:00+23:59"}, RECEIVED_MS)
@example({}, {"time": "9" * 32, "level": "9" * 400}, RECEIVED_MS)
@example({}, {"time": "\u0661\u0662", "PRIORITY": "\u0663"}, RECEIVED_MS)
@example({}, {"service": {"name": 1}, "log": {"level": 3}}, RECEIVED_MS)
def test_whatever_a_record_holds_is_read_without_an_error(
    fields: dict[str, Any], odd: dict[str, Any], received_ms: int
) -> None:
    raw = {**fields, **odd}
    record = normalize(raw, received_ms)
    assert record.raw is raw
    assert 946_684_800_000 <= record.time_ms <= received_ms + 86_400_000 or record.time_is_receipt
    assert not record.time_is_receipt or record.time_ms == received_ms
    assert record.trace_id is None or (0 < len(record.trace_id) <= 64 and record.trace_id.strip("0"))
    assert set(record.extra()) <= set(raw)
