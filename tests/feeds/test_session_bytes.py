"""Whatever bytes a peer sends: every form of a message is read, and anything else ends in words, with nothing left open."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import fakes
from support.heard import Heard, to
from support.wait import until

from fleetview_agent.mqtt import BrokerUrl, Failure, FailureKind, LinkError, open_session


@given(
    messages=st.lists(
        st.tuples(
            st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=30),
            st.binary(max_size=300),
            st.booleans(),
            st.sampled_from([0, 1]),
            st.sampled_from([0, 1, 130, 20_000]),
        ),
        min_size=1,
        max_size=8,
    ),
    version=st.sampled_from(["5", "3.1.1"]),
    pieces=st.integers(1, 50),
)
@settings(max_examples=40, deadline=None)
def test_every_form_of_a_message_is_read(messages: Any, version: Any, pieces: int) -> None:
    """Those with QoS 0 and short properties are read here, past paho; all others by paho."""
    heard: Heard = []

    def behave(peer: fakes.Peer) -> None:
        peer.greet()
        data = b"".join(
            fakes.publish_packet(peer.version, topic.encode(), payload, retain=retain, qos=qos, user_property_bytes=size)
            for topic, payload, retain, qos, size in messages
        )
        step = max(1, len(data) // pieces)
        for start in range(0, len(data), step):
            peer.send(data[start : start + step])
        fakes.mute(peer)

    async def listen(url: str) -> None:
        async with open_session(BrokerUrl.parse(url), client_id="one", on_message=to(heard), protocol=version):
            await until(lambda: len(heard) >= len(messages))

    with fakes.fake_broker(behave) as fake:
        asyncio.run(listen(fake.url))
    assert heard == [(topic, payload, retain) for topic, payload, retain, _, _ in messages]


async def _survives(data: bytes, *, greet: bool) -> None:
    def behave(peer: fakes.Peer) -> None:
        if greet:
            peer.greet()
        else:
            peer.read()
        peer.send(data)

    async def failure_of(url: str) -> Failure:
        try:
            async with open_session(BrokerUrl.parse(url), client_id="one", on_message=to([]), protocol="5") as session:
                return await session.wait_closed()
        except LinkError as err:
            return err.failure

    with fakes.fake_broker(behave) as fake:
        async with asyncio.timeout(20):
            failure = await failure_of(fake.url)
        assert str(fake.port) in failure.words


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=64), greet=st.booleans())
def test_whatever_bytes_come_it_ends_in_words(data: bytes, greet: bool) -> None:
    asyncio.run(_survives(data, greet=greet))


@settings(max_examples=60, deadline=None)
@given(kind=st.integers(0, 255), body=st.binary(max_size=40))
def test_whatever_packet_comes_it_ends_in_words(kind: int, body: bytes) -> None:
    asyncio.run(_survives(bytes([kind, len(body)]) + body, greet=True))


async def test_a_bad_packet_leaves_no_open_socket_behind() -> None:
    """aiomqtt 2.5.1 would leave it in the event loop, which then spins once the broker closes it."""

    def behave(peer: fakes.Peer) -> None:
        peer.greet()
        peer.send(b"\x30\x03\x00\x09a")  # a topic longer than its packet
        fakes.mute(peer)

    with fakes.fake_broker(behave) as fake:
        async with open_session(BrokerUrl.parse(fake.url), client_id="one", on_message=to([])) as session:
            async with asyncio.timeout(20):
                failure = await session.wait_closed()
            assert failure.kind is FailureKind.PROTOCOL
            assert _client_sockets(fake.port) == 0


def _client_sockets(port: int) -> int:
    """Sockets of this machine that are connected to the port."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[2].endswith(f":{port:04X}") and row[3] == "01" for row in rows)
