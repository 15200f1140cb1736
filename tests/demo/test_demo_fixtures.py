"""Every dialect among the sample logs reads as what its authors meant."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from fleetview.config import Flags, resolve
from fleetview_agent.configload import load
from fleetview_agent.wire import Level, normalize

FIXTURES = Path(__file__).parents[2] / "fixtures"
RECEIVED_MS = int(datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp() * 1000)
AT_MS = int(datetime(2026, 11, 22, 11, 28, 40, tzinfo=UTC).timestamp() * 1000)
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class Expected(NamedTuple):
    level: Level
    ms: int | None
    """Within the second 11:28:40; None where the time of receipt stands in."""
    service: str
    message: str
    trace_id: str | None = None


DEBUG, INFO, WARN, ERROR, UNKNOWN = Level.DEBUG, Level.INFO, Level.WARN, Level.ERROR, Level.UNKNOWN
EXPECTED: dict[str, list[Expected]] = {
    "contract": [
        Expected(ERROR, 120, "user-auth", "Authentication failed", TRACE),
        Expected(WARN, 121, "fleetview-agent", "dropped 37 records: spool full"),
    ],
    "pino": [
        Expected(INFO, 120, "vision-ui", "frame batch analysed"),
        Expected(ERROR, 121, "vision-ui", "camera not reachable"),
        Expected(DEBUG, 122, "the file", "tick"),
    ],
    "bunyan": [
        Expected(WARN, 120, "gateway", "upstream slow"),
        Expected(ERROR, 121, "gateway", "uncaught exception"),
    ],
    "structlog": [
        Expected(WARN, 120, "rule_engine", "rule fired"),
        Expected(INFO, 121, "user-auth", "login", TRACE),
    ],
    "python-json-logger": [
        Expected(WARN, 120, "historian", "segment not compacted"),
        Expected(ERROR, 121, "historian", "no space left on device"),
        Expected(WARN, 122, "historian", "slow"),
    ],
    "zap": [
        Expected(INFO, 120, "collector", "scrape done"),
        Expected(ERROR, 121, "collector", "invariant broken"),
    ],
    "logrus": [
        Expected(WARN, 0, "visiond", "dropped frames"),
        Expected(ERROR, 1000, "visiond", "camera not reachable"),
    ],
    "serilog-clef": [
        Expected(INFO, 120, "VisionService", "User u-17 signed in"),
        Expected(ERROR, 121, "VisionService", "Camera {Camera} not reachable", TRACE),
        Expected(DEBUG, 122, "the file", "heartbeat"),
    ],
    "gelf": [
        Expected(WARN, 120, "the file", "disk at 91 %"),
        Expected(INFO, 121, "the file", "segment written"),
    ],
    "journald-export": [
        Expected(ERROR, 120, "sshd", "Failed password for root from 203.0.113.7 port 51122 ssh2"),
        Expected(INFO, 121, "cron.service", "(root) CMD (run-parts /etc/cron.hourly)"),
        Expected(DEBUG, 122, "kernel", "usb 1-1: \N{REPLACEMENT CHARACTER}"),
    ],
    "opentelemetry": [
        Expected(ERROR, 120, "the file", "payment refused", TRACE),
        Expected(INFO, 121, "orders", "order accepted", TRACE),
    ],
    "ecs": [
        Expected(WARN, 120, "uplink", "retrying in 8 s", TRACE),
        Expected(ERROR, 121, "uplink", "link down", "0000000000000000a3ce929d0e0e4736"),
    ],
    "hostile": [
        Expected(INFO, 120, "web", "\x1b[2J\x1b[31mcleared your screen\x1b]0;owned\x07"),
        Expected(WARN, 121, "web", "download invoice\u202egpj.exe"),
        Expected(ERROR, 122, "[bold red]web[/]", "[link=https://evil.example]click[/link] [/] [@click=app.quit]x"),
        Expected(INFO, 123, "web\nnew line", "a\r\nb\tc\x00d\u2028e\x9b31m"),
        Expected(INFO, None, "web", "from the far future"),
        Expected(INFO, None, "web", "no clock battery"),
        Expected(UNKNOWN, None, "the file", ""),
        Expected(UNKNOWN, None, "the file", "what level is that"),
        Expected(UNKNOWN, None, "the file", "numbers out of all bounds"),
        Expected(UNKNOWN, None, "the file", ""),
    ],
}


@pytest.mark.parametrize("name", ["agent.toml", "agent.json"])
def test_agent_sample_is_valid(name: str) -> None:
    config = load(FIXTURES / "configs" / name, environ={}).config
    assert config.agent_id == "edge-agent-001"
    assert config.heartbeat_interval == 30
    assert config.modules == ["telemetry_collector", "rule_engine", "ota_updater"]


def test_dashboard_sample_is_valid() -> None:
    file = FIXTURES / "configs" / "fleetview.toml"
    context = resolve(Flags(), environ={}, file=file)
    assert context.name == "plant"
    assert context.read_only
    assert context.tls is not None
    assert context.tls.cafile == file.with_name("ca.pem")
    assert str(resolve(Flags(context="lab"), environ={}, file=file).scope) == "acme/lab"


def test_every_sample_has_its_expectation() -> None:
    assert sorted(path.stem for path in (FIXTURES / "logs").glob("*.jsonl")) == sorted(EXPECTED)


@pytest.mark.parametrize("dialect", EXPECTED)
def test_dialect_reads_as_meant(dialect: str) -> None:
    lines = (FIXTURES / "logs" / f"{dialect}.jsonl").read_text(encoding="utf-8").splitlines()
    read = [normalize(json.loads(line), RECEIVED_MS, default_service="the file") for line in lines]
    found = [
        Expected(
            record.level,
            None if record.time_is_receipt else record.time_ms - AT_MS,
            record.service,
            record.message,
            record.trace_id,
        )
        for record in read
    ]
    assert found == EXPECTED[dialect]
    assert all(record.time_ms == RECEIVED_MS for record in read if record.time_is_receipt)
