"""What a heartbeat says of its device: health with its reasons, vitals, modules, release and configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleetview.core.device import NO_VITALS, Vitals
from fleetview.core.inventory import note_modules
from fleetview.core.payloads import pack

if TYPE_CHECKING:
    from fleetview.core.device import Device
    from fleetview.core.received import Received
    from fleetview.core.roster import Roster
    from fleetview_agent.wire import Heartbeat


def take_vitals(device: Device, body: Heartbeat, received: Received, roster: Roster) -> None:
    """Keep what a heartbeat says of its device."""
    device.heartbeat_packed = pack(received.payload)
    found = body.resources
    device.vitals = NO_VITALS if found is None else Vitals(found.cpu, found.memory, found.disk, found.temperature_c)
    if body.health != device.health or (body.reasons or device.reasons):
        _take_health(device, body, received, roster)
    states = tuple([(module.name, module.state or "?") for module in body.modules])
    if states != device.module_states:
        note_modules(device, states, received)
        device.module_states = roster.share(states)
    if body.release != device.release:
        if device.release is not None and not received.retained:
            device.note(received.unix_s, "release", f"release {device.release} -> {body.release or 'none'}")
        roster.set_release(device, body.release)
    if body.config != device.config_version:
        if device.config_version is not None and not received.retained:
            device.note(received.unix_s, "config", f"config {device.config_version} -> {body.config}")
        device.config_version = body.config


def _take_health(device: Device, body: Heartbeat, received: Received, roster: Roster) -> None:
    reasons = roster.share(tuple(body.reasons)) if body.reasons else ()
    if body.health != device.health:
        if device.health is not None and body.health is not None and not received.retained:
            device.health_since_unix = received.unix_s
            because = f": {'; '.join(reasons)}" if reasons else ""
            device.note(received.unix_s, "health", f"{device.health} -> {body.health}{because}")
        device.health = body.health
        roster.recount(device, was_silent=device.silent)
    device.reasons = reasons
