"""The way of an archive over the network, or from a file: one try of a download that goes on where the last one ended.

It blocks, and is run in a thread. What has arrived stands in a file beside which stands what it was promised to be (the
server's ETag or date), so that pieces of two archives are never put together; the SHA-256 would tell in any case.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO
from urllib.parse import unquote, urlsplit

from fleetview_agent import __version__, durable
from fleetview_agent.release.errors import BrokenOffError, RefusedError
from fleetview_agent.release.urls import shown_url

CHUNK = 32 * 1024

_STALLED_BYTES = 1024
"""Fewer within a time-out are as good as none."""
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers that may be others next time."""
_PARTIAL, _NOT_SATISFIABLE = 206, 416
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


@dataclass(frozen=True, slots=True)
class Way:
    """How to fetch."""

    timeout_s: float
    rate_bytes_s: float
    most_bytes: int
    ca: Path | None = None


class Download:
    """One archive on its way."""

    def __init__(self, url: str, part: Path, way: Way, *, size: int | None, stop: threading.Event | None = None) -> None:
        self._url = url
        self._part = part
        self._promise = part.with_name(f"{part.name}.promise")
        self._way = way
        self._size = size
        self._stop = stop or threading.Event()
        self.resumed_at = 0
        """Bytes that were there when the last try began, and were kept."""

    @property
    def arrived(self) -> int:
        """Bytes of it that are on the disk."""
        try:
            return self._part.stat().st_size
        except OSError:
            return 0

    def forget(self) -> None:
        """Take away what has arrived."""
        for path in (self._part, self._promise):
            durable.remove(path)

    def fetch(self, on_progress: Callable[[float], None] = lambda _: None) -> None:
        """Fetch what is missing. Raises RefusedError, BrokenOffError, and OSError for the disk.

        `on_progress` gets fractions of 0 to 1; none while nobody knows the size.
        """
        have = self.arrived
        if self._size is not None and have > self._size:
            self.forget()
            have = 0
        if have and have == self._size:
            self.resumed_at = have
            return
        with _named(self._url), self._open(have) as (source, at, total):
            self._check_size(total)
            self.resumed_at = at
            if self._stop.is_set():
                words = "it was called off"
                raise BrokenOffError(words)
            durable.make_folder(self._part.parent)
            with self._part.open("r+b" if at else "wb") as file:
                file.seek(at)
                file.truncate()
                self._copy(source, file, at, total, on_progress)
                durable.sync_file(file, self._part)
        self._check_end(total)

    def _check_size(self, total: int | None) -> None:
        if total is not None and self._size is not None and total != self._size:
            words = f"{shown_url(self._url)} is of {total:,} bytes, and the offer says {self._size:,}"
            raise RefusedError(words)
        if total is not None and total > self._way.most_bytes:
            words = f"{shown_url(self._url)} is of {total:,} bytes, and ota.max_mib allows {self._way.most_bytes:,}"
            raise RefusedError(words)

    def _check_end(self, total: int | None) -> None:
        expected = total if total is not None else self._size
        if expected is not None and self.arrived < expected:
            words = f"the connection ended after {self.arrived:,} of {expected:,} bytes"
            raise BrokenOffError(words)

    def _copy(self, source: Any, file: BinaryIO, at: int, total: int | None, tell: Callable[[float], None]) -> None:  # noqa: ANN401
        most = min(self._way.most_bytes, self._size if self._size is not None else self._way.most_bytes)
        expected = total if total is not None else self._size
        pace = _Pace(self._way, self._stop)
        read = getattr(source, "read1", source.read)  # what is there: a server that drips shall be seen
        while data := read(CHUNK):
            at += len(data)
            if at > most:
                words = f"{shown_url(self._url)} is more than {most:,} bytes"
                raise RefusedError(words)
            durable.write(file, data, self._part)
            if expected:
                tell(min(1.0, at / expected))
            pace.took(len(data))

    @contextlib.contextmanager
    def _open(self, have: int) -> Iterator[tuple[Any, int, int | None]]:
        """What to read from, at which byte it begins, and how many the whole has, if that is known."""
        if urlsplit(self._url).scheme == "file":
            path = Path(unquote(urlsplit(self._url).path))
            if not path.is_file():
                words = f"{path} is not there, or no file"
                raise RefusedError(words)
            with path.open("rb") as file:
                file.seek(have)
                yield file, have, path.stat().st_size
            return
        promise = self._read_promise() if have else None
        headers = {"Range": f"bytes={have}-"} | ({"If-Range": promise} if promise else {}) if have else {}
        with _asked(self._url, headers, self._way) as answer:
            if answer.status == _NOT_SATISFIABLE:
                self.forget()
                words = "the server does not have what is missing; from the beginning"
                raise BrokenOffError(words)
            at, total = _placed(answer, have)
            self._keep_promise(answer)
            yield answer, at, total

    def _read_promise(self) -> str | None:
        try:
            value = json.loads(self._promise.read_bytes())
        except (OSError, ValueError):
            return None
        kept = isinstance(value, dict) and value.get("url") == self._url
        return str(value["is"]) if kept and value.get("is") else None

    def _keep_promise(self, answer: http.client.HTTPResponse) -> None:
        etag = answer.headers.get("ETag") or ""
        promise = etag if etag.startswith('"') else answer.headers.get("Last-Modified")  # a weak ETag promises no bytes
        durable.write_atomically(self._promise, json.dumps({"url": self._url, "is": promise}).encode(), durable=False)


