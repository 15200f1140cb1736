"""The dashboard's connection: real mosquitto, absent, mute, 3.1.1-only and refusing brokers, and one that comes back."""

from __future__ import annotations

import asyncio
import contextlib
import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import fakes
from support.broker import mosquitto
from support.wait import until

from fleetview.config import Scope
from fleetview.feeds.backoff import backoff_s
from fleetview.feeds.mqtt import Connection, ReceivedFleet
from fleetview.feeds.states import Backoff, Connecting, LinkState, Refused, Up
from fleetview_agent.mqtt import BrokerUrl, FailureKind, Session, TlsFiles, open_session
from fleetview_agent.wire import Address, Channel, Message, State, Topics, WireError, decode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from support.broker import Broker
    from support.tls import Authority

    from fleetview.core.received import Received

ONLINE = b'{"v":1,"session":"01JDA8","state":"online"}'


class Watched:
    """A running connection, with all it handed on."""

    def __init__(self, url: str, **options: Any) -> None:
        self.received: list[Received] = []
        self.fleet: list[ReceivedFleet] = []
        self.states: list[LinkState] = []
        options = {"longest_backoff_s": 0.05, "connect_timeout_s": 5.0} | options
        self.connection = Connection(
            BrokerUrl.parse(url),
            self.received.append,
            on_fleet=self.fleet.append,
            on_state=self.states.append,
            **options,
        )

    @property
    def is_up(self) -> bool:
        return isinstance(self.connection.state, Up)


@contextlib.asynccontextmanager
async def watching(url: str, **options: Any) -> AsyncIterator[Watched]:
    watched = Watched(url, **options)
    task = asyncio.create_task(watched.connection.run())
    try:
        yield watched
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextlib.asynccontextmanager
async def publisher(url: str) -> AsyncIterator[Session]:
    async with open_session(BrokerUrl.parse(url), client_id="publisher", on_message=lambda *_: None) as session:
        yield session


async def test_hands_on_what_is_said_and_what_was_retained(broker: Broker) -> None:
    topics = Topics()
    gateway = Address("acme", "plant-7", "gw-1")
    async with publisher(broker.url) as session:
        await session.publish(topics.device(gateway, Channel.STATE), ONLINE, retain=True)
        async with watching(broker.url) as watched:
            await until(lambda: watched.received and watched.is_up)
            kept = watched.received[0]
            assert isinstance(kept.body, State)
            assert (kept.address, kept.channel, kept.retained, kept.payload) == (gateway, Channel.STATE, True, ONLINE)
            await session.publish(topics.device(gateway, Channel.STATE), b"")
            await session.publish(topics.device(gateway, Channel.HEARTBEAT), b"{not json")
            await session.publish(
                topics.device(gateway, Channel.COMMAND, "c-1"), b'{"verb":"ping","expires_at":"2026-11-22T10:30:00Z"}'
            )
            await session.publish(topics.controller("acme"), b'{"id":"c","epoch":1}', retain=True)
            await session.publish("fleet/v1/acme/plant-7/gw-1/nonsense", b"x")
            await session.publish(topics.device(gateway, Channel.LOG), b'{"message":"hello"}')
            await until(lambda: len(watched.received) == 5 and watched.fleet)
            empty, malformed, command, log = watched.received[1:]
            assert (empty.body, empty.retained) == (None, False)
            assert isinstance(malformed.body, WireError)
            assert (command.channel, command.command_id) == (Channel.COMMAND, "c-1")
            assert log.channel is Channel.LOG
            assert [message.topic.channel for message in watched.fleet] == [Channel.CONTROLLER]
            counts = watched.connection.counts
            assert (counts.messages, counts.unknown_topics, counts.links) == (6, 0, 1)


async def test_states_on_the_way_up(broker: Broker) -> None:
    async with watching(broker.url) as watched:
        state = await watched.connection.outcome()
        assert isinstance(state, Up)
        assert (state.protocol, state.refused_filters) == ("5", ())
        assert watched.states == [Connecting(1), state]


async def test_scope_and_logs_narrow_what_is_asked_for() -> None:
    connection = Connection(
        BrokerUrl.parse("mqtt://x"), print, scope=Scope("acme", "plant-7"), logs=False, topics=Topics("r")
    )
    assert "r/acme/plant-7/+/heartbeat" in connection.filters
    assert "r/acme/_fleet/controller" in connection.filters
    assert not [name for name in connection.filters if name.endswith("/log")]
    assert not [name for name in connection.filters if not name.startswith("r/acme/")]


async def test_a_retained_burst_comes_whole_and_settles(broker: Broker) -> None:
    """With QoS 1 Mosquitto would drop four fifths of it; see the next test."""
    await _retain(broker, 3000)
    async with watching(broker.url) as watched:
        assert await watched.connection.settled(0.3, 30)
        assert len(watched.received) == 3000


