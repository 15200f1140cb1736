"""`fleetview devices`: one snapshot of the fleet."""

from __future__ import annotations

import asyncio
import json
import sys
from time import monotonic, time
from typing import TYPE_CHECKING, Annotated

import typer

from fleetview.cli.asked import check_alert_servers, note_alerts
from fleetview.cli.snapshot import LONGEST_S, Settle, listen
from fleetview.cli.text import aligned, fitted, narrate, painted, wants_colour
from fleetview.config import resolve
from fleetview.core.ages import age
from fleetview.core.device import Connectivity
from fleetview.core.query import QueryError, compile_devices
from fleetview.core.query.fields import ALERT_FIELDS, STAGE_FIELD
from fleetview.core.query.tree import names_in
from fleetview.core.snapshot import device_snapshot
from fleetview.core.text import clean
from fleetview.core.trouble import trouble_of
from fleetview.core.why import first_reason

if TYPE_CHECKING:
    from fleetview.config import Flags
    from fleetview.core.device import Device

Filter = Annotated[
    list[str] | None, typer.Argument(metavar="FILTER", help='Such as: health:critical,degraded site:plant-* "gw-1"')
]
_HEADER = ("STATE", "HEALTH", "DEVICE", "RELEASE", "CPU", "MEM", "SEEN", "WHY")
_RIGHT = frozenset({4, 5, 6})


def devices(
    flags: Flags,
    filter: Filter = None,  # noqa: A002 (the argument's name)
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
    settle: Settle = None,
) -> int:
    """Print every device that the filter means, as it is now."""
    means = compile_devices(" ".join(filter or ()), lambda: (monotonic(), time()))
    if STAGE_FIELD in names_in(means.tree):
        text = "stage is known from the snapshots of rollouts: ask `fleetview rollout show ID`, or the fleet screen"
        raise QueryError(0, text)
    context = resolve(flags)
    asks_for_alerts = bool(ALERT_FIELDS & names_in(means.tree))
    if asks_for_alerts:
        check_alert_servers(context)
    feed, complete = asyncio.run(listen(context, settle))
    if not complete:
        narrate(f"the broker was still sending what it has retained after {LONGEST_S:g} s: this may not be all of it")
    mono_s, unix_s = monotonic(), time()
    feed.fleet.advance(mono_s, unix_s)
    code = asyncio.run(note_alerts(context, feed.fleet)) if asks_for_alerts else 0
    chosen = [device for device in feed.fleet.devices.values() if means(device)]
    if as_json:
        for device in sorted(chosen, key=lambda device: device.address):
            print(json.dumps(device_snapshot(device, mono_s), ensure_ascii=not _utf8()))
    else:
        chosen.sort(key=lambda device: (trouble_of(device), device.address))
        _print_table(chosen, mono_s, unix_s)
        narrate(f"{len(chosen)} of {len(feed.fleet.devices)} devices")
    return code


def _print_table(chosen: list[Device], mono_s: float, unix_s: float) -> None:
    if not chosen:
        return
    colour = wants_colour(sys.stdout)
    lines = aligned([_HEADER, *(_row(device, mono_s, unix_s) for device in chosen)], _RIGHT)
    print(fitted(lines[0], sys.stdout))
    for device, line in zip(chosen, lines[1:], strict=True):
        print(painted(fitted(line, sys.stdout), trouble_of(device), colour=colour))


def _row(device: Device, mono_s: float, unix_s: float) -> tuple[str, ...]:
    return (
        device.connectivity.value + ("" if device.confirmed else "?"),
        # What it reported before it fell silent says nothing of now.
        (device.health if device.connectivity is Connectivity.ONLINE else None) or "unknown",
        str(device.address),
        clean(device.release or "-"),
        _percent(device.vitals.cpu),
        _percent(device.vitals.memory),
        "-" if device.seen_mono is None else age(mono_s - device.seen_mono),
        clean(first_reason(device, mono_s, unix_s)),
    )


def _percent(fraction: float | None) -> str:
    return "-" if fraction is None else f"{fraction:.0%}"


def _utf8() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
