"""Between payload bytes and messages: JSON, gzip, size limits. Raises WireError and nothing else."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, from_json, to_json

from fleetview_agent.wire.errors import WireError
from fleetview_agent.wire.messages import LogBatch, Message
from fleetview_agent.wire.models import MODELS
from fleetview_agent.wire.topics import Channel

MAX_PAYLOAD_BYTES = 256 * 1024
MAX_INFLATED_BYTES = 1024 * 1024
MAX_BATCH_RECORDS = 500
MAX_BATCH_BYTES = 128 * 1024
"""Of a batch of log records, before compression."""

_GZIP = b"\x1f\x8b"
_SHOWN = 80


def inflate(payload: bytes, most_bytes: int = MAX_INFLATED_BYTES) -> bytes:
    """What a gzip holds. Raises WireError when that is more than `most_bytes`, or the gzip is broken."""
    # By hand and in bounded steps: gzip.decompress would make 200 MB of 256 KiB before anybody could look at the size.
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        data = inflater.decompress(payload, most_bytes + 1)
    except zlib.error as err:
        msg = f"broken gzip: {err}"
        raise WireError(msg) from None
    if len(data) > most_bytes:
        msg = f"more than {most_bytes} bytes uncompressed"
        raise WireError(msg)
    if not inflater.eof:
        msg = "broken gzip: cut off"
        raise WireError(msg)
    if inflater.unused_data:  # a second member, perhaps as large as a bomb, or no gzip at all
        msg = f"broken gzip: {len(inflater.unused_data)} bytes after its end"
        raise WireError(msg)
    return data


def uncompressed(payload: bytes) -> bytes:
    """The JSON text of a payload. Raises WireError when it is too large, or broken gzip."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        msg = f"{len(payload)} bytes, {MAX_PAYLOAD_BYTES} are allowed"
        raise WireError(msg)
    return inflate(payload) if payload[:2] == _GZIP else payload


def _in_words(err: ValidationError) -> str:
    first = err.errors(include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    what = str(first["msg"]).removeprefix("Invalid JSON: ")
    if first["type"] == "json_invalid":
        return f"not JSON: {what}"
    if first["type"] == "missing":
        return f"{where}: missing"
    if first["type"] == "model_type":
        return "not a JSON object" if not where else f"{where}: not a JSON object"
    return f"{where}: {what}, not {str(first['input'])[:_SHOWN]!r}"


def decode(channel: Channel, payload: bytes) -> Message:
    """The message in a payload of this channel.

    Raises WireError when it is too large, not JSON, or not what the contract has there. An empty payload, which takes a
    retained message away, is none: look for it before.
    """
    if channel is Channel.LOG:
        return decode_log(payload)
    try:
        return MODELS[channel].__pydantic_validator__.validate_json(uncompressed(payload))  # type: ignore[no-any-return]
    except ValidationError as err:
        raise WireError(_in_words(err)) from None
    except (ValueError, RecursionError) as err:  # what Python's own limits add, such as 4,300 digits of a number
        raise WireError(str(err)[:200]) from None


def _record_lines(data: bytes) -> list[dict[str, Any]]:
    """One JSON object per line. A line that is none becomes a message, as long as there is a line that is one."""
    records: list[dict[str, Any]] = []
    objects = 0
    for line in data.splitlines():
        if not line.strip():
            continue
        try:
            record = from_json(line)
        except (ValueError, RecursionError):
            record = None
        if isinstance(record, dict):
            objects += 1
            records.append(record)
        else:
            records.append({"message": line.decode("utf-8", "replace")})
    if not objects or len(records) == 1:
        msg = "not JSON, and not one record per line either"
        raise WireError(msg)
    return records


def decode_log(payload: bytes) -> LogBatch:
    """The log records in a payload: a batch, one record, an array of records, or one record per line. Raises WireError."""
    data = uncompressed(payload)
    try:
        value = from_json(data)
    except (ValueError, RecursionError):
        return LogBatch.model_construct(records=_record_lines(data))
    if (
        isinstance(value, dict)
        and isinstance(value.get("records"), list)
        and ("first_seq" in value or "message" not in value)
    ):
        try:
            return LogBatch.model_validate(value)
        except ValidationError as err:
            raise WireError(_in_words(err)) from None
    records = value if isinstance(value, list) else [value]
    for index, record in enumerate(records):
        if not isinstance(record, dict):
            msg = f"record {index}: a JSON object expected, not {str(record)[:_SHOWN]!r}"
            raise WireError(msg)
    return LogBatch.model_construct(records=records)


def encode(message: Message, *, compress: bool = False) -> bytes:
    """The payload of a message: the fields that were given, and `v`.

    Raises WireError when the message breaks the contract or is too large.
    """
    if breach := next(message.breaches(), None):
        msg = f"{message.channel.value}: {breach}"
        raise WireError(msg)
    if isinstance(message, LogBatch):
        return encode_log(message, compress=compress)
    try:
        fields = {"v": 1, **message.model_dump(mode="json", exclude_unset=True)}
        data = json.dumps(fields, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (PydanticSerializationError, ValueError, TypeError, RecursionError) as err:
        msg = f"{message.channel.value}: cannot be written as JSON: {err}"
        raise WireError(msg) from None
    return _bounded(message.channel, data, compress=compress)


def encode_log(batch: LogBatch, *, compress: bool = False) -> bytes:
    """The payload of a batch. Raises WireError above 500 records or 128 KiB; who batches keeps below."""
    if len(batch.records) > MAX_BATCH_RECORDS:
        msg = f"log: {len(batch.records)} records in a batch, {MAX_BATCH_RECORDS} are allowed"
        raise WireError(msg)
    if breach := next(batch.breaches(), None):
        msg = f"log: {breach}"
        raise WireError(msg)
    try:
        data = to_json(
            {"v": 1, "stream": batch.stream, "first_seq": batch.first_seq, "records": batch.records}, inf_nan_mode="null"
        )
    except (PydanticSerializationError, ValueError, RecursionError) as err:
        msg = f"log: cannot be written as JSON: {err}"
        raise WireError(msg) from None
    if len(data) > MAX_BATCH_BYTES:
        msg = f"log: a batch of {len(data)} bytes, {MAX_BATCH_BYTES} are allowed"
        raise WireError(msg)
    return _bounded(Channel.LOG, data, compress=compress)


def _bounded(channel: Channel, data: bytes, *, compress: bool) -> bytes:
    if len(data) > MAX_INFLATED_BYTES:
        msg = f"{channel.value}: {len(data)} bytes, {MAX_INFLATED_BYTES} are allowed uncompressed"
        raise WireError(msg)
    payload = gzip.compress(data, 6, mtime=0) if compress else data  # without the time the same message has the same bytes
    if len(payload) > MAX_PAYLOAD_BYTES:
        msg = f"{channel.value}: {len(payload)} bytes, {MAX_PAYLOAD_BYTES} are allowed"
        raise WireError(msg)
    return payload
