"""Certificate, key and chain: whether this device can prove who it is, and for how long."""

from __future__ import annotations

import ssl
import stat
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from fleetview_agent.certificate import CertificateFacts, read_certificate, read_certificates
from fleetview_agent.endpoint import LinkError, TlsFiles
from fleetview_agent.preflight.findings import Answer, Finding
from fleetview_agent.preflight.inquiry import Inquiry

CERTIFICATE, KEY, CHAIN, EXPIRY = "certificate", "key", "chain", "expiry"

SOON = timedelta(days=30)
"""Or a third of its whole life, where that is shorter: such are renewed by a program, which has not done so by then."""
_MOST_AUTHORITIES = 8
"""More in one file is a store for everybody's use, in which some are always old."""
_UNFIT = {26, 79}
"""X509_V_ERR_INVALID_PURPOSE and X509_V_ERR_INVALID_CA of OpenSSL's x509_vfy.h."""
_DATES = {9, 10}
"""Not yet valid, expired: told apart by `expiry`, and for each certificate."""


def expires_soon(facts: CertificateFacts, now: datetime) -> bool:
    """Whether it is time to worry that nobody has renewed it."""
    return facts.not_after - now < min(SOON, (facts.not_after - facts.not_before) / 3)


def until(facts: CertificateFacts, now: datetime) -> str:
    """Until when it is valid, in words."""
    days = (facts.not_after - now) / timedelta(days=1)
    left = f"{days:.0f} days" if days >= 2 else f"{days * 24:.0f} hours"  # noqa: PLR2004
    return f"valid until {facts.not_after:%Y-%m-%d}, {left} are left"


def certificate(inquiry: Inquiry) -> Answer:
    """Whether there is one, and it can be read."""
    config, tls = inquiry.config, inquiry.config.tls
    if tls is None:
        if config.tls_cert is None:
            return Finding(CERTIFICATE, "ok", "not needed: broker_url is mqtt://")
        return Finding(CERTIFICATE, "warning", "tls_cert is not used: broker_url is mqtt://, use mqtts:// for TLS")
    if tls.cert is None:
        return Finding(CERTIFICATE, "ok", "none of our own (tls_cert is not set)")
    try:
        facts = read_certificate(tls.cert)
    except OSError as err:
        words = f"{tls.cert} cannot be read ({err.strerror}): put it there, or let this user read it"
        return Finding(CERTIFICATE, "error", words)
    except ValueError as err:
        return Finding(CERTIFICATE, "error", f"{err}: put the PEM file of this device's certificate there")
    return Finding(CERTIFICATE, "ok", f"{tls.cert}: CN {facts.common_name!r}, SHA-256 {facts.sha256[:16]}…")


def key(inquiry: Inquiry) -> Answer:
    """Whether it belongs to the certificate, and is a secret."""
    tls = inquiry.config.tls
    if tls is None or tls.cert is None:
        return Finding(KEY, "ok", "not needed: there is no certificate to go with it")
    path = tls.key or tls.cert
    try:
        TlsFiles(cert=tls.cert, key=tls.key).context()
        mode = path.stat().st_mode
    except LinkError as err:
        return Finding(KEY, "error", f"{err.failure.words}: put the key there with which the certificate was asked for")
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        return Finding(KEY, "warning", f"{path} is open to every user of this machine: chmod o= {path}")
    return Finding(KEY, "ok", f"{path} belongs to the certificate")


def chain(inquiry: Inquiry) -> Answer:
    """Whether the certificate was issued by an authority that we trust ourselves, with all that is in between."""
    tls = inquiry.config.tls
    if tls is None or tls.cert is None:
        return Finding(CHAIN, "ok", "not needed: there is no certificate")
    where = "the system's authorities" if tls.cafile is None else str(tls.cafile)
    try:
        _prove_to_ourselves(tls)
    except ssl.SSLCertVerificationError as err:
        if err.verify_code in _DATES:
            return Finding(CHAIN, "ok", f"issued by one of {where}; as for dates, see expiry")
        if err.verify_code in _UNFIT:
            words = f"{tls.cert} was not made for clients ({err.verify_message}): ask for one with clientAuth"
            return Finding(CHAIN, "error", words)
        words = (
            f"not issued by one of {where} ({err.verify_message}): put certificates in between behind our own into"
            f" {tls.cert}; in order if the broker trusts another authority than we do"
        )
        return Finding(CHAIN, "warning", words)
    except ssl.SSLError as err:
        reason = (err.reason or str(err)).lower().replace("_", " ")
        return Finding(CHAIN, "warning", f"cannot be tried ({reason}): look at {tls.cert} with openssl verify")
    return Finding(CHAIN, "ok", f"issued by one of {where}")


def _prove_to_ourselves(tls: TlsFiles) -> None:
    """A TLS handshake in memory, in which the broker's part is ours. Raises ssl.SSLError.

    Python's ssl verifies chains only so, and `cryptography` would cost a third of the agent's memory budget.
    """
    cert = str(tls.cert)
    us = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    us.check_hostname = False
    us.verify_mode = ssl.CERT_NONE
    us.load_cert_chain(cert, tls.key)
    judge = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    judge.load_cert_chain(cert, tls.key)  # any would do
    judge.verify_mode = ssl.CERT_REQUIRED
    if tls.cafile is None:
        judge.load_default_certs(ssl.Purpose.CLIENT_AUTH)
    else:
        judge.load_verify_locations(tls.cafile)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [us.wrap_bio(back, there), judge.wrap_bio(there, back, server_side=True)]
    while sides:
        for side in list(sides):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            sides.remove(side)


def expiry(inquiry: Inquiry) -> Answer:
    """Until when our certificates, and those that we trust, are valid."""
    found = list(_expiries(inquiry))
    return found or Finding(EXPIRY, "ok", "nothing that expires: there is no certificate, and no file of authorities")


def _expiries(inquiry: Inquiry) -> Iterator[Finding]:
    tls = inquiry.config.tls
    if tls is None:
        return
    if tls.cert is not None:
        for facts in read_certificates(tls.cert):
            yield _expiry(tls.cert, facts, inquiry.now)
    if tls.cafile is not None and tls.cafile.is_file():
        try:
            authorities = read_certificates(tls.cafile)
        except ValueError as err:
            yield Finding(EXPIRY, "error", f"{err}: put the authority that signed the broker's certificate there")
            return
        for facts in authorities[: _MOST_AUTHORITIES if len(authorities) <= _MOST_AUTHORITIES else 0]:
            yield _expiry(tls.cafile, facts, inquiry.now)


def _expiry(path: Path, facts: CertificateFacts, now: datetime) -> Finding:
    who = f"{path}: {facts.common_name or 'a certificate without a name'}"
    if facts.not_before > now:
        words = f"{who} is valid from {facts.not_before:%Y-%m-%d} on, and here it is {now:%Y-%m-%d}: set the clock"
        return Finding(EXPIRY, "error", words)
    if facts.not_after <= now:
        words = f"{who} expired on {facts.not_after:%Y-%m-%d}, and here it is {now:%Y-%m-%d}: renew it, or set the clock"
        return Finding(EXPIRY, "error", words)
    if expires_soon(facts, now):
        return Finding(EXPIRY, "warning", f"{who} is {until(facts, now)}: renew it")
    return Finding(EXPIRY, "ok", f"{who} is {until(facts, now)}")
