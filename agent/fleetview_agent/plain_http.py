"""Asks a server on this machine by plain HTTP: just enough for probes and for what applications show."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus

from fleetview_agent import __version__
from fleetview_agent.modules.spec import http_target

_LINE_BYTES = 4096
_MOST_HEADERS = 100


class HttpError(Exception):
    """A server's answer cannot be used. Says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server has begun to say."""

    status: int | None
    """None: it does not speak HTTP."""
    reader: asyncio.StreamReader


@asynccontextmanager
async def asked(url: str, *, version: str = "HTTP/1.1", accept: str = "*/*") -> AsyncIterator[Answer]:
    """Ask for a page; yields with the status line read. Raises OSError. Without a time limit."""
    host, port, name, path = http_target(url)
    reader, writer = await asyncio.open_connection(host, port, limit=_LINE_BYTES)
    try:
        lines = [
            f"GET {path} {version}",
            f"Host: {name}",
            f"User-Agent: fleetview-agent/{__version__}",
            f"Accept: {accept}",
            "Connection: close",
        ]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        yield Answer(_status(await _line(reader)), reader)
    finally:
        writer.close()


async def page(url: str, *, accept: str, max_bytes: int) -> bytes:
    """A whole page of at most so many bytes. Raises OSError and HttpError. Without a time limit.

    Asked for in HTTP/1.0, whose answers come in one piece.
    """
    async with asked(url, version="HTTP/1.0", accept=accept) as answer:
        if answer.status is None:
            msg = "it did not answer in HTTP"
            raise HttpError(msg)
        if answer.status != HTTPStatus.OK:
            msg = f"it answered {answer.status}"
            raise HttpError(msg)
        length = await _length(answer.reader)
        body = bytearray()
        while (length is None or len(body) < length) and (data := await answer.reader.read(64 * 1024)):
            body += data
            if len(body) > max_bytes:
                msg = f"it is larger than {max_bytes} bytes"
                raise HttpError(msg)
        return bytes(body)


async def _length(reader: asyncio.StreamReader) -> int | None:
    """Read the headers; how long the page is, if they tell."""
    length = None
    for _ in range(_MOST_HEADERS):
        line = (await _line(reader)).strip().lower()
        if not line:
            return length
        name, _, value = line.partition(b":")
        if name == b"content-length" and value.strip().isdigit():
            length = int(value.strip()[:18])
        if name in {b"transfer-encoding", b"content-encoding"} and value.strip() not in {b"", b"identity"}:
            msg = f"it answers in {name.decode()} {value.decode('latin-1').strip()}, which was not asked for"
            raise HttpError(msg)
    msg = f"its answer has more than {_MOST_HEADERS} headers"
    raise HttpError(msg)


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readline()
    except ValueError:
        return b"?"  # longer than any such line is


def _status(line: bytes) -> int | None:
    match line.split(maxsplit=2):
        case [version, code, *_] if version.startswith(b"HTTP/") and code.isdigit() and len(code) == len("200"):
            return int(code)
    return None
