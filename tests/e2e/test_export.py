"""The main path of the exporter: agents and devices on a real broker, `fleetview export`, and a real Prometheus that scrapes it."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import signal
import socket
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import paho.mqtt.publish
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from support.agents import agent_process
from support.broker import Broker, mosquitto
from support.exporters import ExportProcess, export_process
from support.programs import free_port
from support.servers import prometheus
from support.wait import wait_until

from fleetview_agent.wire import format_time

SESSION = "01JDA8ZZZZZZZZZZZZZZZZZZZZ"
CONFIG = """
global: {scrape_interval: 250ms, scrape_timeout: 250ms}
scrape_configs:
  - job_name: fleetview
    static_configs: [{targets: ["127.0.0.1:PORT"]}]
"""


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings of the machine's."""
    for name in [name for name in os.environ if name.startswith("FLEETVIEW_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., ExportProcess]]:
    with ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(export_process(tmp_path, *arguments))


class Devices:
    """Devices played by hand."""

    def __init__(self, broker: Broker) -> None:
        self._port = broker.port

    def publish(self, address: str, channel: str, fields: dict[str, Any] | None, *, retain: bool = True) -> None:
        payload = b"" if fields is None else json.dumps({"v": 1, "session": SESSION, **fields}).encode()
        paho.mqtt.publish.single(f"fleet/v1/{address}/{channel}", payload, retain=retain, port=self._port, qos=1)

    def live(self, address: str, *, interval_s: float = 300, **heartbeat: Any) -> None:
        name = address.rpartition("/")[2]
        self.publish(address, "birth", {"device": name, "heartbeat_interval_s": interval_s, "labels": {"ring": "canary"}})
        self.publish(address, "state", {"state": "online", "at": self._now()})
        self.heartbeat(address, 0, **heartbeat)

    def heartbeat(self, address: str, seq: int, **fields: Any) -> None:
        self.publish(address, "heartbeat", {"seq": seq, "timestamp": self._now(), "health": "ok", **fields})

    @staticmethod
    def _now() -> str:
        return format_time(datetime.now(UTC))


class Prometheus:
    """A running Prometheus' API."""

    def __init__(self, url: str) -> None:
        self._url = url

    def get(self, path: str, **parameters: str) -> Any:
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self._url}/api/v1/{path}?{query}", timeout=20) as answer:
            return json.load(answer)["data"]

    def query(self, promql: str) -> dict[str, float]:
        """An instant query's values by device."""
        return {each["metric"]["device"]: float(each["value"][1]) for each in self.get("query", query=promql)["result"]}


@contextmanager
def scraping(tmp_path: Path, exporter: ExportProcess) -> Iterator[Prometheus]:
    with prometheus(tmp_path, config=CONFIG.replace("PORT", str(exporter.port))) as url:
        yield Prometheus(url)


def test_prometheus_sees_a_real_agent_and_a_device_whose_series_end(
    broker: Broker, tmp_path: Path, started: Callable[..., ExportProcess]
) -> None:
    devices = Devices(broker)
    exporter = started("--broker", broker.url, "--labels", "ring")
    dead = "acme/plant-7/gw-1"
    with (
        agent_process(tmp_path, broker_url=broker.url, agent_id="real-1", tenant="acme", site="lab", heartbeat_interval=1),
        scraping(tmp_path, exporter) as server,
    ):
        devices.live(dead, resources={"cpu": 0.25}, metrics={"requests_total": 7}, release="1.4.2")
        wait_until(lambda: server.query("fleet_device_up") == {"gw-1": 1, "real-1": 1})
        wait_until(lambda: server.query("fleet_requests_total") == {"gw-1": 7})
        wait_until(lambda: "real-1" in server.query("fleet_device_cpu_ratio"))
        assert server.query('fleet_device_cpu_ratio{tenant="acme",site="plant-7",release="1.4.2",ring="canary"}') == {
            "gw-1": 0.25
        }
        [target] = server.get("targets")["activeTargets"]
        assert (target["health"], target["lastError"]) == ("up", "")
        devices.publish(dead, "state", {"state": "offline", "at": "2026-11-22T10:30:00.000Z", "reason": "bye"})
        wait_until(lambda: server.query("fleet_device_up") == {"gw-1": 0, "real-1": 1})
        assert server.query("fleet_requests_total") == {}, "the series ended, and Prometheus has seen the end"
        for channel in ("heartbeat", "state", "birth"):
            devices.publish(dead, channel, None)
        wait_until(lambda: server.query("fleet_device_up") == {"real-1": 1})


def test_what_is_served_in_which_form(broker: Broker, started: Callable[..., ExportProcess]) -> None:
    devices = Devices(broker)
    exporter = started("--broker", broker.url)
    devices.live("acme/plant-7/gw-1", resources={"cpu": 0.25})
    devices.live("umbrella/hive/gw-1", resources={"cpu": 0.5})
    wait_until(lambda: exporter.metrics().count("fleet_device_cpu_ratio{") == 2)
    status, headers, body = exporter.get(Accept="application/openmetrics-text;version=1.0.0", Accept_Encoding="gzip")
    assert (status, headers["content-encoding"]) == (200, "gzip")
    assert headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    families = list(text_string_to_metric_families(gzip.decompress(body).decode()))  # type: ignore[no-untyped-call]
    assert {"fleet_device_up", "fleet_export_broker_up", "fleet_export_heartbeats"} <= {each.name for each in families}
    status, headers, body = exporter.get()
    assert headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'fleet_export_devices{tenant="umbrella"} 1.0' in body.decode()
    only = exporter.metrics("/metrics/umbrella")
    assert 'tenant="umbrella"' in only
    assert 'fleet_export_heartbeats_total{tenant="umbrella"} 1.0' in only
    assert "acme" not in only
    assert "fleet_export_broker_up" not in only, "the exporter's own figures stand in one place"
    for path, expected in (("/metrics/nobody", 404), ("/x", 404), ("/", 200), ("/-/healthy", 200)):
        assert exporter.get(path)[0] == expected
    wait_until(lambda: exporter.get("/-/ready")[0] == 200)
    exporter.process.send_signal(signal.SIGTERM)
    assert exporter.process.wait(10) == 0


def test_shards_have_each_device_once(broker: Broker, started: Callable[..., ExportProcess]) -> None:
    devices = Devices(broker)
    exporters = [started("--broker", broker.url, "--shard", f"{number}/2") for number in range(2)]
    for exporter in exporters:
        wait_until(lambda: "link to the broker is up" in exporter.said)  # noqa: B023  # called at once
    for number in range(12):
        devices.publish(f"acme/plant-7/gw-{number}", "state", {"state": "online"}, retain=False)

    def shares() -> list[set[str]]:
        texts = [exporter.metrics() for exporter in exporters]
        return [
            {line.partition('device="')[2].partition('"')[0] for line in text.splitlines() if "device_up{" in line}
            for text in texts
        ]

    wait_until(lambda: sum(map(len, shares())) == 12)
    one, two = shares()
    assert one
    assert two
    assert not one & two
    assert 'fleet_export_shard_info{shard="1",shards="2"} 1.0' in exporters[1].metrics()


def test_it_starts_before_its_broker_and_outlives_it(tmp_path: Path, started: Callable[..., ExportProcess]) -> None:
    port = free_port()
    exporter = started("--broker", f"mqtt://127.0.0.1:{port}")
    wait_until(lambda: "trying again" in exporter.said)
    assert "fleet_export_broker_up 0.0" in exporter.metrics()
    assert exporter.get("/-/ready")[0] == 503
    with mosquitto(tmp_path, port=port) as broker:
        wait_until(lambda: "fleet_export_broker_up 1.0" in exporter.metrics(), 60)
        Devices(broker).live("acme/plant-7/gw-1", interval_s=0.2, resources={"cpu": 0.25})
        wait_until(lambda: "fleet_device_confirmed{" in exporter.metrics())
    wait_until(lambda: "fleet_export_broker_up 0.0" in exporter.metrics())
    wait_until(lambda: "fleet_device_up{" not in exporter.metrics())
    assert "fleet_device_cpu_ratio" not in exporter.metrics(), "nothing freezes"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--listen", "nowhere"], "is not HOST:PORT"),
        (["--listen", "127.0.0.1:99999"], "is not HOST:PORT"),
        (["--listen", "127.0.0.1:TAKEN"], "cannot listen on"),
        (["--shard", "2/2"], "is not a shard"),
        (["--shard", "a/b"], "is not a shard"),
        (["--labels", "site"], "is taken already"),
        (["--broker", "mqtts://127.0.0.1:1", "--cafile", "/nowhere.pem"], "/nowhere.pem"),
    ],
)
async def test_what_cannot_be_is_said_in_words_before_it_starts(arguments: list[str], words: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        arguments = [each.replace("TAKEN", str(taken.getsockname()[1])) for each in arguments]
        command = [sys.executable, "-m", "fleetview", "export", *arguments]
        process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
        _, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 2
    assert words in err.decode()
    assert "Traceback" not in err.decode()
