"""The exporter: a scrape of 10,000 devices while 5,000 heartbeats a second come in, its memory, and how many it could take.

Beside it the same number of series by prometheus-client's own collector, and a bare aiomqtt loop that only counts.
"""

from __future__ import annotations

import asyncio
import gzip
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import psutil
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from support.broker import mosquitto
from support.exporters import ExportProcess, export_process
from support.programs import free_port
from support.wait import wait_until

from benchmarks import ingest
from benchmarks.figures import Figure
from benchmarks.fleet import crowd
from fleetview.config import Flags, resolve
from fleetview.export.exporter import Exporter
from fleetview_agent.http import Request

DEVICES = 10_000
SERIES = 20 * DEVICES
RATE = 5_000
SCRAPES = 10
ROUNDS = 3
DEBIANS = "prometheus-mqtt-exporter"
NUMBERS = (
    "uptime_s", "resources.cpu", "resources.memory", "resources.disk", "resources.temperature_c",
    "metrics.requests_total", "metrics.request_errors_total", "metrics.request_duration_p95_seconds",
    "logs.debug", "logs.info", "logs.warn", "logs.error", "spool.records", "spool.bytes", "spool.oldest_s", "spool.dropped",
    "link.rtt_ms", "link.reconnects", "config", "gen",
)  # fmt: skip
"""Those of a heartbeat that are numbers."""


