"""Just enough HTTP/1.1 to be scraped: GET and HEAD, kept alive, sent in pieces, in gzip for who takes it.

On the event loop, so that a scrape and the heartbeats share it piece by piece; a server in a thread would need a copy of the
whole text, and would hold the interpreter for as long. Bounded: connections, the size and time of a request, the time that a
slow reader may take.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from http import HTTPStatus
from time import monotonic
from typing import NamedTuple

MAX_CONNECTIONS = 64
MAX_HEAD_BYTES = 16 * 1024
REQUEST_S = 30.0
"""For the next request on a connection, from the first byte waited for to the last."""
IDLE_S = 300.0
"""Prometheus keeps connections between scrapes."""
PIECE_S = 30.0
"""For a reader to take a piece."""
TURN_S = 0.005
"""For making pieces before others have their turn. A piece at a time would let a backlog of heartbeats starve a scrape."""
_LEVEL = 1
"""Of gzip: 24 MB of text become 1.5 MB in a sixth of a second; level 6 takes four times as long for half of that."""
_FULL_BYTES = 32 * 1024
"""Sent at once: compressed pieces are small."""


class Request(NamedTuple):
    """A request without its body."""

    method: str
    path: str
    headers: Mapping[str, str]
    """By name in small letters."""
    keep_alive: bool
    chunks: bool
    """Whether the client knows chunks: HTTP/1.1."""

    def takes(self, header: str, word: str) -> bool:
        """Whether a header such as Accept names something, and not with a quality of 0."""
        for part in self.headers.get(header, "").lower().split(","):
            name, *parameters = (item.strip() for item in part.split(";"))
            if name == word:
                return not any(item.replace(" ", "") in {"q=0", "q=0.0", "q=0.00", "q=0.000"} for item in parameters)
        return False


class Answer(NamedTuple):
    """What is sent back. `pieces` are made while they are sent."""

    status: HTTPStatus
    content_type: str
    pieces: Iterator[str]


Handler = Callable[[Request], Answer]


def plain(status: HTTPStatus, words: str) -> Answer:
    """An answer in words."""
    return Answer(status, "text/plain; charset=utf-8", iter([words + "\n"]))


class BadRequestError(ValueError):
    """What came is no request."""


class Server:
    """Serves a handler until it is closed."""

    def __init__(self, handler: Handler, *, renders: int = 2) -> None:
        self._handler = handler
        self._connections: set[asyncio.Task[None]] = set()
        self._renders = asyncio.Semaphore(renders)
        """Answers that are made at the same time: each holds what it shows."""
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen; returns where. Raises OSError."""
        self._server = await asyncio.start_server(self._connected, host, port, limit=MAX_HEAD_BYTES)
        name = self._server.sockets[0].getsockname()
        return str(name[0]), int(name[1])

    async def close(self) -> None:
        """Stop listening, and end what is under way."""
        if self._server is not None:
            self._server.close()
        for task in self._connections:
            task.cancel()
        if self._connections:
            await asyncio.wait(self._connections)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 (the server makes one for each connection)
        self._connections.add(task)
        try:
            # A peer that leaves, is too slow, or speaks something else gets no more of our time.
            with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.CancelledError):
                if len(self._connections) > MAX_CONNECTIONS:
                    return  # an answer in words would mean to wait for the request
                await self._serve(reader, writer)
                writer.close()
                async with asyncio.timeout(PIECE_S):
                    await writer.wait_closed()
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                request = await _read(reader)
            except BadRequestError as err:
                await _send(writer, None, plain(HTTPStatus.BAD_REQUEST, str(err)))
                return
            if request.method not in {"GET", "HEAD"}:
                # Its body may follow, which nobody reads.
                await _send(writer, None, plain(HTTPStatus.METHOD_NOT_ALLOWED, "GET or HEAD expected"))
                return
            async with self._renders:
                await _send(writer, request, self._handler(request))
            if not request.keep_alive:
                return


async def _read(reader: asyncio.StreamReader) -> Request:
    try:
        async with asyncio.timeout(IDLE_S):
            first = await reader.readexactly(1)
        async with asyncio.timeout(REQUEST_S):
            head = first + await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        msg = f"a request of more than {MAX_HEAD_BYTES} bytes"
        raise BadRequestError(msg) from None
    line, *rest = head.decode("latin-1").split("\r\n")
    words = line.split(" ")
    if len(words) != 3 or words[2] not in {"HTTP/1.0", "HTTP/1.1"}:  # noqa: PLR2004
        msg = "not a request of HTTP/1.1"
        raise BadRequestError(msg)
    headers: dict[str, str] = {}
    for each in filter(None, rest):
        name, colon, value = each.partition(":")
        if not colon:
            msg = "a header without a colon"
            raise BadRequestError(msg)
        name = name.strip().lower()
        headers[name] = f"{headers[name]},{value.strip()}" if name in headers else value.strip()
    modern = words[2] == "HTTP/1.1"
    has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    keep_alive = modern and headers.get("connection", "").lower() != "close" and not has_body
    return Request(words[0], words[1].partition("?")[0], headers, keep_alive, modern)


async def _send(writer: asyncio.StreamWriter, request: Request | None, answer: Answer) -> None:
    in_gzip = request is not None and request.takes("accept-encoding", "gzip")
    chunks = request is not None and request.chunks
    lines = [
        f"HTTP/1.1 {answer.status.value} {answer.status.phrase}",
        f"Content-Type: {answer.content_type}",
        "Vary: Accept, Accept-Encoding",
        "Cache-Control: no-store",
    ]
    if in_gzip:
        lines.append("Content-Encoding: gzip")
    if chunks:
        lines.append("Transfer-Encoding: chunked")
    if request is None or not request.keep_alive:
        lines.append("Connection: close")
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
    if request is None or request.method != "HEAD":
        turn_ends = monotonic() + TURN_S
        for data in _packed(answer.pieces, in_gzip=in_gzip):
            if data:
                writer.write(b"%x\r\n%b\r\n" % (len(data), data) if chunks else data)
            if monotonic() >= turn_ends:
                async with asyncio.timeout(PIECE_S):
                    await writer.drain()
                await asyncio.sleep(0)  # drain alone lets nobody else in as long as the socket takes it all
                turn_ends = monotonic() + TURN_S
        if chunks:
            writer.write(b"0\r\n\r\n")
    async with asyncio.timeout(PIECE_S):
        await writer.drain()


def _packed(pieces: Iterator[str], *, in_gzip: bool) -> Iterator[bytes]:
    """The pieces as bytes; an empty one where a piece gave nothing to send yet."""
    if not in_gzip:
        for piece in pieces:
            yield piece.encode()
        return
    deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    waiting = b""
    for piece in pieces:
        waiting += deflate.compress(piece.encode())
        if len(waiting) >= _FULL_BYTES:
            yield waiting
            waiting = b""
        else:
            yield b""
    yield waiting + deflate.flush()
