"""The server by itself: what clients may send, and that a scrape under way stops nobody."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import zlib
from collections.abc import AsyncIterator, Iterator
from http import HTTPStatus

import pytest
from support.wait import until

from fleetview_agent import http
from fleetview_agent.http import Answer, Request, Server


def answer(request: Request) -> Answer:
    return Answer(HTTPStatus.OK, "text/plain", iter([f"{request.path} ", "", "ä\n" * 50_000]))


BODY = ("/x " + "ä\n" * 50_000).encode()


@contextlib.asynccontextmanager
async def serving(handler: http.Handler = answer) -> AsyncIterator[tuple[Server, int]]:
    server = Server(handler)
    _, port = await server.start("127.0.0.1", 0)
    try:
        yield server, port
    finally:
        await server.close()


async def ask(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        async with asyncio.timeout(20):
            return await reader.read()
    finally:
        await leave(writer)


async def leave(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def split(raw: bytes) -> tuple[str, bytes]:
    head, _, body = raw.partition(b"\r\n\r\n")
    return head.decode(), body


def joined(chunks: bytes) -> bytes:
    out = b""
    while True:
        size, _, rest = chunks.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            assert rest == b"\r\n"
            return out
        out += rest[:length]
        assert rest[length : length + 2] == b"\r\n"
        chunks = rest[length + 2 :]


async def test_chunks_gzip_and_old_clients() -> None:
    async with serving() as (_, port):
        head, body = split(await ask(port, b"GET /x?a=b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"))
        assert (head.splitlines()[0], joined(body)) == ("HTTP/1.1 200 OK", BODY)
        head, body = split(
            await ask(port, b"GET /x HTTP/1.1\r\nConnection: close\r\nAccept-Encoding: br, gzip;q=0.5\r\n\r\n")
        )
        assert "Content-Encoding: gzip" in head
        assert gzip.decompress(joined(body)) == BODY
        head, body = split(await ask(port, b"GET /x HTTP/1.1\r\nConnection: close\r\naccept-encoding: gzip;q=0\r\n\r\n"))
        assert "gzip" not in head
        head, body = split(await ask(port, b"GET /x HTTP/1.0\r\n\r\n"))
        assert ("chunked" in head, body) == (False, BODY)
        head, body = split(await ask(port, b"HEAD /x HTTP/1.1\r\nConnection: close\r\n\r\n"))
        assert (head.splitlines()[0], body) == ("HTTP/1.1 200 OK", b"")


async def test_a_connection_is_kept() -> None:
    async with serving() as (_, port):
        one, last = b"GET /x HTTP/1.1\r\n\r\n", b"GET /x HTTP/1.1\r\nConnection: close\r\n\r\n"
        raw = await ask(port, one + one + last)
        assert raw.count(b"HTTP/1.1 200 OK") == 3


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST /x HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 405),
        (b"GET /x\r\n\r\n", 400),
        (b"GET /x HTTP/2.0\r\n\r\n", 400),
        (b"\x16\x03\x01\x00\x00\r\n\r\n", 400),
        (b"GET /x HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET /x HTTP/1.1\r\nA: " + b"x" * 20_000 + b"\r\n\r\n", 400),
    ],
)
async def test_what_is_no_request_gets_an_answer_in_words_and_no_more(request_: bytes, status: int) -> None:
    async with serving() as (server, port):
        raw = await ask(port, request_)
        assert raw.startswith(f"HTTP/1.1 {status} ".encode()), raw
        await until(lambda: not server._connections)


async def test_clients_that_say_nothing_or_leave_cost_nothing_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "IDLE_S", 0.05)
    monkeypatch.setattr(http, "REQUEST_S", 0.05)
    async with serving() as (server, port):
        for request in (b"", b"GET /x HT"):
            assert await ask(port, request) == b"", "it is hung up on"
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /x HTTP/1.1\r\n\r\n")
        writer.transport.abort()
        await leave(writer)
        await until(lambda: not server._connections)


async def test_who_does_not_read_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "PIECE_S", 0.05)

    def endless(_: Request) -> Answer:
        def pieces() -> Iterator[str]:
            while True:
                yield "x" * 65_536

        return Answer(HTTPStatus.OK, "text/plain", pieces())

    async with serving(endless) as (server, port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await until(lambda: server._connections)
        await until(lambda: not server._connections)
        await leave(writer)


async def test_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_CONNECTIONS", 3)
    async with serving() as (server, port):
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        await until(lambda: len(server._connections) == 3)
        with contextlib.suppress(ConnectionError):
            assert await ask(port, b"GET /x HTTP/1.1\r\n\r\n") == b"", "one too many is hung up on"
        for _, writer in idle:
            await leave(writer)
        await until(lambda: not server._connections)
        assert (await ask(port, b"GET /x HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("packed", [False, True])
async def test_others_have_their_turn_every_few_pieces(packed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ingest shares the loop with a scrape, which must let it in though the socket takes all at once."""
    now_s = [0.0]
    monkeypatch.setattr(http, "monotonic", lambda: now_s[0])
    alone = 0
    turns: list[int] = []
    pieces = 200

    async def other() -> None:
        while True:
            turns.append(len(turns))
            await asyncio.sleep(0)

    def counted(_: Request) -> Answer:
        def made() -> Iterator[str]:
            nonlocal alone
            for _ in range(pieces):
                before = len(turns)
                now_s[0] += http.TURN_S / 4
                yield "x"
                alone = 0 if len(turns) > before else alone + 1
                assert alone < 6  # four, and those on either side of a turn

        return Answer(HTTPStatus.OK, "text/plain", made())

    async with serving(counted) as (_, port):
        task = asyncio.create_task(other())
        encoding = b"Accept-Encoding: gzip\r\n" if packed else b""
        _, body = split(await ask(port, b"GET / HTTP/1.1\r\nConnection: close\r\n" + encoding + b"\r\n"))
        task.cancel()
        whole = joined(body)
        assert (zlib.decompress(whole, zlib.MAX_WBITS | 16) if packed else whole) == b"x" * pieces
