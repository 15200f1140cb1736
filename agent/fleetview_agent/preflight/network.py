"""The way to the broker, step by step: its name, TCP, TLS, and what its clock says."""

from __future__ import annotations

import ssl
import time
from datetime import UTC, datetime

from fleetview_agent.certificate import read_der
from fleetview_agent.dial import connect, resolve, secure
from fleetview_agent.endpoint import FailureKind, LinkError
from fleetview_agent.preflight.clock import Offset, ask_ntp
from fleetview_agent.preflight.findings import Answer, Finding
from fleetview_agent.preflight.identity import expires_soon, until
from fleetview_agent.preflight.inquiry import Inquiry

RESOLUTION, CLOCK, TCP, TIME, TLS = "name resolution", "clock", "tcp", "time", "tls"

STEP_S = 5.0
MADE = datetime(2026, 1, 1, tzinfo=UTC)
"""No clock that is right shows less: this program was not there then. Boards without a battery start in 1970."""
SKEW_S = 5.0
"""From here on readers show it (rule 9 of the contract)."""
SKEW_TOO_MUCH_S = 60.0
"""Commands that operators send expire within about that, so most would be refused, or be carried out late."""
_SHOWN_ADDRESSES = 3
_NOT_REACHED = frozenset({FailureKind.REFUSED, FailureKind.UNREACHABLE, FailureKind.MUTE, FailureKind.LOST})


_MEND = {
    FailureKind.REFUSED: "start it, or correct broker_url",
    FailureKind.UNREACHABLE: "correct broker_url, or the way there",
    FailureKind.AUTHORISATION: "make this device known to the broker: its user and password, or its certificate's CN",
    FailureKind.LOST: "look at the broker's log",
}
"""For kinds whose words name no way out, or not all of it."""


def failed(subject: str, err: LinkError) -> Finding:
    """The finding for a link that failed."""
    kind, words = err.failure.kind, err.failure.words
    words = f"{words}; {_MEND[kind]}" if kind in _MEND else words
    return Finding(subject, "error", words, is_peer=kind in _NOT_REACHED)


async def resolution(inquiry: Inquiry) -> Answer:
    """Whether the broker's host has an address."""
    url = inquiry.config.broker
    try:
        found = await resolve(url, STEP_S)
    except LinkError as err:
        words = (
            f"{err.failure.words}: is the name in broker_url right, and does /etc/resolv.conf name a server that answers?"
        )
        return Finding(RESOLUTION, "error", words, is_peer=True)
    inquiry.addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
    shown = ", ".join(inquiry.addresses[:_SHOWN_ADDRESSES])
    more = len(inquiry.addresses) - _SHOWN_ADDRESSES
    return Finding(RESOLUTION, "ok", f"{url.host} is {shown}" + (f" and {more} more" if more > 0 else ""))


async def clock(inquiry: Inquiry) -> Answer:
    """Whether our clock is kept in step by anything."""
    if inquiry.now < MADE:
        words = f"it shows {inquiry.now:%Y-%m-%d}, which is before this program was made: set it, and let NTP keep it"
        return Finding(CLOCK, "error", words)
    known = inquiry.machine.kernel_clock()
    if known is not None and known.in_step:
        return Finding(CLOCK, "ok", f"kept in step, at most {known.error_s * 1000:,.0f} ms off by its own estimate")
    in_step = False if known is not None else await _in_step_by_service(inquiry)
    if in_step is None:
        words = "whether it is kept in step cannot be told: the kernel may not be asked here, and there is no timedatectl"
        return Finding(CLOCK, "warning", f"{words}; look at chronyc tracking, or timedatectl on the host")
    if in_step:
        return Finding(CLOCK, "ok", "kept in step, says systemd")
    words = "nothing keeps it in step: systemctl enable --now systemd-timesyncd (or chrony), and let it reach an NTP server"
    return Finding(CLOCK, "warning", words)


async def _in_step_by_service(inquiry: Inquiry) -> bool | None:
    if inquiry.machine.file("run/systemd/timesync/synchronized").exists():
        return True
    program = inquiry.machine.program("timedatectl")
    if program is None:
        return None
    status, text, _ = await inquiry.machine.output([program, "show", "--property=NTPSynchronized", "--value"])
    return {"yes": True, "no": False}.get(text.strip()) if status == 0 else None


