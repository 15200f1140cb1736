"""Publishes log records at a steady rate, as agents send them: batches of a hundred, QoS 0, over one socket.

python -m benchmarks.log_flood PORT RECORDS_PER_S SECONDS
"""

from __future__ import annotations

import json
import socket
import sys
import time
from datetime import UTC, datetime

from benchmarks.flood import packet

DEVICES = 50
BATCH = 100
_CONNECT = b"\x10\x15\x00\x04MQTT\x04\x02\x00\x3c\x00\x09log-flood"
_LEVELS = ("DEBUG", *["INFO"] * 7, "WARN", "ERROR")


def batch(device: int, first: int, now_s: float) -> bytes:
    """The payload of a batch, 190 bytes a record."""
    stamp = datetime.fromtimestamp(now_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    records = [
        {
            "timestamp": stamp,
            "service": ("rule_engine", "uplink", "telemetry_collector")[number % 3],
            "level": _LEVELS[number % len(_LEVELS)],
            "message": f"evaluated {number % 47} rules, {number % 3} fired, in {number % 977} ms",
            "rules": number % 47,
            "rtt_ms": number % 313 / 10,
        }
        for number in range(first, first + BATCH)
    ]
    stream = f"01JDA8Z00000000000000000{device:02}"
    return json.dumps({"v": 1, "stream": stream, "first_seq": first, "records": records}, separators=(",", ":")).encode()


def main(port: int, records_per_s: int, seconds: int) -> None:
    """Send; when the reader is too slow, the socket makes this wait, and the rate is made up for."""
    total, every_s = records_per_s * seconds // BATCH, BATCH / records_per_s
    with socket.create_connection(("127.0.0.1", port)) as link:
        link.sendall(_CONNECT)
        link.recv(4)
        begin = time.monotonic()
        for number in range(total):
            device = number % DEVICES
            topic = f"fleet/v1/acme/plant-{device % 8}/gw-{device:04}/log".encode()
            link.sendall(packet(topic, batch(device, number // DEVICES * BATCH, time.time())))
            early = begin + (number + 1) * every_s - time.monotonic()
            if early > 0.002:  # shorter sleeps take longer than they say
                time.sleep(early)
        link.sendall(b"\xe0\x00")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:4]))