def _placed(answer: http.client.HTTPResponse, have: int) -> tuple[int, int | None]:
    """At which byte an answer begins, and how many the whole has."""
    if answer.status == _PARTIAL:
        found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if found is None or int(found[1]) != have:
            words = f"the server was asked for bytes from {have:,} on, and answers {answer.headers.get('Content-Range')!r}"
            raise RefusedError(words)
        return have, None if found[3] == "*" else int(found[3])
    length = answer.headers.get("Content-Length", "")
    return 0, int(length) if length.isascii() and length.isdigit() else None


def small(url: str, way: Way, most: int) -> bytes | None:
    """A small file; None when it is not there. Raises RefusedError and BrokenOffError."""
    if urlsplit(url).scheme == "file":
        path = Path(unquote(urlsplit(url).path))
        return path.read_bytes()[:most] if path.is_file() else None
    try:
        with _named(url), _asked(url, {}, way) as answer:
            data: bytes = answer.read(most)
            return data
    except _NotThereError:
        return None


class _NotThereError(RefusedError):
    pass


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(  # noqa: PLR0917  (the library's)
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """To http and https only, and never from https to http."""
        schemes = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if schemes not in {("http", "http"), ("http", "https"), ("https", "https")}:
            words = f"the server sends elsewhere, to {shown_url(newurl)}"
            raise RefusedError(words)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@contextlib.contextmanager
def _asked(url: str, headers: dict[str, str], way: Way) -> Iterator[Any]:
    opener = urllib.request.OpenerDirector()
    handlers: list[urllib.request.BaseHandler] = [
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        _Redirects(),
    ]
    if urlsplit(url).scheme == "https" or way.ca is not None:
        context = ssl.create_default_context(cafile=None if way.ca is None else str(way.ca))
        handlers.append(urllib.request.HTTPSHandler(context=context))
    else:
        handlers.append(urllib.request.HTTPSHandler())
    for handler in handlers:
        opener.add_handler(handler)
    agent = {"User-Agent": f"fleetview-agent/{__version__}", "Accept-Encoding": "identity"}
    request = urllib.request.Request(url, headers=agent | headers)  # noqa: S310  (the opener knows http and https only)
    try:
        answer = opener.open(request, timeout=way.timeout_s)
    except urllib.error.HTTPError as err:
        with err:
            if err.code == _NOT_SATISFIABLE:
                yield err
                return
            words = f"{shown_url(url)}: the server answers {err.code} {err.reason}"
            if err.code in _AGAIN:
                raise BrokenOffError(words) from None
            raise (_NotThereError if err.code in {404, 410} else RefusedError)(words) from None
    with answer:
        yield answer


@contextlib.contextmanager
def _named(url: str) -> Iterator[None]:
    """Failures of the network as ours, in words."""
    try:
        yield
    except ssl.SSLCertVerificationError as err:
        words = f"{shown_url(url)}: its certificate is not trusted: {err.verify_message}; see ota.ca"
        raise RefusedError(words) from None
    except urllib.error.URLError as err:
        if isinstance(err.reason, ssl.SSLCertVerificationError):
            words = f"{shown_url(url)}: its certificate is not trusted: {err.reason.verify_message}; see ota.ca"
            raise RefusedError(words) from None
        words = f"{shown_url(url)}: {_reason(err.reason)}"
        raise BrokenOffError(words) from None
    except (TimeoutError, ConnectionError, ssl.SSLError, http.client.HTTPException) as err:
        words = f"{shown_url(url)}: {_reason(err)}"
        raise BrokenOffError(words) from None


def _reason(err: object) -> str:
    if isinstance(err, TimeoutError):
        return "nothing comes any more: timed out"
    return (err.strerror if isinstance(err, OSError) else None) or str(err) or type(err).__name__


class _Pace:
    """Holds a download to its rate, ends it when asked, and tells when it does not get on."""

    def __init__(self, way: Way, stop: threading.Event) -> None:
        self._way = way
        self._stop = stop
        self._began_s = self._mark_s = time.monotonic()
        self._bytes = self._marked = 0

    def took(self, count: int) -> None:
        self._bytes += count
        now_s = time.monotonic()
        ahead_s = self._bytes / self._way.rate_bytes_s - (now_s - self._began_s)
        if self._stop.wait(ahead_s) if ahead_s > 0 else self._stop.is_set():
            words = "it was called off"
            raise BrokenOffError(words)
        if now_s - self._mark_s > self._way.timeout_s:
            if self._bytes - self._marked < min(_STALLED_BYTES, self._way.rate_bytes_s * self._way.timeout_s):
                words = f"the server sends less than {_STALLED_BYTES} bytes in {self._way.timeout_s:g} s"
                raise BrokenOffError(words)
            self._mark_s, self._marked = now_s, self._bytes
