"""The socket to a broker, TLS included, and in words why there is none.

Made here and not by paho: paho 2.2.0 connects blocking, in a thread that cannot be cancelled, so that leaving a program
which was just trying a dead host would take seconds; and here the reasons for which TLS fails are still apart.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING, Any

from fleetview_agent.endpoint import Failure, FailureKind, LinkError, certificate_alert
from fleetview_agent.threads import in_daemon_thread

if TYPE_CHECKING:
    from fleetview_agent.endpoint import BrokerUrl

# X509_V_ERR_* of OpenSSL's x509_vfy.h: what a person mends differently.
_EXPIRED = 10
_NOT_YET_VALID = 9
_UNKNOWN_ISSUER = {18, 19, 20, 21}
_OTHER_HOST = {62, 64}


class Wire:
    """A connected socket as paho wants one, with two things added.

    Reads are buffered: paho 2.2.0 reads each packet with four calls, and aiomqtt 2.5.1 handles one packet for each round of
    the event loop; it goes on while `pending` says there is more (its way to drain TLS sockets), so that one system call
    and one round serve up to `at_once` bytes of messages. Not more: a buffer nearly always ends within a packet, and reading
    on to the packet's end again and again would keep all else waiting for as long as the broker has something to send.
    And the error that ended the link is kept, which paho only logs, and how the other side began.
    """

    __slots__ = ("_buffer", "_loop", "_position", "_socket", "_was_read", "at_once", "error", "greeting")

    READ_BYTES = 32768

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._buffer = b""
        self._position = 0
        self._loop = asyncio.get_running_loop()
        self._was_read = False
        """In this round of the event loop."""
        self.at_once = self.READ_BYTES
        """Bytes to read in a round."""
        self.error: OSError | None = None
        self.greeting: bytes | None = None
        """The first bytes that came."""

    def recv(self, size: int) -> bytes:
        """At most `size` bytes; none at the end. Raises BlockingIOError or SSLWantReadError when there are none yet."""
        position = self._position
        if position >= len(self._buffer):
            if self._was_read:
                raise BlockingIOError  # paho keeps what it has of a packet, and the selector calls again in the next round
            self._was_read = True
            self._loop.call_soon(self._next_round)
            try:
                self._buffer = self._socket.recv(self.at_once)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                raise
            except OSError as err:
                self.error = err
                raise
            position = 0
            if self.greeting is None:
                self.greeting = self._buffer[:40]
        chunk = self._buffer[position : position + size]
        self._position = position + len(chunk)
        return chunk

    def _next_round(self) -> None:
        self._was_read = False

    def pending(self) -> int:
        """Bytes that were read ahead. OpenSSL holds none back: a TLS record is 16 KiB at most, so a read takes it whole."""
        return len(self._buffer) - self._position

    def send(self, data: bytes) -> int:
        """As `socket.send`."""
        try:
            return self._socket.send(data)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except OSError as err:
            self.error = self.error or err
            raise

    def fileno(self) -> int:
        """As `socket.fileno`: -1 once closed."""
        return self._socket.fileno()

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001 (the signature of sockets)
        """As `socket.setblocking`."""
        self._socket.setblocking(flag)

    def close(self) -> None:
        """As `socket.close`."""
        self._socket.close()


async def dial(url: BrokerUrl, context: ssl.SSLContext | None, timeout_s: float) -> Wire:
    """A connection to the broker, with TLS when there is a context, each step within `timeout_s`. Raises LinkError."""
    connected = await connect(url, timeout_s)
    return Wire(connected if context is None else await secure(url, connected, context, timeout_s))


async def secure(url: BrokerUrl, connected: socket.socket, context: ssl.SSLContext, timeout_s: float) -> ssl.SSLSocket:
    """TLS on a connection, which is closed when that fails. Raises LinkError."""
    secured: socket.socket = connected
    try:
        secured = wrapped = context.wrap_socket(connected, server_hostname=url.host, do_handshake_on_connect=False)
        async with asyncio.timeout(timeout_s):
            await _shake_hands(wrapped)
    except BaseException as err:
        secured.close()
        if isinstance(err, (OSError, ValueError)):
            raise LinkError(_tls_failure(url, err, timeout_s)) from None
        raise
    return wrapped


async def connect(url: BrokerUrl, timeout_s: float) -> socket.socket:
    """A TCP connection to the first address of the host that takes one. Raises LinkError."""
    loop = asyncio.get_running_loop()
    until = loop.time() + timeout_s
    addresses = await resolve(url, timeout_s)
    last: OSError = TimeoutError()
    for index, (family, kind, protocol, _, address) in enumerate(addresses):
        attempt = socket.socket(family, kind, protocol)
        try:
            attempt.setblocking(False)
            attempt.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.timeout((until - loop.time()) / (len(addresses) - index)):
                await loop.sock_connect(attempt, address)
        except OSError as err:
            attempt.close()
            # Of two addresses the one that says something tells more: localhost is often refused on ::1 and silent on none.
            last = err if isinstance(last, TimeoutError) else last
        except BaseException:
            attempt.close()
            raise
        else:
            return attempt
    raise LinkError(_tcp_failure(url, last, timeout_s)) from None


async def resolve(url: BrokerUrl, timeout_s: float) -> list[tuple[Any, ...]]:
    """The addresses of the host, as `socket.getaddrinfo` has them. Raises LinkError."""

    def ask() -> list[tuple[Any, ...]]:
        return list(socket.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM))

    try:
        return await in_daemon_thread(ask, timeout_s, name="resolve")
    except TimeoutError:
        words = f"cannot find {url.host}: the name service did not answer within {timeout_s:g} s"
    except OSError as err:
        words = f"cannot find {url.host}: {_reason(err)}"
    except UnicodeError:  # a label that is empty or too long
        words = f"cannot find {url.host}: it is not a host name"
    raise LinkError.of(FailureKind.UNREACHABLE, words)


async def _shake_hands(secured: ssl.SSLSocket) -> None:
    loop = asyncio.get_running_loop()
    while True:
        ready: asyncio.Future[None] = loop.create_future()
        try:
            secured.do_handshake()
        except ssl.SSLWantReadError:
            loop.add_reader(secured, _settle, ready)
            remove = loop.remove_reader
        except ssl.SSLWantWriteError:
            loop.add_writer(secured, _settle, ready)
            remove = loop.remove_writer
        else:
            return
        try:
            await ready
        finally:
            remove(secured)


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _reason(err: OSError) -> str:
    text = err.strerror or str(err) or type(err).__name__
    return text[:1].lower() + text[1:]


def _tcp_failure(url: BrokerUrl, err: OSError, timeout_s: float) -> Failure:
    where = url.endpoint
    if isinstance(err, ConnectionRefusedError):
        return Failure(FailureKind.REFUSED, f"{where} refused the connection: no broker listens there")
    if isinstance(err, TimeoutError):
        words = f"{where} did not answer within {timeout_s:g} s: is the address right, and no firewall in between?"
        return Failure(FailureKind.UNREACHABLE, words)
    return Failure(FailureKind.UNREACHABLE, f"{where} cannot be reached: {_reason(err)}")


def _tls_failure(url: BrokerUrl, err: OSError | ValueError, timeout_s: float) -> Failure:
    where = url.endpoint
    if isinstance(err, ssl.SSLCertVerificationError):
        return _verification_failure(url, err)
    if isinstance(err, TimeoutError):
        words = f"{where} took the connection but did not answer TLS within {timeout_s:g} s: is that the TLS port?"
        return Failure(FailureKind.MUTE, words)
    if isinstance(err, ssl.SSLError):
        if alert := certificate_alert(url, err):
            return alert
        if err.reason in {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"}:
            words = f"{where} does not speak TLS: use mqtt://, or the broker's TLS port (usually 8883)"
            return Failure(FailureKind.PROTOCOL, words)
    if isinstance(err, OSError):
        words = f"{where} ended the connection during the TLS handshake ({_reason(err)}): is that the TLS port?"
        return Failure(FailureKind.PROTOCOL, words)
    return Failure(FailureKind.PROTOCOL, f"{where} cannot be asked for TLS: {err}")


def _verification_failure(url: BrokerUrl, err: ssl.SSLCertVerificationError) -> Failure:
    where = url.endpoint
    if err.verify_code in _OTHER_HOST:
        words = f"the certificate of {where} was issued for another name: use the name in it instead of {url.host!r}"
        return Failure(FailureKind.HOSTNAME, words)
    if err.verify_code == _EXPIRED:
        what = "has expired: renew it, and check the clock of this machine"
    elif err.verify_code == _NOT_YET_VALID:
        what = "is not valid yet: check the clock of this machine"
    elif err.verify_code in _UNKNOWN_ISSUER:
        what = "was not issued by an authority that is trusted here: name the right one as cafile"
    else:
        what = f"is not accepted: {err.verify_message}"
    return Failure(FailureKind.CERTIFICATE, f"the certificate of {where} {what}")
