"""`fleetview device`: one device, with why it is in the state it is in."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from time import monotonic, time
from typing import TYPE_CHECKING, Annotated

import typer

from fleetview.cli.snapshot import Settle, listen
from fleetview.cli.text import aligned, narrate
from fleetview.config import ConfigError, resolve
from fleetview.core.ages import age
from fleetview.core.commandtargets import TargetError, Targets
from fleetview.core.snapshot import device_detail
from fleetview.core.text import clean
from fleetview.core.twin import twin_reasons, twin_rows
from fleetview.core.why import why
from fleetview_agent.wire import Address, WireError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fleetview.config import Flags
    from fleetview.core.device import Device
    from fleetview.core.fleet import Fleet

_UNKNOWN = 1


def device(
    flags: Flags,
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="tenant/site/device; the device alone if it is unique.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    settle: Settle = None,
) -> int:
    """Print one device, with why it is in the state it is in."""
    _check(address)
    feed, _ = asyncio.run(listen(resolve(flags), settle))
    mono_s, unix_s = monotonic(), time()
    feed.fleet.advance(mono_s, unix_s)
    found = _find(feed.fleet, address)
    if found is None:
        return _UNKNOWN
    if as_json:
        print(json.dumps(device_detail(feed.fleet, found, mono_s, unix_s)))
    else:
        for line in _page(found, mono_s, unix_s):
            print(line)
    return 0


def _check(address: str) -> None:
    try:
        Address.parse(address if "/" in address else f"any/any/{address}")
    except WireError as err:
        raise ConfigError([str(err)]) from None


def _find(fleet: Fleet, address: str) -> Device | None:
    named = Targets(addresses=(Address.parse(address),)) if "/" in address else Targets(name=address)
    try:
        return named.chosen(fleet.devices)[0]
    except TargetError as err:
        narrate(str(err))
        return None


def _page(device: Device, mono_s: float, unix_s: float) -> Iterator[str]:
    seen = "never" if device.seen_mono is None else f"{age(mono_s - device.seen_mono)} ago"
    confirmed = "" if device.confirmed else " (not confirmed by a live message)"
    yield f"{device.address}   {device.connectivity.value}{confirmed}   health {device.health or 'unknown'}   seen {seen}"
    reasons = why(device, mono_s, unix_s)
    for index, reason in enumerate(reasons):
        since = "" if reason.since_unix is None else f"   since {_clock(reason.since_unix)}"
        yield f"{'why' if index == 0 else '   '}  {clean(reason.text)}{since}"
    if not reasons:
        yield "why  nothing is wrong"
    yield ""
    yield from aligned([(name, clean(value)) for name, value in _facts(device)])
    modules = _modules(device)
    if modules:
        yield ""
        yield from aligned([("MODULE", "STATE", "VERSION", "RESTARTS", "REASON"), *modules], frozenset({3}))
    if device.desired is not None or device.reported is not None:
        yield ""
        yield from aligned([("", "DESIRED", "REPORTED"), *[tuple(map(clean, row)) for row in twin_rows(device)]])
        yield from (f"  {clean(words)}" for words in twin_reasons(device))
    found = device.preflight()
    if found is not None:
        yield ""
        when = "" if found.at is None else f", {age(max(0.0, unix_s - found.at.timestamp()))} ago"
        yield f"preflight: {found.summary()}{when}"
        yield from aligned([(each.level or "?", clean(each.subject), clean(each.words)) for each in found.findings])
    if device.events:
        yield ""
        for event in device.events:
            yield f"{_clock(event.unix_s)}  {event.kind:<12}  {clean(event.text)}"


def _facts(device: Device) -> Iterator[tuple[str, str]]:
    yield "release", device.release or "unknown"
    yield "config", f"{'unknown' if device.config_version is None else device.config_version} ({device.config.value})"
    yield "session", device.session or "unknown"
    vitals = device.vitals
    for name, fraction in (("cpu", vitals.cpu), ("memory", vitals.memory), ("disk", vitals.disk)):
        yield name, "no data" if fraction is None else f"{fraction:.0%}"
    if vitals.temperature_c is not None:
        yield "temperature", f"{vitals.temperature_c:.1f} °C"
    yield "flags", ", ".join(device.flags()) or "none"
    if device.labels:
        yield "labels", ", ".join(f"{name}={value}" for name, value in sorted(device.labels.items()))
    birth = device.birth()
    if birth is not None and birth.host is not None:
        host = birth.host
        yield "host", " ".join(part for part in (host.hostname, host.os, host.kernel, host.arch) if part)
    if birth is not None and birth.agent is not None and birth.agent.version:
        yield "agent", birth.agent.version


def _modules(device: Device) -> list[tuple[str, ...]]:
    heartbeat = device.heartbeat()
    return [
        (
            clean(module.name),
            module.state or "?",
            clean(module.version or "-"),
            str(module.restarts),
            clean(module.reason or ""),
        )
        for module in (heartbeat.modules if heartbeat is not None else ())
    ]


def _clock(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%H:%M:%S")
