"""A device's last hour in lines: each figure with its course, and beside it what is usual among its peers. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

from fleetview.core.charts import in_words
from fleetview.core.device import Connectivity, Device
from fleetview.core.fleet import Fleet
from fleetview.core.roster import site_of
from fleetview.core.samples import Figure
from fleetview.tui.columns import HOT, Now, percent
from fleetview.tui.glyphs import Glyphs
from fleetview.tui.spans import Line, Span, StyleName, fit

MOST_PEERS = 500
"""Devices of the same site that are looked at, once a second."""
_LABEL, _VALUE, _PEERS = 13, 9, 14
_MOST_CELLS = 60


class _Shown(NamedTuple):
    figure: Figure
    label: str
    text: Callable[[float], str]
    top: float | None
    """The value of a full cell; None: the largest of the hour."""
    hot: float | None = None


_SHOWN = (
    _Shown(Figure.CPU, "CPU", percent, 1.0, HOT),
    _Shown(Figure.MEMORY, "memory", percent, 1.0, HOT),
    _Shown(Figure.TEMPERATURE_C, "temperature", lambda value: f"{value:.0f} C", 100.0),
    _Shown(Figure.ERROR_RATE, "errors", lambda value: f"{value * 100:.1f}%", None),
    _Shown(Figure.P95_S, "p95", lambda value: f"{value * 1000:.0f} ms", None),
    _Shown(Figure.NETWORK_IN, "net in", lambda value: in_words(value, "bytes_per_second"), None),
    _Shown(Figure.NETWORK_OUT, "net out", lambda value: in_words(value, "bytes_per_second"), None),
    _Shown(Figure.ROUND_TRIP_MS, "round trip", lambda value: f"{value:.0f} ms", None),
)


def peers_of(fleet: Fleet, device: Device) -> list[Device]:
    """The other devices of its site that are online."""
    others = (other for other in fleet.sites.get(site_of(device), ()) if other is not device)
    return [other for other in islice(others, MOST_PEERS) if other.connectivity is Connectivity.ONLINE]


def chart_lines(fleet: Fleet, device: Device, now: Now, width: int, glyphs: Glyphs) -> Iterator[Line]:
    """A line for each figure that was said within the hour."""
    hour, peers = fleet.samples.watch(device), peers_of(fleet, device)
    cells = max(10, min(_MOST_CELLS, width - _LABEL - _VALUE - _PEERS - 4))
    said = False
    for shown in _SHOWN:
        course = hour.last(shown.figure, now.unix_s, cells)
        if not any(value is not None for value in course):
            continue
        said = True
        current = hour.latest(shown.figure) if device.connectivity is Connectivity.ONLINE else None
        style: StyleName = "degraded" if shown.hot is not None and (current or 0.0) >= shown.hot else "plain"
        usual = fleet.samples.median(peers, shown.figure)
        yield (
            Span(" " + fit(shown.label, _LABEL - 1), "dim"),
            Span(fit("-" if current is None else shown.text(current), _VALUE, right=True) + "  ", style),
            *_course(course, shown.top, glyphs),
            Span(f"  peers {shown.text(usual)}" if usual is not None else "", "dim"),
        )
    if not said:
        yield (Span(" no heartbeat since somebody looks: it begins here", "dim"),)


def _course(course: list[float | None], top: float | None, glyphs: Glyphs) -> Iterator[Span]:
    highest = top or max((value for value in course if value is not None), default=0.0) or 1.0
    steps = len(glyphs.levels) - 1
    first = next((place for place, value in enumerate(course) if value is not None), len(course))
    yield Span(glyphs.no_data * first, "rule")
    cells = (
        glyphs.no_data if value is None else glyphs.levels[max(0, min(steps, round(value / highest * steps)))]
        for value in course[first:]
    )
    yield Span("".join(cells), "accent")
