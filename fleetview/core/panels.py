"""What is asked of Prometheus for the pictures: of one device and its peers, and the panels of a fleet. Text only."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from fleetview.core.charts import Unit
from fleetview.core.samples import Figure
from fleetview.core.series import quoted, re2_escaped
from fleetview.core.text import clean

if TYPE_CHECKING:
    from fleetview_agent.wire import Address

MOST_NAMED = 200
"""Peers that are named one by one, where no label says the site."""
DEFAULT_LABELS: Mapping[str, str] = {"tenant": "{tenant}", "site": "{site}", "device": "{device}"}
_PARTS = re.compile(r"\{(\w+)\}")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_LEGEND = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_MOST_LEGEND = 60
PEERS = ("low", "median", "high")
WHOSE = "fleetview"
"""The label in which an answer says whether it is the device's own or its peers'."""


class LabelsError(ValueError):
    """Labels that cannot be, in words."""


@dataclass(frozen=True, slots=True)
class DeviceLabels:
    """Which labels of a series say whose it is, and how they are made of an address: `{"instance": "{device}:9100"}`."""

    templates: Mapping[str, str] = field(default_factory=lambda: DEFAULT_LABELS)

    def check(self) -> None:
        """Raises LabelsError."""
        for name, template in self.templates.items():
            if _LABEL.fullmatch(name) is None:
                msg = f"{name!r} cannot be the name of a label"
                raise LabelsError(msg)
            if unknown := [part for part in _PARTS.findall(template) if part not in DEFAULT_LABELS]:
                msg = f"{name}: unknown part {{{unknown[0]}}}; known: {{tenant}}, {{site}}, {{device}}"
                raise LabelsError(msg)
        if not any("{device}" in template for template in self.templates.values()):
            msg = "no label holds {device}: devices could not be told apart"
            raise LabelsError(msg)

    def of(self, address: Address) -> dict[str, str]:
        """The labels of a device's series."""
        parts = address._asdict()
        return {name: _PARTS.sub(lambda found: parts[found[1]], text) for name, text in self.templates.items()}

    def own(self, address: Address) -> str:
        """What stands between the braces of a selector for one device."""
        return ",".join(f"{name}={quoted(value)}" for name, value in self.of(address).items())

    def peers(self, address: Address, others: Iterable[Address], release: str | None = None) -> str:
        """The same for the other devices of its site, or of a release; `others` are named where no label says the site."""
        own = self.of(address)
        telling = [name for name, text in self.templates.items() if "{device}" in text]
        if any("{site}" in text for text in self.templates.values()):
            if release is not None:  # of any site
                own = {name: value for name, value in own.items() if "{site}" not in self.templates[name] or name in telling}
            parts = [f"{name}{'!=' if name in telling else '='}{quoted(value)}" for name, value in own.items()]
            return ",".join(parts if release is None else [*parts, f"release={quoted(release)}"])
        name = telling[0]
        values = sorted(self.of(other)[name] for other in others if other != address)[:MOST_NAMED]
        return f"{name}=~{quoted('|'.join(re2_escaped(value) for value in values))}"

    @property
    def by(self) -> str:
        """What devices are told apart by, for `by (...)`."""
        return ", ".join(self.templates)


class DeviceChart(NamedTuple):
    """One picture of a device."""

    title: str
    unit: Unit
    query: str
    """With SELECTOR, BY and WINDOW to be put in."""
    figure: Figure | None = None
    """The same in the heartbeats that are kept."""
    factor: float = 1.0
    """From the unit of that to this one."""
    top: float | None = None


def _gauge(name: str) -> str:
    return f"max by (BY) (max_over_time({name}{{SELECTOR}}[WINDOW]))"


def _rate(name: str) -> str:
    return f"sum by (BY) (rate({name}{{SELECTOR}}[WINDOW]))"


DEVICE_CHARTS = (
    DeviceChart("CPU", "percent", _gauge("fleet_device_cpu_ratio"), Figure.CPU, top=1.0),
    DeviceChart("memory", "percent", _gauge("fleet_device_memory_ratio"), Figure.MEMORY, top=1.0),
    DeviceChart("temperature", "celsius", _gauge("fleet_device_temperature_celsius"), Figure.TEMPERATURE_C),
    DeviceChart(
        "error rate",
        "percent",
        "sum by (BY) (rate(fleet_request_errors_total{SELECTOR}[WINDOW]))"
        " / sum by (BY) (rate(fleet_requests_total{SELECTOR}[WINDOW]))",
        Figure.ERROR_RATE,
    ),
    DeviceChart("p95 latency", "seconds", _gauge("fleet_request_duration_p95_seconds"), Figure.P95_S),
    DeviceChart("round trip", "seconds", _gauge("fleet_device_rtt_seconds"), Figure.ROUND_TRIP_MS, factor=1e-3),
    DeviceChart("network in", "bytes_per_second", _rate("fleet_network_receive_bytes_total"), Figure.NETWORK_IN),
    DeviceChart("network out", "bytes_per_second", _rate("fleet_network_transmit_bytes_total"), Figure.NETWORK_OUT),
    DeviceChart("reconnects", "count", "sum by (BY) (increase(fleet_device_reconnects_total{SELECTOR}[WINDOW]))"),
)


def window_of(step_s: float, scrape_interval_s: float) -> str:
    """Over which time a point looks back: all since the one before, but four scrapes at least, for a rate needs two."""
    return f"{max(1, round(max(step_s, 4 * scrape_interval_s)))}s"


