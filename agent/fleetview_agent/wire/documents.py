"""The hash by which a configuration document is known, the same on the device and with whoever offers it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

_EXACT = 2**53
"""Whole numbers below are the same whether a program keeps them as integers or as floating point."""


def canonical_json(value: Any) -> bytes:  # noqa: ANN401  (any value that JSON has)
    """The one spelling of a JSON value, in UTF-8.

    Object keys sorted, nothing between the tokens, no character escaped that need not be, and a number without a fraction
    written without a point: 5.0 and 5 are the same. That is RFC 8785 (JSON Canonicalization Scheme) for all that
    configurations hold; they differ in how they write numbers of more than 15 digits and sort keys beyond the Basic
    Multilingual Plane. Raises ValueError for NaN and infinities, TypeError for what JSON has not.
    """
    spelt = json.dumps(_whole(value), ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    return spelt.encode(errors="surrogatepass")


def document_sha256(document: Mapping[str, Any]) -> str:
    """The `sha256` of a configuration document: 64 hex digits, of its canonical JSON."""
    return hashlib.sha256(canonical_json(document)).hexdigest()


def _whole(value: Any) -> Any:  # noqa: ANN401  (as above)
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return int(value)
    if isinstance(value, Mapping):
        return {name: _whole(part) for name, part in value.items()}
    return [_whole(part) for part in value] if isinstance(value, list | tuple) else value
