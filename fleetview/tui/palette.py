"""Finds devices in the command palette.

Searched when something is typed: a command per device, made on opening, would hold the screen up in a large fleet.
"""

from __future__ import annotations

from functools import partial
from heapq import nsmallest
from typing import TYPE_CHECKING, cast

from textual.command import Hit, Hits, Provider

from fleetview.core.device import Device

if TYPE_CHECKING:
    from fleetview.tui.app import FleetApp

MAX_FOUND = 30
"""Devices offered for one text; whoever means more of them filters the table."""


class DevicePalette(Provider):
    """Devices whose address holds all that was typed."""

    async def search(self, query: str) -> Hits:
        app = cast("FleetApp", self.app)
        words = query.lower().split()
        found = (
            (_rank(device, words), str(device.address), device)
            for address, device in app.fleet.devices.items()
            if all(word in str(address).lower() for word in words)
        )
        matcher = self.matcher(query)
        for place, (_, address, device) in enumerate(nsmallest(MAX_FOUND, found, key=lambda one: one[:2])):
            shown = f"Device {address}"
            yield Hit(
                # Above the fuzzy matches among the commands, in this order.
                100.0 - place,
                matcher.highlight(shown),
                partial(app.open_device, device),
                text=shown,
                help=f"{device.connectivity.value}, {device.health or 'no health'}",
            )


def _rank(device: Device, words: list[str]) -> int:
    """0 for the device that was named, 1 for one whose name begins so, 2 for the others."""
    name = device.address.device.lower()
    if name in words:
        return 0
    return 1 if any(name.startswith(word) for word in words) else 2
