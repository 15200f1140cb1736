"""Session ids: new for every start of an agent, and sorting by time."""

from __future__ import annotations

import re
import secrets

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.IGNORECASE)
_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE)
_VALUES = {digit: value for value, digit in enumerate(_CROCKFORD)}
_RANDOM_BITS = 80


def _ulid(number: int) -> str:
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


def new_session(unix_s: float, previous: str | None = None) -> str:
    """A new ULID for a session that begins at `unix_s` (seconds since 1970).

    It sorts after `previous` even when the clock has gone back since (a device without a clock battery boots in the past):
    otherwise readers would take the new session for an old one.
    """
    number = max(0, int(unix_s * 1000)) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    if previous is not None and _ULID.fullmatch(previous):
        last = 0
        for digit in previous.upper():
            last = last << 5 | _VALUES[digit]
        number = max(number, last + 1)
    return _ulid(number)


def _begun_ms(session: str) -> int | None:
    """When a session began, in ms since 1970, if its id tells."""
    if _ULID.fullmatch(session):
        ms = 0
        for digit in session[:10].upper():
            ms = ms << 5 | _VALUES[digit]
        return ms
    if _UUID7.fullmatch(session):
        return int(session[:8] + session[9:13], 16)
    return None


def session_is_newer(session: str, than: str) -> bool:
    """Whether `session` began after `than`.

    Two ULIDs or two UUIDv7 sort as text. One of each (an agent was replaced by another make) compare by the time within.
    """
    if len(session) != len(than):
        ours, theirs = _begun_ms(session), _begun_ms(than)
        if ours is not None and theirs is not None and ours != theirs:
            return ours > theirs
    return session > than
