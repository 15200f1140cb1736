"""One attempt at one MQTT connection; retrying belongs to its callers.

The only module that touches what aiomqtt and paho-mqtt keep private. Of aiomqtt it uses the part that ties paho to the
event loop; what a session says and hears goes to paho directly, for these reasons (aiomqtt 2.5.1, paho-mqtt 2.2.0):

- the queue of incoming messages is unbounded, or drops what was already acknowledged; its iterator costs a task (14 us) a
  message and ends for good at a topic that is not UTF-8 or holds a wildcard. `on_message` gets each message synchronously.
- `publish(qos=1)` returns normally when the broker refused, and waits out its timeout when the link ended meanwhile.
- leaving a client after an error leaves paho's socket in the selector: once the peer closes it, the process spins.
- a publish that failed is sent again by the same client later. So there is a new client for each attempt.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal, cast

import aiomqtt
from paho.mqtt.enums import MQTTErrorCode

from fleetview_agent.dial import Wire, dial
from fleetview_agent.endpoint import BrokerUrl, Failure, FailureKind, LinkError, TlsFileError, TlsFiles, WillMessage
from fleetview_agent.mqtt_failures import (
    ended_by_broker,
    lost,
    no_session,
    not_mqtt,
    publish_refused,
    refused,
    subscription_refused,
)

if TYPE_CHECKING:
    import ssl

    from paho.mqtt.client import DisconnectFlags, MQTTMessage
    from paho.mqtt.reasoncodes import ReasonCode

__all__ = [
    "BrokerUrl",
    "Failure",
    "FailureKind",
    "Incoming",
    "LinkError",
    "Protocol",
    "Session",
    "TlsFileError",
    "TlsFiles",
    "WillMessage",
    "open_session",
]

Protocol = Literal["5", "3.1.1"]
Incoming = Callable[[str | bytes, bytes, bool], None]
"""Called with topic (bytes when it is not UTF-8), payload, and whether it is a retained one delivered as such.

Called synchronously by the socket's reader, so it must be quick. What it raises ends the session, and comes out of it.
"""

_FILTERS_A_PACKET = 8
"""The largest SUBSCRIBE that every broker takes; AWS IoT Core allows no more."""
_MAX_INFLIGHT = 100
"""QoS 1 messages on the way at once. With paho's 20 a link with 50 ms round trip carries 400 a second."""
_NEVER_SUBSCRIBED = "fleetview/caught-up"
_ACK_TIMEOUT_S = 30.0
_GOODBYE_TIMEOUT_S = 1.0

# Of a PUBLISH packet (MQTT 5, 3.3).
_QOS_BITS = 0b0110
_RETAIN_BIT = 0b0001
_LONG_PROPERTIES = 0x80
"""From here on the length of the properties takes more than one byte."""

# aiomqtt logs "There are N pending publish calls" at WARNING, which without this goes to stderr, into the dashboard.
_logger = logging.getLogger("fleetview_agent.mqtt")
_logger.addHandler(logging.NullHandler())
_logger.propagate = False


