"""What happened to a device in a stretch of time: from its own timeline, and from what Prometheus remembers of it.

The timeline begins when this program did; Prometheus knows of the weeks before. What both tell is told once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from fleetview.core.charts import Span
from fleetview.core.device import Device
from fleetview.core.panels import WHOSE
from fleetview.core.series import Answer, Series
from fleetview.core.staged import WaveBegan
from fleetview.core.text import clean

KINDS = ("alert", "release", "rollout", "session", "config", "connectivity", "module", "health")
"""Of what is marked on a time axis, the most telling first."""
_RESTART_S = 120.0
"""A start that is told so much later than another is another: heartbeats are told again until the next one comes."""
_TOLD_TWICE = frozenset({"release", "config", "session"})


class Happened(NamedTuple):
    """One thing."""

    unix_s: float
    kind: str
    """One of KINDS."""
    text: str


def happened(device: Device, marks: Answer | None, span: Span, waves: Iterable[WaveBegan] = ()) -> list[Happened]:
    """What happened in a time, the newest last. `marks` answers `panels.marks_query`; `waves` are of its rollout."""
    own = [
        Happened(event.unix_s, event.kind, event.text)
        for event in device.events or ()
        if event.kind in KINDS and span.begin_s < event.unix_s <= span.end_s
    ]
    found = [] if marks is None else list(_remembered(marks, span))
    near_s = 2 * span.step_s + _RESTART_S
    told = [one for one in found if not (one.kind in _TOLD_TWICE and _is_near(one, own, near_s))]
    began = [
        Happened(wave.unix_s, "rollout", clean(wave.text)) for wave in waves if span.begin_s < wave.unix_s <= span.end_s
    ]
    return sorted((*own, *told, *began))


def _is_near(one: Happened, others: Iterable[Happened], near_s: float) -> bool:
    return any(other.kind == one.kind and abs(other.unix_s - one.unix_s) <= near_s for other in others)


def _remembered(marks: Answer, span: Span) -> Iterator[Happened]:
    by_kind: dict[str, list[Series]] = {}
    for series in marks.series:
        by_kind.setdefault(series.labels.get(WHOSE, "alert"), []).append(series)
    for series in by_kind.get("alert", ()):
        for at in _begins(series, span):
            yield Happened(at, "alert", f"alert {clean(series.labels.get('alertname', '?'))} fires")
    yield from _releases(by_kind.get("release", ()), span)
    for series in by_kind.get("config", ()):
        for at, before, now in _changes(series):
            if span.begin_s < at <= span.end_s:
                yield Happened(at, "config", f"config {before:.0f} -> {now:.0f}")
    for series in by_kind.get("session", ()):
        for at in _starts(series):
            if span.begin_s < at <= span.end_s:
                yield Happened(at, "session", "the agent started")


def _begins(series: Series, span: Span) -> Iterator[float]:
    """When a series began or came back."""
    before = span.begin_s
    for at in series.times_s:
        if at - before > 2 * span.step_s and span.begin_s < at <= span.end_s:
            yield at
        before = at


def _releases(all_series: Iterable[Series], span: Span) -> Iterator[Happened]:
    """When a device began to run another release than before."""
    points = sorted((at, series.labels.get("release", "")) for series in all_series for at in series.times_s)
    before = ""
    for at, release in points:
        if release and before and release != before and span.begin_s < at <= span.end_s:
            yield Happened(at, "release", f"release {clean(before)} -> {clean(release)}")
        before = release or before


def _changes(series: Series) -> Iterator[tuple[float, float, float]]:
    """When a value changed, from what and to what."""
    before = math.nan
    for at, value in zip(series.times_s, series.values, strict=True):
        if not math.isnan(value):
            if value != before and not math.isnan(before):
                yield at, before, value
            before = value


def _starts(series: Series) -> list[float]:
    """The moments at which an agent started, which are the values of a series: all but the first in it."""
    found: list[float] = []
    for value in series.values:
        if not math.isfinite(value):
            continue
        if not found or value > found[-1] + _RESTART_S:
            found.append(value)
        found[-1] = min(found[-1], value)
    return found[1:]
