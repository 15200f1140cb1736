"""How to be let in by a web server: Prometheus, Alertmanager. Secrets stay out of every repr and of error messages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from fleetview_agent.endpoint import TlsFiles

if TYPE_CHECKING:
    from fleetview.configfile import AccessTable

SECRETS = ("token", "password")
"""Settings whose values are never shown."""
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_RESERVED = {"authorization", "host", "content-length", "transfer-encoding", "connection"}


@dataclass(frozen=True, slots=True)
class Access:
    """One web server, and everything it asks of its clients."""

    url: str
    """With its path prefix, without user and password, without a slash at its end."""
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    password_file: Path | None = None
    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    """Read at each request, for such tokens are replaced while we run."""
    token_command: str | None = field(default=None, repr=False)
    """Prints a token. Run again when it is five minutes old or was refused; never by a shell."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    files: TlsFiles = field(default_factory=TlsFiles)
    starting_s: float = 0.0
    """How long a server that was started together with us may take until it first answers."""


def access(url: str, table: AccessTable, folder: Path) -> Access:
    """What a URL and its table of the file come to; paths are relative to `folder`. Raises ValueError in words."""
    bare, user, password = _split(url)
    for name in table.headers or {}:
        if not _HEADER_NAME.match(name) or name.lower() in _RESERVED:
            msg = f"headers: {name!r} is not a header that can be set here" + (
                "; use token, or user and password" if name.lower() == "authorization" else ""
            )
            raise ValueError(msg)
    if any("\n" in value or "\r" in value for value in (table.headers or {}).values()):
        msg = "headers: a value must be one line"
        raise ValueError(msg)
    ways = [name for name in ("token", "token_file", "token_command") if getattr(table, name)]
    if table.user or user:
        ways.append("user")
    if len(ways) > 1:
        msg = f"{' and '.join(ways)} are given, and one way to be let in is enough"
        raise ValueError(msg)
    if (table.password or table.password_file) and not (table.user or user):
        msg = "there is a password but no user to go with it"
        raise ValueError(msg)
    return Access(
        bare,
        user=table.user or user,
        password=table.password or (None if table.password_file else password),
        password_file=_path(table.password_file, folder),
        token=table.token,
        token_file=_path(table.token_file, folder),
        token_command=(table.token_command or "").strip() or None,
        headers=dict(table.headers or {}),
        files=TlsFiles(_path(table.cafile, folder), _path(table.cert, folder), _path(table.key, folder)),
    )


def _path(text: str | None, folder: Path) -> Path | None:
    return None if text is None else folder / Path(text).expanduser()


def _split(url: str) -> tuple[str, str | None, str | None]:
    parts = urlsplit(url)
    _, _, host = parts.netloc.rpartition("@")
    bare = urlunsplit(parts._replace(netloc=host, fragment="", query="")).rstrip("/")
    return bare, _unquoted(parts.username), _unquoted(parts.password)


def _unquoted(text: str | None) -> str | None:
    return None if text is None else unquote(text)
