"""Why a device is in the state it is in, in plain words, worst first."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from fleetview.core.ages import age, rough_age
from fleetview.core.device import SKEW_SHOWN_S, Claim, ConfigAxis, Connectivity, Device
from fleetview.core.presence import lost_after_s

if TYPE_CHECKING:
    from collections.abc import Iterator

CERTIFICATE_WARNING_S = 14 * 86400
_CONFIG_TROUBLE = {
    ConfigAxis.REJECTED: "rejected",
    ConfigAxis.ROLLED_BACK: "rolled back",
    ConfigAxis.FAILED: "failed",
    ConfigAxis.DRIFTED: "runs something else than is desired",
}


class Reason(NamedTuple):
    """One reason, and since when it holds (seconds since 1970; None where nobody saw it begin)."""

    text: str
    since_unix: float | None = None


def why(device: Device, mono_s: float, unix_s: float) -> list[Reason]:
    """Every reason why a device is not simply fine; empty when it is. Raises nothing."""
    return list(_reasons(device, mono_s, unix_s))


def first_reason(device: Device, mono_s: float, unix_s: float) -> str:
    """The worst reason, for one line; empty for a device that is fine."""
    found = next(_reasons(device, mono_s, unix_s), None)
    return "" if found is None else found.text


def _reasons(device: Device, mono_s: float, unix_s: float) -> Iterator[Reason]:
    online = device.connectivity is Connectivity.ONLINE
    connectivity = _of_connectivity(device, mono_s)
    if connectivity and not online:
        yield Reason(connectivity, device.since_unix)
    if online:
        for text in device.reasons:
            yield Reason(text, device.health_since_unix)
        if device.health not in {None, "ok"} and not device.reasons:
            yield Reason(f"reports {device.health}, without a reason", device.health_since_unix)
        if connectivity:
            yield Reason(connectivity)
    yield from _of_the_rest(device, unix_s)


def _last_words(device: Device) -> str:
    if device.health in {None, "ok"}:
        return ""
    return f"was {device.health}: {'; '.join(device.reasons)}"


def _of_connectivity(device: Device, mono_s: float) -> str:
    silent_s = None if device.seen_mono is None else max(0.0, mono_s - device.seen_mono)
    match device.connectivity:
        case Connectivity.UNSEEN:
            return "no retained state: it has never said whether it is there"
        case Connectivity.OFFLINE:
            return f"said goodbye: {device.claim_reason or 'no reason given'}"
        case Connectivity.SLEEPING:
            return "sleeping" + (f": {device.claim_reason}" if device.claim_reason else "")
        case Connectivity.STALE if device.claim is Claim.SLEEPING:
            return "meant to be back from sleep, and is not"
        case Connectivity.STALE:
            missed = int(silent_s // device.interval_s) if silent_s is not None else 0
            limit = age(lost_after_s(device.interval_s))
            return "; ".join(
                filter(None, (f"{missed} heartbeats missed; lost when silent for {limit}", _last_words(device)))
            )
        case Connectivity.LOST if device.claim is Claim.LOST:
            return "; ".join(filter(None, ("vanished: the broker published its will", _last_words(device))))
        case Connectivity.LOST:
            silent = "" if silent_s is None else f"silent for {rough_age(silent_s)}"
            return "; ".join(filter(None, (silent or "silent", _last_words(device))))
        case Connectivity.ONLINE if not device.confirmed:
            return "not heard live yet"
        case Connectivity.ONLINE if device.will_due_obs < math.inf:
            return "connection lost; waiting whether it comes back"
    return ""


def _of_the_rest(device: Device, unix_s: float) -> Iterator[Reason]:
    if device.flapping:
        yield Reason("flapping: five or more changes of connectivity within 10 min")
    if device.config in _CONFIG_TROUBLE:
        yield Reason(_of_config(device))
    skew = device.clock_skew_s
    if skew is not None and abs(skew) > SKEW_SHOWN_S:
        yield Reason(f"clock {age(abs(skew))} {'ahead' if skew > 0 else 'behind'}")
    if device.rival_session is not None:
        yield Reason(f"a second session ({device.rival_session}) uses this device id")
    until = device.certificate_until_unix
    if until is not None and until - unix_s < CERTIFICATE_WARNING_S:
        left = until - unix_s
        yield Reason(f"certificate expired {age(-left)} ago" if left < 0 else f"certificate expires in {age(left)}")
    if device.malformed:
        yield Reason(f"{_some(device.malformed, 'message')} not valid, the last: {device.malformed_reason}")
    if device.log_gaps:
        yield Reason(f"{_some(device.log_missing, 'log record')} missing in {_some(device.log_gaps, 'gap')}")


def _some(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _of_config(device: Device) -> str:
    reported = device.reported
    for part in (reported.config, reported.release) if reported is not None else ():
        if part is not None and part.reason:
            return f"desired state {_CONFIG_TROUBLE[device.config]}: {part.reason}"
    return f"desired state {_CONFIG_TROUBLE[device.config]}"
