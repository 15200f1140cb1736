"""Session, stream and trace ids from a seeded source: the contract's own `new_session` is random on purpose."""

from __future__ import annotations

from random import Random

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RANDOM_BITS = 80


def ulid(unix_s: float, rng: Random) -> str:
    """A ULID for this moment (seconds since 1970)."""
    number = int(unix_s * 1000) << _RANDOM_BITS | rng.getrandbits(_RANDOM_BITS)
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


def trace_id(rng: Random) -> str:
    """A W3C trace id: 32 hexadecimal digits."""
    return f"{rng.getrandbits(128):032x}"