class _Bare(Collector):
    """As many series as a scrape must have, handed to the library ready-made."""

    def collect(self) -> Iterator[Metric]:
        for number in range(SERIES // DEVICES):
            family = GaugeMetricFamily(f"fleet_x{number}_ratio", "h", labels=["tenant", "site", "device", "release"])
            for device in range(DEVICES):
                family.add_metric(["acme", f"plant-{device % 200:03d}", f"gw-{device:06d}", "1.4.2"], 0.23)
            yield family


def _library_us() -> float:
    """Microseconds that prometheus-client takes for a series."""
    registry = CollectorRegistry()
    registry.register(_Bare())
    began = time.perf_counter()
    generate_latest(registry)
    return (time.perf_counter() - began) / SERIES * 1e6


def _heartbeats(text: str) -> float:
    match = re.search(r"^fleet_export_heartbeats_total\{.*\} (\S+)$", text, re.MULTILINE)
    return float(match[1]) if match else 0.0


def _series(text: str) -> int:
    return sum(1 for line in text.splitlines() if line.startswith("fleet_") and 'device="' in line)


def _peak_mib(exporter: ExportProcess) -> float:
    status = Path(f"/proc/{exporter.process.pid}/status").read_text()
    match = re.search(r"VmHWM:\s+(\d+) kB", status)
    return float(match[1]) / 1024 if match else 0.0


def _served(folder: Path) -> list[Figure]:
    """Scrapes of a process that takes in 5,000 heartbeats a second meanwhile."""
    with (
        mosquitto(folder, config_lines=ingest.CONFIG, verbose=False) as broker,
        crowd(broker, DEVICES, RATE, 600),
        export_process(folder, "--broker", broker.url) as exporter,
    ):
        wait_until(lambda: exporter.metrics().count("fleet_device_up{") == DEVICES, 60)
        seconds, first, began = [], _heartbeats(exporter.metrics()), time.perf_counter()
        for _ in range(SCRAPES):
            time.sleep(1)
            start = time.perf_counter()
            _, _, body = exporter.get(Accept="application/openmetrics-text", Accept_Encoding="gzip")
            seconds.append(time.perf_counter() - start)
        text = gzip.decompress(body).decode()
        rate = (_heartbeats(text) - first) / (time.perf_counter() - began)
        series = _series(text)
        library_us = _library_us()
        ratio = median(seconds) / series * 1e6 / library_us
        note = f"{len(body) / 2**20:.1f} MiB in gzip; the longest of {SCRAPES}: {max(seconds):.2f} s"
        what = f"{DEVICES:,} devices, {RATE:,} heartbeats/s"
        return [
            Figure(f"{what}: scrape of {series:,} series", median(seconds), "s", at_most=1.5, note=note),
            Figure(f"{what}: taken in meanwhile", rate, "/s", at_least=0.95 * RATE),
            Figure(f"{what}: memory, peak", _peak_mib(exporter), "MiB", at_most=150),
            Figure(
                "a series scraped, of prometheus-client",
                ratio,
                "x",
                at_most=1,
                note=f"prometheus-client {library_us:.1f} us",
            ),
        ]


async def _exporter(port: int) -> tuple[float, float]:
    """Heartbeats per second of the exporter's own processor time; and a scrape's longest piece, in ms."""
    exporter = Exporter(resolve(Flags(broker=f"mqtt://127.0.0.1:{port}"), environ={}))
    task = asyncio.create_task(exporter.run())
    await exporter.feed.connection.outcome()
    flood = ingest._flood(port)
    while not exporter.fleet.messages:
        await asyncio.sleep(0)
    begin, first = time.process_time(), exporter.fleet.messages
    while exporter.fleet.messages < ingest.MESSAGES:
        await asyncio.sleep(0.002)
    rate = (exporter.fleet.messages - first) / (time.process_time() - begin)
    if exporter.store.heartbeats["acme"] != ingest.MESSAGES:
        msg = f"{exporter.store.heartbeats} heartbeats of {ingest.MESSAGES}"
        raise AssertionError(msg)
    gaps, last = [], time.perf_counter()
    for piece in exporter._answer(Request("GET", "/metrics", {}, keep_alive=True, chunks=True)).pieces:
        now = time.perf_counter()
        gaps.append(now - last)
        last = now
        assert isinstance(piece, str)
    task.cancel()
    await asyncio.wait([task])
    await asyncio.to_thread(flood.wait)
    return rate, max(gaps) * 1000


def _debians(folder: Path) -> list[Figure]:
    """Debian's exporter for sensors on the same fleet, where it is installed: 20 numbers of each heartbeat, named one by one."""
    program = shutil.which(DEBIANS)
    if program is None:
        return []
    port = free_port()
    names = [f" - {{prom_name: x{number}, mqtt_name: {path}, type: gauge}}" for number, path in enumerate(NUMBERS)]
    with mosquitto(folder, config_lines=ingest.CONFIG, verbose=False) as broker, crowd(broker, DEVICES, RATE, 600):
        config = folder / "config.yaml"
        lines = ["mqtt:", f" server: tcp://127.0.0.1:{broker.port}", " topic_path: fleet/v1/+/+/+/heartbeat", " qos: 0"]
        lines += [' device_id_regex: "fleet/v1/(?P<deviceid>.*)/heartbeat"', "cache:", " timeout: 5m", "metrics:", *names]
        config.write_text("\n".join([*lines, ""]))
        command = [program, "-config", str(config), "-listen-address", "127.0.0.1", "-listen-port", str(port)]
        with subprocess.Popen([*command, "-log-level", "error"], stderr=subprocess.DEVNULL) as process:
            try:
                other = ExportProcess(process, folder / "none", port)
                wait_until(lambda: _accepts(other), 20)
                time.sleep(DEVICES / RATE + 8)  # until each device was heard
                seconds = []
                cpu_s, began = sum(psutil.Process(process.pid).cpu_times()[:2]), time.perf_counter()
                for _ in range(3):
                    time.sleep(1)
                    start = time.perf_counter()
                    _, _, body = other.get(Accept_Encoding="gzip")
                    seconds.append(time.perf_counter() - start)
                busy = (sum(psutil.Process(process.pid).cpu_times()[:2]) - cpu_s) / (time.perf_counter() - began)
                series = gzip.decompress(body).decode().count("\nx")
                note = f"for comparison: peak {_peak_mib(other):.0f} MiB, {busy:.2f} processors busy meanwhile"
                return [Figure(f"{DEBIANS}: scrape of {series:,} series", median(seconds), "s", note=note)]
            finally:
                process.kill()


def _accepts(exporter: ExportProcess) -> bool:
    try:
        return exporter.get("/")[0] > 0
    except OSError:
        return False


def figures(folder: Path) -> list[Figure]:
    """What `fleetview export` serves and takes in."""
    found = []
    for number, measure in enumerate((_served, _debians)):
        place = folder / f"exporter-{number}"
        place.mkdir()
        found += measure(place)
    rates, ratios, gaps_ms = [], [], []
    for number in range(ROUNDS):
        place = folder / f"export-{number}"
        place.mkdir()
        with mosquitto(place, config_lines=ingest.CONFIG, verbose=False) as broker:
            bare = asyncio.run(ingest.bare(broker.port))
            rate, gap_ms = asyncio.run(_exporter(broker.port))
            rates.append(rate)
            ratios.append(rate / bare)
            gaps_ms.append(gap_ms)
    note = f"{median(ratios):.2f} of a bare aiomqtt loop"
    return [
        *found,
        Figure("heartbeats that the exporter could take in", median(rates), "/s", at_least=5_000, note=note),
        Figure("a scrape's longest piece without ingest", median(gaps_ms), "ms", at_most=50),
    ]
