"""The metrics of a fleet without a Prometheus: from the heartbeats of the last hour that are kept. Pure."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from fleetview.core.charts import Span, quantiles
from fleetview.core.device import Connectivity, Device
from fleetview.core.fleet import Fleet
from fleetview.core.panels import DEVICE_CHARTS, Panel, worst
from fleetview.core.samples import MINUTES, Figure, Hour
from fleetview.core.series import Answer, Series
from fleetview.tui.chart_lines import GUTTER
from fleetview.tui.device_pictures import MOST_PEERS, Frame, Picture, latest, minutes, picture_lines
from fleetview.tui.glyphs import Glyphs
from fleetview.tui.metrics import Found
from fleetview.tui.panel_lines import MOST_LISTED, panel_lines
from fleetview.tui.spans import EMPTY, Line, beside
from fleetview.tui.spans import Span as Text

_KEPT: Mapping[str, tuple[Figure, float]] = {
    "CPU": (Figure.CPU, 1.0),
    "memory": (Figure.MEMORY, 1.0),
    "temperature": (Figure.TEMPERATURE_C, 1.0),
    "p95 latency": (Figure.P95_S, 1.0),
    "round trip": (Figure.ROUND_TRIP_MS, 1e-3),
}
"""Which of the columns of WORST are kept, and the factor to their unit there."""
_STATES = Panel("devices by state", "", legend="{{state}}", list=True)


def fleet_page(
    fleet: Fleet, span: Span, column: str, frame: Frame, side: int, *, now_unix_s: float, glyphs: Glyphs
) -> list[Line]:
    """Of each figure the highest of all devices and what is usual; how many are in which state; the worst of a column."""
    width = frame.columns + GUTTER + 1
    pictures = list(_pictures(fleet, span, frame, now_unix_s))
    empty = [picture for picture in pictures if latest(picture.own) is None]
    drawn = [list(picture_lines(picture, (), frame, glyphs)) for picture in pictures if picture not in empty]
    lists = (_state_panel(fleet), _worst_panel(fleet, column))
    drawn += [list(panel_lines(panel, found, frame, width, glyphs)) for panel, found in lists]
    lines: list[Line] = []
    for first in range(0, len(drawn), side):
        row = [[*each, EMPTY] for each in drawn[first : first + side]]
        lines += beside(row[0], row[1], width, gap=3) if len(row) > 1 else row[0]
    if empty:
        words = ", ".join(picture.chart.title.partition(",")[0] for picture in empty)
        lines.append((Text(f" no device tells of {words}", "dim"),))
    return lines


def _pictures(fleet: Fleet, span: Span, frame: Frame, now_unix_s: float) -> Iterator[Picture]:
    hours = [hour for _, hour in _hours(fleet)][:MOST_PEERS]
    more = len(fleet.devices) - len(hours)
    for chart in DEVICE_CHARTS:
        if chart.figure is None:
            continue
        courses = [hour.last(chart.figure, now_unix_s) for hour in hours]
        highest = [max(known, default=None) for known in _by_minute(courses)]
        own, low, middle, high = (
            minutes(each, chart, span, frame.columns, now_unix_s) for each in (highest, *quantiles(courses, MINUTES))
        )
        note = f"{more:,} more devices are not in it" if more > 0 and len(hours) == MOST_PEERS else ""
        titled = chart._replace(title=f"{chart.title}, the highest")
        yield Picture(titled, span, own, (low, middle, high), note, "all devices")


def _by_minute(courses: Sequence[Sequence[float | None]]) -> Iterator[list[float]]:
    for minute in range(MINUTES):
        yield [value for course in courses if (value := course[minute]) is not None]


def _hours(fleet: Fleet) -> Iterator[tuple[Device, Hour]]:
    for device in fleet.devices.values():
        hour = fleet.samples.hour(device)
        if hour is not None:
            yield device, hour


def _state_panel(fleet: Fleet) -> tuple[Panel, Found]:
    counted = Counter(device.connectivity for device in fleet.devices.values())
    return _STATES, _found(({"state": state.value}, float(count)) for state, count in counted.items())


def _worst_panel(fleet: Fleet, column: str) -> tuple[Panel, Found]:
    panel = worst(column)
    if column not in _KEPT:
        return panel, Found(problem="not kept of heartbeats; w chooses another figure")
    figure, factor = _KEPT[column]
    values = [
        (value * factor, device)
        for device, hour in _hours(fleet)
        if device.connectivity is Connectivity.ONLINE and (value := hour.latest(figure)) is not None
    ]
    values.sort(key=lambda each: (-each[0], each[1].address))
    return panel, _found((device.address._asdict(), value) for value, device in values[:MOST_LISTED])


def _found(values: Iterable[tuple[dict[str, str], float]]) -> Found:
    series = tuple(Series(labels, array("d", [0.0]), array("d", [value])) for labels, value in values)
    return Found(Answer(series, (), (), False, 0.0, 0.0))