def device_query(chart: DeviceChart, labels: DeviceLabels, address: Address, peers: str, window: str) -> str:
    """One query for a device's own course and for the quartiles and the median of its peers, which a selector means."""

    def of(selector: str) -> str:
        text = chart.query.replace("BY", labels.by).replace("WINDOW", window)
        return text.replace("SELECTOR", selector)  # last: it holds names from outside

    others = of(peers)
    parts = [f'label_replace(max({of(labels.own(address))}), "{WHOSE}", "own", "", "")']
    for part, name in zip((0.25, 0.5, 0.75), PEERS, strict=True):
        parts.append(f'label_replace(quantile({part}, {others}), "{WHOSE}", "{name}", "", "")')
    return " or ".join(parts)


def marks_query(labels: DeviceLabels, address: Address) -> str:
    """One query for what happened to a device: alerts that fired, releases and configurations that it ran, its starts."""
    own = labels.own(address)
    uptime = f"fleet_device_uptime_seconds{{{own}}}"
    parts = {
        "alert": f'ALERTS{{alertstate="firing",{own}}}',
        "release": f"group by (release) (fleet_device_heartbeat_interval_seconds{{{own}}})",
        "config": f"max(fleet_device_config_version{{{own}}})",
        "session": f"max(timestamp({uptime}) - {uptime})",
    }
    return " or ".join(f'label_replace({query}, "{WHOSE}", "{kind}", "", "")' for kind, query in parts.items())


@dataclass(frozen=True, slots=True)
class Panel:
    """A picture of the fleet."""

    title: str
    query: str
    """PromQL; `$window` in it becomes the time that a point looks back."""
    unit: Unit = "count"
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """`degraded` and `critical`: from where on a value is that."""
    legend: str = ""
    """How a series is called, with labels as `{{release}}`; empty for all of its labels."""
    list: bool = False
    """Values as they are now, the largest first, instead of their course."""
    below: bool = False
    """Values below the thresholds are bad, not those above."""
    from_bounds: bool = False
    """The thresholds are in the picture however far away they are."""

    def asked(self, window: str) -> str:
        """The query as it is sent."""
        return self.query.replace("$window", window)

    def judge(self, value: float | None) -> str | None:
        """`critical`, `degraded` or None."""
        for name in ("critical", "degraded"):
            bound = self.thresholds.get(name)
            if value is not None and bound is not None and (value <= bound if self.below else value >= bound):
                return name
        return None

    def name_of(self, labels: Mapping[str, str], without: Container[str] = ()) -> str:
        """What a series is called; harmless and short. Without a legend, by its labels `without` some."""
        if self.legend:
            text = _LEGEND.sub(lambda found: labels.get(found[1], "-"), self.legend)
        else:
            text = " ".join(
                f"{name}={value}" for name, value in sorted(labels.items()) if name != "__name__" and name not in without
            )
            text = text or labels.get("__name__", "all")
        return clean(text[:_MOST_LEGEND])


_DEVICE = "{{site}}/{{device}}"
WORST: Mapping[str, tuple[str, Unit]] = {
    "CPU": ("topk(10, max by (tenant, site, device) (fleet_device_cpu_ratio))", "percent"),
    "memory": ("topk(10, max by (tenant, site, device) (fleet_device_memory_ratio))", "percent"),
    "disk": ("topk(10, max by (tenant, site, device) (fleet_device_disk_ratio))", "percent"),
    "temperature": ("topk(10, max by (tenant, site, device) (fleet_device_temperature_celsius))", "celsius"),
    "p95 latency": ("topk(10, max by (tenant, site, device) (fleet_request_duration_p95_seconds))", "seconds"),
    "round trip": ("topk(10, max by (tenant, site, device) (fleet_device_rtt_seconds))", "seconds"),
    "errors logged": (
        'topk(10, sum by (tenant, site, device) (rate(fleet_device_log_records_total{level="error"}[$window])))',
        "per_second",
    ),
    "lost heartbeats": (
        "topk(10, sum by (tenant, site, device) (increase(fleet_device_lost_heartbeats_total[$window])))",
        "count",
    ),
    "spool": ("topk(10, max by (tenant, site, device) (fleet_device_spool_records))", "count"),
}


def worst(column: str) -> Panel:
    """The ten devices that are worst in one respect, of WORST."""
    query, unit = WORST[column]
    return Panel(f"worst ten by {column}", query, unit, legend=_DEVICE, list=True)


def worst_by(title: str, query: str, unit: Unit, thresholds: Mapping[str, float]) -> Panel:
    """The ten devices of which a query with one series for each tells the most."""
    return Panel(f"worst ten by {title}", f"topk(10, {query})", unit, thresholds, list=True)


DEFAULT_PANELS: Sequence[Panel] = (
    Panel("devices by state", "count by (state) (fleet_device_connectivity == 1)", legend="{{state}}"),
    Panel(
        "error rate by release",
        "sum by (release) (rate(fleet_request_errors_total[$window]))"
        " / sum by (release) (rate(fleet_requests_total[$window]))",
        "percent",
        {"degraded": 0.01, "critical": 0.05},
        "{{release}}",
    ),
    Panel(
        "p95 latency by release, the worst device",
        "max by (release) (fleet_request_duration_p95_seconds)",
        "seconds",
        {"degraded": 1.0},
        "{{release}}",
    ),
    Panel(
        "log records by level",
        "sum by (level) (rate(fleet_device_log_records_total[$window]))",
        "per_second",
        legend="{{level}}",
    ),
)

_POSITION = re.compile(r"(?:^|[\s:])(\d+):(\d+): (?:parse error|.*error)")


def position_of(words: str) -> int | None:
    """The column, from 0, at which Prometheus says that a query of one line is wrong; None when it does not say."""
    found = _POSITION.search(words)
    return int(found[2]) - 1 if found and found[1] == "1" else None
