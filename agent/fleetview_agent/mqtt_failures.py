"""Why an MQTT session did not come about, refused something, or ended: reason codes and errors in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleetview_agent.endpoint import Failure, FailureKind, certificate_alert

if TYPE_CHECKING:
    from paho.mqtt.reasoncodes import ReasonCode

    from fleetview_agent.endpoint import BrokerUrl

# Reason codes of MQTT 5, 2.4. paho maps those of CONNACK in 3.1.1 to them.
_UNSPECIFIED = 0x80
_PROTOCOL_ERROR = 0x82
_IDENTIFIER_NOT_VALID = 0x85
_AUTHORISATION = {0x86, 0x87, 0x8A, 0x8C}
"""Bad user name or password, not authorised, banned, bad authentication method."""
_NOT_NOW = {0x88, 0x89, 0x97, 0x9C, 0x9D, 0x9F}
"""Server unavailable, busy, quota exceeded, use another, moved, connection rate exceeded."""
_KEEPALIVE_TIMEOUT = 0x8D
_TAKEN_OVER = 0x8E

_CONNACK = 0x20
_SHOWN = 20


def refused(url: BrokerUrl, client_id: str, code: ReasonCode | int | None) -> Failure:
    """The broker answered CONNECT with no."""
    where, reason, value = url.endpoint, str(code).lower(), getattr(code, "value", None)
    if value in _AUTHORISATION:
        user = f"user {url.username!r}" if url.username else "anybody without user name or accepted certificate"
        return Failure(FailureKind.AUTHORISATION, f"{where} does not let {user} in ({reason})")
    if value == _IDENTIFIER_NOT_VALID:
        return Failure(FailureKind.AUTHORISATION, f"{where} does not accept client id {client_id!r}")
    if value in _NOT_NOW:
        return Failure(FailureKind.REFUSED, f"{where} takes nobody now ({reason})")
    return Failure(FailureKind.PROTOCOL, f"{where} refused the session ({reason})")


def no_session(url: BrokerUrl, greeting: bytes | None, error: OSError | None, timeout_s: float | None) -> Failure:
    """Nobody answered CONNECT as a broker does: within `timeout_s`, or until the other side closed."""
    where = url.endpoint
    if alert := certificate_alert(url, error):
        return alert
    if greeting and greeting[0] != _CONNACK:
        begin = greeting.decode("ascii", "replace").splitlines()[0][:_SHOWN]
        words = f"{where} answered {begin!r}, which is not MQTT: is that the broker's MQTT port?"
        return Failure(FailureKind.PROTOCOL, words)
    if timeout_s is not None:
        words = f"{where} took the connection but did not answer within {timeout_s:g} s: is it an MQTT broker?"
        return Failure(FailureKind.MUTE, words)
    hint = "does it ask for a client certificate?" if url.encrypted else "is that its TLS port (mqtts://)?"
    return Failure(FailureKind.PROTOCOL, f"{where} closed the connection without an answer: {hint}")


def lost(url: BrokerUrl, reason: ReasonCode, error: OSError | None) -> Failure:
    """A session ended without a word from the broker."""
    where = url.endpoint
    if alert := certificate_alert(url, error):
        return alert
    if reason.value == _PROTOCOL_ERROR:
        return not_mqtt(url)
    if reason.value == _KEEPALIVE_TIMEOUT:
        return Failure(FailureKind.LOST, f"{where} no longer answers")
    if error is not None:
        return Failure(FailureKind.LOST, f"the connection to {where} broke ({error.strerror or error})")
    return Failure(FailureKind.LOST, f"{where} closed the connection")


def ended_by_broker(url: BrokerUrl, reason: ReasonCode) -> Failure:
    """A session ended with the broker's DISCONNECT, which MQTT 5 has."""
    hint = ": another program uses the same client id" if reason.value == _TAKEN_OVER else ""
    return Failure(FailureKind.LOST, f"{url.endpoint} ended the session ({str(reason).lower()}){hint}")


def not_mqtt(url: BrokerUrl, error: BaseException | None = None) -> Failure:
    """A packet came that cannot be read."""
    detail = "" if error is None else f" ({type(error).__name__})"
    return Failure(FailureKind.PROTOCOL, f"{url.endpoint} sent what is not MQTT{detail}")


def publish_refused(url: BrokerUrl, topic: str, reason: ReasonCode) -> Failure:
    """PUBACK said no."""
    kind = FailureKind.AUTHORISATION if reason.value in _AUTHORISATION else FailureKind.REFUSED
    return Failure(kind, f"{url.endpoint} refused what was published to {topic} ({str(reason).lower()})")


def subscription_refused(reason: ReasonCode) -> str | None:
    """What SUBACK said against a filter, or None when it was granted."""
    if reason.value < _UNSPECIFIED:
        return None
    # 3.1.1 has one code for no, and paho names it "Unspecified error".
    return "refused" if reason.value == _UNSPECIFIED else str(reason).lower()
