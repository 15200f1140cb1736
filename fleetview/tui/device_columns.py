"""The fleet table's columns from Prometheus: asked for while they are shown, drawn for the rows in sight only.

Where nobody answers, a history is drawn from the heartbeats that are kept; the line above the table says which it is.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fleetview.core.ages import rough_age
from fleetview.core.charts import Span as TimeSpan
from fleetview.core.charts import in_words
from fleetview.core.device import Device
from fleetview.core.devicecolumns import (
    CELLS,
    HISTORIES,
    MOST_AT_ONCE,
    DeviceColumn,
    Key,
    by_key,
    cells_of,
    history_span,
    history_window,
    key_of,
    selector_for,
)
from fleetview.core.series import Answer, Series
from fleetview.tui.columns import Column, Now
from fleetview.tui.glyphs import Glyphs
from fleetview.tui.metrics import Found
from fleetview.tui.spans import Line, Span, StyleName, fit

if TYPE_CHECKING:
    from fleetview.tui.app import FleetApp

SETTLED_S = 0.3
"""How long the rows must stand before those in sight are asked for: who scrolls past asks nothing."""
_READ_AT_ONCE = 1_000
"""Series: a millisecond. More are read in a thread, and drawn with the next second."""
_VALUE_WIDTH, _MARK_WIDTH = 9, 2
_CURRENT = 2
"""Cells whose value is still said: what is older is not current."""
_JUDGED: dict[str, StyleName] = {"degraded": "degraded", "critical": "critical"}


@dataclass(slots=True)
class _Read:
    """What was read of the answers to a column's query."""

    answer: Answer | None = None
    span: TimeSpan | None = None
    series: dict[Key, Series] = field(default_factory=dict)
    drawn: dict[Key, Line] = field(default_factory=dict)
    found: Found | None = None
    reading: asyncio.Task[None] | None = None

    def take(self, answer: Answer, span: TimeSpan | None, series: dict[Key, Series]) -> None:
        """There is a newer answer."""
        self.answer, self.span, self.series, self.drawn = answer, span, series, {}


