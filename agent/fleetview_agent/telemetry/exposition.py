"""The collector's own `/metrics`, for a Prometheus on the same machine.

Vitals bear the names that `fleetview export` has for them, without its `fleet_`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import get_args

from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from fleetview_agent.telemetry.machine import Sensor, Traffic, Usage
from fleetview_agent.wire import ModuleInfo, ModuleState, Resources

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Scraped:
    """How the last look at an endpoint went."""

    is_up: bool
    took_s: float


@dataclass(slots=True)
class Exhibit:
    """What there is to show."""

    vitals: Resources = field(default_factory=Resources)
    load: float | None = None
    traffic: Mapping[str, Traffic] = field(default_factory=dict)
    sensors: Sequence[Sensor] = ()
    modules: Sequence[ModuleInfo] = ()
    usage: Mapping[str, Usage] = field(default_factory=dict)
    module_cpu_s: Mapping[str, float] = field(default_factory=dict)
    """Processor time of modules over all their processes of this session."""
    scraped: Mapping[str, Scraped] = field(default_factory=dict)
    """By URL."""

    def collect(self) -> Iterator[Metric]:
        """As prometheus_client asks for it."""
        yield from self._vitals()
        yield from self._network()
        yield from self._modules()
        yield from self._scrapes()

    def text(self) -> str:
        """In the text format of Prometheus."""
        return generate_latest(self).decode()

    def _vitals(self) -> Iterator[Metric]:
        vitals = self.vitals
        for name, words, value in (
            ("device_cpu_ratio", "Used part of the processors, 0 to 1.", vitals.cpu),
            ("device_memory_ratio", "Used part of the memory, 0 to 1.", vitals.memory),
            ("device_disk_ratio", "Used part of the disk, 0 to 1.", vitals.disk),
            ("device_temperature_celsius", "Temperature of the device.", vitals.temperature_c),
            ("device_load1", "Processes that run or want to, mean of a minute.", self.load),
        ):
            if value is not None:
                yield GaugeMetricFamily(name, words, value=float(value))
        family = GaugeMetricFamily("device_sensor_celsius", "Temperature by sensor.", labels=["sensor", "place"])
        for sensor in self.sensors:
            family.add_metric([sensor.name, sensor.place], sensor.celsius)
        yield family

    def _network(self) -> Iterator[Metric]:
        for field_name in Traffic._fields:
            words = f"{field_name.replace('_', ' ')} of an interface since the machine started."
            family = CounterMetricFamily(f"network_{field_name}", words.capitalize(), labels=["interface"])
            for name, counts in self.traffic.items():
                family.add_metric([name], getattr(counts, field_name))
            yield family

    def _modules(self) -> Iterator[Metric]:
        state = GaugeMetricFamily("module_state", "1 for the state that a module is in.", labels=["module", "state"])
        restarts = CounterMetricFamily("module_restarts", "Restarts of a module.", labels=["module"])
        for info in self.modules:
            for each in get_args(ModuleState):
                state.add_metric([info.name, each], float(info.state == each))
            restarts.add_metric([info.name], info.restarts)
        cpu = CounterMetricFamily("module_cpu_seconds", "Processor time of a module's processes.", labels=["module"])
        for name, seconds in self.module_cpu_s.items():
            cpu.add_metric([name], seconds)
        memory = GaugeMetricFamily("module_resident_memory_bytes", "Memory of a module's processes.", labels=["module"])
        for name, usage in self.usage.items():
            memory.add_metric([name], usage.resident_bytes)
        yield from (state, restarts, cpu, memory)

    def _scrapes(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("telemetry_scrape_up", "1: the endpoint could be read the last time.", labels=["url"])
        took = GaugeMetricFamily("telemetry_scrape_duration_seconds", "How long that took.", labels=["url"])
        for url, scraped in self.scraped.items():
            up.add_metric([url], float(scraped.is_up))
            took.add_metric([url], scraped.took_s)
        yield from (up, took)
