"""Payloads are kept small, and come back whole."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire.strategies import heartbeats

from core.driver import World
from fleetview.core.payloads import pack, unpack
from fleetview_agent.wire import Heartbeat, encode


@given(st.binary(max_size=3000).filter(lambda payload: payload[:2] != b"\x1f\x8b"))
def test_what_is_packed_comes_back(payload: bytes) -> None:
    assert unpack(pack(payload)) == payload


@pytest.mark.parametrize("compress", [False, True])
def test_a_device_keeps_what_it_was_told_in_a_fifth_of_the_room(compress: bool) -> None:
    world = World()
    world.birth()
    world.heartbeat(3)
    told = world.device.heartbeat()
    assert told is not None
    assert told.seq == 3
    body = {
        "v": 1, "session": "01JDA8ZZZZZZZZZZZZZZZZZZZZ", "seq": 4711, "timestamp": "2026-11-23T01:02:03.456Z", "uptime_s": 88.5,
        "health": "degraded", "reasons": ["module rule_engine is in backoff"],
        "resources": {"cpu": 0.41, "memory": 0.77, "disk": 0.31, "temperature_c": 44.5},
        "modules": [{"name": name, "state": "running", "version": "1.5.0", "restarts": 0} for name in ("telemetry_collector", "rule_engine", "ota_updater")],
        "metrics": {"requests_total": 99210, "request_errors_total": 17, "request_duration_p95_seconds": 0.211},
        "logs": {"debug": 0, "info": 944, "warn": 12, "error": 2}, "spool": {"records": 0, "bytes": 0, "oldest_s": None, "dropped": 0},
        "link": {"rtt_ms": 41.7, "reconnects": 1}, "release": "1.5.0", "config": 12, "gen": 42,
    }  # fmt: skip
    plain = json.dumps(body, separators=(",", ":")).encode()
    packed = pack(gzip.compress(plain) if compress else plain)
    assert unpack(packed) == plain
    assert len(packed) * 5 < len(plain)


@given(heartbeats)
def test_every_heartbeat_of_the_contract_survives(heartbeat: object) -> None:
    assert isinstance(heartbeat, Heartbeat)
    payload = encode(heartbeat)
    assert unpack(pack(payload)) == payload