class DeviceColumns:
    """The columns of one table."""

    def __init__(self, app: FleetApp) -> None:
        self._app = app
        self.known = {one.name: one for one in (*HISTORIES, *app.metrics.monitoring.columns)}
        self.specs = {name: _spec(one) for name, one in self.known.items()}
        self._read: dict[str, _Read] = {}
        self._asked_for: frozenset[Device] = frozenset()
        self._selector = ""
        self._moved_mono = -math.inf
        self._seen: frozenset[Device] = frozenset()

    def look(self, names: Sequence[str], in_sight: Callable[[int], Iterable[Device]], now: Now) -> None:
        """Ask for what is shown, where it is not known or old; what is not shown any more is forgotten.

        `in_sight` gives the devices of the rows that are shown, and of so many above and below them.
        """
        for name in [name for name in self._read if name not in names]:
            del self._read[name]
        if not names or not self._app.metrics.available:
            return
        settled = self._choose(in_sight, now)
        for name in names:
            self._look(self.known[name], now, ask=settled)

    def _choose(self, in_sight: Callable[[int], Iterable[Device]], now: Now) -> bool:
        """Which devices are asked for, and whether it is time to."""
        if len(self._app.fleet.devices) <= MOST_AT_ONCE:
            self._selector = ""
            return True
        seen = frozenset(in_sight(0))
        if seen != self._seen:
            self._seen, self._moved_mono = seen, now.mono_s
        settled = now.mono_s - self._moved_mono >= SETTLED_S
        if settled and not seen <= self._asked_for:
            self._asked_for = frozenset(in_sight(len(seen)))
            addresses = (device.address for device in self._asked_for)
            self._selector = selector_for(self._app.metrics.monitoring.labels, addresses)
        return settled and bool(self._selector)

    def _look(self, column: DeviceColumn, now: Now, *, ask: bool) -> None:
        metrics = self._app.metrics
        scrape_s, labels = metrics.monitoring.scrape_interval_s, metrics.monitoring.labels
        query = column.asked(labels, history_window(scrape_s), self._selector)
        if column.history:
            found = metrics.course(query, history_span(now.unix_s, scrape_s), 0.0, ask=ask)
        else:
            found = metrics.values(query, ask=ask)
        read = self._read.setdefault(column.name, _Read())
        read.found = found
        if found.answer is None or found.answer is read.answer or read.reading is not None:
            return
        if len(found.answer.series) <= _READ_AT_ONCE:
            read.take(found.answer, found.span, by_key(found.answer, labels))
        else:
            read.reading = asyncio.create_task(self._take(read, found.answer, found.span), name="columns")

    async def _take(self, read: _Read, answer: Answer, span: TimeSpan | None) -> None:
        try:
            series = await asyncio.to_thread(by_key, answer, self._app.metrics.monitoring.labels)
        finally:
            read.reading = None
        read.take(answer, span, series)

    def sorter(self, name: str) -> Callable[[Device], float | None] | None:
        """The newest value of a column by device; None for a column that is not known."""
        if name not in self.known:
            return None
        labels = self._app.metrics.monitoring.labels

        def value(device: Device) -> float | None:
            read = self._read.get(name)
            series = None if read is None else read.series.get(key_of(labels, device.address))
            return None if series is None or math.isnan(series.last) else series.last

        return value

    @property
    def sortable(self) -> bool:
        """Whether all devices are asked for, so that there is something to sort by."""
        return self._app.metrics.available and len(self._app.fleet.devices) <= MOST_AT_ONCE

    # -- what is drawn

    def cell(self, name: str, device: Device, now: Now, glyphs: Glyphs) -> Line:
        """What stands in a device's row, in exactly the column's width."""
        column, read = self.known[name], self._read.get(name)
        if read is None or read.answer is None:
            return self._kept(column, device, now, glyphs)
        key = key_of(self._app.metrics.monitoring.labels, device.address)
        line = read.drawn.get(key)
        if line is None:
            line = read.drawn[key] = self._drawn(column, read, key, glyphs)
        return line

    def _drawn(self, column: DeviceColumn, read: _Read, key: Key, glyphs: Glyphs) -> Line:
        series = read.series.get(key)
        if not column.history or read.span is None:
            return _value(column, None if series is None else series.last, glyphs)
        return _history(column, [None] * CELLS if series is None else cells_of(series, read.span), glyphs)

    def _kept(self, column: DeviceColumn, device: Device, now: Now, glyphs: Glyphs) -> Line:
        """From the heartbeats."""
        hour = None if column.figure is None or not column.history else self._app.fleet.samples.hour(device)
        if hour is None or column.figure is None:
            return _history(column, [None] * CELLS, glyphs) if column.history else _value(column, None, glyphs)
        found = [None if each is None else each * column.factor for each in hour.last(column.figure, now.unix_s, CELLS)]
        return _history(column, found, glyphs)

    def words(self, names: Sequence[str], now: Now) -> str:
        """Where what is shown comes from, how old it is, and what is missing."""
        if not names:
            return ""
        if not self._app.metrics.available:
            return "histories from heartbeats kept in memory (no Prometheus)"
        founds = [read.found for name in names if (read := self._read.get(name)) is not None and read.found is not None]
        problem = next((found.problem for found in founds if found.problem is not None), None)
        times = [found.answered_mono_s for found in founds if found.answered_mono_s is not None]
        if not times:
            return f"histories from heartbeats: {problem}" if problem else "asking Prometheus for columns"
        words = f"columns from Prometheus, {rough_age(now.mono_s - min(times))}"
        badges = dict.fromkeys(text for found in founds if found.answer is not None for text in found.answer.badge)
        return "; ".join(filter(None, (words, problem, *badges)))


def _spec(column: DeviceColumn) -> Column:
    value = _value_width(column)
    width = CELLS + 1 + value if column.history else max(value, len(column.title))
    hint = "the last hour" if column.history else "from Prometheus"
    return Column(column.title, width, hint, column.name, right=not column.history)


def _value_width(column: DeviceColumn) -> int:
    return _VALUE_WIDTH + _MARK_WIDTH * bool(column.thresholds)


def _value(column: DeviceColumn, value: float | None, glyphs: Glyphs) -> Line:
    return (_said(column, value, _spec(column).width, glyphs),)


def _said(column: DeviceColumn, value: float | None, width: int, glyphs: Glyphs) -> Span:
    """A value with its unit; a mark before one that is beyond a threshold, for colour alone must not tell that."""
    judged = None if value is None else column.judge(value)
    words = in_words(value, column.unit)
    if judged is None:
        return Span(fit(words, width, right=True), "dim")
    mark = glyphs.bad if judged == "critical" else glyphs.warning
    return Span(fit(f"{mark} {words}", width, right=True), _JUDGED[judged])


def _history(column: DeviceColumn, values: Sequence[float | None], glyphs: Glyphs) -> Line:
    known = [value for value in values if value is not None and math.isfinite(value)]
    highest = column.top or max(known, default=0.0) or 1.0
    steps = len(glyphs.levels) - 1
    cells = "".join(
        glyphs.no_data
        if value is None or math.isnan(value)
        else glyphs.levels[max(0, min(steps, round(min(max(value / highest, 0.0), 1.0) * steps)))]
        for value in values
    )
    last = next((value for value in reversed(values[-_CURRENT:]) if value is not None), None)
    style: StyleName = "accent" if known else "rule"
    return Span(cells, style), Span(" "), _said(column, last, _value_width(column), glyphs)
