"""What devices say of themselves besides being alive: inventory, modules, and the configuration and release they run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

from fleetview.core.device import ConfigAxis, Lifecycle
from fleetview.core.payloads import pack

if TYPE_CHECKING:
    from fleetview.core.device import Device
    from fleetview.core.received import Received
    from fleetview_agent.wire import Birth, Desired, Reported

LIFECYCLE_LABEL = "lifecycle"
"""The label by which an operator takes a device out of the ordinary: `maintenance` or `quarantined`."""

_CONFIG = {
    "pending": ConfigAxis.PENDING,
    "applying": ConfigAxis.APPLYING,
    "applied": ConfigAxis.IN_SYNC,
    "rejected": ConfigAxis.REJECTED,
    "rolled_back": ConfigAxis.ROLLED_BACK,
}
_RELEASE = {
    "committed": ConfigAxis.IN_SYNC,
    "rolled_back": ConfigAxis.ROLLED_BACK,
    "failed": ConfigAxis.FAILED,
    "queued": ConfigAxis.PENDING,
}
_WORST_FIRST = (
    ConfigAxis.FAILED,
    ConfigAxis.REJECTED,
    ConfigAxis.ROLLED_BACK,
    ConfigAxis.DRIFTED,
    ConfigAxis.APPLYING,
    ConfigAxis.PENDING,
    ConfigAxis.IN_SYNC,
)


def take_birth(device: Device, body: Birth, packed: bytes) -> None:
    """Keep what a birth says; its payload as `payloads.pack` makes it."""
    device.birth_packed = packed
    if body.heartbeat_interval_s is not None:
        device.interval_s = body.heartbeat_interval_s
    until = body.certificate.not_after if body.certificate else None
    device.certificate_until_unix = until.timestamp() if until else None
    told = body.labels.get(LIFECYCLE_LABEL)
    device.lifecycle = cast("Lifecycle", told) if told in {"maintenance", "quarantined"} else "enrolled"


def note_modules(device: Device, states: tuple[tuple[str, str], ...], received: Received) -> None:
    """Put what changed among a device's modules on its timeline."""
    if received.retained or not device.module_states:
        return
    before = dict(device.module_states)
    for name, state in states:
        was = before.pop(name, None)
        if was != state:
            device.note(received.unix_s, "module", f"{name} {was or 'new'} -> {state}")
    for name in before:
        device.note(received.unix_s, "module", f"{name} gone")


def take_desired(device: Device, body: Desired, unix_s: float) -> None:
    """Keep what a device should run; an older generation is no news."""
    if device.desired is not None and body.gen < device.desired.gen:
        return
    if device.desired is not None and body.gen > device.desired.gen:
        if body.rollout:
            device.note(unix_s, "rollout", f"rollout {body.rollout}: generation {body.gen} desired")
        else:
            device.note(unix_s, "config", f"generation {body.gen} desired")
    device.desired = body
    compare(device)


def take_reported(device: Device, body: Reported, received: Received) -> None:
    """Keep what a device runs."""
    before, device.reported, device.preflight_packed = device.reported, body, None
    if body.preflight is not None:
        # Some hundred bytes packed, and some thousand as objects.
        device.reported = body.model_copy(update={"preflight": None})
        device.preflight_packed = pack(received.payload)
    compare(device)
    if before is None or received.retained:
        return
    kinds: tuple[Literal["config", "release"], ...] = ("config", "release")
    for kind in kinds:
        was, now = getattr(before, kind), getattr(body, kind)
        if now is not None and (was is None or (was.status, was.version) != (now.status, now.version)):
            because = f": {now.reason}" if now.reason else ""
            device.note(received.unix_s, kind, f"{kind} {now.version} {now.status or 'reported'}{because}")


def _agree(wanted: str | int | None, found: str | int | None) -> bool:
    """Whether two that may not be told differ for all that is told."""
    return wanted is None or found is None or wanted == found


def _lower(digits: str | None) -> str | None:
    return None if digits is None else digits.lower()


def compare(device: Device) -> None:
    """Set how what is desired stands to what is reported."""
    desired, reported = device.desired, device.reported
    if desired is None:
        device.config = ConfigAxis.UNMANAGED
        return
    if reported is None or reported.gen < desired.gen:
        device.config = ConfigAxis.PENDING
        return
    found: set[ConfigAxis] = set()
    if desired.config is not None and (config := reported.config) is not None:
        wanted = desired.config
        same = _agree(_lower(wanted.sha256), _lower(config.sha256)) and _agree(wanted.version, config.version)
        state = _CONFIG.get(config.status or "applied", ConfigAxis.IN_SYNC)
        found.add(ConfigAxis.DRIFTED if state is ConfigAxis.IN_SYNC and not same else state)
    if desired.release is not None and (release := reported.release) is not None:
        state = _RELEASE.get(release.status or "committed", ConfigAxis.APPLYING)
        same = desired.release.version in {None, release.version}
        # A release waits for the configuration beside it: until then the device tells of the one before.
        other = ConfigAxis.PENDING if found & {ConfigAxis.PENDING, ConfigAxis.APPLYING} else ConfigAxis.DRIFTED
        found.add(other if state is ConfigAxis.IN_SYNC and not same else state)
    device.config = next((axis for axis in _WORST_FIRST if axis in found), ConfigAxis.IN_SYNC)