async def test_giving_way_takes_in_little_at_a_time_and_loses_nothing(broker: Broker) -> None:
    rounds: list[int] = []
    async with publisher(broker.url) as session, watching(broker.url) as watched:
        await until(lambda: watched.is_up)
        connection = watched.connection
        connection.give_way(60)
        connection.give_way(60)  # again before the first is over
        for number in range(500):
            session.publish_nowait("fleet/v1/acme/plant-7/gw-1/heartbeat", b"%d" % number + b" " * 1000)
        while connection.counts.messages < 500:
            before = connection.counts.messages
            await asyncio.sleep(0)
            rounds.append(connection.counts.messages - before)
        assert [int(message.payload) for message in watched.received] == list(range(500))
        assert max(rounds) <= 2
        connection.give_way(0)
        session_there = connection._session
        assert session_there is not None
        await until(lambda: session_there._wire.at_once > 30_000)


async def test_mosquitto_still_cuts_a_burst_for_qos_1(broker: Broker) -> None:
    """The reason for QoS 0 in `_subscribe`: when this fails, Mosquitto has mended it."""
    await _retain(broker, 3000)
    heard: list[bytes] = []
    async with open_session(
        BrokerUrl.parse(broker.url), client_id="qos1", on_message=lambda _topic, payload, _retained: heard.append(payload)
    ) as session:
        await session.subscribe([("fleet/v1/+/+/+/state", 1)])
        # Published after the burst was queued, and on top of a queue that is full unless the burst was cut and drained.
        await until(lambda: len(heard) >= 1000)
        await session.subscribe([("end", 1)])
        await session.publish("end", b"end", qos=1)
        await until(lambda: b"end" in heard)
    assert len(heard) < 2000


async def _retain(broker: Broker, count: int) -> None:
    async with publisher(broker.url) as session:
        for start in range(0, count, 200):
            topics = [f"fleet/v1/acme/plant-1/gw-{number}/state" for number in range(start, start + 200)]
            await asyncio.gather(*(session.publish(topic, ONLINE, retain=True) for topic in topics))


async def test_caught_up_means_that_the_burst_is_here(broker: Broker) -> None:
    await _retain(broker, 2000)
    async with watching(broker.url) as watched:
        assert await watched.connection.settled(0, 30)
        assert len(watched.received) == 2000


async def test_settled_gives_up() -> None:
    async with watching("mqtt://127.0.0.1:1") as watched:
        assert not await watched.connection.settled(0.01, 0.05)


async def test_a_broker_that_goes_and_comes_back(broker: Broker) -> None:
    async with watching(broker.url) as watched:
        await until(lambda: watched.is_up)
        broker.kill()
        await until(lambda: isinstance(watched.connection.state, Backoff))
        down = watched.connection.state
        assert isinstance(down, Backoff)
        assert down.failure.words
        broker.start()
        await until(lambda: watched.is_up)
        async with publisher(broker.url) as session:
            await session.publish("fleet/v1/acme/plant-1/gw-1/state", ONLINE)
        await until(lambda: watched.received)
        assert watched.connection.counts.links == 2
        refused = [s.failure.kind for s in watched.states if isinstance(s, Backoff)]
        assert refused[0] is FailureKind.LOST


async def test_retry_now_ends_the_wait(tmp_path: Path) -> None:
    with mosquitto(tmp_path, anonymous=False) as broker:
        async with watching(broker.url, refused_retry_s=3600.0) as watched:
            for attempts in range(1, 4):
                await until(partial(watched.states.__contains__, Connecting(attempts)))
                await until(lambda: isinstance(watched.connection.state, Refused))
                watched.connection.retry_now()


async def test_not_authorised_is_retried_slowly(tmp_path: Path) -> None:
    with mosquitto(tmp_path, anonymous=False) as broker:
        async with watching(broker.url, refused_retry_s=3600.0) as watched:
            state = await watched.connection.outcome()
            assert isinstance(state, Refused)
            assert state.failure.kind is FailureKind.AUTHORISATION
            assert state.next_try_mono_s > asyncio.get_running_loop().time() + 3000


async def test_refused_subscriptions_are_named() -> None:
    with fakes.fake_broker(fakes.refuses_subscriptions) as fake:
        async with watching(fake.url) as watched:
            state = await watched.connection.outcome()
            assert isinstance(state, Up)
            assert [name for name, _ in state.refused_filters] == watched.connection.filters
            assert {reason for _, reason in state.refused_filters} == {"not authorized"}


async def test_a_broker_of_the_older_protocol() -> None:
    with fakes.fake_broker(fakes.only_311) as fake:
        async with watching(fake.url) as watched:
            state = await watched.connection.outcome()
            assert isinstance(state, Up)
            assert state.protocol == "3.1.1"


