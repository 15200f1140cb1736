"""Where a broker is: its URL, the TLS files, and in words why there is no link to it.

Apart from `mqtt`, which hands all of it on, because a configuration needs these names long before anybody needs MQTT.

    Exception
    └── LinkError           there is no link, and `failure` says why
        └── TlsFileError    a file for TLS cannot be used
"""

from __future__ import annotations

import ipaddress
import re
import ssl
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote, unquote, urlsplit

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883}
_PASSWORD = re.compile(r"(//[^:/@]*):.*@", re.DOTALL)
_MAX_PORT = 65535
_ESCAPES = "a '/', '?' or '#' in a password is written as %2F, %3F or %23"


class FailureKind(StrEnum):
    """Why there is no link: kinds that a person, or a retry, treats differently."""

    REFUSED = "refused"
    """Nothing listens there, or the broker says that it takes nobody now."""
    UNREACHABLE = "unreachable"
    """No such host, no route, or no answer to the TCP connection."""
    MUTE = "mute"
    """The TCP connection stands, but nothing is said on it."""
    CERTIFICATE = "certificate"
    """One side does not accept the certificate of the other, or a file of ours cannot be used."""
    HOSTNAME = "hostname"
    """The broker's certificate is in order, but was issued for another name."""
    AUTHORISATION = "authorisation"
    """The broker does not let this user in."""
    PROTOCOL = "protocol"
    """What answers does not speak MQTT as we do."""
    LOST = "lost"
    """A link that stood has ended."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no link."""

    kind: FailureKind
    words: str
    """One plain sentence that names host and port and, where there is one, the way out."""

    def __str__(self) -> str:
        return self.words


class LinkError(Exception):
    """There is no link, or no longer."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.words)
        self.failure = failure

    @classmethod
    def of(cls, kind: FailureKind, words: str) -> LinkError:
        """The error for a failure of this kind."""
        return cls(Failure(kind, words))


class TlsFileError(LinkError):
    """A file for TLS cannot be used."""

    def __init__(self, words: str) -> None:
        super().__init__(Failure(FailureKind.CERTIFICATE, words))


@dataclass(frozen=True, slots=True)
class BrokerUrl:
    """`mqtt://[user[:password]@]host[:port]`, or `mqtts://` for TLS. Printing it never shows the password."""

    scheme: Literal["mqtt", "mqtts"]
    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str) -> BrokerUrl:
        """The URL in a text. Raises ValueError, which names the text without its password."""
        text = text.strip()
        shown = _PASSWORD.sub(r"\1:***@", text)
        if "://" not in text:
            msg = f"{shown!r} is not a broker URL: begin it with mqtt:// or, for TLS, mqtts://"
            raise ValueError(msg)
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError:  # whose text may hold a part of the password
            hint = f"; {_ESCAPES}" if "@" in text else ""
            msg = f"{shown!r} is not a broker URL of the form mqtt://[user[:password]@]host[:port]{hint}"
            raise ValueError(msg) from None
        if parts.scheme not in DEFAULT_PORTS:
            msg = f"{shown!r}: scheme {parts.scheme!r} is not supported, use mqtt:// or, for TLS, mqtts://"
            raise ValueError(msg)
        if not host or re.search(r"[\s\x00-\x1f\x7f]", host):
            msg = f"{shown!r} names no host; {_ESCAPES}"
            raise ValueError(msg)
        if port is not None and not 0 < port <= _MAX_PORT:
            msg = f"{shown!r}: port {port} is not in 1..{_MAX_PORT}"
            raise ValueError(msg)
        if parts.path not in {"", "/"} or parts.query or parts.fragment:
            msg = f"{shown!r}: nothing may follow the port; {_ESCAPES}"
            raise ValueError(msg)
        return cls(
            scheme="mqtt" if parts.scheme == "mqtt" else "mqtts",
            host=host,
            port=port or DEFAULT_PORTS[parts.scheme],
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password is not None else None,
        )

    @property
    def endpoint(self) -> str:
        """`host:port`, as messages name the broker."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine by its name, so that nothing said to it goes over a network."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def encrypted(self) -> bool:
        """Whether the link is TLS."""
        return self.scheme == "mqtts"

    def __str__(self) -> str:
        user = "" if self.username is None else quote(self.username, safe="")
        secret = "" if self.password is None else ":***"
        return f"{self.scheme}://{user}{secret}{'@' if user or secret else ''}{self.endpoint}"


