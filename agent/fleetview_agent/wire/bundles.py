"""A bundle of diagnostics, cut into log records of bounded size, and put together again by whoever asked for it.

The result of a command has room for a sentence only, so what is larger travels where large things already do: in the log,
which is spooled, acknowledged and recorded. A bundle is JSON, gzipped; each piece is one record with `event` "diagnostics",
the command's `id`, `piece` (from 1) of `pieces`, and `bytes` and `sha256` of the whole gzip beside its share in base64.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from fleetview_agent.wire.codec import inflate
from fleetview_agent.wire.errors import WireError

EVENT = "diagnostics"
MAX_PIECES = 16
PIECE_BYTES = 24 * 1024
"""Before base64, which makes 32 KiB of it: three to a batch of log records."""
MAX_PACKED_BYTES = MAX_PIECES * PIECE_BYTES
MAX_BUNDLE_BYTES = 4 * 1024 * 1024
"""Inflated."""


def pack_bundle(data: bytes) -> bytes:
    """The bundle as it is cut up; the caller keeps it below MAX_PACKED_BYTES."""
    return gzip.compress(data, 9, mtime=0)


def cut_bundle(packed: bytes, command_id: str) -> Iterator[dict[str, Any]]:
    """The fields of each piece's record, apart from the five that every record has. Raises ValueError if too large."""
    if len(packed) > MAX_PACKED_BYTES:
        msg = f"a bundle of {len(packed)} bytes, {MAX_PACKED_BYTES} are allowed"
        raise ValueError(msg)
    pieces = max(1, -(-len(packed) // PIECE_BYTES))
    whole = {"pieces": pieces, "bytes": len(packed), "sha256": hashlib.sha256(packed).hexdigest()}
    for index in range(pieces):
        share = packed[index * PIECE_BYTES : (index + 1) * PIECE_BYTES]
        data = base64.b64encode(share).decode()
        yield {"event": EVENT, "id": command_id, "piece": index + 1, **whole, "data": data}


class Pieces:
    """The pieces of one bundle of one device, in any order and as often as they come."""

    def __init__(self, command_id: str) -> None:
        self._command_id = command_id
        self._shares: dict[int, bytes] = {}
        self._whole: tuple[int, int, str] | None = None
        """How many pieces, bytes, and the hash: as the first one that came has it."""
        self.refused: str | None = None
        """Why the last piece that was none was left out."""

    @property
    def arrived(self) -> int:
        """How many pieces there are."""
        return len(self._shares)

    @property
    def expected(self) -> int | None:
        """How many there will be; None before the first."""
        return None if self._whole is None else self._whole[0]

    @property
    def complete(self) -> bool:
        """Whether all are there."""
        return self.expected == len(self._shares)

    def take(self, record: Mapping[str, Any]) -> bool:
        """Take a log record in, if it is a piece of this bundle; whether it was one that had been missing."""
        if record.get("event") != EVENT or record.get("id") != self._command_id:
            return False
        try:
            number, whole, share = _read(record)
        except ValueError as err:
            self.refused = str(err)
            return False
        if self._whole not in {None, whole}:
            self.refused = f"piece {number} is of another bundle"
            return False
        self._whole = whole
        is_new = number not in self._shares
        self._shares.setdefault(number, share)
        return is_new

    def bundle(self) -> bytes:
        """The JSON of the bundle. Raises ValueError when pieces are missing or were altered, or it is too large."""
        if self._whole is None or not self.complete:
            msg = f"{self.arrived} of {self.expected or 'unknown'} pieces are there"
            raise ValueError(msg)
        packed = b"".join(self._shares[number] for number in sorted(self._shares))
        _, size, digest = self._whole
        if len(packed) != size or hashlib.sha256(packed).hexdigest() != digest:
            msg = "the pieces do not make what was sent: their SHA-256 differs"
            raise ValueError(msg)
        try:
            return inflate(packed, MAX_BUNDLE_BYTES)
        except WireError as err:
            raise ValueError(str(err)) from None


def _read(record: Mapping[str, Any]) -> tuple[int, tuple[int, int, str], bytes]:
    number, pieces, size = (_count(record, name) for name in ("piece", "pieces", "bytes"))
    digest, data = record.get("sha256"), record.get("data")
    if not 1 <= number <= pieces <= MAX_PIECES or size > MAX_PACKED_BYTES:
        msg = f"piece {number} of {pieces}, {size} bytes: {MAX_PIECES} pieces and {MAX_PACKED_BYTES} bytes are the most"
        raise ValueError(msg)
    if not isinstance(digest, str) or not isinstance(data, str) or len(data) > 2 * PIECE_BYTES:
        msg = f"piece {number}: sha256 and data are no texts, or too long"
        raise ValueError(msg)
    try:
        return number, (pieces, size, digest), base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        msg = f"piece {number}: data is not base64"
        raise ValueError(msg) from None


def _count(record: Mapping[str, Any], name: str) -> int:
    value = record.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**31:
        msg = f"{name}: a number expected"
        raise ValueError(msg)
    return value
