"""A heartbeat with everything in it, what a scrape makes of it, and the parsers that a text must pass."""

from __future__ import annotations

import subprocess
from typing import Any

from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from support.programs import require

from export.world import ExportWorld, Scraped

FULL: dict[str, Any] = {
    "uptime_s": 3541.2,
    "health": "degraded",
    "reasons": ["module rule_engine is in backoff"],
    "resources": {"cpu": 0.23, "memory": 0.51, "disk": 0.7, "temperature_c": 51.5},
    "modules": [
        {"name": "telemetry_collector", "state": "running", "version": "1.4.2", "restarts": 0},
        {"name": "rule_engine", "state": "backoff", "version": "1.4.2", "restarts": 3, "reason": "exit status 1"},
    ],
    "metrics": {"requests_total": 10234, "request_duration_p95_seconds": 0.041},
    "logs": {"debug": 0, "info": 120, "warn": 3, "error": 1},
    "spool": {"records": 12, "bytes": 3401, "oldest_s": 4.2, "dropped": 5},
    "link": {"rtt_ms": 23.1, "reconnects": 2},
    "release": "1.4.2",
    "config": 12,
}
OF_THE_HEARTBEAT = {
    "fleet_device_health": 1,
    "fleet_device_uptime_seconds": 3541.2,
    "fleet_device_cpu_ratio": 0.23,
    "fleet_device_memory_ratio": 0.51,
    "fleet_device_disk_ratio": 0.7,
    "fleet_device_temperature_celsius": 51.5,
    "fleet_device_config_version": 12,
    'fleet_device_module_state{module="telemetry_collector",state="running"}': 1,
    'fleet_device_module_state{module="rule_engine",state="backoff"}': 1,
    'fleet_device_module_restarts_total{module="telemetry_collector"}': 0,
    'fleet_device_module_restarts_total{module="rule_engine"}': 3,
    'fleet_device_log_records_total{level="debug"}': 0,
    'fleet_device_log_records_total{level="info"}': 120,
    'fleet_device_log_records_total{level="warn"}': 3,
    'fleet_device_log_records_total{level="error"}': 1,
    "fleet_device_spool_records": 12,
    "fleet_device_spool_bytes": 3401,
    "fleet_device_spool_oldest_seconds": 4.2,
    "fleet_device_spool_dropped_total": 5,
    "fleet_device_rtt_seconds": 0.0231,
    "fleet_device_reconnects_total": 2,
    "fleet_requests_total": 10234,
    "fleet_request_duration_p95_seconds": 0.041,
}
STANDING = {
    "fleet_device_up",
    "fleet_device_confirmed",
    "fleet_device_lost_heartbeats_total",
    "fleet_device_malformed_messages_total",
    "fleet_device_heartbeat_timestamp_seconds",
    "fleet_device_heartbeat_interval_seconds",
    "fleet_device_certificate_expiry_timestamp_seconds",
    "fleet_device_clock_skew_seconds",
}


def families_of(text: str) -> list[Metric]:
    return list(text_string_to_metric_families(text))  # type: ignore[no-untyped-call]


def parsed(text: str) -> list[str]:
    """The names of an OpenMetrics text that a strict reader takes."""
    return [family.name for family in families_of(text)]


def checked(text: str) -> None:
    """Prometheus' own parser takes it; what it says of style beyond that is not asked."""
    done = subprocess.run(
        [require("promtool"), "check", "metrics"], input=text, capture_output=True, text=True, check=False, timeout=30
    )
    assert "error while linting" not in done.stderr, done.stderr


def living(labels: str = "", **bounds: int) -> ExportWorld:
    world = ExportWorld(labels, **bounds)
    world.online(labels={"ring": "canary", "a.b": "c"}, certificate={"not_after": "2027-01-31T00:00:00.000Z"})
    world.heartbeat(**FULL)
    return world


def own(scraped: Scraped) -> dict[str, float]:
    return {name: value for name, value in scraped.items() if name in OF_THE_HEARTBEAT}
