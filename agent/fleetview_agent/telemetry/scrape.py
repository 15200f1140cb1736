"""From what an application shows to the few numbers that heartbeats carry. No I/O.

Lines that nobody chose are passed over before they are parsed: an endpoint shows thousands of series, of which a heartbeat
carries a handful.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from fleetview_agent.telemetry.counters import Counters
from fleetview_agent.telemetry.spec import Scrape, Selection

MOST_METRICS = 200
"""That one endpoint adds to a heartbeat."""
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_PARTS_OF_A_DISTRIBUTION = frozenset({"le", "quantile"})
"""Series with these labels are not to be added up: they are chosen by this label, or not at all."""


class ScrapeError(Exception):
    """An endpoint's answer cannot be used. Says why."""


@dataclass(slots=True)
class Chosen:
    """What was chosen of one answer: the series by the name that a heartbeat has for them."""

    series: dict[str, dict[Hashable, float]] = field(default_factory=dict)
    left_out: int = 0
    """Names beyond MOST_METRICS, or that the contract does not allow."""


class Choice:
    """Which numbers are taken from an endpoint."""

    def __init__(self, scrape: Scrape) -> None:
        self._selections = [(selection, re.compile(selection.pattern)) for selection in scrape.selections]
        self._prefix = scrape.prefix or ""
        names = "|".join(f"(?:{selection.pattern})" for selection, _ in self._selections)
        self._wanted = re.compile(rf"(?:{names})(?=[\s{{])")

    def of(self, text: str) -> Chosen:
        """What an answer holds of it. Raises ScrapeError."""
        chosen = Chosen()
        for sample in self._samples(text):
            for selection, name in self._selections:
                if name.fullmatch(sample.name) and _has_labels(sample, dict(selection.labels)):
                    self._add(chosen, selection, sample)
                    break
        return chosen

    def _samples(self, text: str) -> Iterator[Sample]:
        lines = [line for line in text.split("\n") if self._wanted.match(line)]
        try:
            for family in text_string_to_metric_families("\n".join([*lines, ""])):
                yield from family.samples
        except (ValueError, IndexError, KeyError) as err:
            msg = f"not the text format of Prometheus: {err}"
            raise ScrapeError(msg[:200]) from None

    def _add(self, chosen: Chosen, selection: Selection, sample: Sample) -> None:
        if not math.isfinite(sample.value):
            return  # the contract has no word for it
        name = selection.alias or self._prefix + sample.name
        is_new = name not in chosen.series
        if _NAME.fullmatch(name) is None or (is_new and len(chosen.series) >= MOST_METRICS):
            chosen.left_out += 1
            return
        key = (sample.name, *sorted(sample.labels.items()))
        chosen.series.setdefault(name, {})[key] = sample.value


def _has_labels(sample: Sample, wanted: Mapping[str, str]) -> bool:
    if any(label in sample.labels and label not in wanted for label in _PARTS_OF_A_DISTRIBUTION):
        return False
    return all(fnmatchcase(sample.labels.get(label, ""), value) for label, value in wanted.items())


def figures(chosen: Chosen, source: str, counters: Counters) -> Mapping[str, float]:
    """The numbers: what ends in `_total` counts up within the session, all else is the sum of its series."""
    found: dict[str, float] = {}
    for name, series in chosen.series.items():
        if not name.endswith("_total"):
            found[name] = math.fsum(series.values())
            continue
        total = counters.take(name, (((source, key), value) for key, value in series.items()))
        if total is None:
            chosen.left_out += 1
        else:
            found[name] = total
    return found
