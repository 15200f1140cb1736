from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetview_agent.lines import level_of_text, record_of_line
from fleetview_agent.spool import record_json
from fleetview_agent.wire import Level, LogBatch, decode_log, encode_log, normalize

NOW_MS = 1_764_000_000_000
NOW = "2025-11-24T16:00:00.000Z"


def read(line: str | bytes | dict[str, Any]) -> dict[str, Any]:
    data = json.dumps(line).encode() if isinstance(line, dict) else line.encode() if isinstance(line, str) else line
    return record_of_line(data, service="app", now_ms=NOW_MS)


def test_a_record_of_the_contract_stays_as_it_is() -> None:
    record = {
        "timestamp": "2025-11-24T15:59:00.120Z",
        "service": "user-auth",
        "level": "ERROR",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "message": "Authentication failed",
        "user": "u-17",
    }
    assert read(record) == record


def test_pino() -> None:
    found = read(
        {"level": 30, "time": NOW_MS - 1000, "pid": 7, "hostname": "h", "msg": "listening", "traceId": "4BF92F3577B34DA6"}
    )
    assert found == {
        "timestamp": "2025-11-24T15:59:59.000Z",
        "service": "app",
        "level": "INFO",
        "trace_id": "00000000000000004bf92f3577b34da6",
        "message": "listening",
        "pid": 7,
        "hostname": "h",
    }


def test_what_the_fixed_part_does_not_say_is_kept() -> None:
    found = read(
        {"message": "m", "msg": "other", "level": "loud", "timestamp": "yesterday", "service": {"id": 3}, "trace_id": 7}
    )
    assert found["level"] == "INFO"
    assert found["level_assumed"] is True
    assert found["original_level"] == "loud"
    assert found["original_timestamp"] == "yesterday"
    assert found["original_service"] == {"id": 3}
    assert found["original_trace_id"] == 7
    assert found["msg"] == "other"
    assert found["timestamp"] == NOW


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("ERROR disk is full", Level.ERROR),
        ("2026-11-22 10:00:00,123 WARNING [main] slow", Level.WARN),
        ("[info] started", Level.INFO),
        ("warning: deprecated", Level.WARN),
        ("<3>kernel: oops", Level.ERROR),
        ("<30>daemon[1]: fine", Level.INFO),
        ('ts=1 level=warn msg="x"', Level.WARN),
        ("no errors found", Level.UNKNOWN),
        ("INFORMATION is power", Level.UNKNOWN),
        ("x" * 100 + " ERROR", Level.UNKNOWN),
        ("", Level.UNKNOWN),
    ],
)
def test_the_level_of_a_plain_line_is_taken_only_where_it_is_plain(line: str, level: Level) -> None:
    assert level_of_text(line) is level


def test_a_plain_line_is_the_message() -> None:
    line = "[2025-11-24T15:59:58.500+00:00] ERROR: it broke"
    assert read(line) == {
        "timestamp": "2025-11-24T15:59:58.500Z",
        "service": "app",
        "level": "ERROR",
        "trace_id": None,
        "message": line,
    }
    assert read("2025-11-24 15:00:00 a time without a zone could be any")["timestamp"] == NOW
    assert read("1999-11-24T15:00:00Z before there were agents")["timestamp"] == NOW
    assert read("plain")["level_assumed"] is True


@pytest.mark.parametrize("line", ['{"a": ', "[1, 2]", "3", '"text"', "{" * 5000, '{"message": "\\ud800"}', "null"])
def test_what_is_no_json_object_is_text(line: str) -> None:
    assert read(line)["message"] == line


@given(st.binary(max_size=300) | st.text().map(str.encode))
def test_any_line_becomes_a_record_of_the_contract(line: bytes) -> None:
    check(line)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["ERROR", "info", NOW, NOW_MS]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
KEYS = st.sampled_from(
    ["timestamp", "time", "level", "severity", "msg", "message", "service", "app", "trace_id", "id", "cut"]
)


@given(st.dictionaries(KEYS | st.text(max_size=4), VALUES, max_size=8))
def test_any_json_line_becomes_a_record_of_the_contract(value: dict[str, Any]) -> None:
    check(json.dumps(value).encode())


def check(line: bytes) -> None:
    record = json.loads(record_json(record_of_line(line, service="app", now_ms=NOW_MS)))
    payload = encode_log(LogBatch(stream="s", first_seq=0, records=[record]))
    assert decode_log(payload).records == [record]
    assert normalize(record, NOW_MS).level.name == record["level"]
