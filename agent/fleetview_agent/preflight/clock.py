"""The clock: whether it is kept in step, and how far it is from the broker's.

MQTT tells no time, and a TLS certificate only bounds it by years. What can be known is what the kernel says of its own
clock, and what the broker's host says when it answers NTP, as hubs of plants often do. When it does not, that is said.
"""

from __future__ import annotations

import asyncio
import ctypes
import secrets
import struct
import sys
import time
from dataclasses import dataclass
from typing import Any

NTP_PORT = 123
NTP_S = 2.0

_STA_UNSYNC = 0x0040
"""Of timex.h. Whoever steers the clock (timesyncd, chrony, ntpd) takes it away; the kernel sets it after 16 s of drift."""
_TIME_ERROR = 5
_EPOCH_S = 2_208_988_800
"""From 1900, where NTP begins, to 1970."""
_ERA_S = 2**32
_PACKET = struct.Struct("!BBBb3I4Q")
_CLIENT = 0x23
"""Version 4, mode 3 (RFC 5905, 7.3)."""
_SERVER_MODE = 4
_UNSYNCHRONISED = 3
_MOST_STRATUM = 15


@dataclass(frozen=True, slots=True)
class KernelClock:
    """What the kernel knows of its clock."""

    in_step: bool
    error_s: float
    """At most, by the estimate of whoever steers it."""


class _Timex(ctypes.Structure):
    """`struct timex` of Linux's timex.h, up to what is read here, and room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def read_kernel_clock() -> KernelClock | None:
    """What `adjtimex` says; None where it may not be asked (`ProtectClock=` of systemd forbids it), or there is none."""
    if sys.platform != "linux":
        return None
    found = _Timex()
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(found))
    if state < 0:
        return None
    return KernelClock(state != _TIME_ERROR and not found.status & _STA_UNSYNC, found.maxerror / 1e6)


@dataclass(frozen=True, slots=True)
class Offset:
    """How our clock stands to another."""

    ahead_s: float
    """Negative: behind."""
    within_s: float
    """Half the round trip: it can be off by that."""
    in_step: bool
    """Whether the other says that it is kept in step itself."""


def offset(request: bytes, answer: bytes, sent_s: float, received_s: float) -> Offset | None:
    """What an NTP answer says; None when it is none to this request. Times are seconds since 1970, ours."""
    if len(answer) < _PACKET.size:
        return None
    first, stratum, _, _, _, _, _, _, origin, received, transmitted = _PACKET.unpack_from(answer)
    (mark,) = struct.unpack_from("!Q", request, _PACKET.size - 8)
    if first & 0b111 != _SERVER_MODE or origin != mark or not transmitted:
        return None
    theirs_in, theirs_out = (value / 2**32 - _EPOCH_S for value in (received, transmitted))
    return Offset(
        ahead_s=(_nearest(sent_s - theirs_in) + _nearest(received_s - theirs_out)) / 2,
        within_s=max(0.0, (received_s - sent_s) - (theirs_out - theirs_in)) / 2,
        in_step=first >> 6 != _UNSYNCHRONISED and 0 < stratum <= _MOST_STRATUM,
    )


def _nearest(seconds: float) -> float:
    """NTP counts 136 years and then begins anew (in 2036 the next time), so of a difference it tells this much."""
    return (seconds + _ERA_S / 2) % _ERA_S - _ERA_S / 2


def request() -> bytes:
    """A question for the time. What stands for our own is random, so that only its receiver can answer it (RFC 9109)."""
    return _PACKET.pack(_CLIENT, 0, 0, 0, 0, 0, 0, 0, 0, 0, secrets.randbits(64))


class _Answer(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.came: asyncio.Future[tuple[bytes, float]] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, _addr: tuple[str | Any, int]) -> None:
        if not self.came.done():
            self.came.set_result((data, time.time()))

    def error_received(self, exc: Exception) -> None:
        if not self.came.done():
            self.came.set_exception(exc)


async def ask_ntp(host: str, port: int = NTP_PORT, timeout_s: float = NTP_S) -> Offset | None:
    """How our clock stands to that of a host; None when it answers no NTP."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_s):
            transport, protocol = await loop.create_datagram_endpoint(_Answer, remote_addr=(host, port))
            try:
                question, sent_s = request(), time.time()
                transport.sendto(question)
                answer, received_s = await protocol.came
            finally:
                transport.close()
    except OSError:  # also TimeoutError
        return None
    return offset(question, answer, sent_s, received_s)
