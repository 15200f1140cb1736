"""The demo's broker: mosquitto where it is on PATH, else amqtt; on 127.0.0.1 and a free port, and gone with the demo."""

from __future__ import annotations

import importlib.util
import os
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fleetview.demo.children import Child
from fleetview.demo.choices import BrokerKind
from fleetview.demo.programs import HOST, find_program

_ATTEMPTS = 5
"""At a free port: between choosing it and binding it another program may take it."""
_READY_WITHIN_S = 10.0
_POLL_S = 0.01
_AMQTT_PORT = re.compile(r"listening on port (\d+)")
_MOSQUITTO_RUNNING = re.compile(r"mosquitto version \S+ running")


class DemoBrokerError(Exception):
    """No broker could be started. Its text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class RunningBroker:
    """A broker that answers."""

    kind: BrokerKind
    port: int
    child: Child

    @property
    def url(self) -> str:
        """As `--broker` takes it."""
        return f"mqtt://{HOST}:{self.port}"


def _find_mosquitto() -> str | None:
    return find_program("mosquitto")


def available_kind() -> BrokerKind:
    """The broker that this machine can run. Raises DemoBrokerError when there is none."""
    if _find_mosquitto():
        return BrokerKind.MOSQUITTO
    if importlib.util.find_spec("amqtt"):
        return BrokerKind.AMQTT
    msg = (
        "the demo needs an MQTT broker: neither the program mosquitto nor the Python package amqtt was found."
        " Install one of them: `apt install mosquitto`, or `pip install 'fleetview[demo]'`"
    )
    raise DemoBrokerError(msg)


@contextmanager
def running_broker(kind: BrokerKind | None = None) -> Iterator[RunningBroker]:
    """A broker for the length of the context; `kind` None takes what there is. Raises DemoBrokerError."""
    broker = _start(kind or available_kind())
    try:
        yield broker
    finally:
        broker.child.stop()


def _start(kind: BrokerKind) -> RunningBroker:
    said = ""
    for _ in range(_ATTEMPTS):
        child = Child.prepare(kind.value)
        try:
            port = _start_mosquitto(child) if kind is BrokerKind.MOSQUITTO else _start_amqtt(child)
        except BaseException:
            child.stop()
            raise
        if isinstance(port, int):
            return RunningBroker(kind, port, child)
        said = port
        child.stop()
    msg = f"{kind.value} could not be started on {HOST}, {_ATTEMPTS} attempts: {said or 'it said nothing'}"
    raise DemoBrokerError(msg)


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.create_server((HOST, 0)) as probe:
        return int(probe.getsockname()[1])


def _start_mosquitto(child: Child) -> int | str:
    """The port, or what mosquitto said when it ended."""
    program = _find_mosquitto()
    if program is None:
        msg = "the program mosquitto is not on PATH: `apt install mosquitto`, or leave the choice of the broker to the demo"
        raise DemoBrokerError(msg)
    port = free_port()
    config = child.folder / "mosquitto.conf"
    lines = [
        f"listener {port} {HOST}",
        "allow_anonymous true",
        "persistence false",
        # The default of 1,000 loses messages of a slow subscriber without a word, and cuts a burst of retained ones.
        "max_queued_messages 0",
        "set_tcp_nodelay true",
        "log_dest stderr",
        "log_type error",
        "log_type information",
        "connection_messages false",
    ]
    if os.geteuid() == 0:
        lines.append("user root")  # or it becomes a user that cannot read its own folder
    config.write_text("\n".join(lines) + "\n", encoding="ascii")
    child.start([program, "-c", config])

    def ready() -> int | None:
        # That something answers at the port does not prove that it is this one: only its own word does.
        return port if _MOSQUITTO_RUNNING.search(child.output()) and _answers(port) else None

    return _when_ready(child, ready)


def _start_amqtt(child: Child) -> int | str:
    """The port, or what amqtt said when it ended."""
    if importlib.util.find_spec("amqtt") is None:
        msg = "the Python package amqtt is not installed: `pip install 'fleetview[demo]'`, or `apt install mosquitto`"
        raise DemoBrokerError(msg)
    child.start([sys.executable, "-m", "fleetview.demo.amqtt_broker"])

    def ready() -> int | None:
        told = _AMQTT_PORT.search(child.output())
        return int(told[1]) if told and _answers(int(told[1])) else None

    return _when_ready(child, ready)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=1):
            return True
    except OSError:
        return False


def _when_ready(child: Child, ready: Callable[[], int | None]) -> int | str:
    """The port as soon as the broker answers there, or the last words of a broker that ended instead."""
    deadline = time.monotonic() + _READY_WITHIN_S
    while time.monotonic() < deadline:
        if child.status() is not None:
            said = child.output()
            return said.strip().splitlines()[-1] if said.strip() else f"it ended with status {child.status()}"
        if (port := ready()) is not None:
            return port
        time.sleep(_POLL_S)
    msg = f"{child.name} did not answer within {_READY_WITHIN_S:.0f} s: {child.output().strip()[-300:] or 'it said nothing'}"
    raise DemoBrokerError(msg)
