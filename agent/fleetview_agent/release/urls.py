"""From where an archive can be fetched, and how that is shown."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

SCHEMES = ("http", "https", "file")


def url_problem(url: str) -> str | None:
    """Why nothing can be fetched from there, if so."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    expected = f"a URL with {', '.join(SCHEMES)} expected"
    if parts.scheme not in SCHEMES or not all(" " < char < "\x7f" for char in url):
        return expected
    if parts.scheme == "file":
        return None if parts.path.startswith("/") and parts.netloc in {"", "localhost"} else expected
    return None if parts.hostname else expected


def shown_url(url: str) -> str:
    """The URL for a person to read, without a password and without what stands behind `?`, which may be one."""
    return re.sub(r"(//)[^/@]*@", r"\1", url).partition("?")[0]
