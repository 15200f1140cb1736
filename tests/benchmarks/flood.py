"""Publishes heartbeats as fast as a broker takes them: ready-made QoS 0 packets over one socket, in a process of its own.

python -m benchmarks.flood PORT MESSAGES DEVICES
"""

from __future__ import annotations

import json
import socket
import sys

_SESSION = "01JDA8Z0000000000000000000"
CONNECT = b"\x10\x11\x00\x04MQTT\x04\x02\x00\x3c\x00\x05flood"


def _length(number: int) -> bytes:
    out = bytearray()
    while True:
        number, low = divmod(number, 128)
        out.append(low | 0x80 if number else low)
        if not number:
            return bytes(out)


def packet(topic: bytes, payload: bytes, *, retain: bool = False) -> bytes:
    """A PUBLISH with QoS 0."""
    size = _length(2 + len(topic) + len(payload))
    return (b"\x31" if retain else b"\x30") + size + len(topic).to_bytes(2, "big") + topic + payload


def heartbeat(seq: int) -> bytes:
    """A heartbeat of the size that a real agent sends, 0.8 KB."""
    return json.dumps(heartbeat_fields(seq), separators=(",", ":")).encode()


def heartbeat_fields(seq: int) -> dict[str, object]:
    """Its content."""
    return {
        "v": 1,
        "session": _SESSION,
        "seq": seq,
        "timestamp": "2026-11-22T11:28:41.204Z",
        "uptime_s": 3541.2,
        "health": "degraded",
        "reasons": ["module rule_engine is in backoff"],
        "resources": {"cpu": 0.23, "memory": 0.51, "disk": 0.7, "temperature_c": 51.5},
        "modules": [
            {"name": "telemetry_collector", "state": "running", "version": "1.4.2", "restarts": 0},
            {"name": "rule_engine", "state": "backoff", "version": "1.4.2", "restarts": 3, "reason": "exit status 1"},
            {"name": "ota_updater", "state": "running", "version": "1.4.2", "restarts": 0},
        ],
        "metrics": {"requests_total": 10234, "request_errors_total": 3, "request_duration_p95_seconds": 0.041},
        "logs": {"debug": 0, "info": 120, "warn": 3, "error": 1},
        "spool": {"records": 12, "bytes": 3401, "oldest_s": 4.2, "dropped": 0},
        "link": {"rtt_ms": 23.1, "reconnects": 2},
        "release": "1.4.2",
        "config": 12,
        "gen": 42,
    }


def main(port: int, messages: int, devices: int) -> None:
    topics = [f"fleet/v1/acme/plant-{number % 8}/gw-{number:05d}/heartbeat".encode() for number in range(devices)]
    with socket.create_connection(("127.0.0.1", port)) as link:
        link.sendall(CONNECT)
        link.recv(4)
        block = bytearray()
        for number in range(messages):
            topic, payload = topics[number % devices], heartbeat(number // devices)
            block += packet(topic, payload)
            if len(block) > 1 << 18:
                link.sendall(block)
                block.clear()
        link.sendall(block + b"\xe0\x00")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:4]))
