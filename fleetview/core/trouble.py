"""How bad it is with a device, in one word and one order: what the header counts and the table sorts by."""

from __future__ import annotations

from fleetview.core.device import Connectivity, Device, Trouble

__all__ = ["Trouble", "trouble_of"]


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
