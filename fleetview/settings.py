"""What somebody wrote as a setting, and the value that it means. What means none is a ValueError in words."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from fleetview_agent.endpoint import BrokerUrl
from fleetview_agent.wire.errors import WireError
from fleetview_agent.wire.topics import Address, Topics

LEAST_LOG_BYTES, MOST_LOG_BYTES = 10**6, 10**12
_PASSWORD = re.compile(r"(//[^:/@\s]*):[^\s]*@")
_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off", ""}

Link = Literal["slow", "fast"]
"""How much may go to the terminal."""
_LINKS: tuple[Link, ...] = ("slow", "fast")


class Scope(NamedTuple):
    """What is asked for and shown: everything, one tenant, or one site of it."""

    tenant: str | None = None
    site: str | None = None

    def __str__(self) -> str:
        return "/".join(part for part in self if part is not None) or "everything"


EVERYTHING = Scope()


class Written(NamedTuple):
    """A setting as somebody wrote it."""

    raw: str | bool
    origin: str
    folder: Path
    """What a relative path is relative to."""


def masked(text: str) -> str:
    """A text without the passwords of URLs in it."""
    return _PASSWORD.sub(r"\1:***@", text)


def as_text(value: Written) -> str:
    """What was written, as it is."""
    return str(value.raw)


def as_link(value: Written) -> Link:
    """One of slow and fast."""
    word = str(value.raw).lower()
    for known in _LINKS:
        if word == known:
            return known
    msg = f"slow or fast expected, not {value.raw!r}"
    raise ValueError(msg)


def as_boolean(value: Written) -> bool:
    """A switch: true, yes, on, 1, or the contrary."""
    if isinstance(value.raw, bool):
        return value.raw
    if value.raw.lower() not in _TRUE | _FALSE:
        msg = f"true or false expected, not {value.raw!r}"
        raise ValueError(msg)
    return value.raw.lower() in _TRUE


def as_size(value: Written) -> int | None:
    """A memory size in bytes, such as 256MB."""
    from fleetview.core.query.values import size_bytes  # noqa: PLC0415 (most never say a size)

    text = str(value.raw)
    found = size_bytes(text)
    if found is None or not LEAST_LOG_BYTES <= found <= MOST_LOG_BYTES:
        msg = f"{text!r} is not a size between 1MB and 1TB, such as 256MB"
        raise ValueError(msg)
    return int(found)


def as_path(value: Written) -> Path | None:
    """A path; a relative one is taken from the folder of whoever wrote it."""
    return value.folder / Path(str(value.raw)).expanduser()


def as_broker(value: Written) -> BrokerUrl:
    """The URL of a broker."""
    return BrokerUrl.parse(str(value.raw))


def as_web_url(value: Written) -> str | None:
    """The URL of a web server, without a slash at its end."""
    text = str(value.raw)
    try:
        parts = urlsplit(text)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good:
        msg = f"{masked(text)!r} is not a URL of the form http://host[:port][/prefix] or https://..."
        raise ValueError(msg)
    return text.rstrip("/")


def as_database_url(value: Written) -> str | None:
    """The URL of a database, as SQLAlchemy takes it."""
    text = str(value.raw)
    if re.match(r"[a-z][a-z0-9+]*://", text) is None:
        msg = f"{masked(text)!r} is not a database URL such as sqlite:///history.db or postgresql://user@host/name"
        raise ValueError(msg)
    return text


def as_scope(value: Written) -> Scope:
    """TENANT or TENANT/SITE."""
    text = str(value.raw)
    tenant, slash, site = text.partition("/")
    try:
        Address.of(tenant, site if slash else "any", "any")
    except WireError as err:
        msg = f"{text!r} is not a scope of the form TENANT or TENANT/SITE: {err}"
        raise ValueError(msg) from None
    return Scope(tenant, site if slash else None)


def as_root(value: Written) -> str:
    """The first levels of the fleet's topics."""
    return Topics(str(value.raw).strip("/")).root