@pytest.mark.parametrize(
    ("behave", "kind"),
    [
        (fakes.mute, FailureKind.MUTE),
        (fakes.garbage, FailureKind.PROTOCOL),
        (fakes.hangs_up, FailureKind.PROTOCOL),
        (fakes.vanishes_in_a_packet, FailureKind.LOST),
    ],
)
async def test_faults_become_a_wait_and_another_attempt(behave: Callable[[fakes.Peer], None], kind: FailureKind) -> None:
    with fakes.fake_broker(behave) as fake:
        async with watching(fake.url, connect_timeout_s=0.1 if behave is fakes.mute else 5.0) as watched:
            await until(lambda: len([s for s in watched.states if isinstance(s, Backoff)]) >= 2)
    failures = [state.failure for state in watched.states if isinstance(state, Backoff)]
    assert {failure.kind for failure in failures} == {kind}
    assert all(str(fake.port) in failure.words for failure in failures)


async def test_hostile_topics_are_counted_and_stop_nothing() -> None:
    with fakes.fake_broker(fakes.hostile_topics) as fake:
        async with watching(fake.url) as watched:
            await until(lambda: watched.connection.counts.messages == 5 and watched.is_up)
            counts = watched.connection.counts
            assert (counts.unknown_topics, watched.received) == (5, [])
            assert counts.last_unknown is not None
            assert "a/b" in counts.last_unknown


async def test_tls_and_a_client_certificate(tmp_path: Path, authority: Authority) -> None:
    ours = authority.issue("dashboard")
    with mosquitto(tmp_path, tls=authority) as broker:
        url = f"mqtts://localhost:{broker.port}"
        async with watching(url, tls=TlsFiles(authority.cafile, ours.cert, ours.key)) as watched:
            assert isinstance(await watched.connection.outcome(), Up)
        async with watching(url, tls=TlsFiles(authority.cafile)) as watched:
            state = await watched.connection.outcome()
            assert isinstance(state, Backoff)
            assert state.failure.kind is FailureKind.CERTIFICATE


async def test_what_a_sink_raises_comes_out_of_run(broker: Broker) -> None:
    def broken(received: Received) -> None:
        raise ZeroDivisionError

    connection = Connection(BrokerUrl.parse(broker.url), broken)
    async with publisher(broker.url) as session:
        await session.publish("fleet/v1/acme/plant-1/gw-1/state", ONLINE, retain=True)
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(connection.run(), 20)


@given(failures=st.integers(1, 10_000), fraction=st.floats(0, 1), longest_s=st.floats(0.01, 1000))
def test_the_wait_grows_within_its_bounds(failures: int, fraction: float, longest_s: float) -> None:
    wait_s = backoff_s(failures, longest_s=longest_s, draw=lambda low, high: low + (high - low) * fraction)
    assert 0 <= wait_s <= min(longest_s, 2.0 ** min(failures - 1, 30))
    assert backoff_s(failures, longest_s=longest_s, draw=lambda _low, high: high) == min(
        longest_s, 2.0 ** min(failures - 1, 30)
    )


@given(
    topic=st.one_of(
        st.text(max_size=60),
        st.binary(max_size=60),
        st.sampled_from(["state", "heartbeat", "birth", "log", "desired", "reported", "log/ack", "command/x"]).map(
            lambda channel: f"fleet/v1/acme/plant-1/gw-1/{channel}"
        ),
        st.sampled_from(["fleet/v1/acme/_fleet/controller", "fleet/v1/acme/_fleet/rollout/r"]),
    ),
    payload=st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        ).map(lambda value: json.dumps(value).encode()),
    ),
    retained=st.booleans(),
)
def test_nothing_that_a_broker_sends_raises(topic: str | bytes, payload: bytes, retained: bool) -> None:
    async def receive() -> None:
        received: list[Any] = []
        connection = Connection(BrokerUrl.parse("mqtt://x"), received.append, on_fleet=received.append)
        connection._receive(topic, payload, retained)
        connection._receive(topic, payload, retained)  # the second time its topic is known
        assert len(received) + connection.counts.unknown_topics == 2
        assert all((message.body is None) == (payload == b"") for message in received)

    asyncio.run(receive())


async def test_devices_that_are_not_wanted_are_not_even_decoded(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[bytes] = []

    def counted(channel: Channel, payload: bytes) -> Message:
        decoded.append(payload)
        return decode(channel, payload)

    monkeypatch.setattr("fleetview.feeds.mqtt.decode", counted)
    asked: list[Address] = []

    def wanted(address: Address) -> bool:
        asked.append(address)
        return address.device == "gw-1"

    async with watching(broker.url, wanted=wanted) as watched, publisher(broker.url) as session:
        await until(lambda: watched.is_up)
        for name in ("gw-2", "gw-1", "gw-2", "gw-1"):
            topic = Topics().device(Address("acme", "plant-7", name), Channel.STATE)
            await session.publish(topic, ONLINE)
        await until(lambda: len(watched.received) == 2)
        assert {received.address.device for received in watched.received} == {"gw-1"}
        assert (len(decoded), len(asked)) == (2, 2)
        assert watched.connection.counts.unknown_topics == 0
