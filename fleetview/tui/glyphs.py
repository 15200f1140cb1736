"""State as a glyph, a word and a style, so that colour carries nothing alone."""

from __future__ import annotations

from dataclasses import dataclass

from fleetview.core.device import Connectivity, Device
from fleetview.core.trouble import Trouble, trouble_of
from fleetview.tui.spans import Span, StyleName


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The characters of one kind of terminal. All are one cell wide in every font."""

    trouble: dict[Trouble, str]
    folded: str
    unfolded: str
    rule: str
    bar: str
    dot: str
    warning: str
    bad: str
    late: str
    crumb: str
    """Between the steps of a trail."""
    up: str
    down: str
    selected: str
    changed: str
    bar_cell: str
    no_data: str
    levels: str
    """Eight heights, the lowest first."""


UNICODE = Glyphs(
    trouble={
        Trouble.LOST: "○",
        Trouble.CRITICAL: "✗",
        Trouble.DEGRADED: "▲",
        Trouble.STALE: "◌",
        Trouble.OFFLINE: "□",
        Trouble.SLEEPING: "☾",
        Trouble.UNSEEN: "·",
        Trouble.OK: "●",
    },
    folded="▶",
    unfolded="▼",
    rule="─",
    bar="▏",
    dot="●",
    warning="▲",
    bad="✗",
    late="↶",
    crumb="›",
    up="▲",
    down="▼",
    selected="◆",
    changed="•",
    bar_cell="▇",
    no_data="·",
    levels="▁▂▃▄▅▆▇█",
)
ASCII = Glyphs(
    trouble={
        Trouble.LOST: "o",
        Trouble.CRITICAL: "X",
        Trouble.DEGRADED: "!",
        Trouble.STALE: "~",
        Trouble.OFFLINE: "-",
        Trouble.SLEEPING: "z",
        Trouble.UNSEEN: ".",
        Trouble.OK: "*",
    },
    folded=">",
    unfolded="v",
    rule="-",
    bar="|",
    dot="*",
    warning="!",
    bad="X",
    late="<",
    crumb=">",
    up="^",
    down="v",
    selected="+",
    changed="'",
    bar_cell="=",
    no_data=" ",
    levels="_.:-=+*#",
)

_BAD, _ODD = 1, 3
"""Ranks of severities up to which they are drawn as critical, and as degraded."""
_STYLE: dict[Trouble, StyleName] = {
    Trouble.LOST: "lost",
    Trouble.CRITICAL: "critical",
    Trouble.DEGRADED: "degraded",
    Trouble.STALE: "stale",
    Trouble.OFFLINE: "offline",
    Trouble.SLEEPING: "sleeping",
    Trouble.UNSEEN: "unseen",
    Trouble.OK: "ok",
}
_CONNECTIVITY = {
    Connectivity.LOST: Trouble.LOST,
    Connectivity.STALE: Trouble.STALE,
    Connectivity.OFFLINE: Trouble.OFFLINE,
    Connectivity.SLEEPING: Trouble.SLEEPING,
    Connectivity.UNSEEN: Trouble.UNSEEN,
    Connectivity.ONLINE: Trouble.OK,
}
_HEALTH = {"critical": Trouble.CRITICAL, "degraded": Trouble.DEGRADED, "ok": Trouble.OK}


def trouble_span(trouble: Trouble, glyphs: Glyphs, count: int | None = None) -> Span:
    """`✗ 3 critical`, or `✗ critical` without a count."""
    number = "" if count is None else f"{count:,} "
    return Span(f"{glyphs.trouble[trouble]} {number}{trouble.text}", _STYLE[trouble])


def severity_look(rank: int) -> tuple[Trouble, StyleName]:
    """Like which trouble an alert that fires is drawn, by the rank of its severity."""
    if rank <= _BAD:
        return Trouble.CRITICAL, "critical"
    return (Trouble.DEGRADED, "degraded") if rank <= _ODD else (Trouble.OK, "plain")


def style_of(device: Device) -> StyleName:
    """The style of a device's worst trouble."""
    return _STYLE[trouble_of(device)]


def connectivity_span(device: Device, glyphs: Glyphs) -> Span:
    """`○ lost`; with a question mark when nothing live stands behind it."""
    trouble = _CONNECTIVITY[device.connectivity]
    doubt = "" if device.confirmed or device.connectivity is Connectivity.UNSEEN else "?"
    return Span(f"{glyphs.trouble[trouble]} {device.connectivity.value}{doubt}", _STYLE[trouble])


def health_span(device: Device, glyphs: Glyphs) -> Span:
    """`✗ critical`; `? critical` for what a device reported before it went away: never passed off as current."""
    if device.health is None:
        return Span("-", "dim")
    if device.connectivity is not Connectivity.ONLINE:
        return Span(f"? {device.health}", "dim")
    trouble = _HEALTH[device.health]
    return Span(f"{glyphs.trouble[trouble]} {device.health}", _STYLE[trouble])
