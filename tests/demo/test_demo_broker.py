"""The demo's broker, of both kinds, by what a client gets from it."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import pytest
from support.programs import require
from support.wait import until

from fleetview.demo import broker as demo_broker
from fleetview.demo.broker import DemoBrokerError, running_broker
from fleetview.demo.choices import BrokerKind
from fleetview_agent.mqtt import BrokerUrl, Session, open_session

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

Got = list[tuple[str | bytes, bytes, bool]]
"""Topic, payload, retain flag."""


class Client(NamedTuple):
    session: Session
    got: Got


@pytest.fixture
async def clients() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def connected(stack: AsyncExitStack, url: str, name: str) -> Client:
    got: Got = []

    def keep(topic: str | bytes, payload: bytes, retained: bool) -> None:
        got.append((topic, payload, retained))

    session = open_session(BrokerUrl.parse(url), tls=None, client_id=name, on_message=keep)
    return Client(await stack.enter_async_context(session), got)


@pytest.mark.parametrize("kind", BrokerKind)
async def test_live_and_retained_messages_arrive_with_their_flags(kind: BrokerKind, clients: AsyncExitStack) -> None:
    if kind is BrokerKind.MOSQUITTO:
        require("mosquitto")
    with running_broker(kind) as broker:
        early = await connected(clients, broker.url, "early")
        assert await early.session.subscribe([("fleet/+/state", 1)]) == []
        writer = await connected(clients, broker.url, "writer")
        await writer.session.publish("fleet/a/state", b"on", qos=1, retain=True)
        await writer.session.publish("fleet/b/state", b"live only", qos=1)
        await writer.session.publish("fleet/c/other", b"x", qos=1, retain=True)
        await until(lambda: len(early.got) >= 2)
        # A subscriber that is there already gets it live: readers take a live message as a proof of life.
        assert early.got == [("fleet/a/state", b"on", False), ("fleet/b/state", b"live only", False)]
        late = await connected(clients, broker.url, "late")
        await late.session.subscribe([("fleet/+/state", 1)])
        await until(lambda: late.got)
        assert late.got == [("fleet/a/state", b"on", True)]
        await writer.session.publish("fleet/a/state", b"", qos=1, retain=True)
        await until(lambda: len(late.got) >= 2)
        after = await connected(clients, broker.url, "after")
        await after.session.subscribe([("fleet/#", 1)])
        await until(lambda: after.got)
        assert after.got == [("fleet/c/other", b"x", True)]
        assert writer.got == []
        await clients.aclose()


@pytest.mark.parametrize("kind", BrokerKind)
async def test_only_this_machine_reaches_it(kind: BrokerKind) -> None:
    if kind is BrokerKind.MOSQUITTO:
        require("mosquitto")
    # The whole of 127/8 is this machine, so a server on 0.0.0.0 would answer there.
    with running_broker(kind) as broker, pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.2", broker.port)


async def test_a_port_taken_meanwhile_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    require("mosquitto")
    free: Callable[[], int] = demo_broker.free_port
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        ports = iter([squatter.getsockname()[1]])
        monkeypatch.setattr(demo_broker, "free_port", lambda: next(ports, None) or free())
        with running_broker(BrokerKind.MOSQUITTO) as broker:
            assert broker.port != squatter.getsockname()[1]
            assert broker.child.status() is None


async def test_failure_to_start_is_told_in_the_brokers_words(monkeypatch: pytest.MonkeyPatch) -> None:
    require("mosquitto")
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        monkeypatch.setattr(demo_broker, "free_port", lambda: squatter.getsockname()[1])
        with pytest.raises(DemoBrokerError, match=r"mosquitto could not be started on 127\.0\.0\.1, 5 attempts: .*in use"):
            demo_broker._start(BrokerKind.MOSQUITTO)


async def test_no_client_gets_what_another_asked_for(clients: AsyncExitStack) -> None:
    with running_broker(BrokerKind.AMQTT) as broker:
        assert await strays(clients, broker.url) == []
        await clients.aclose()


async def test_amqtt_still_sends_everything_to_everybody(clients: AsyncExitStack) -> None:
    """When this fails, amqtt has mended it, and the subclass in amqtt_broker.py can go."""
    from amqtt.broker import Broker

    from fleetview.demo.amqtt_broker import _CONFIG

    stock = Broker(_CONFIG)
    await stock.start()
    server = await asyncio.start_server(partial(stock.stream_connected, listener_name="default"), "127.0.0.1", 0)
    url = f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    assert await strays(clients, url) == ["theirs/1"]
    await clients.aclose()
    server.close()
    await stock.shutdown()


async def strays(stack: AsyncExitStack, url: str) -> list[str | bytes]:
    """Topics that reach a client that did not ask for them."""
    other = await connected(stack, url, "other")
    await other.session.subscribe([("theirs/#", 1)])
    await other.session.publish("theirs/1", b"x", qos=1, retain=True)
    await until(lambda: other.got)
    innocent = await connected(stack, url, "innocent")
    await innocent.session.subscribe([("mine/#", 1)])
    await other.session.publish("mine/1", b"y", qos=1)
    await until(lambda: any(topic == "mine/1" for topic, _, _ in innocent.got))
    return [topic for topic, _, _ in innocent.got if topic != "mine/1"]
