"""A fleet of any size on a broker: retained births, states and heartbeats as fast as it takes them, then heartbeats at a rate.

python -m benchmarks.crowd PORT DEVICES RATE SECONDS      says `retained` on stdout when all of that is sent
"""

from __future__ import annotations

import json
import socket
import sys
import time

from benchmarks.flood import CONNECT, heartbeat_fields, packet

_SITES = 200
_STEP_S = 0.02
_TAKEN_AT_ONCE = 1 << 18


def _topic(number: int, channel: str) -> bytes:
    return f"fleet/v1/acme/plant-{number % _SITES:03d}/gw-{number:06d}/{channel}".encode()


def _session(number: int) -> str:
    return f"01JDA8Z{number:019d}"


def _json(fields: dict[str, object]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


def _birth(number: int) -> bytes:
    return _json(
        {
            "v": 1, "session": _session(number), "device": f"gw-{number:06d}", "started_at": "2026-11-22T10:30:00.000Z",
            "heartbeat_interval_s": 30, "agent": {"version": "0.1.0"}, "deployment": "container",
            "host": {"arch": "aarch64", "os": "Debian GNU/Linux 12", "kernel": "6.1.0-18", "cpus": 4, "memory_bytes": 4127195136,
                     "hostname": f"gw-{number}", "boot_id": f"c0ffee{number:020d}"},
            "modules": ["telemetry_collector", "rule_engine", "ota_updater"],
            "labels": {"region": ("eu", "us", "ap")[number % 3], "ring": "canary" if number % 20 == 0 else "stable"},
            "certificate": {"sha256": f"{number * 7919:064x}", "not_after": "2027-01-31T00:00:00.000Z"},
        }
    )  # fmt: skip


def _heartbeat(number: int, seq: int) -> bytes:
    now = time.time()
    stamp = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now * 1000) % 1000:03d}Z"
    hot = number % 50 == 0
    fields = heartbeat_fields(seq) | {
        "session": _session(number), "timestamp": stamp, "health": "degraded" if hot else "ok",
        "reasons": ["3.1 % of requests fail"] if hot else [], "release": "1.5.0" if number % 10 == 0 else "1.4.2",
        "resources": {"cpu": (number * 31 + seq * 7) % 100 / 100, "memory": (number * 17) % 100 / 100, "disk": 0.7,
                      "temperature_c": 51.5},
    }  # fmt: skip
    return _json(fields)


def main(port: int, devices: int, rate: int, seconds: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as link:
        link.sendall(CONNECT)
        link.recv(4)
        block = bytearray()
        for number in range(devices):
            state = _json({"v": 1, "session": _session(number), "state": "online", "at": "2026-11-22T10:30:00.000Z"})
            for channel, payload in (("birth", _birth(number)), ("state", state), ("heartbeat", _heartbeat(number, 0))):
                block += packet(_topic(number, channel), payload, retain=True)
            if len(block) > _TAKEN_AT_ONCE:
                link.sendall(block)
                block.clear()
        link.sendall(block)
        print("retained", flush=True)
        began, sent = time.monotonic(), 0
        while (elapsed := time.monotonic() - began) < seconds:
            due = int(elapsed * rate)
            block = bytearray()
            for place in range(sent, due):
                block += packet(
                    _topic(place % devices, "heartbeat"), _heartbeat(place % devices, 1 + place // devices), retain=True
                )
            sent = due
            link.sendall(block)
            time.sleep(_STEP_S)
        link.sendall(b"\xe0\x00")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:5]))