async def tcp(inquiry: Inquiry) -> Answer:
    """Whether anything listens there."""
    url = inquiry.config.broker
    began_s = time.monotonic()
    try:
        connected = await connect(url, STEP_S)
    except LinkError as err:
        return failed(TCP, err)
    with connected:
        where = str(connected.getpeername()[0])
    return Finding(TCP, "ok", f"{url.endpoint} takes connections ({where}, {_ms(began_s)})")


async def tls(inquiry: Inquiry) -> Answer:
    """Whether it speaks TLS, with a certificate that we trust and that has a while to go."""
    config = inquiry.config
    if config.tls is None:
        if config.broker.is_local:
            return Finding(TLS, "ok", "not used: broker_url is mqtt://, and the broker is on this machine")
        secret = "the password, and all that" if config.broker.password is not None else "all that"
        words = f"not used: broker_url is mqtt://, so {secret} this device says can be read on the way; use mqtts://"
        return Finding(TLS, "warning", words)
    began_s = time.monotonic()
    try:
        context = config.tls.context()
        secured = await secure(config.broker, await connect(config.broker, STEP_S), context, STEP_S)
    except LinkError as err:
        return failed(TLS, err)
    with secured:
        version, der = secured.version(), secured.getpeercert(binary_form=True) or b""
    facts = read_der(der)
    who = f"the broker's certificate ({facts.common_name or 'no name'})"
    words = f"{version} ({_ms(began_s)}), {who} is {until(facts, inquiry.now)}"
    if expires_soon(facts, inquiry.now):
        return Finding(TLS, "warning", f"{words}: have it renewed, or no agent gets in any more")
    return Finding(TLS, "ok", words)


async def time_against_broker(inquiry: Inquiry) -> Answer:
    """How far our clock is from the broker's.

    MQTT tells no time. Its host may answer NTP, which tells all; and the broker's certificate, which is looked at without
    trusting it, tells whether a clock is wrong by years. Where neither says anything, that is the answer.
    """
    host, url = inquiry.addresses[0], inquiry.config.broker
    theirs = await ask_ntp(host, inquiry.machine.ntp_port)
    if theirs is not None and theirs.in_step:
        return _skew(theirs, url.host)
    bounds = await _bounds(inquiry) if url.encrypted else None
    if bounds is not None:
        return bounds
    words = f"MQTT tells no time, and {url.host} answers no NTP: dashboards tell it from this device's heartbeats"
    return Finding(TIME, "skipped", words)


def _skew(theirs: Offset, host: str) -> Finding:
    off_s = abs(theirs.ahead_s)
    side = "ahead of" if theirs.ahead_s > 0 else "behind"
    words = f"{off_s:,.3f} s {side} {host}, by NTP, within {theirs.within_s:.3f} s"
    if off_s - theirs.within_s < SKEW_S:
        return Finding(TIME, "ok", words)
    return Finding(TIME, "error" if off_s >= SKEW_TOO_MUCH_S else "warning", f"{words}: let both follow one NTP server")


async def _bounds(inquiry: Inquiry) -> Finding | None:
    """What the validity of the broker's certificate says against our clock; None when it says nothing."""
    url = inquiry.config.broker
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing is sent, and nothing believed but two dates
    try:
        with await secure(url, await connect(url, STEP_S), context, STEP_S) as secured:
            facts = read_der(secured.getpeercert(binary_form=True) or b"")
    except (LinkError, ValueError):
        return None
    if facts.not_before <= inquiry.now <= facts.not_after:
        return None
    side = "is not valid yet" if inquiry.now < facts.not_before else "has expired"
    words = (
        f"the broker's certificate ({facts.not_before:%Y-%m-%d} to {facts.not_after:%Y-%m-%d}) {side} by our clock"
        f" ({inquiry.now:%Y-%m-%d}): set the clock, or have the certificate renewed"
    )
    return Finding(TIME, "error", words)


def _ms(began_s: float) -> str:
    return f"{(time.monotonic() - began_s) * 1000:.0f} ms"
