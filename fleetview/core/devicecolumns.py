"""Columns of the fleet table that Prometheus fills: what is asked for them, and which series belongs to which device.

One query for all devices at a time. Of a fleet that is too large for that, one for those in sight.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fleetview.core.charts import Span, Unit, course
from fleetview.core.panels import DEVICE_CHARTS, DeviceLabels, window_of
from fleetview.core.samples import Figure
from fleetview.core.series import Answer, Series, quoted, re2_escaped

if TYPE_CHECKING:
    from fleetview_agent.wire import Address

CELLS = 12
"""Of a history: five minutes each."""
HISTORY_S = 3600.0
MOST_AT_ONCE = 5_000
"""Devices of a fleet up to which all are asked for, about 4 MB a column; of a larger one those in sight."""

MOST_TITLE = 20
OWN_COLUMNS = frozenset({
    "state", "health", "device", "site", "release", "cpu", "memory", "disk", "temp", "seen", "modules", "config",
    "lifecycle", "flags", "rollout", "stage", "alerts", "why",
})  # fmt: skip
"""The names of the columns that the fleet table has anyway."""
Key = tuple[str, ...]
"""The labels that say whose a series is, by their values."""


@dataclass(frozen=True, slots=True)
class DeviceColumn:
    """A column."""

    name: str
    title: str
    query: str
    """PromQL. `$window` becomes the time that a point looks back, `$selector` what means the devices, `$by` their labels."""
    unit: Unit = "count"
    history: bool = False
    """The last hour, and not only the value now."""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    figure: Figure | None = None
    """The same in the heartbeats that are kept."""
    factor: float = 1.0
    """From the unit of that to this one."""
    top: float | None = None
    """The value of a full cell; None: the largest of the row."""

    def judge(self, value: float) -> str | None:
        """`critical`, `degraded` or None."""
        return next((name for name in ("critical", "degraded") if value >= self.thresholds.get(name, math.inf)), None)

    def asked(self, labels: DeviceLabels, window: str, selector: str = "") -> str:
        """The query as it is sent."""
        text = self.query.replace("$by", labels.by).replace("$window", window)
        return text.replace("$selector", selector)  # last: it holds names from outside


HISTORIES = tuple(
    DeviceColumn(
        f"{chart.title} history",
        f"{chart.title.upper()} 1H",
        chart.query.replace("BY", "$by").replace("WINDOW", "$window").replace("SELECTOR", "$selector"),
        chart.unit,
        history=True,
        figure=chart.figure,
        factor=chart.factor,
        top=chart.top,
    )
    for chart in DEVICE_CHARTS
)


def column_problems(columns: Sequence[DeviceColumn]) -> list[str]:
    """What is wrong with a person's own columns."""
    names = [column.name for column in columns]
    taken = {column.name for column in HISTORIES}
    found = [f"{name!r} is there twice" for name in dict.fromkeys(names) if names.count(name) > 1]
    for column in columns:
        name = column.name
        if not name.strip() or name.startswith("label.") or name in taken or name in OWN_COLUMNS:
            found.append(f"{name!r} cannot be a column's name: it is empty, or that of another one")
        if not column.query.strip():
            found.append(f"{name!r} has no query")
        if len(column.title) > MOST_TITLE:
            found.append(f"{name!r}: the title {column.title!r} is longer than {MOST_TITLE} characters")
    return found


def history_span(now_unix_s: float, scrape_interval_s: float) -> Span:
    """The last hour in CELLS steps, up to the last scrape."""
    least = max(1, math.ceil(scrape_interval_s))
    end = math.floor(now_unix_s / least) * least
    return Span(end - HISTORY_S, end, HISTORY_S / CELLS)


def history_window(scrape_interval_s: float) -> str:
    """How far back each of its points looks."""
    return window_of(HISTORY_S / CELLS, scrape_interval_s)


def selector_for(labels: DeviceLabels, addresses: Iterable[Address]) -> str:
    """What stands between the braces of a selector for some devices: more may be meant, never fewer."""
    name = next(name for name, text in labels.templates.items() if "{device}" in text)
    values = sorted({labels.of(address)[name] for address in addresses})
    return f"{name}=~{quoted('|'.join(map(re2_escaped, values)))}"


def key_of(labels: DeviceLabels, address: Address) -> Key:
    """The key of a device's series."""
    return tuple(labels.of(address).values())


def by_key(answer: Answer, labels: DeviceLabels) -> dict[Key, Series]:
    """The series of an answer by whose they are; of several of one device, the first."""
    names = tuple(labels.templates)
    found: dict[Key, Series] = {}
    for series in answer.series:
        found.setdefault(tuple(series.labels.get(name, "") for name in names), series)
    return found


def cells_of(series: Series, span: Span) -> Sequence[float | None]:
    """The last hour of a device, a value for each cell."""
    return course(series, span, CELLS)
