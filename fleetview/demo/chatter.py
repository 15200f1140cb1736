"""What the applications on a simulated device write when nothing in particular happens: mostly INFO, and modest in rate."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from fleetview.demo import ids
from fleetview_agent.wire import Channel

if TYPE_CHECKING:
    from fleetview.demo.devices import Device

Fields = dict[str, Any]


class Line(NamedTuple):
    """A kind of log line; the message may name the fields that `fields` draws."""

    weight: int
    level: Literal["DEBUG", "INFO", "WARN", "ERROR"]
    service: str
    message: str
    fields: Callable[[Random], Fields] = lambda _: {}
    traced: bool = False


_LINES = (
    Line(14, "INFO", "telemetry_collector", "collected {points} points from {sources} sources", lambda rng: {
        "points": rng.randrange(80, 900), "sources": rng.randrange(3, 24), "duration_ms": rng.randrange(12, 340)}),
    Line(10, "INFO", "rule_engine", "evaluated {rules} rules, {fired} fired", lambda rng: {
        "rules": rng.randrange(12, 60), "fired": rng.choice((0, 0, 0, 1, 2))}),
    Line(8, "INFO", "uplink", "batch of {records} records acknowledged", lambda rng: {
        "records": rng.randrange(5, 250), "rtt_ms": round(rng.uniform(4, 80), 1)}),
    Line(7, "INFO", "user-auth", "login of {user} succeeded", lambda rng: {
        "user": f"u-{rng.randrange(10, 60)}", "method": rng.choice(("badge", "password", "badge"))}, traced=True),
    Line(4, "INFO", "user-auth", "session of {user} ended", lambda rng: {"user": f"u-{rng.randrange(10, 60)}"}, traced=True),
    Line(3, "INFO", "ota_updater", "no newer release on channel stable"),
    Line(3, "INFO", "rule_engine", "rule {rule} cleared after {after_s} s", lambda rng: {
        "rule": rng.choice(("overheat", "vibration", "pressure-low", "door-open")), "after_s": rng.randrange(4, 300)}),
    Line(6, "DEBUG", "telemetry_collector", "scrape of {target} done", lambda rng: {
        "target": f"opc.tcp://10.20.{rng.randrange(1, 9)}.{rng.randrange(10, 99)}:4840",
        "duration_ms": rng.randrange(3, 90)}),
    Line(4, "DEBUG", "uplink", "keepalive answered in {rtt_ms} ms", lambda rng: {"rtt_ms": round(rng.uniform(3, 60), 1)}),
    Line(2, "WARN", "telemetry_collector", "scrape of {target} took {duration_s} s", lambda rng: {
        "target": f"opc.tcp://10.20.{rng.randrange(1, 9)}.{rng.randrange(10, 99)}:4840",
        "duration_s": round(rng.uniform(1.0, 2.4), 1)}),
    Line(1, "WARN", "user-auth", "login of {user} refused: wrong password, attempt {attempt}", lambda rng: {
        "user": f"u-{rng.randrange(10, 60)}", "attempt": rng.randrange(1, 3)}, traced=True),
    Line(1, "WARN", "rule_engine", "rule {rule} took {duration_ms} ms", lambda rng: {
        "rule": rng.choice(("overheat", "vibration", "pressure-low")), "duration_ms": rng.randrange(250, 900)}),
)  # fmt: skip
_WEIGHTS = [line.weight for line in _LINES]


def write_line(device: Device, *, ago_s: float = 0.0) -> None:
    """One line, into the device's spool."""
    line = device.rng.choices(_LINES, _WEIGHTS)[0]
    fields = line.fields(device.rng)
    message = line.message.format(**fields)
    if line.traced:
        fields["trace_id"] = ids.trace_id(device.rng)
    device.log(line.level, line.service, message, ago_s=ago_s, **fields)


_CAMERA_LINES = (
    ("info", "frame batch analysed", {"frames": 125, "model": "defects-v3"}),
    ("info", "model warm", {"model": "defects-v3"}),
    ("warn", "dropped frames", {"frames": 3, "camera": "cam-2"}),
    ("error", "camera not reachable", {"camera": "cam-4", "address": "10.20.4.31"}),
)
_CAMERA_WEIGHTS = (70, 15, 12, 3)
_PINO_LEVELS = {"info": 30, "warn": 40, "error": 50}
_LOGRUS_LEVELS = {"info": "info", "warn": "warning", "error": "error"}
_CLEF_LEVELS = {"warn": "Warning", "error": "Error"}


def send_foreign(device: Device) -> None:
    """Lets the device's other log shipper send: one pino object, an array of Serilog events, or logrus lines."""
    count = 1 if device.plan.shipper == "pino" else device.rng.randrange(2, 4)
    drawn = device.rng.choices(_CAMERA_LINES, _CAMERA_WEIGHTS, k=count)
    now = datetime.fromtimestamp(device.local_unix_s(), UTC)
    rfc3339 = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    payload: bytes
    match device.plan.shipper:
        case "pino":
            level, text, extra = drawn[0]
            record = {"level": _PINO_LEVELS[level], "time": int(now.timestamp() * 1000), "pid": 812,
                      "hostname": device.address.device, "name": "vision-ui", "msg": text} | extra  # fmt: skip
            payload = json.dumps(record).encode()
        case "clef":
            events = []
            for level, text, extra in drawn:
                # Serilog's compact format leaves the level out where it is Information
                named = {"@l": _CLEF_LEVELS[level]} if level in _CLEF_LEVELS else {}
                events.append({"@t": rfc3339, "@m": text, "service": "VisionService"} | named | extra)
            payload = json.dumps(events).encode()
        case "logrus":
            common = {"time": rfc3339, "component": "visiond"}
            lines = [common | {"level": _LOGRUS_LEVELS[level], "msg": text} | extra for level, text, extra in drawn]
            payload = b"\n".join(json.dumps(line).encode() for line in lines) + b"\n"
        case None:
            return
    device.send_raw(Channel.LOG, payload)
