"""A device as scripts get it: the one object per line of `fleetview devices --json`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_core import from_json, to_json

from fleetview.core.payloads import unpack
from fleetview.core.why import why

if TYPE_CHECKING:
    from fleetview.core.device import Device
    from fleetview.core.fleet import Fleet


def as_received(packed: bytes | None) -> dict[str, Any] | None:
    """A packed payload's JSON object with all its fields, those that no model knows included."""
    if packed is None:
        return None
    data = unpack(packed)
    try:
        found = from_json(data, allow_inf_nan=False)
    except ValueError:
        # NaN and Infinity in fields that no model knows: whoever reads the snapshot may know nothing but JSON.
        found = from_json(to_json(from_json(data), inf_nan_mode="null"))
    return found if isinstance(found, dict) else None


def device_snapshot(device: Device, mono_s: float) -> dict[str, Any]:
    """What is known of a device, as JSON values. Ages in seconds; None where nothing is known."""
    skew = device.clock_skew_s
    return {
        "address": str(device.address),
        "tenant": device.address.tenant,
        "site": device.address.site,
        "device": device.address.device,
        "connectivity": device.connectivity.value,
        "confirmed": device.confirmed,
        "health": device.health,
        "reasons": list(device.reasons),
        "config": device.config.value,
        "release": device.release,
        "lifecycle": device.lifecycle,
        "flags": device.flags(),
        "last_seen_s": None if device.seen_mono is None else round(max(0.0, mono_s - device.seen_mono), 3),
        "session": device.session,
        "heartbeat": as_received(device.heartbeat_packed),
        "lost_heartbeats": device.lost_heartbeats,
        "log_gaps": device.log_gaps,
        "malformed": device.malformed,
        "clock_skew_s": None if skew is None else round(skew, 3),
        "rollout": device.rollout,
    }


def device_detail(fleet: Fleet, device: Device, mono_s: float, unix_s: float) -> dict[str, Any]:
    """The same, with why it is so and all else that the device screen shows."""
    tally = fleet.logbook.tally(device.address)
    return device_snapshot(device, mono_s) | {
        "why": [{"text": reason.text, "since": reason.since_unix} for reason in why(device, mono_s, unix_s)],
        "birth": as_received(device.birth_packed),
        "desired": None if device.desired is None else device.desired.model_dump(mode="json", exclude_unset=True),
        "reported": _reported(device),
        "malformed_reason": device.malformed_reason,
        "logs": {
            "records": tally.records,
            "duplicates": tally.duplicates,
            "gaps": tally.gaps,
            "missing": tally.missing,
        },
        "events": [{"at": event.unix_s, "kind": event.kind, "text": event.text} for event in device.events or ()],
    }


def _reported(device: Device) -> dict[str, Any] | None:
    if device.reported is None:
        return None
    found = device.reported.model_dump(mode="json", exclude_unset=True)
    if device.preflight_packed is not None:
        found["preflight"] = (as_received(device.preflight_packed) or {}).get("preflight")
    return found