class Session:
    """An established session. Made by `open_session`."""

    def __init__(self, url: BrokerUrl, protocol: Protocol, client: aiomqtt.Client, wire: Wire, incoming: Incoming) -> None:
        self.protocol: Protocol = protocol
        self._where = url.endpoint
        self._url = url
        self._client = client
        self._paho = client._client  # noqa: SLF001
        self._wire = wire
        self._incoming = incoming
        self._broken_by: Exception | None = None
        """What `incoming` raised."""
        self._established = False
        self._ended: asyncio.Future[Failure] = asyncio.get_running_loop().create_future()
        self._answers: dict[int, asyncio.Future[list[ReasonCode]]] = {}
        """The broker's answers awaited, by packet identifier."""
        self._hook()

    async def publish(self, topic: str, payload: bytes, *, qos: Literal[0, 1] = 1, retain: bool = False) -> None:
        """Publish; with QoS 1 until the broker has it.

        Raises LinkError when the link is gone, or the broker refused (which only MQTT 5 can tell). After an error the broker
        may have the message all the same.
        """
        mid = self._send(topic, payload, qos=qos, retain=retain)
        if qos == 0:
            return
        reason = (await self._answer_to(mid))[0]
        if reason.is_failure:
            raise LinkError(publish_refused(self._url, topic, reason))

    def publish_nowait(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish with QoS 0: queued, and sent as the link allows. Raises LinkError when the link is gone."""
        self._send(topic, payload, qos=0, retain=retain)

    @property
    def unsent(self) -> int:
        """Packets that wait for the socket: whoever publishes fast without awaiting watches it, for nothing bounds it."""
        return len(self._paho._out_packet)  # noqa: SLF001

    def read_at_once(self, size: int | None) -> None:
        """Take in so many bytes in a round of the event loop; None for as many as pay best."""
        self._wire.at_once = size or Wire.READ_BYTES

    async def subscribe(self, filters: Sequence[tuple[str, int]]) -> list[tuple[str, str]]:
        """Subscribe to (filter, QoS); returns the refused filters, each with the reason. Raises LinkError."""
        refused: list[tuple[str, str]] = []
        for start in range(0, len(filters), _FILTERS_A_PACKET):
            asked = list(filters[start : start + _FILTERS_A_PACKET])
            mid = None if self._ended.done() else self._paho.subscribe(asked)[1]
            if mid is None:
                raise self._gone()
            reasons = await self._answer_to(mid)
            words = [subscription_refused(reason) for reason in reasons] + ["no answer"] * len(asked)
            refused += [(name, why) for (name, _), why in zip(asked, words, strict=False) if why]
        return refused

    async def caught_up(self) -> None:
        """Returns when the broker has sent what it owed before this was asked, for it answers in order. Raises LinkError."""
        mid = None if self._ended.done() else self._paho.unsubscribe(_NEVER_SUBSCRIBED)[1]
        if mid is None:
            raise self._gone()
        await self._answer_to(mid)

    async def wait_closed(self) -> Failure:
        """Returns when the link has ended, with the reason."""
        return await asyncio.shield(self._ended)

    # What paho calls

    def _hook(self) -> None:
        paho: Any = self._paho  # typed by paho for its own two generations of callbacks
        paho.disable_logger()  # nobody reads its records
        paho.max_inflight_messages_set(_MAX_INFLIGHT)
        paho._create_socket = lambda: self._wire  # noqa: SLF001
        self._tell_aiomqtt = paho.on_connect
        paho.on_connect = self._on_connect
        paho.on_disconnect = self._on_disconnect
        paho.on_message = self._on_message
        self._handle_publish = paho._handle_publish  # noqa: SLF001
        paho._handle_publish = self._on_publish_packet  # noqa: SLF001
        paho.on_publish = self._on_publish
        paho.on_subscribe = paho.on_unsubscribe = self._on_subscribe
        # Exceptions within aiomqtt's reader and writer, such as for a malformed packet, arrive only here.
        self._client._disconnected.add_done_callback(self._on_reader_failed)  # noqa: SLF001

    def _on_connect(self, client: object, userdata: object, flags: object, reason: ReasonCode, properties: object) -> None:
        self._established = not reason.is_failure
        # paho ignores this limit, and a broker ends a session that exceeds it (MQTT 5, 3.3.4). Its setter refuses by now.
        limit = getattr(properties, "ReceiveMaximum", _MAX_INFLIGHT)
        self._paho._max_inflight_messages = min(limit, _MAX_INFLIGHT)  # noqa: SLF001
        self._tell_aiomqtt(client, userdata, flags, reason, properties)

    def _on_disconnect(self, _c: object, _u: object, flags: DisconnectFlags, reason: ReasonCode, _p: object) -> None:
        self._end(self._why(reason, by_packet=flags.is_disconnect_packet_from_server))

    def _on_publish_packet(self) -> MQTTErrorCode:
        """Reads a PUBLISH with QoS 0 past paho 2.2.0, which for MQTT 5 builds the tables of all properties anew each time.

        That and its locks cost 20 us of the 45 a message takes. Anything else, and anything odd, is paho's.
        """
        packet = self._paho._in_packet  # noqa: SLF001
        command, data = packet["command"], packet["packet"]
        begin = 2 + int.from_bytes(data[:2])
        body = begin
        if self.protocol == "5":
            size = data[begin] if begin < len(data) else _LONG_PROPERTIES
            body += 1 + size
            if size >= _LONG_PROPERTIES:
                return cast("MQTTErrorCode", self._handle_publish())
        if command & _QOS_BITS or begin <= 2 or body > len(data):  # noqa: PLR2004 (the length of an empty topic)
            return cast("MQTTErrorCode", self._handle_publish())
        name = bytes(data[2:begin])
        topic: str | bytes = name
        with suppress(UnicodeDecodeError):
            topic = name.decode()
        self._hand_over(topic, bytes(data[body:]), retained=bool(command & _RETAIN_BIT))
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _on_message(self, _c: object, _u: object, message: MQTTMessage) -> None:
        topic = _as_text(message._topic)  # noqa: SLF001 (`message.topic` raises when it is not UTF-8)
        self._hand_over(topic, bytes(message.payload), retained=message.retain)

    def _hand_over(self, topic: str | bytes, payload: bytes, *, retained: bool) -> None:
        try:
            self._incoming(topic, payload, retained)
        except Exception as err:
            self._broken_by = err
            raise

    def _on_publish(self, _c: object, _u: object, mid: int, reason: ReasonCode, _p: object) -> None:
        self._answer(mid, [reason])

    def _on_subscribe(self, _c: object, _u: object, mid: int, reasons: list[ReasonCode], _p: object) -> None:
        self._answer(mid, reasons)

    def _on_reader_failed(self, disconnected: asyncio.Future[None]) -> None:
        err = disconnected.exception()
        self._close_socket()
        if self._ended.done():
            return
        if self._broken_by is not None:
            self._ended.set_exception(self._broken_by)
        else:
            self._end(not_mqtt(self._url, err))

    # Sending, and what is answered

    def _send(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> int:
        if self._ended.done():
            raise self._gone()
        info = self._paho.publish(topic, payload, qos, retain)
        if info.rc is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise self._gone()
        return info.mid

    async def _answer_to(self, mid: int) -> list[ReasonCode]:
        answer: asyncio.Future[list[ReasonCode]] = asyncio.get_running_loop().create_future()
        self._answers[mid] = answer
        try:
            waiting: set[asyncio.Future[Any]] = {answer, self._ended}
            await asyncio.wait(waiting, timeout=_ACK_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._answers[mid]
        if answer.done():
            return answer.result()
        if self._ended.done():
            raise self._gone()
        raise LinkError.of(FailureKind.LOST, f"{self._where} did not acknowledge within {_ACK_TIMEOUT_S:g} s")

    def _answer(self, mid: int, reasons: list[ReasonCode]) -> None:
        waiting = self._answers.get(mid)
        if waiting is not None and not waiting.done():
            waiting.set_result(reasons)

    # How it begins and ends

    async def _greet(self, keepalive_s: int, timeout_s: float) -> None:
        """CONNECT and CONNACK. Raises LinkError, and leaves nothing open then."""
        connected = self._client._connected  # noqa: SLF001
        try:
            self._paho.connect(self._url.host, self._url.port, keepalive_s)  # does not block: `_hook` gave it its socket
            waiting: set[asyncio.Future[Any]] = {connected, self._ended}
            await asyncio.wait(waiting, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            self._abandon()
            raise
        refusal = connected.exception() if connected.done() else None
        if connected.done() and refusal is None:
            return
        if isinstance(refusal, aiomqtt.MqttCodeError):
            failure = refused(self._url, self._client.identifier, refusal.rc)
        else:
            failure = self._ended.result() if self._ended.done() else self._no_answer(timeout_s)
        self._abandon()
        raise LinkError(failure)

    def _why(self, reason: ReasonCode, *, by_packet: bool) -> Failure:
        if by_packet:
            return ended_by_broker(self._url, reason)
        return lost(self._url, reason, self._wire.error) if self._established else self._no_answer()

    def _no_answer(self, timeout_s: float | None = None) -> Failure:
        return no_session(self._url, self._wire.greeting, self._wire.error, timeout_s)

    def _end(self, failure: Failure) -> None:
        if not self._ended.done():
            self._ended.set_result(failure)

    def _gone(self) -> LinkError:
        """The error for a link that is gone. Raises what `incoming` raised, if that was the end of it."""
        if self._ended.done():
            return LinkError(self._ended.result())
        return LinkError.of(FailureKind.LOST, f"the connection to {self._where} is closed")

    async def _leave(self) -> None:
        """Say goodbye, so that the broker does not publish the will; raises what `incoming` raised, if it did."""
        try:
            if not self._ended.done():
                self._paho.disconnect()
                await asyncio.wait({self._ended}, timeout=_GOODBYE_TIMEOUT_S)
        finally:
            self._abandon()
        if self._broken_by is not None:
            raise self._broken_by

    def _abandon(self) -> None:
        """Close without a goodbye. Futures that hold an exception are looked at, or asyncio reports them on stderr."""
        self._close_socket()
        self._end(Failure(FailureKind.LOST, f"the connection to {self._where} was closed here"))
        for future in (self._ended, self._client._connected):  # noqa: SLF001
            if future.done():
                future.exception()

    def _close_socket(self) -> None:
        self._paho._sock_close()  # noqa: SLF001


def _as_text(topic: bytes) -> str | bytes:
    try:
        return topic.decode()
    except UnicodeDecodeError:
        return topic


@asynccontextmanager
async def open_session(
    url: BrokerUrl,
    *,
    tls: TlsFiles | None = None,
    client_id: str,
    on_message: Incoming,
    will: WillMessage | None = None,
    keepalive_s: int = 20,
    connect_timeout_s: float = 5,
    protocol: Protocol | None = None,
) -> AsyncIterator[Session]:
    """One session, from connecting to goodbye. Raises LinkError.

    Without `protocol` it is MQTT 5, or 3.1.1 when the broker refuses 5. `connect_timeout_s` bounds each step: name, TCP,
    TLS, CONNACK. When the block ends, by being cancelled too, the broker is told goodbye; when it raises anything else, the
    link is dropped without one, so that the broker publishes the will.
    """
    context = (tls or TlsFiles()).context() if url.encrypted else None
    session = await _establish(
        url,
        context=context,
        versions=(protocol,) if protocol else ("5", "3.1.1"),
        client_id=client_id,
        on_message=on_message,
        will=will,
        keepalive_s=keepalive_s,
        timeout_s=connect_timeout_s,
    )
    try:
        yield session
    except (asyncio.CancelledError, GeneratorExit):
        await session._leave()  # noqa: SLF001 (one module, one secret)
        raise
    except BaseException:
        session._abandon()  # noqa: SLF001
        raise
    await session._leave()  # noqa: SLF001


async def _establish(
    url: BrokerUrl,
    *,
    context: ssl.SSLContext | None,
    versions: Sequence[Protocol],
    client_id: str,
    on_message: Incoming,
    will: WillMessage | None,
    keepalive_s: int,
    timeout_s: float,
) -> Session:
    for version in versions:
        wire = await dial(url, context, timeout_s)
        client = aiomqtt.Client(
            url.host,
            url.port,
            username=url.username,
            password=url.password,
            identifier=client_id,
            protocol=aiomqtt.ProtocolVersion.V5 if version == "5" else aiomqtt.ProtocolVersion.V311,
            will=aiomqtt.Will(will.topic, will.payload, will.qos, will.retain) if will else None,
            logger=_logger,
        )
        session = Session(url, version, client, wire, on_message)
        try:
            await session._greet(keepalive_s, timeout_s)  # noqa: SLF001
        except LinkError as err:
            # Brokers that know only 3.1.1 say so, or in a form that is none in MQTT 5, or just hang up.
            if err.failure.kind is not FailureKind.PROTOCOL or version is versions[-1]:
                raise
        else:
            return session
    raise AssertionError(versions)
