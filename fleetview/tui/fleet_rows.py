"""The fleet table's columns and rows as lines of spans. Pure, so that what a row says is tested without a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from fleetview.core.ages import age, rough_age
from fleetview.core.device import Connectivity, Device
from fleetview.core.outages import Outage
from fleetview.core.trouble import trouble_of
from fleetview.core.why import first_reason
from fleetview.tui.glyphs import Glyphs, connectivity_span, health_span
from fleetview.tui.spans import Line, Span, fit, visible

ColumnName = Literal["state", "health", "device", "site", "release", "cpu", "memory", "seen", "why"]

_TITLES: dict[ColumnName, str] = {
    "state": "STATE",
    "health": "HEALTH",
    "device": "DEVICE",
    "site": "SITE",
    "release": "RELEASE",
    "cpu": "CPU",
    "memory": "MEM",
    "seen": "SEEN",
    "why": "WHY",
}
_RIGHT: frozenset[ColumnName] = frozenset({"cpu", "memory", "seen"})
_ORDER: tuple[ColumnName, ...] = tuple(_TITLES)
_OPTIONAL: tuple[tuple[ColumnName, int], ...] = (("cpu", 4), ("memory", 4), ("release", 8))
_WHY_AT_LEAST = 26
_WHY_BEFORE_NAMES = 20
"""Less of a reason tells nothing; but names that are cut are often all the same, so they keep what they can."""
_NAME_WIDTHS = (8, 24)
_SITE_WIDTHS = (6, 20)
_GIVING_WAY: tuple[tuple[ColumnName, int], ...] = (("site", _SITE_WIDTHS[0]), ("device", _NAME_WIDTHS[0]))
HOT = 0.9
"""A fraction of CPU or memory from which on the figure stands out."""


class Now(NamedTuple):
    """A moment, on the monotonic clock and since 1970, in seconds."""

    mono_s: float
    unix_s: float


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns there is room for, and how wide each is, in cells."""

    widths: tuple[tuple[ColumnName, int], ...]
    with_tenant: bool
    of_width: int

    def head(self) -> Line:
        """The line of titles."""
        cells = [fit(_TITLES[name], width, right=name in _RIGHT) for name, width in self.widths]
        return (Span("  " + " ".join(cells), "head"),)


def layout(width: int, devices: Iterable[Device]) -> Columns:
    """Columns for a width. WHY gets what is left; where that would be too little, figures give way to it, then names."""
    names, sites, tenants = _NAME_WIDTHS[0], _SITE_WIDTHS[0], set[str]()
    for device in devices:
        tenants.add(device.address.tenant)
        names = max(names, len(device.address.device))
        sites = max(sites, len(device.address.site))
    with_tenant = len(tenants) > 1
    if with_tenant:
        sites += 1 + max(len(tenant) for tenant in tenants)
    widths: dict[ColumnName, int] = {
        "state": 10,
        "health": 10,
        "device": min(names, _NAME_WIDTHS[1]),
        "site": min(sites, _SITE_WIDTHS[1]),
        "seen": 7,
    }
    left = width - 3 - sum(size + 1 for size in widths.values())
    for name, least in _GIVING_WAY:
        cut = max(0, min(_WHY_BEFORE_NAMES - left, widths[name] - least))
        widths[name] -= cut
        left += cut
    for name, size in _OPTIONAL:
        if left - size - 1 >= _WHY_AT_LEAST:
            widths[name] = size
            left -= size + 1
    widths["why"] = max(0, left)
    return Columns(tuple((name, widths[name]) for name in _ORDER if name in widths), with_tenant, width)


def seen(device: Device, now: Now) -> str:
    """How long ago a device was last heard, in steps: a column that ticks every second is neither calm nor cheap."""
    return "-" if device.seen_mono is None else rough_age(now.mono_s - device.seen_mono)


def percent(fraction: float | None) -> str:
    """`61%`, or `-`."""
    return "-" if fraction is None else f"{fraction * 100:.0f}%"


def device_row(device: Device, columns: Columns, now: Now, glyphs: Glyphs, *, indent: bool = False) -> Line:
    """One device as a row."""
    spans = [Span("  ")]
    for name, width in columns.widths:
        text, style = _cell(name, device, columns, now, glyphs, width, indent=indent)
        spans.append(Span(text + " ", style))
    return tuple(spans)


def _cell(name: ColumnName, device: Device, columns: Columns, now: Now, glyphs: Glyphs, width: int, *, indent: bool) -> Span:  # noqa: PLR0917
    match name:
        case "state":
            span = connectivity_span(device, glyphs)
            return Span(fit(span.text, width), span.style)
        case "health":
            span = health_span(device, glyphs)
            return Span(fit(span.text, width), span.style)
        case "device":
            return Span(fit(("  " if indent else "") + device.address.device, width))
        case "site":
            site = device.address.site
            return Span(fit(f"{device.address.tenant}/{site}" if columns.with_tenant else site, width), "dim")
        case "release":
            return Span(fit(device.release or "-", width), "dim")
        case "cpu":
            return _figure(device, device.vitals.cpu, width)
        case "memory":
            return _figure(device, device.vitals.memory, width)
        case "seen":
            return Span(fit(seen(device, now), width, right=True), "dim")
        case "why":
            return Span(fit(first_reason(device, now.mono_s, now.unix_s), width), _why_style(device))


def _why_style(device: Device) -> Literal["plain", "dim"]:
    return "plain" if trouble_of(device).needs_attention or device.flags() else "dim"


def _figure(device: Device, fraction: float | None, width: int) -> Span:
    if device.connectivity is not Connectivity.ONLINE:
        return Span(fit("-", width, right=True), "dim")  # a figure from before it went away is not current
    hot = fraction is not None and fraction >= HOT
    return Span(fit(percent(fraction), width, right=True), "degraded" if hot else "dim")


def outage_row(outage: Outage, width: int, now: Now, glyphs: Glyphs, *, folded: bool) -> Line:
    """A site outage as one row."""
    since = datetime.fromtimestamp(now.unix_s - (now.mono_s - outage.first_mono), UTC)
    glyph = glyphs.folded if folded else glyphs.unfolded
    hint = "Enter unfolds" if folded else "Enter folds"
    text = f"  {glyph} {outage.site.name}  site outage: {len(outage.devices)} of {outage.of} silent since {since:%H:%M:%S}"
    together = f" (within {age(outage.spread_s)} of each other)"
    room = width - len(hint) - 2
    if len(text) + len(together) <= room:
        text += together
    return (Span(fit(text, max(0, room)), "outage"), Span(" " + hint, "dim"))


def copied_row(device: Device, now: Now) -> str:
    """One device as a line of text to paste somewhere."""
    why = first_reason(device, now.mono_s, now.unix_s)
    parts = [
        str(device.address),
        device.connectivity.value,
        device.health or "no health",
        f"seen {seen(device, now)}",
        why,
    ]
    return visible("  ".join(part for part in parts if part))
