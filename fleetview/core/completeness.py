"""Whether all came that a broker has retained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleetview.core.trouble import Trouble

if TYPE_CHECKING:
    from fleetview.core.fleet import Fleet

_AT_LEAST = 5
_SHARE = 0.02


def half_seen(fleet: Fleet) -> int:
    """Devices with a retained birth or heartbeat and without a state, when they are too many for chance; else 0.

    An agent publishes its state with its birth, both retained. A broker that cuts a burst short (mosquitto does, at
    max_queued_messages) drops some of one device's messages and not the others.
    """
    if fleet.troubles.get(Trouble.UNSEEN, 0) < _AT_LEAST:
        return 0
    found = sum(
        device.trouble is Trouble.UNSEEN and (device.birth_packed is not None or device.heartbeat_packed is not None)
        for device in fleet.devices.values()
    )
    return found if found >= max(_AT_LEAST, _SHARE * len(fleet.devices)) else 0
