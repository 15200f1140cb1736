"""A hundred thousand devices under the fingers: the start, a key, a filter, the memory."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles

import aiomqtt
import psutil
from support.broker import Broker, mosquitto
from support.terminal import Terminal

from benchmarks.figures import Figure
from benchmarks.startup import FLEETVIEW

LARGE, LARGE_RATE = 100_000, 5_000
SMALL, SMALL_RATE = 10_000, 2_000
KEYS = 60
GAP_S = 0.15
TURNS = 12
# What is retained must come whole, or fewer messages would look like speed.
CONFIG = ("max_queued_messages 0", "max_queued_bytes 0")


@contextmanager
def crowd(broker: Broker, devices: int, rate: int, seconds: int) -> Iterator[subprocess.Popen[str]]:
    """Devices on a broker, all that they retain published."""
    command = [sys.executable, "-m", "benchmarks.crowd", str(broker.port), str(devices), str(rate), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


async def _drain(port: int, messages: int) -> float:
    async with aiomqtt.Client("127.0.0.1", port) as client:
        began, count = time.perf_counter(), 0
        for channel in ("birth", "state", "heartbeat"):
            await client.subscribe(f"fleet/v1/+/+/+/{channel}")
        async for _ in client.messages:
            count += 1
            if count == messages:
                break
        return time.perf_counter() - began


def _whole(devices: int) -> Callable[[str], bool]:
    return lambda text: f"of {devices:,}" in text and "reading what" not in text


def _start(folder: Path) -> Figure:
    with mosquitto(folder, config_lines=CONFIG, verbose=False) as broker, crowd(broker, LARGE, 0, 0) as fleet:
        fleet.wait()
        ratios = []
        for _ in range(2):
            bare = asyncio.run(_drain(broker.port, 3 * LARGE))
            with Terminal([FLEETVIEW, "--broker", broker.url], columns=160, rows=48) as terminal:
                ratios.append(terminal.wait(_whole(LARGE), 120) / bare)
    note = f"bare aiomqtt {bare:.1f} s"
    return Figure(f"start with {LARGE:,} devices retained, of a bare aiomqtt loop", min(ratios), "x", at_most=1.5, note=note)


def p95_ms(seconds: list[float]) -> float:
    """The 95th percentile in milliseconds."""
    return quantiles(seconds, n=20)[-1] * 1000


def keys_to_row(terminal: Terminal, keys: int, header: int = 2) -> list[float]:
    """Seconds from each key until the cursor's row has moved, below a header of so many rows."""
    found = []
    for _ in range(keys):
        terminal.pump_for(GAP_S)
        before = terminal.bar(header)
        found.append(terminal.latency("\x1b[B", lambda: terminal.bar(header) != before))  # noqa: B023  # called at once
        if terminal.bar(header) == 45:  # the bar has come to the bottom: from there the rows move, and it does not
            terminal.type("\x1b[H")
    return found


def _turns(terminal: Terminal) -> tuple[list[float], list[float]]:
    """Seconds until the order is turned round on the screen, and until a key pressed meanwhile has moved the bar."""
    shown, keys = [], []
    for word in ("s", *["\x1b[B"] * 6, "\r"):  # by CPU
        terminal.type(word)
        terminal.pump_for(0.5)
    for turn in range(TURNS):
        terminal.type("\x1b[H")
        terminal.pump_for(0.7)
        before = terminal.row(8)
        shown.append(terminal.latency("S", lambda: terminal.row(8) != before))  # noqa: B023  # called at once
        terminal.pump_for(0.7)
        terminal.type("\x1b[H")
        terminal.pump_for(0.7)
        bar = terminal.bar()
        terminal.type("S")
        time.sleep(0.01 + 0.015 * (turn % 6))  # somewhere in the midst of the work
        keys.append(terminal.latency("\x1b[B", lambda: terminal.bar() != bar))  # noqa: B023  # called at once
        terminal.pump_for(0.7)
    return shown, keys


def _filters(terminal: Terminal) -> list[float]:
    found = []
    terminal.type("/")
    terminal.pump_for(1)
    terminal.type("cpu>")
    terminal.pump_for(1)
    for figure in ("0.9", "0.5", "0.1"):
        terminal.type(figure[:-1])
        terminal.pump_for(1)
        before = _matching(terminal)
        found.append(terminal.latency(figure[-1], lambda: _matching(terminal) != before))  # noqa: B023  # called at once
        terminal.type("\x7f" * len(figure))
        terminal.pump_for(1)
    terminal.type("\x1b")
    terminal.pump_for(1)
    return found


def _matching(terminal: Terminal) -> str:
    return next((line for line in terminal.text().splitlines() if " match" in line), "")


def _live(folder: Path, devices: int, rate: int, at_most_ms: float) -> list[Figure]:
    with (
        mosquitto(folder, config_lines=CONFIG, verbose=False) as broker,
        crowd(broker, devices, rate, 600),
        Terminal([FLEETVIEW, "--broker", broker.url], columns=160, rows=48) as terminal,
    ):
        terminal.wait(_whole(devices), 120)
        terminal.pump_for(devices / rate + 5)  # until all were heard live
        what = f"{devices:,} devices, {rate:,} heartbeats/s"
        figures = [Figure(f"{what}: key to row, p95", p95_ms(keys_to_row(terminal, KEYS)), "ms", at_most=at_most_ms)]
        if devices == LARGE:
            rss = psutil.Process(terminal.process.pid).memory_info().rss / 2**20
            filtered, (turned, keys) = _filters(terminal), _turns(terminal)
            figures += [
                Figure(f"{what}: memory", rss, "MiB", at_most=250),
                Figure(f"{what}: filter on the screen, the longest", max(filtered) * 1000, "ms", at_most=150),
                Figure(f"{what}: order turned round on the screen, p95", p95_ms(turned), "ms", at_most=150),
                Figure(f"{what}: a key meanwhile, the longest", max(keys) * 1000, "ms", at_most=80),
            ]
        terminal.leave()
    return figures


def figures(folder: Path) -> list[Figure]:
    """Of the fleet screen."""
    places = [folder / name for name in ("start", "large", "small")]
    for place in places:
        place.mkdir()
    return [_start(places[0]), *_live(places[1], LARGE, LARGE_RATE, 60), *_live(places[2], SMALL, SMALL_RATE, 35)]
