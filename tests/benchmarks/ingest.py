"""Messages per second: a bare aiomqtt loop that only counts, the fleet without a screen, and the dashboard that draws.

Seconds are those of the reader's own processor: broker and flood share the machine with it, and when they are the slower ones
a clock on the wall would measure them.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median

import aiomqtt
from support.broker import mosquitto
from support.terminal import Terminal

from benchmarks.figures import Figure
from fleetview.config import Flags, resolve
from fleetview.core.fleet import Fleet
from fleetview.feeds.watch import FleetFeed

MESSAGES = 60_000
DEVICES = 2_000
ROUNDS = 3
# A reader that is slower than the flood must not lose messages in the broker, or its rate would be that of the survivors.
CONFIG = ("max_queued_messages 0", "max_queued_bytes 0")


def _flood(port: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "benchmarks.flood", str(port), str(MESSAGES), str(DEVICES)]
    return subprocess.Popen(command)


async def bare(port: int) -> float:
    """Messages per second of the bare library."""
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe("fleet/v1/+/+/+/heartbeat")
        flood = _flood(port)
        count, begin = 0, 0.0
        async for _ in client.messages:
            if not count:
                begin = time.process_time()
            count += 1
            if count == MESSAGES:
                break
        rate = MESSAGES / (time.process_time() - begin)
        await asyncio.to_thread(flood.wait)
        return rate


async def fleet(port: int) -> float:
    """Messages per second decoded, applied and accounted for."""
    known = Fleet()
    feed = FleetFeed(resolve(Flags(broker=f"mqtt://127.0.0.1:{port}"), environ={}), known)
    task = asyncio.create_task(feed.connection.run())
    await feed.connection.outcome()
    flood = _flood(port)
    while not known.messages:
        await asyncio.sleep(0)
    begin, first = time.process_time(), known.messages
    while known.messages < MESSAGES:
        await asyncio.sleep(0.002)
    rate = (known.messages - first) / (time.process_time() - begin)
    if known.malformed or len(known.devices) != DEVICES:
        msg = f"{known.malformed} malformed, {len(known.devices)} devices"
        raise AssertionError(msg)
    task.cancel()
    await asyncio.wait([task])
    await asyncio.to_thread(flood.wait)
    return rate


def dashboard(port: int, folder: Path) -> float:
    """Messages per second of the dashboard in a terminal of 160x48, drawing."""
    result = folder / "rate.json"
    command = [sys.executable, "-m", "benchmarks.drawing", str(port), str(MESSAGES), str(result)]
    with Terminal(command, columns=160, rows=48) as terminal:
        terminal.wait(lambda text: "up " in text)
        flood = _flood(port)
        while terminal.process.poll() is None:
            terminal.pump(0.2)
        flood.wait()
    return float(json.loads(result.read_text())["messages_per_s"])


def _asynchronous(measure: Callable[[int], Awaitable[float]], port: int) -> float:
    async def run() -> float:
        return await measure(port)

    return asyncio.run(run())


def figures(folder: Path) -> list[Figure]:
    """Ratios to the bare loop, pair by pair in one run."""
    without, drawing, bares = [], [], []
    for number in range(ROUNDS):
        place = folder / f"ingest-{number}"
        place.mkdir()
        with mosquitto(place, config_lines=CONFIG, verbose=False) as broker:
            rate = _asynchronous(bare, broker.port)
            bares.append(rate)
            without.append(_asynchronous(fleet, broker.port) / rate)
            drawing.append(dashboard(broker.port, place) / rate)
    note = f"bare aiomqtt {median(bares):,.0f} msg/s"
    return [
        Figure("ingest without a screen, of a bare aiomqtt loop", median(without), "x", at_least=0.75, note=note),
        Figure("ingest with the dashboard drawing, likewise", median(drawing), "x", at_least=0.5),
    ]
