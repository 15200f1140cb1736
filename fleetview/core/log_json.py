"""A log record as a line of JSON: what is exported and what `fleetview logs --json` prints."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fleetview.core.logbook import Entry


def rfc3339(ms: int) -> str:
    """`2026-11-22T10:31:05.120Z`."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def record_fields(entry: Entry, missing_before: int) -> dict[str, Any]:
    """All that is known of a record."""
    return {
        "address": str(entry.address),
        "timestamp": rfc3339(entry.time_ms),
        "timestamp_is_receipt": entry.time_is_receipt,
        "level": entry.level.text,
        "service": entry.service,
        "trace_id": entry.trace_id,
        "message": entry.message,
        "received_at": rfc3339(entry.received_ms),
        "stream": entry.stream,
        "seq": entry.seq,
        "missing_before": missing_before,
    }


def record_json(entry: Entry, *, ascii_only: bool = False) -> str:
    """A record as one line of JSON. The record as received is put in as it is: it is JSON already."""
    missing = 0 if entry.hole is None else entry.hole.size
    head = json.dumps(record_fields(entry, missing))
    raw = entry.raw.decode("utf-8", "replace")
    if ascii_only and not raw.isascii():
        # Characters beyond ASCII stand only in texts, where JSON has an escape for each.
        raw = "".join(char if char.isascii() else json.dumps(char)[1:-1] for char in raw)
    return f'{head[:-1]}, "record": {raw}}}'
