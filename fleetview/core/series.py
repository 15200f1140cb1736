"""What Prometheus answers, typed; and what is asked of it: selectors that escape, steps that are not refused."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fleetview.core.servers import told

MAX_POINTS_EACH = 11_000
"""Of one series: Prometheus answers HTTP 400 to more."""
MAX_SERIES = 20_000
MAX_POINTS = 1_000_000
"""Of one answer, 16 bytes each."""
MAX_WARNINGS = 10
_SPECIAL = frozenset(".+*?()|[]{}^$\\")
_NOT_HEARD = (
    "receive series from ",
    "failed to receive any data in ",
    "fetch series for ",
    "No StoreAPIs matched for this query",
    "fetching rules from rules client ",
    "receiving rules from rules client ",
)
"""Source: Thanos, pkg/store/proxy.go, proxy_merge.go, pkg/rules/proxy.go."""


class NotAnAnswerError(ValueError):
    """The JSON is not what Prometheus' API answers."""


@dataclass(frozen=True, slots=True)
class Series:
    """One series of an answer: `times_s[i]` (Unix, by the server's clock) goes with `values[i]`."""

    labels: Mapping[str, str]
    """As received: hostile until cleaned."""
    times_s: array[float]
    values: array[float]
    """NaN and the infinities are values like any other; Prometheus means them."""

    @property
    def last(self) -> float:
        """The newest value; NaN when there is none."""
        return self.values[-1] if self.values else math.nan


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one query."""

    series: tuple[Series, ...]
    warnings: tuple[str, ...]
    infos: tuple[str, ...]
    partial: bool
    """The server says that data is missing (Thanos, VictoriaMetrics)."""
    received_mono_s: float
    received_unix_s: float
    took_s: float = 0.0
    dropped_series: int = 0
    """Series beyond our bounds, which are not in `series`."""
    histograms: int = 0
    """Series that hold native histograms only, which are not shown."""
    text: str | None = field(default=None)
    """Of a query whose answer is a string."""

    @property
    def points(self) -> int:
        """How many values it holds."""
        return sum(len(one.values) for one in self.series)

    @property
    def badge(self) -> tuple[str, ...]:
        """Why the answer is not the whole truth, one sentence each; empty when it is."""
        found = ["the server says that the answer is partial"] if self.partial else []
        found += self.warnings
        if self.dropped_series:
            found.append(f"{self.dropped_series} more series are not shown: narrow the query down")
        if self.histograms:
            found.append(f"{self.histograms} native histograms are not shown")
        return (*found, *self.infos)


def read_answer(body: object, *, mono_s: float, unix_s: float, took_s: float = 0.0) -> Answer:
    """The answer in the body of `/api/v1/query` or `/api/v1/query_range`. Raises NotAnAnswerError.

    The elements of its result may have gone through `series_of` already.
    """
    try:
        return _Reader(body).answer(mono_s, unix_s, took_s)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as err:
        msg = "this is not an answer of Prometheus' query API"
        raise NotAnAnswerError(msg) from err


def says_missing(warnings: Iterable[str]) -> bool:
    """Whether warnings say that a part was not heard: Thanos (0.36) has no other sign of a partial answer."""
    return any(word in text for text in warnings for word in _NOT_HEARD)


def series_of(item: Any) -> Any:  # noqa: ANN401 (an element of JSON)
    """An element of a result as a Series; anything else as it is. Taken at once, for the lists are ten times as large."""
    if not isinstance(item, dict):
        return item
    labels, samples = item.get("metric"), item.get("values")
    if samples is None and "value" in item:
        samples = [item["value"]]
    if not isinstance(labels, dict) or not isinstance(samples, list):
        return item
    try:
        return _series(labels, samples)
    except (TypeError, ValueError):
        return item


def _series(labels: dict[str, str], samples: Sequence[Sequence[float | str]]) -> Series:
    times, values = array("d"), array("d")
    for at, value in samples:
        times.append(float(at))
        values.append(float(value))  # "NaN", "+Inf" and "-Inf" are Python's words too
    return Series({str(name): str(text) for name, text in labels.items()}, times, values)


class _Reader:
    def __init__(self, body: object) -> None:
        if not isinstance(body, dict) or body.get("status") != "success":
            raise ValueError(body)
        self._body = body
        self._series: list[Series] = []
        self._points = self._dropped = self._histograms = 0

    def answer(self, mono_s: float, unix_s: float, took_s: float) -> Answer:
        data = self._body["data"]
        kind, result = data["resultType"], data["result"]
        text = None
        if kind == "scalar":
            self._add(_series({}, [result]))
        elif kind == "string":
            text = told(str(result[1]))
        elif kind in {"vector", "matrix"}:
            for item in result:
                self._take(item)
        else:
            raise ValueError(kind)
        partial = self._body.get("isPartial") is True or says_missing(read_texts(self._body.get("warnings")))
        return Answer(
            tuple(self._series),
            read_texts(self._body.get("warnings")),
            read_texts(self._body.get("infos")),
            partial,
            mono_s,
            unix_s,
            took_s,
            self._dropped,
            self._histograms,
            text,
        )

    def _take(self, item: object) -> None:
        one = series_of(item)
        if isinstance(one, Series):
            self._add(one)
        elif isinstance(item, dict) and ("histogram" in item or "histograms" in item):
            self._histograms += 1
        else:
            raise TypeError(item)

    def _add(self, one: Series) -> None:
        if len(self._series) >= MAX_SERIES or self._points + len(one.values) > MAX_POINTS:
            self._dropped += 1
            return
        self._points += len(one.values)
        self._series.append(one)


def read_texts(found: object) -> tuple[str, ...]:
    """A list of warnings or infos: harmless, short, and not too many."""
    return tuple(told(str(item)) for item in found[:MAX_WARNINGS]) if isinstance(found, list) else ()


def step_s(range_s: float, columns: int, scrape_interval_s: float) -> float:
    """The seconds between points: one a column, but none between two scrapes, and never more points than are allowed."""
    fewest = range_s / (MAX_POINTS_EACH - 1)  # both ends count
    return max(scrape_interval_s, range_s / max(1, columns), fewest, 0.001)


def sample_age(selected: str) -> str:
    """The query for how old the samples of a selector are, in seconds.

    An instant query answers with a value up to five minutes after the last scrape, as if it were of now.
    """
    return f"time() - timestamp({selected})"


def quoted(value: str) -> str:
    """A text as a string literal of PromQL."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def selector(metric: str, labels: Mapping[str, str]) -> str:
    """`metric{name="value",...}` for labels with any text."""
    inside = ",".join(f"{name}={quoted(value)}" for name, value in labels.items())
    return f"{metric}{{{inside}}}"


def re2_escaped(text: str) -> str:
    """A text as a pattern that means nothing else, for RE2, which refuses some of what `re.escape` writes."""
    return "".join(f"\\{char}" if char in _SPECIAL else char for char in text)
