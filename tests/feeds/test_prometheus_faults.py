"""A Prometheus that is dead, hangs, lies or is somebody else: what a real one does not show. Nothing else may suffer."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
from email.utils import formatdate
from time import time
from typing import TYPE_CHECKING, Any

import pytest
from support.fakes import fake_broker, mute
from support.programs import free_port
from support.servers import answering, serving
from support.wait import until

from fleetview.access import Access
from fleetview.core.servers import Health
from fleetview.feeds.asking import Asking
from fleetview.feeds.lanes import BusyError, Lanes
from fleetview.feeds.prometheus import Prometheus
from fleetview.feeds.web import AskError

if TYPE_CHECKING:
    from support.fakes import Peer
    from support.servers import Asked

OK = {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [1, "7"]}]}}
LOGIN = b"<!doctype html><html><head><title>Sign in \xc2\xb7 SSO</title></head></html>"


class Clock:
    """A clock that stands, until told."""

    def __init__(self) -> None:
        self.mono_s = 1000.0

    def __call__(self) -> float:
        return self.mono_s


async def refused(server: Prometheus, promql: str = "up") -> str:
    with pytest.raises(AskError) as caught:
        await server.instant(promql)
    return str(caught.value)


@pytest.mark.parametrize(
    ("status", "body", "headers", "health", "part"),
    [
        (401, b"no", {}, Health.REFUSED, "does not let us in (HTTP 401: no)"),
        (401, {"error": "no org id"}, {}, Health.REFUSED, "no org id"),
        (403, LOGIN, {"Content-Type": "text/html"}, Health.REFUSED, "does not let us in (HTTP 403)"),
        (429, b"slow down", {}, Health.FAILING, "cannot answer now (HTTP 429: slow down)"),
        (500, {"status": "error", "error": "\x1b[31mdisk"}, {}, Health.FAILING, "HTTP 500: ␛[31mdisk"),
        (302, b"", {"Location": "https://sso.example/login"}, Health.OTHER, "sends us to https://sso.example/login"),
        (200, LOGIN, {"Content-Type": "text/html"}, Health.OTHER, '"Sign in · SSO"'),
        (502, LOGIN, {"Content-Type": "text/html"}, Health.FAILING, "cannot answer now (HTTP 502)"),
        (404, b"404 page not found", {}, Health.OTHER, "is a path prefix missing, such as /prometheus?"),
        (200, b"", {}, Health.OTHER, "not as Prometheus does"),
        (200, {"hello": 1}, {}, Health.OTHER, "not as Prometheus does"),
        (200, [1], {}, Health.OTHER, "not as Prometheus does"),
        (200, b"[" * 100_000, {}, Health.OTHER, "not as Prometheus does"),
        (200, {"status": "success", "data": {"resultType": "x"}}, {}, Health.OTHER, "not as Prometheus does"),
    ],
)
async def test_answers_that_are_none(status: int, body: Any, headers: dict[str, str], health: Health, part: str) -> None:
    with serving(status, body, headers) as fake:
        server = Prometheus(Access(fake.url), draw=lambda _low, high: high)
        words = await refused(server)
        assert (server.standing.health, part in words, server.standing.words) == (health, True, words), words
        assert "\x1b" not in words
        assert "asked again in" in await refused(server), "it was asked again at once"
    assert len(fake.asked) == (2 if status == 502 else 1)
    assert server.asking.counts.held_back == 1


@pytest.mark.parametrize(("status", "kind"), [(400, "bad_data"), (422, "execution")])
async def test_a_question_at_fault_leaves_the_server_as_it_stood(status: int, kind: str) -> None:
    with serving(status, {"status": "error", "errorType": kind, "error": "too many points"}) as fake:
        server = Prometheus(Access(fake.url))
        assert f"HTTP {status}): too many points" in await refused(server)
        assert server.standing.health is Health.UNASKED
        await refused(server)
    assert len(fake.asked) == 2, "a wrong question must not keep others waiting"


async def test_a_503_is_asked_a_second_time_and_then_forgotten() -> None:
    def reply(_: Asked) -> tuple[int, Any, dict[str, str]]:
        return (503, b"starting", {}) if len(fake.asked) == 1 else (200, OK, {})

    with answering(reply) as fake:
        server = Prometheus(Access(fake.url), draw=lambda _low, _high: 0.0)
        assert (await server.instant("up")).series[0].last == 7.0
    assert (server.standing.health, server.asking.counts.second_tries, server.asking.counts.queries) == (Health.UP, 1, 2)


async def test_partial_answers_and_warnings_are_kept_with_their_words() -> None:
    with serving(200, OK | {"isPartial": True, "warnings": ["store 10.0.0.1 is gone"]}) as fake:
        server = Prometheus(Access(fake.url))
        answer = await server.instant("up")
    assert answer.badge == ("the server says that the answer is partial", "store 10.0.0.1 is gone")
    assert server.standing.health is Health.PARTIAL
    assert server.standing.words == "the answer is partial; store 10.0.0.1 is gone"


async def test_warnings_alone_are_told_too() -> None:
    with serving(200, OK | {"warnings": ["a little old"]}) as fake:
        server = Prometheus(Access(fake.url))
        await server.instant("up")
    assert (server.standing.health, server.standing.warnings) == (Health.UP, ("a little old",))


@pytest.mark.parametrize(("off_s", "shown"), [(3600, True), (-3600, True), (5, False)])
async def test_a_clock_that_is_off(off_s: int, *, shown: bool) -> None:
    with serving(200, OK, {"Date": formatdate(time() + off_s, usegmt=True)}) as fake:
        server = Prometheus(Access(fake.url))
        await server.instant("up")
    skew_s = server.standing.clock_skew_s
    assert (skew_s is not None) == shown
    assert skew_s is None or abs(skew_s - off_s) < 30


async def test_nobody_there() -> None:
    clock = Clock()
    url = f"http://127.0.0.1:{free_port()}"
    server = Prometheus(Access(url, user="u", password="geheim"), clock=clock, draw=lambda _low, high: high)
    words = await refused(server)
    assert words == f"Prometheus at {url} cannot be reached: nothing listens there"
    assert server.standing.health is Health.UNREACHABLE
    waits = []
    for _ in range(8):
        told = await refused(server)
        waits.append(int(told.rpartition("in ")[2].removesuffix(" s")))
        clock.mono_s += waits[-1]
        await refused(server)
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]
    assert server.asking.counts.queries == 9
    assert server.standing.since_mono_s == 1000.0


async def test_the_wait_ends_when_somebody_asks_for_it() -> None:
    with serving(401, b"") as fake:
        server = Prometheus(Access(fake.url))
        await refused(server)
        server.asking.retry_now()
        await refused(server)
    assert len(fake.asked) == 2


async def test_the_last_good_answer_stays() -> None:
    state = {"up": True}
    with answering(lambda _: (200, OK, {}) if state["up"] else (500, b"", {})) as fake:
        server = Prometheus(Access(fake.url))
        answer = await server.instant("up")
        state["up"] = False
        await refused(server)
    assert server.kept("up") is answer
    assert server.standing.health is Health.FAILING


async def test_a_server_that_hangs_holds_up_nobody() -> None:
    """The event loop runs on, only four threads wait, and each question has its deadline."""
    with fake_broker(mute) as silent:
        server = Prometheus(Access(f"http://127.0.0.1:{silent.port}"), timeout_s=0.5)
        questions = [asyncio.create_task(server.instant(f"up{n}")) for n in range(20)]
        await until(lambda: server.asking.lanes.in_flight == 4)
        assert server.asking.lanes.waiting == 16
        turns = 0
        while not all(question.done() for question in questions):
            turns += 1
            await asyncio.sleep(0.001)
        found = await asyncio.gather(*questions, return_exceptions=True)
        assert {str(error) for error in found} == {
            f"Prometheus at http://127.0.0.1:{silent.port} did not answer within 0.5 s"
        }
        assert turns > 20
        assert (silent.connections, server.asking.counts.queries, server.asking._failures) == (4, 4, 1)
        assert server.standing.health is Health.UNREACHABLE
        await until(lambda: server.asking.lanes.in_flight == 0)


async def test_a_byte_now_and_then_does_not_help_a_server_over_its_deadline() -> None:
    stop = threading.Event()

    def drips(peer: Peer) -> None:
        peer.socket.recv(4096)
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n")
        while not stop.wait(0.02):
            peer.send(b" ")

    with fake_broker(drips) as fake:
        server = Prometheus(Access(f"http://127.0.0.1:{fake.port}"), timeout_s=0.5)
        assert "did not answer within 0.5 s" in await refused(server)
        stop.set()


async def test_connections_that_break() -> None:
    def in_the_middle(peer: Peer) -> None:
        peer.socket.recv(4096)
        peer.send(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"status":')

    def at_once(peer: Peer) -> None:
        peer.socket.recv(4096)

    for behave in (in_the_middle, at_once):
        with fake_broker(behave) as fake:
            server = Prometheus(Access(f"http://127.0.0.1:{fake.port}"), draw=lambda low, _high: low)
            assert "broke the connection off" in await refused(server)
            assert (server.standing.health, fake.connections) == (Health.UNREACHABLE, 2)


async def test_what_is_not_http() -> None:
    def speaks_mqtt(peer: Peer) -> None:
        peer.socket.recv(4096)
        peer.send(b"\x20\x02\x00\x05" * 100)

    with fake_broker(speaks_mqtt) as fake:
        server = Prometheus(Access(f"http://127.0.0.1:{fake.port}"))
        await refused(server)
        assert server.standing.health is Health.UNREACHABLE


async def test_ten_thousand_series_and_too_many_bytes() -> None:
    items = [{"metric": {"device": f"gw-{n}", "site": "plant\u202e"}, "value": [1, "0.5"]} for n in range(10_000)]
    with serving(200, {"status": "success", "data": {"resultType": "vector", "result": items}}) as fake:
        server = Prometheus(Access(fake.url))
        answer = await server.instant("cpu")
        assert len(answer.series) == 10_000
        server.web._max_bytes = 65_536
        assert "narrow the query down" in await refused(server)
        assert server.standing.health is Health.UP


async def test_the_budget_of_a_minute() -> None:
    clock = Clock()
    with serving(200, OK) as fake:
        server = Prometheus(Access(fake.url), max_per_minute=3, clock=clock)
        for _ in range(3):
            await server.instant("up")
        assert "3 questions were asked within a minute" in await refused(server)
        assert (server.asking.per_minute(), server.asking.counts.held_back, len(fake.asked)) == (3, 1, 3)
        assert server.standing.health is Health.UP
        clock.mono_s += 60
        assert server.asking.per_minute() == 0
        await server.instant("up")


async def test_too_many_waiting_are_turned_away_at_once() -> None:
    go = threading.Event()
    lanes = Lanes(in_flight=1, waiting=2)
    calls = [asyncio.create_task(lanes.run(go.wait)) for _ in range(3)]
    await until(lambda: lanes.in_flight == 1 and lanes.waiting == 2)
    with pytest.raises(BusyError):
        await lanes.run(go.wait)
    go.set()
    assert await asyncio.gather(*calls) == [True] * 3
    assert (lanes.in_flight, lanes.waiting) == (0, 0)


async def test_a_lane_that_was_given_up_is_free_when_its_thread_is_done() -> None:
    go = threading.Event()
    lanes = Lanes(in_flight=1)
    given_up = asyncio.create_task(lanes.run(go.wait))
    await until(lambda: lanes.in_flight == 1)
    given_up.cancel()
    next_one = asyncio.create_task(lanes.run(lambda: 7))
    await until(lambda: lanes.waiting == 1)
    go.set()
    assert await next_one == 7


async def test_kept_answers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleetview.feeds.prometheus.MAX_KEPT", 2)
    with serving(200, OK) as fake:
        server = Prometheus(Access(fake.url))
        for name in "abc":
            await server.instant(name)
        assert [server.kept(name) is not None for name in "abc"] == [False, True, True]
        monkeypatch.setattr("fleetview.feeds.prometheus.MAX_KEPT_POINTS", 1)
        await server.instant("d")
    assert [server.kept(name) is not None for name in "bcd"] == [False, False, True]


def test_a_thread_that_hangs_does_not_hold_up_quitting() -> None:
    code = (
        "import asyncio\nfrom fleetview.access import Access\nfrom fleetview.feeds.prometheus import Prometheus\n"
        "async def main():\n"
        "    server = Prometheus(Access('http://127.0.0.1:{port}'), timeout_s=1000)\n"
        "    asyncio.create_task(server.instant('up'))\n"
        "    while not server.asking.lanes.in_flight: await asyncio.sleep(0.01)\n"
        "asyncio.run(main())\nprint('left')\n"
    )
    with fake_broker(mute) as silent:
        done = subprocess.run(
            [sys.executable, "-c", code.format(port=silent.port)], capture_output=True, text=True, timeout=40, check=True
        )
    assert (done.stdout, done.stderr) == ("left\n", "")
    gc.collect()


def test_asking_has_one_deadline_below_five_seconds() -> None:
    assert Asking.ask.__kwdefaults__ == {"twice": True}
    from fleetview.feeds import asking

    assert asking.TIMEOUT_S + asking._GRACE_S < 5
