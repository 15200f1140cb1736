"""How bad it is with a device, in one word and one order: what the header counts and the table sorts by."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from fleetview.core.device import Connectivity

if TYPE_CHECKING:
    from fleetview.core.device import Device


class Trouble(IntEnum):
    """A device's worst trouble; the smaller, the worse. Each device is in one of these."""

    LOST = 0
    CRITICAL = 1
    DEGRADED = 2
    STALE = 3
    OFFLINE = 4
    SLEEPING = 5
    UNSEEN = 6
    OK = 7

    @property
    def text(self) -> str:
        """The word for it."""
        return self.name.lower()

    @property
    def needs_attention(self) -> bool:
        """Whether somebody should look: it is broken, or silent without a word."""
        return self <= Trouble.STALE


_BY_CONNECTIVITY = {
    Connectivity.LOST: Trouble.LOST,
    Connectivity.STALE: Trouble.STALE,
    Connectivity.OFFLINE: Trouble.OFFLINE,
    Connectivity.SLEEPING: Trouble.SLEEPING,
    Connectivity.UNSEEN: Trouble.UNSEEN,
}
_BY_HEALTH = {"critical": Trouble.CRITICAL, "degraded": Trouble.DEGRADED}


def trouble_of(device: Device) -> Trouble:
    """The worst of connectivity and health. What a device reported before it went away no longer counts."""
    if device.connectivity is Connectivity.ONLINE:
        return _BY_HEALTH.get(device.health or "ok", Trouble.OK)
    return _BY_CONNECTIVITY[device.connectivity]
