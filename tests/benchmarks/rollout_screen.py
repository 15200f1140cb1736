"""A rollout over ten thousand devices under the fingers, told anew every second, while the fleet goes on beside it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.rollout.world import Agent, World, plan_of
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from support.broker import mosquitto
from support.terminal import Terminal

from benchmarks.figures import Figure
from benchmarks.fleet import CONFIG, KEYS, SMALL, SMALL_RATE, crowd, keys_to_row, p95_ms
from benchmarks.startup import FLEETVIEW
from fleetview.core.rollout.snapshot import message_of, snapshot
from fleetview_agent.wire import Address, Topics, encode

_SITES = 200
"""Of the crowd."""
_TOLD = 60
_NAME = "gateway-1.5.0"


def _course() -> list[bytes]:
    """What is told of a rollout whose first wave of a thousand devices takes the change."""
    plan = plan_of(name=_NAME, tenant="acme", waves=["10%", "40%", "100%"], per_minute=2_000)
    addresses = [Address("acme", f"plant-{number % _SITES:03d}", f"gw-{number:06d}") for number in range(SMALL)]
    world = World(plan, {address: Agent(address) for address in addresses})
    world.run_for(30)
    found = []
    for _ in range(_TOLD):
        world.run_for(5)
        found.append(encode(message_of(snapshot(world.rollout)), compress=True))
    return found


@contextmanager
def _telling(port: int, course: list[bytes]) -> Iterator[None]:
    """Publish a snapshot a second, again from the beginning at the end."""
    client = Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    ended = threading.Event()

    def tell() -> None:
        told = 0
        while not ended.wait(1.0):
            client.publish(Topics().rollout("acme", _NAME), course[told % len(course)], qos=1, retain=True)
            told += 1

    teller = threading.Thread(target=tell)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()
        client.loop_stop()


def figures(folder: Path) -> list[Figure]:
    """Of the screen of a rollout."""
    place = folder / "rollout"
    place.mkdir()
    course = _course()
    with (
        mosquitto(place, config_lines=CONFIG, verbose=False) as broker,
        crowd(broker, SMALL, SMALL_RATE, 600),
        _telling(broker.port, course),
        Terminal([FLEETVIEW, "--broker", broker.url], columns=160, rows=48) as terminal,
    ):
        terminal.wait(lambda text: f"of {SMALL:,}" in text and "reading what" not in text, 60)
        terminal.pump_for(SMALL / SMALL_RATE + 5)
        for keys in (":", "rollouts", "\r"):
            terminal.type(keys)
            terminal.pump_for(1)
        terminal.wait(_NAME)
        began = time.perf_counter()
        terminal.type("\r")
        opened_s = terminal.wait("wave 1") + terminal.started - began
        terminal.pump_for(1)
        found = p95_ms(keys_to_row(terminal, KEYS, header=3))
        terminal.leave()
    name = f"rollout of {SMALL:,}, told every second, {SMALL_RATE:,} heartbeats/s: key to row, p95"
    note = f"{max(map(len, course)) / 1024:.0f} KiB a snapshot; opened in {opened_s * 1000:.0f} ms"
    return [Figure(name, found, "ms", at_most=35, note=note)]
