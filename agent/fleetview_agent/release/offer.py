"""From the release of a `desired` message to an offer that can be taken, or to why it cannot. No I/O."""

from __future__ import annotations

import re

from fleetview_agent.release.manifest import version_of
from fleetview_agent.release.model import Offer
from fleetview_agent.release.settings import Ota
from fleetview_agent.release.urls import shown_url, url_problem
from fleetview_agent.wire import ReleaseOffer

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


def offer_of(release: ReleaseOffer) -> Offer:
    """The offer, as far as it is one: see `problem_of`."""
    return Offer(
        version=release.version or "",
        url=release.url or "",
        sha256=(release.sha256 or "").lower(),
        size=release.size,
        signature=release.signature,
    )


def problem_of(offer: Offer, settings: Ota) -> str | None:
    """Why the offer cannot be taken, whatever there is at its URL."""
    for name in ("version", "url", "sha256"):
        if not getattr(offer, name):
            return f"release.{name}: missing"
    try:
        version_of(offer.version)
    except ValueError as err:
        return f"release.version: {err}, not {offer.version[:64]!r}"
    if (words := url_problem(offer.url)) is not None:
        return f"release.url: {words}, not {shown_url(offer.url)[:120]!r}"
    if _SHA256.fullmatch(offer.sha256) is None:
        return f"release.sha256: 64 hex digits expected, not {offer.sha256[:70]!r}"
    if offer.size is not None and not 0 < offer.size <= settings.max_bytes:
        return f"release.size: {offer.size:,} bytes, and ota.max_mib allows {settings.max_bytes:,}"
    if not settings.keys and not settings.allow_unsigned:
        return "no ota.keys are configured, so nobody can vouch for it; set them, or allow_unsigned = true"
    return None
