"""Rule 7: when a good part of a site goes silent at once, that is one outage, not as many failures."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection

    from fleetview.core.device import Device

SHARE = 0.3
AT_LEAST = 5
WINDOW_INTERVALS = 2


class Site(NamedTuple):
    """A site of a tenant."""

    tenant: str
    name: str

    def __str__(self) -> str:
        return f"{self.tenant}/{self.name}"


@dataclass(frozen=True, slots=True)
class Outage:
    """A site of which many devices fell silent together."""

    site: Site
    devices: frozenset[Device]
    of: int
    """Devices of the site in all."""
    first_mono: float
    """When the first of them was last heard, on the reader's monotonic clock."""
    spread_s: float
    """Seconds between the first and the last of them."""


def find_outage(site: Site, devices: Collection[Device], silent: Collection[Device]) -> Outage | None:
    """The outage of a site, if it has one: 30 % of its devices, and at least five, silent within 2 H of each other."""
    needed = max(AT_LEAST, SHARE * len(devices))
    if len(silent) < needed:
        return None
    heard = sorted((device for device in silent if device.seen_mono is not None), key=_last_heard)
    times = [_last_heard(device) for device in heard]
    window_s = WINDOW_INTERVALS * max((device.interval_s for device in heard), default=0.0)
    best: tuple[int, int] = (0, 0)
    for first, time in enumerate(times):
        end = bisect_right(times, time + window_s, lo=first)
        if end - first > best[1] - best[0]:
            best = (first, end)
    first, end = best
    if end - first < needed:
        return None
    together = heard[first:end]
    return Outage(
        site=site,
        devices=frozenset(together),
        of=len(devices),
        first_mono=times[first],
        spread_s=times[end - 1] - times[first],
    )


def _last_heard(device: Device) -> float:
    return 0.0 if device.seen_mono is None else device.seen_mono
