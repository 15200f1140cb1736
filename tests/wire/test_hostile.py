"""Hostile bytes raise nothing but WireError, on any channel; sizes hold to the byte."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fleetview_agent.wire import (
    MAX_BATCH_BYTES,
    MAX_BATCH_RECORDS,
    MAX_INFLATED_BYTES,
    MAX_PAYLOAD_BYTES,
    Channel,
    LogBatch,
    RolloutSnapshot,
    WireError,
    decode,
    encode,
)
from wire.strategies import channels, json_values, messages

STATE = b'{"session":"s","state":"online"}'


def _refusal(channel: Channel, payload: bytes) -> str | None:
    try:
        decode(channel, payload)
    except WireError as err:
        return str(err)
    return None


def _survives(channel: Channel, payload: bytes) -> None:
    refusal = _refusal(channel, payload)
    if refusal is not None:
        assert 0 < len(refusal) < 1000, "an error says something, and is for a line of a screen"
        refusal.encode()


@given(channels, st.binary(max_size=200))
@example(Channel.STATE, b"")
@example(Channel.STATE, b"\x1f\x8b")
@example(Channel.STATE, b"\xef\xbb\xbf" + STATE)
@example(Channel.STATE, b"null")
@example(Channel.STATE, b"[]")
@example(Channel.LOG, b"[1]")
@example(Channel.LOG, b"[[]]")
@example(Channel.LOG, b'{"records":[1]}')
@example(Channel.LOG, b'{"records":{}}')
@example(Channel.HEARTBEAT, b'{"session":"s","seq":NaN,"timestamp":"2026-11-22T11:28:41.204Z"}')
@example(Channel.HEARTBEAT, b'{"session":"s","seq":0,"timestamp":"0001-01-01T00:00:00+23:59"}')
@example(Channel.HEARTBEAT, b'{"session":"s","seq":0,"timestamp":"9999-12-31T23:59:59-23:59"}')
@example(Channel.STATE, b'{"session":"\\ud800","state":"online"}')
@example(Channel.STATE, b'{"session":' + b"9" * 4299 + b',"state":"online"}')
@example(Channel.STATE, b'{"session":' + b"9" * 5000 + b',"state":"online"}')
@example(Channel.HEARTBEAT, b'{"session":"s","seq":' + b"9" * 4299 + b',"timestamp":"2026-11-22T11:28:41Z"}')
@example(Channel.DESIRED, b'{"gen":-1e400}')
def test_random_bytes(channel: Channel, payload: bytes) -> None:
    _survives(channel, payload)
    _survives(channel, b"\x1f\x8b" + payload)
    _survives(channel, gzip.compress(payload))


@given(channels, st.data())
def test_valid_payloads_with_a_few_bytes_changed(channel: Channel, data: st.DataObject) -> None:
    payload = bytearray(encode(data.draw(messages[channel]), compress=data.draw(st.booleans())))
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(payload) - 1))
        match data.draw(st.sampled_from(["change", "cut", "insert"])):
            case "change":
                payload[position] = data.draw(st.integers(0, 255))
            case "cut":
                del payload[position : position + data.draw(st.integers(1, 8))]
            case _:
                payload[position:position] = data.draw(st.binary(max_size=8))
        if not payload:
            break
    _survives(channel, bytes(payload))


@given(channels, st.data())
def test_valid_payloads_with_a_field_of_another_type(channel: Channel, data: st.DataObject) -> None:
    fields = json.loads(encode(data.draw(messages[channel])))
    fields[data.draw(st.sampled_from(sorted(fields)))] = data.draw(json_values)
    _survives(channel, json.dumps(fields).encode())


@pytest.mark.parametrize("channel", list(Channel))
@pytest.mark.parametrize("unit", [b"[", b'{"a":', b'[{"records":', b"\x1f\x8b", b"\n", b"{}\n"])
def test_deep_nesting_and_endless_repetition(channel: Channel, unit: bytes) -> None:
    _survives(channel, unit * (MAX_PAYLOAD_BYTES // len(unit)))
    _survives(channel, b'{"records":' + unit * 10_000)


def test_a_payload_of_256_kib_is_read_and_one_byte_more_is_not() -> None:
    fits = STATE + b" " * (MAX_PAYLOAD_BYTES - len(STATE))
    decode(Channel.STATE, fits)
    with pytest.raises(WireError, match="262145 bytes, 262144 are allowed"):
        decode(Channel.STATE, fits + b" ")


def test_a_payload_of_1_mib_uncompressed_is_read_and_one_byte_more_is_not() -> None:
    fits = STATE + b" " * (MAX_INFLATED_BYTES - len(STATE))
    decode(Channel.STATE, gzip.compress(fits))
    with pytest.raises(WireError, match="more than 1048576 bytes uncompressed"):
        decode(Channel.STATE, gzip.compress(fits + b" "))


def test_a_gzip_bomb_is_refused_without_being_inflated() -> None:
    squeeze = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16)
    bomb = b"".join(squeeze.compress(bytes(1 << 20)) for _ in range(200)) + squeeze.flush()
    assert len(bomb) < MAX_PAYLOAD_BYTES
    tracemalloc.start()
    try:
        with pytest.raises(WireError, match="uncompressed"):
            decode(Channel.STATE, bomb)
        assert tracemalloc.get_traced_memory()[1] < 4 * MAX_INFLATED_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "tail", [b"x", gzip.compress(b" "), gzip.compress(bytes(1 << 20)), b"\0"], ids=["junk", "member", "bomb", "nul"]
)
def test_nothing_may_follow_a_gzip_payload(tail: bytes) -> None:
    with pytest.raises(WireError, match="after its end"):
        decode(Channel.STATE, gzip.compress(STATE) + tail)


def test_a_truncated_gzip_payload_is_refused_wherever_it_was_cut() -> None:
    payload = gzip.compress(STATE)
    for end in range(2, len(payload)):
        with pytest.raises(WireError, match="broken gzip"):
            decode(Channel.STATE, payload[:end])
    assert decode(Channel.STATE, payload) == decode(Channel.STATE, STATE)


def _batch(count: int, message: str = "") -> LogBatch:
    record = {"timestamp": "t", "service": "s", "level": "INFO", "message": message}
    return LogBatch(stream="s", first_seq=0, records=[record] * count)


def test_a_batch_holds_500_records_and_not_one_more() -> None:
    encode(_batch(MAX_BATCH_RECORDS))
    with pytest.raises(WireError, match="501 records in a batch, 500 are allowed"):
        encode(_batch(MAX_BATCH_RECORDS + 1))


@pytest.mark.parametrize("compress", [False, True])
def test_a_batch_holds_128_kib_before_compression_and_not_one_byte_more(compress: bool) -> None:
    room = MAX_BATCH_BYTES - len(encode(_batch(1)))
    encode(_batch(1, "m" * room), compress=compress)
    with pytest.raises(WireError, match="131073 bytes, 131072 are allowed"):
        encode(_batch(1, "m" * (room + 1)), compress=compress)


def test_nothing_is_written_that_a_reader_would_refuse_for_its_size() -> None:
    def snapshot(size: int) -> RolloutSnapshot:
        return RolloutSnapshot.model_validate({"a": "m" * size})

    overhead = len(encode(snapshot(0)))
    assert len(encode(snapshot(MAX_PAYLOAD_BYTES - overhead))) == MAX_PAYLOAD_BYTES
    with pytest.raises(WireError, match="262145 bytes, 262144 are allowed"):
        encode(snapshot(MAX_PAYLOAD_BYTES - overhead + 1))
    decode(Channel.ROLLOUT, encode(snapshot(MAX_INFLATED_BYTES - overhead), compress=True))
    with pytest.raises(WireError, match="uncompressed"):
        encode(snapshot(MAX_INFLATED_BYTES - overhead + 1), compress=True)
