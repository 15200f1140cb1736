"""Who vouches for a release: an Ed25519 signature (RFC 8032) over its name, its version and the SHA-256 of its archive.

It stands in the offer (`signature`) or in a file of its own at `<url>.sig`, one line for each key that signed:

    fleetview-release-1 NAME KEY-ID BASE64

What is signed is the text of four lines `fleetview-release-1`, name, version, sha256 (64 hex digits), each ended by a line
feed. So it is checked before a byte of the archive is fetched; the archive is then held to the SHA-256, and what stands in
it to name and version.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from typing import NamedTuple

from fleetview_agent.release.errors import RefusedError

SCHEME = "fleetview-release-1"
MOST_BYTES = 16 * 1024
"""Of a text with signatures."""

_KEY_BYTES = 32
_SIGNATURE_BYTES = 64
_PARTS = 4
_VERIFY_S = 60.0
_NO_LIBRARY = 3


class Signature(NamedTuple):
    """One line of signatures."""

    name: str
    key_id: str
    value: bytes


def message(name: str, version: str, sha256: str) -> bytes:
    """What is signed."""
    return f"{SCHEME}\n{name}\n{version}\n{sha256}\n".encode()


def public_key(text: str) -> bytes:
    """The 32 bytes of a key as the configuration has it. Raises ValueError."""
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _KEY_BYTES:
        msg = "an Ed25519 public key expected: 32 bytes in base64, as `fleetview-agent release keygen` prints it"
        raise ValueError(msg)
    return key


def key_id(key: bytes) -> str:
    """What a public key is called in signatures: the beginning of its SHA-256."""
    return hashlib.sha256(key).hexdigest()[:16]


def line(name: str, key: bytes, value: bytes) -> str:
    """A signature as text. `key` is the public key."""
    return f"{SCHEME} {name} {key_id(key)} {base64.b64encode(value).decode()}"


def parse(text: str) -> list[Signature]:
    """The signatures of a text. Lines that are empty, begin with `#` or are of another scheme say nothing.

    Raises RefusedError for a line that is no signature.
    """
    found = []
    for number, each in enumerate(text[:MOST_BYTES].splitlines(), 1):
        parts = each.split()
        if not parts or parts[0] != SCHEME:
            continue
        try:
            value = base64.b64decode(parts[3], validate=True) if len(parts) == _PARTS else b""
        except (binascii.Error, ValueError):
            value = b""
        if len(value) != _SIGNATURE_BYTES:
            words = f"line {number} of the signature is none: {SCHEME} NAME KEY-ID BASE64 expected"
            raise RefusedError(words)
        found.append(Signature(parts[1], parts[2], value))
    return found


def check(text: str | None, version: str, sha256: str, keys: Sequence[str]) -> Signature:
    """The signature by one of these keys that vouches for the release. Raises RefusedError; blocks for a moment."""
    signatures = parse(text or "")
    if not signatures:
        words = "it is not signed, and a signature by a key of ota.keys is asked for"
        raise RefusedError(words)
    by_id = {key_id(public_key(key)): key for key in keys}
    known = [signature for signature in signatures if signature.key_id in by_id]
    if not known:
        ids = ", ".join(sorted({signature.key_id for signature in signatures}))
        words = f"it is signed by the key {ids}, which is not in ota.keys ({', '.join(by_id)})"
        raise RefusedError(words)
    for signature in known:
        if _is_good(message(signature.name, version, sha256), by_id[signature.key_id], signature.value):
            return signature
    words = f"the signature by the key {known[0].key_id} is not over this version and sha256: not what was signed"
    raise RefusedError(words)


def _is_good(text: bytes, key: str, value: bytes) -> bool:
    """Ask in a process of its own: the library would stay in the agent's memory, 6 MiB of 50, for good."""
    question = {"message": text.hex(), "key": base64.b64decode(key).hex(), "signature": value.hex()}
    command = [sys.executable, "-m", "fleetview_agent.release.verify"]
    try:
        done = subprocess.run(  # noqa: S603  (this interpreter, and our own module)
            command, input=json.dumps(question).encode(), capture_output=True, timeout=_VERIFY_S, check=False
        )
    except (OSError, subprocess.SubprocessError) as err:
        words = f"the signature cannot be checked: {err}"
        raise RefusedError(words) from None
    if done.returncode == _NO_LIBRARY:
        words = "the signature cannot be checked: install the Python package cryptography on the device"
        raise RefusedError(words)
    return done.returncode == 0 and done.stdout == b"good\n"
