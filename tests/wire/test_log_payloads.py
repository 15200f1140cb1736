"""What a log topic may carry: the contract's batches, and whatever else other shippers send."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetview_agent.wire import Channel, LogBatch, WireError, decode, decode_log
from wire.strategies import json_objects

ONE = {"msg": "one"}
TWO = {"msg": "two", "level": 30}
records = json_objects.filter(lambda record: not isinstance(record.get("records"), list))


def _of_others(batch: LogBatch) -> list[dict[str, Any]]:
    assert batch.stream is None
    assert batch.first_seq is None
    return batch.records


@given(records)
def test_a_single_object_is_one_record(record: dict[str, Any]) -> None:
    assert _of_others(decode_log(json.dumps(record).encode())) == [record]


@given(st.lists(records, max_size=5))
def test_an_array_is_as_many_records(found: list[dict[str, Any]]) -> None:
    assert _of_others(decode_log(json.dumps(found).encode())) == found


@given(st.lists(json_objects, min_size=2, max_size=5), st.sampled_from(["\n", "\r\n", "\n\n"]), st.booleans())
def test_one_record_per_line(found: list[dict[str, Any]], end: str, last_ends: bool) -> None:
    text = end.join(json.dumps(record) for record in found) + (end if last_ends else "")
    assert _of_others(decode_log(text.encode())) == found


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1)))
def test_lines_that_are_no_json_are_kept_as_messages_among_some_that_are(lines: list[str]) -> None:
    text = "\n".join(['{"msg":"one"}', *(f"! {line}" for line in lines), '{"msg":"two"}'])
    expected = [{"msg": "one"}, *({"message": f"! {line}"} for line in lines), {"msg": "two"}]
    assert _of_others(decode_log(text.encode())) == expected


def test_a_unicode_line_separator_within_a_record_ends_no_line() -> None:
    found = [{"msg": "a\u2028b\x85c"}, {"msg": "d"}]
    text = "\n".join(json.dumps(record, ensure_ascii=False) for record in found)
    assert _of_others(decode_log(text.encode())) == found


@pytest.mark.parametrize(
    "payload", [b"", b" ", b"hello", b"hello\nworld", b"1\n2", b'"a"', b"null", b"[null]", b'[{"a":1},2]']
)
def test_what_holds_no_record_is_refused(payload: bytes) -> None:
    with pytest.raises(WireError):
        decode(Channel.LOG, payload)


def test_a_batch_of_the_contract_has_its_numbers() -> None:
    batch = decode_log(json.dumps({"v": 1, "stream": "s", "first_seq": 7, "records": [ONE, TWO]}).encode())
    assert (batch.stream, batch.first_seq, batch.records) == ("s", 7, [ONE, TWO])


def test_a_batch_with_a_field_that_a_reader_does_not_know_is_still_a_batch() -> None:
    batch = decode_log(json.dumps({"stream": "s", "first_seq": 7, "records": [ONE], "message": "hello"}).encode())
    assert (batch.stream, batch.records) == ("s", [ONE])


def test_a_record_with_a_field_named_records_is_still_a_record() -> None:
    record = {"message": "synced", "records": [1, 2]}
    assert _of_others(decode_log(json.dumps(record).encode())) == [record]


@pytest.mark.parametrize(
    "change", [{"stream": 1}, {"stream": ""}, {"first_seq": -1}, {"first_seq": "7"}, {"records": [1]}, {"v": 2}]
)
def test_a_batch_that_breaks_the_contract_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        decode_log(json.dumps({"v": 1, "stream": "s", "first_seq": 7, "records": [ONE], **change}).encode())
