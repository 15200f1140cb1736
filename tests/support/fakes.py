"""Brokers that misbehave in ways a real one will not: a few bytes over TCP, written by hand."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, DISCONNECT = (
    1,
    2,
    3,
    4,
    8,
    9,
    10,
    11,
    12,
    14,
)


class Peer:
    """One client of a fake, with just enough MQTT."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.version = 0

    def read(self) -> tuple[int, bytes]:
        """The next packet's type and body. Raises EOFError when the client is gone."""
        kind = self._exactly(1)[0] >> 4
        length = shift = 0
        while True:
            byte = self._exactly(1)[0]
            length |= (byte & 127) << shift
            shift += 7
            if not byte & 128:
                return kind, self._exactly(length)

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def greet(self, code: int = 0) -> None:
        """Takes the CONNECT and answers it."""
        kind, body = self.read()
        assert kind == CONNECT
        self.version = body[6]
        self.send(packet(CONNACK, bytes([0, code]) + (b"\x00" if self.version == 5 else b"")))

    def serve(self, code: int = 0) -> None:
        """Answers as an idle broker does until the client leaves; `code` answers each filter of a SUBSCRIBE."""
        while True:
            kind, body = self.read()
            if kind == SUBSCRIBE:
                self.grant(body, code)
            elif kind == UNSUBSCRIBE:
                self.send(packet(UNSUBACK, body[:2] + (b"\x00\x11" if self.version == 5 else b"")))
            elif kind == PINGREQ:
                self.send(b"\xd0\x00")
            elif kind == DISCONNECT:
                return

    def expect_subscribe(self) -> None:
        """Grants everything up to and including the first SUBSCRIBE."""
        kind, body = self.read()
        while kind != SUBSCRIBE:
            kind, body = self.read()
        self.grant(body, 0)

    def grant(self, subscribe: bytes, code: int) -> None:
        rest = subscribe[2:]
        if self.version == 5:
            rest = rest[1 + rest[0] :]
        filters = 0
        while rest:
            (length,) = struct.unpack("!H", rest[:2])
            rest = rest[3 + length :]
            filters += 1
        properties = b"\x00" if self.version == 5 else b""
        self.send(packet(SUBACK, subscribe[:2] + properties + bytes([code]) * filters))

    def publish(self, topic: bytes, payload: bytes, *, retain: bool = False) -> None:
        self.send(publish_packet(self.version, topic, payload, retain=retain))


def publish_packet(
    version: int, topic: bytes, payload: bytes, *, retain: bool = False, qos: int = 0, user_property_bytes: int = 0
) -> bytes:
    """A PUBLISH; with MQTT 5 with a user property of some size."""
    body = struct.pack("!H", len(topic)) + topic + (b"\x00\x01" if qos else b"")
    if version == 5:
        value = b"v" * user_property_bytes
        properties = b"\x26\x00\x01k" + struct.pack("!H", len(value)) + value if value else b""
        body += _varint(len(properties)) + properties
    return packet(PUBLISH, body + payload, flags=int(retain) | qos << 1)


def packet(kind: int, body: bytes, flags: int = 0) -> bytes:
    """An MQTT packet."""
    return bytes([kind << 4 | flags]) + _varint(len(body)) + body


def _varint(number: int) -> bytes:
    data = b""
    while True:
        number, digit = divmod(number, 128)
        data += bytes([digit | (128 if number else 0)])
        if not number:
            return data


@dataclass
class Fake:
    """A listening fake."""

    port: int
    connections: int = 0
    """How many clients have come so far."""
    failures: list[BaseException] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"


@contextlib.contextmanager
def fake_broker(behave: Callable[[Peer], None]) -> Iterator[Fake]:
    """Plays `behave` to each client, in a thread; the connection closes when it returns."""
    listener = socket.create_server(("127.0.0.1", 0))
    fake = Fake(listener.getsockname()[1])
    open_sockets: set[socket.socket] = set()
    threads: list[threading.Thread] = []

    def play(connected: socket.socket) -> None:
        try:
            behave(Peer(connected))
        except (OSError, EOFError):
            pass  # the client left, or the test is over
        except BaseException as err:  # noqa: BLE001 (raised by the test that waits for this thread)
            fake.failures.append(err)
        finally:
            open_sockets.discard(connected)
            connected.close()

    def accept() -> None:
        while True:
            try:
                connected, _ = listener.accept()
            except OSError:  # closed: the test is over
                return
            fake.connections += 1
            open_sockets.add(connected)
            threads.append(threading.Thread(target=play, args=(connected,), daemon=True))
            threads[-1].start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield fake
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join(10)
        for connected in list(open_sockets):
            with contextlib.suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(10)
        assert not fake.failures, fake.failures


def mute(peer: Peer) -> None:
    """Takes the connection and says nothing, ever."""
    while peer.socket.recv(4096):
        pass


def garbage(peer: Peer) -> None:
    """Something else listens there."""
    peer.socket.recv(4096)
    peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def hangs_up(peer: Peer) -> None:
    """Closes as soon as it has read the CONNECT."""
    peer.read()


def only_311(peer: Peer) -> None:
    """A broker that knows MQTT 3.1.1 only, and answers MQTT 5 in the form of 3.1.1."""
    kind, body = peer.read()
    assert kind == CONNECT
    peer.version = body[6]
    if peer.version != 4:
        peer.send(b"\x20\x02\x00\x01")
        return
    peer.send(b"\x20\x02\x00\x00")
    peer.serve()


def only_311_hanging_up(peer: Peer) -> None:
    """A broker that knows MQTT 3.1.1 only, and just closes on MQTT 5."""
    kind, body = peer.read()
    assert kind == CONNECT
    peer.version = body[6]
    if peer.version == 4:
        peer.send(b"\x20\x02\x00\x00")
        peer.serve()


def refuses_subscriptions(peer: Peer) -> None:
    """Lets in, and grants no subscription."""
    peer.greet()
    peer.serve(code=0x87 if peer.version == 5 else 0x80)


def vanishes_in_a_packet(peer: Peer) -> None:
    """Closes in the middle of a PUBLISH."""
    peer.greet()
    peer.expect_subscribe()
    peer.send(packet(PUBLISH, b"\x00\x03a/b" + b"x" * 1000)[:50])


def hostile_topics(peer: Peer) -> None:
    """Sends topics that no client may publish, then one that is in order."""
    peer.greet()
    peer.expect_subscribe()
    peer.publish(b"fleet/v1/acme/s\xff\xfe/d/state", b"{}")
    peer.publish(b"fleet/v1/+/#/d/state", b"{}")
    peer.publish(b"fleet/v1/acme/s\x00/d/state", b"{}")
    peer.publish("fleet/v1/acme/plant-7/d\u202e1/state".encode(), b"{}")
    peer.publish(b"a/b", b"after")
    peer.serve()