@dataclass(frozen=True, slots=True)
class WillMessage:
    """What the broker publishes when this session vanishes without a goodbye."""

    topic: str
    payload: bytes
    qos: Literal[0, 1] = 1
    retain: bool = True


def _no_passphrase() -> str:
    # Without this OpenSSL would ask on the terminal that the dashboard draws on.
    msg = "it is encrypted with a passphrase"
    raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The files of a TLS link. Without `cafile` the system's authorities are trusted; without `cert` we show none."""

    cafile: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    """None when `cert` holds the key as well."""

    def context(self) -> ssl.SSLContext:
        """What TLS needs. Raises LinkError (certificate), which names the file."""
        self._check_readable()
        try:
            context = ssl.create_default_context(cafile=self.cafile)
        except ssl.SSLError:
            words = f"{self.cafile} holds no certificate authority in PEM form"
            raise TlsFileError(words) from None
        if self.cert is not None:
            self._load_own(context, self.cert)
        return context

    def _check_readable(self) -> None:
        if self.key is not None and self.cert is None:
            words = f"there is a key ({self.key}) but no certificate to go with it: name it as cert"
            raise TlsFileError(words)
        for path in (self.cafile, self.cert, self.key):
            if path is None:
                continue
            try:
                with path.open("rb") as file:
                    file.read(1)
            except OSError as err:
                words = f"{path} cannot be read: {err.strerror}"
                raise TlsFileError(words) from None

    def _load_own(self, context: ssl.SSLContext, cert: Path) -> None:
        key = self.key or cert
        try:
            context.load_cert_chain(cert, self.key, password=_no_passphrase)
        except ssl.SSLError as err:
            if err.reason == "KEY_VALUES_MISMATCH":
                words = f"the key in {key} does not belong to the certificate in {cert}"
                raise TlsFileError(words) from None
            words = f"{cert} and {key} hold no certificate with its key in PEM form"
            raise TlsFileError(words) from None
        except ValueError as err:
            words = f"the key in {key} cannot be used: {err}"
            raise TlsFileError(words) from None


def certificate_alert(url: BrokerUrl, err: OSError | None) -> Failure | None:
    """The failure when the error is the broker's TLS alert about our certificate, else None.

    With TLS 1.3 it comes after the handshake is done on our side, as an error of the first read.
    """
    if not isinstance(err, ssl.SSLError) or "ALERT" not in err.reason:
        return None
    alert = err.reason.split("ALERT_")[-1]
    match alert:
        case "CERTIFICATE_REQUIRED":
            words = f"{url.endpoint} asks for a client certificate: name ours as cert and key"
        case "CERTIFICATE_EXPIRED":
            words = f"{url.endpoint} does not accept our certificate: it has expired, renew it"
        case "CERTIFICATE_REVOKED":
            words = f"{url.endpoint} does not accept our certificate: it was revoked"
        case "UNKNOWN_CA":
            words = f"{url.endpoint} does not accept our certificate: it was not issued by an authority that it trusts"
        case "BAD_CERTIFICATE" | "CERTIFICATE_UNKNOWN" | "UNSUPPORTED_CERTIFICATE" | "ACCESS_DENIED" | "DECRYPT_ERROR":
            words = f"{url.endpoint} does not accept our certificate ({alert.lower().replace('_', ' ')})"
        case "HANDSHAKE_FAILURE":
            words = f"{url.endpoint} refused the TLS handshake: it may ask for a client certificate (cert and key)"
        case _:
            return None
    return Failure(FailureKind.CERTIFICATE, words)
