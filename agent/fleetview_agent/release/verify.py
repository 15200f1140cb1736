"""Checks one Ed25519 signature: a question in JSON on stdin, and `good` on stdout, or exit status 1."""

from __future__ import annotations

import json
import sys

WRONG, NO_LIBRARY = 1, 3


def main() -> int:
    """Answer the question."""
    try:
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  (its absence is one of the answers)
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415
    except ImportError:
        return NO_LIBRARY
    question = json.load(sys.stdin)
    message, key, signature = (bytes.fromhex(question[name]) for name in ("message", "key", "signature"))
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return WRONG
    sys.stdout.write("good\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
