"""What the agent's own client certificate says: whose it is (CN), until when, and its fingerprint.

Python's ssl module reads this only from a peer's certificate, and `cryptography` would cost a third of the agent's memory
budget. So here is the walk down the few levels of DER that lead there (RFC 5280, 4.1), with every length checked.
"""

from __future__ import annotations

import hashlib
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_COMMON_NAME = bytes.fromhex("550403")
_SEQUENCE = 0x30
_SET = 0x31
_VERSION = 0xA0
_OID = 0x06
_BMP_STRING = 0x1E
_UTC_TIME = 0x17
_LONG_FORM = 0x80
_MAX_LENGTH_BYTES = 4


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What the contract and the checks need of a certificate."""

    common_name: str | None
    not_before: datetime
    not_after: datetime
    sha256: str
    """Of the DER form, 64 hex digits, as `openssl x509 -fingerprint -sha256` has it without the colons."""


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each DER element in `data`."""
    at = 0
    while at < len(data):
        if at + 2 > len(data):
            msg = "cut off"
            raise ValueError(msg)
        tag, length = data[at], data[at + 1]
        at += 2
        if length & _LONG_FORM:
            size = length & ~_LONG_FORM
            if not 0 < size <= _MAX_LENGTH_BYTES:
                msg = f"a length of {size} bytes"
                raise ValueError(msg)
            length = int.from_bytes(data[at : at + size], "big")
            at += size
        if at + length > len(data):
            msg = "cut off"
            raise ValueError(msg)
        yield tag, data[at : at + length]
        at += length


def _first(data: bytes, tag: int) -> bytes:
    found = next(_elements(data), None)
    if found is None or found[0] != tag:
        msg = f"element {tag:#x} expected"
        raise ValueError(msg)
    return found[1]


def _time(tag: int, content: bytes) -> datetime:
    text = content.decode("ascii")
    if tag == _UTC_TIME:  # two digits of the year: 50 to 99 are of the last century (RFC 5280, 4.1.2.5.1)
        text = ("19" if text >= "5" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _common_name(subject: bytes) -> str | None:
    for set_tag, names in _elements(subject):
        if set_tag != _SET:
            continue
        for _, name in _elements(names):
            (oid_tag, oid), (text_tag, text) = _elements(name)
            if oid_tag == _OID and oid == _COMMON_NAME:
                return text.decode("utf-16-be" if text_tag == _BMP_STRING else "utf-8")
    return None


def read_der(der: bytes) -> CertificateFacts:
    """The facts of a certificate in DER. Raises ValueError when it is none."""
    parts = list(_elements(_first(_first(der, _SEQUENCE), _SEQUENCE)))
    if parts and parts[0][0] == _VERSION:  # there in all but version 1 certificates
        del parts[0]
    # then: serial number, signature algorithm, issuer, validity, subject
    if len(parts) < 5:  # noqa: PLR2004
        msg = "cut off"
        raise ValueError(msg)
    (_, validity), (_, subject) = parts[3:5]
    not_before, not_after = (_time(tag, content) for tag, content in _elements(validity))
    return CertificateFacts(_common_name(subject), not_before, not_after, hashlib.sha256(der).hexdigest())


def read_certificate(path: Path) -> CertificateFacts:
    """The facts of the first certificate in a PEM file, which is the one that the file is about.

    Raises OSError when the file cannot be read, and ValueError naming it when it holds no certificate.
    """
    return read_certificates(path, most=1)[0]


def read_certificates(path: Path, *, most: int | None = None) -> list[CertificateFacts]:
    """The facts of all certificates in a PEM file, or of the first `most`; at least of one. Raises likewise."""
    found = [match[0] for match in islice(_PEM.finditer(path.read_bytes().decode("latin-1")), most)]
    if not found:
        msg = f"{path} holds no certificate in PEM form"
        raise ValueError(msg)
    try:
        return [read_der(ssl.PEM_cert_to_DER_cert(text)) for text in found]
    except ValueError as err:  # also what base64 and Unicode raise
        msg = f"{path} holds no certificate that can be read: {err}"
        raise ValueError(msg) from None
