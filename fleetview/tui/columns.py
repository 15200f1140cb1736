"""The fleet table's columns: which there are, which there is room for, and what stands in each. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

from fleetview.core.ages import rough_age
from fleetview.core.device import ConfigAxis, Connectivity, Device
from fleetview.core.query.fields import LABEL_PREFIX
from fleetview.core.sorting import SEVERITY
from fleetview.core.trouble import trouble_of
from fleetview.core.why import first_reason
from fleetview.tui.glyphs import Glyphs, connectivity_span, health_span
from fleetview.tui.spans import Line, Span, StyleName, fit

if TYPE_CHECKING:
    from fleetview.core.roster import NameSizes

GUTTER = 2
"""Cells before the first column: whether a device is selected, and whether it changed just now."""
HOT = 0.9
"""A fraction of CPU, memory or disk from which on the figure stands out."""
_WHY_AT_LEAST = 26
_WHY_WORTH = 4
"""Of a row that is full of other columns, fewer cells are not worth a title."""
_WHY_BEFORE_NAMES = 20
"""Less of a reason tells nothing; but names that are cut are often all the same, so they keep what they can."""
_NAME_WIDTHS = (8, 24)
_SITE_WIDTHS = (6, 20)
_LABEL_WIDTH = 12


class Now(NamedTuple):
    """A moment, on the monotonic clock and since 1970, in seconds."""

    mono_s: float
    unix_s: float


class Column(NamedTuple):
    """A column that can be shown."""

    title: str
    width: int
    hint: str
    """For the person who chooses."""
    sort: str
    """The field of the filter language that it is sorted by."""
    right: bool = False


COLUMNS: dict[str, Column] = {
    "state": Column("STATE", 10, "online, stale, lost, offline, sleeping, unseen", "state"),
    "health": Column("HEALTH", 10, "what it says of itself", "health"),
    "device": Column("DEVICE", _NAME_WIDTHS[1], "its id", "device"),
    "site": Column("SITE", _SITE_WIDTHS[1], "where it stands", "site"),
    "release": Column("RELEASE", 8, "the release it runs", "release"),
    "cpu": Column("CPU", 4, "of all processors", "cpu", right=True),
    "memory": Column("MEM", 4, "memory in use", "memory", right=True),
    "disk": Column("DISK", 5, "disk in use", "disk", right=True),
    "temp": Column("TEMP", 5, "degrees Celsius", "temp", right=True),
    "seen": Column("SEEN", 7, "how long ago it was heard", "seen", right=True),
    "modules": Column("MODULES", 12, "how many run, and which does not", "module"),
    "config": Column("CONFIG", 11, "desired against reported", "config"),
    "lifecycle": Column("LIFECYCLE", 11, "enrolled, maintenance, quarantined", "lifecycle"),
    "flags": Column("FLAGS", 14, "flapping, clock_skew, log_gap, ...", "flag"),
    "alerts": Column("ALERTS", 15, "what fires, and how long the rest is quiet", "alerts"),
    "rollout": Column("ROLLOUT", 14, "the rollout it is part of", "rollout"),
    "stage": Column("STAGE", 11, "how far a rollout has it", "stage"),
    "why": Column("WHY", _WHY_AT_LEAST, "the worst reason, in words", SEVERITY),
}
ALWAYS = ("state", "device")
DEFAULT = ("state", "health", "device", "site", "seen", "why")
_NO_MORE: Mapping[str, Column] = {}
_WHERE_THERE_IS_ROOM = ("cpu", "memory", "release")


def column(name: str, more: Mapping[str, Column] = _NO_MORE) -> Column:
    """A column by its name: one of COLUMNS, of those from elsewhere, or a label's."""
    found = COLUMNS.get(name) or more.get(name)
    if found is None:
        title = name.removeprefix(LABEL_PREFIX)
        return Column(title.upper()[:_LABEL_WIDTH], _LABEL_WIDTH, "a label", name)
    return found


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns there is room for, and how wide each is, in cells."""

    widths: tuple[tuple[str, int], ...]
    with_tenant: bool
    of_width: int
    more: Mapping[str, Column] = field(default_factory=dict)
    """Columns that are filled from elsewhere, by name."""

    def head(self, sort: str = SEVERITY, arrow: str = "") -> Line:
        """The line of titles, with an arrow at what it is sorted by."""
        cells = []
        for name, width in self.widths:
            spec = column(name, self.more)
            mark = arrow if spec.sort == sort and sort != SEVERITY else ""
            cells.append(fit(spec.title[: width - len(mark)] + mark, width, right=spec.right))
        return (Span(" " * GUTTER + " ".join(cells), "head"),)

    def has(self, name: str) -> bool:
        """Whether a column is shown."""
        return any(name == each for each, _ in self.widths)

    def at(self, x: int) -> str | None:
        """The column under a cell."""
        left = GUTTER
        for name, width in self.widths:
            if left <= x <= left + width:
                return name
            left += width + 1
        return None


def layout(
    width: int,
    names: NameSizes,
    tenants: int = 1,
    chosen: Sequence[str] | None = None,
    more: Mapping[str, Column] = _NO_MORE,
) -> Columns:
    """Columns for a width. WHY gets what is left; where that would be too little, figures give way to it, then names."""
    with_tenant = tenants > 1
    sites = max(_SITE_WIDTHS[0], names.site) + (1 + names.tenant if with_tenant else 0)
    own = {
        "device": min(max(_NAME_WIDTHS[0], names.device), _NAME_WIDTHS[1]),
        "site": min(sites, _SITE_WIDTHS[1]),
    }
    wanted = [*DEFAULT] if chosen is None else [*dict.fromkeys((*ALWAYS, *chosen))]
    order = {name: place for place, name in enumerate(COLUMNS)}
    wanted.sort(key=lambda name: order.get(name, order["why"] - 0.5))
    widths = {name: own.get(name, column(name, more).width) for name in wanted if name != "why"}
    with_why = "why" in wanted
    left = width - GUTTER - 1 - sum(size + 1 for size in widths.values())
    for name, least in (("site", _SITE_WIDTHS[0]), ("device", _NAME_WIDTHS[0])):
        cut = max(0, min((_WHY_BEFORE_NAMES if with_why else 0) - left, widths.get(name, least) - least))
        if cut:
            widths[name] -= cut
            left += cut
    if chosen is None:
        for name in _WHERE_THERE_IS_ROOM:
            size = column(name).width
            if left - size - 1 >= _WHY_AT_LEAST:
                widths[name] = size
                left -= size + 1
    else:
        for name in reversed(wanted):  # what does not fit is not shown, the rightmost first
            if left < 0 and name in widths and name not in ALWAYS:
                left += widths.pop(name) + 1
    if with_why and (left >= _WHY_WORTH or chosen is None):
        widths["why"] = max(0, left)
    ordered = sorted(widths, key=lambda name: order.get(name, order["why"] - 0.5))
    return Columns(tuple((name, widths[name]) for name in ordered), with_tenant, width, more)


def seen(device: Device, now: Now) -> str:
    """How long ago a device was last heard, in steps: a column that ticks every second is neither calm nor cheap."""
    return "-" if device.seen_mono is None else rough_age(now.mono_s - device.seen_mono)


def percent(fraction: float | None) -> str:
    """`61%`, or `-`."""
    return "-" if fraction is None else f"{fraction * 100:.0f}%"


def cell(name: str, device: Device, now: Now, glyphs: Glyphs, *, with_tenant: bool) -> Span:
    """What stands in a column of a device's row; not yet cut to the column's width."""
    draw = _CELLS.get(name)
    if draw is not None:
        return draw(device, now)
    match name:
        case "state":
            return connectivity_span(device, glyphs)
        case "health":
            return health_span(device, glyphs)
        case "site":
            site = device.address.site
            return Span(f"{device.address.tenant}/{site}" if with_tenant else site, "dim")
    labels = device.labels or {}
    return Span(labels.get(name.removeprefix(LABEL_PREFIX), "-"), "dim")


def _why(device: Device, now: Now) -> Span:
    style: StyleName = "plain" if trouble_of(device).needs_attention or device.flags() else "dim"
    return Span(first_reason(device, now.mono_s, now.unix_s), style)


def _fraction(device: Device, fraction: float | None) -> Span:
    if device.connectivity is not Connectivity.ONLINE:
        return Span("-", "dim")  # a figure from before it went away is not current
    return Span(percent(fraction), "degraded" if fraction is not None and fraction >= HOT else "dim")


def _temperature(device: Device) -> Span:
    found = device.vitals.temperature_c if device.connectivity is Connectivity.ONLINE else None
    return Span("-" if found is None else f"{found:.0f} C", "dim")


def _modules(device: Device) -> Span:
    states = device.module_states
    if not states or device.connectivity is not Connectivity.ONLINE:
        return Span("-", "dim")
    others = [(name, state) for name, state in states if state != "running"]
    if not others:
        return Span(f"{len(states)} running", "dim")
    worst: Literal["critical", "degraded"] = "critical" if any(state == "failed" for _, state in others) else "degraded"
    return Span(f"{others[0][0]} {others[0][1]}", worst)


_CONFIG_STYLE: dict[ConfigAxis, StyleName] = {
    ConfigAxis.REJECTED: "critical",
    ConfigAxis.FAILED: "critical",
    ConfigAxis.ROLLED_BACK: "degraded",
    ConfigAxis.DRIFTED: "degraded",
}
_STAGE_STYLE: dict[str, StyleName] = {
    **dict.fromkeys(("failed", "rejected", "timed_out", "rolled_back"), "critical"),
    **dict.fromkeys(("offered", "accepted", "applying", "verifying"), "accent"),
    "lost": "lost",
    "converged": "ok",
    "deferred": "stale",
}
_CELLS: dict[str, Callable[[Device, Now], Span]] = {
    "device": lambda device, _: Span(device.address.device),
    "release": lambda device, _: Span(device.release or "-", "dim"),
    "cpu": lambda device, _: _fraction(device, device.vitals.cpu),
    "memory": lambda device, _: _fraction(device, device.vitals.memory),
    "disk": lambda device, _: _fraction(device, device.vitals.disk),
    "temp": lambda device, _: _temperature(device),
    "seen": lambda device, now: Span(seen(device, now), "dim"),
    "modules": lambda device, _: _modules(device),
    "config": lambda device, _: Span(device.config.value, _CONFIG_STYLE.get(device.config, "dim")),
    "lifecycle": lambda device, _: Span(device.lifecycle, "dim"),
    "flags": lambda device, _: Span(" ".join(device.flags()) or "-", "dim"),
    "rollout": lambda device, _: Span(device.rollout or "-", "dim"),
    "stage": lambda device, _: Span(device.stage or "-", _STAGE_STYLE.get(device.stage or "", "dim")),
    "why": _why,
}
