"""The log view at scale: a filter over a million records, what they weigh, and keys while 20,000 more come every second."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from support.broker import mosquitto
from support.terminal import Terminal

from benchmarks.figures import Figure
from benchmarks.startup import FLEETVIEW

RECORDS = 1_000_000
AMPLE_BYTES = 2_000_000_000
BOUND_BYTES = 256_000_000
RATE_PER_S = 20_000
WARM_UP_S = 20.0
KEYS = 120
_COLUMNS, _ROWS = 160, 48
_FIRST_ROW = 8
"""Below the status, the title and the histogram."""
_GAP_S = 0.15
CONFIG = ("max_queued_messages 0", "max_queued_bytes 0")


def _measured(folder: Path, records: int, log_bytes: int) -> dict[str, Any]:
    result = folder / f"log-view-{log_bytes}.json"
    subprocess.run([sys.executable, "-m", "benchmarks.log_view", str(records), str(log_bytes), str(result)], check=True)
    found: dict[str, Any] = json.loads(result.read_text())
    return found


def _in_memory(folder: Path) -> list[Figure]:
    ample = _measured(folder, RECORDS, AMPLE_BYTES)
    bound = _measured(folder, RECORDS, BOUND_BYTES)
    found = []
    for what, figures in ample["filters"].items():
        note = f"{figures['shown']:,} of {ample['records']:,} shown, complete after {figures['total_s']:.1f} s"
        if figures["shown"]:  # of one that finds nothing, there is no first screen before the last record
            found.append(
                Figure(f"logs, filter {what}: first screen", figures["first_s"] * 1000, "ms", at_most=200, note=note)
            )
        found.append(Figure(f"logs, filter {what}: longest slice", figures["longest_s"] * 1000, "ms", at_most=25, note=note))
    kept = f"{bound['records']:,} records within {BOUND_BYTES / 1e6:.0f} MB"
    return [
        *found,
        Figure("logs: decode and keep a record", ample["add_us"], "us", at_most=25),
        Figure("logs: memory, of the configured bytes", bound["grown"] / BOUND_BYTES, "x", at_most=1.1, note=kept),
        Figure("logs: memory of a million, of the bytes counted", ample["grown"] / ample["counted"], "x", at_most=1.1),
    ]


def _cursor_row(terminal: Terminal) -> int | None:
    """The row in the colour of the cursor: the one whose background is another than that of the others."""
    colours = terminal.backgrounds(_COLUMNS // 2)[_FIRST_ROW : _ROWS - 1]
    usual = Counter(colours).most_common(1)[0][0]
    found = [y for y, colour in enumerate(colours) if colour != usual]
    return found[0] if len(found) == 1 else None


def _latency_s(terminal: Terminal, key: str) -> float:
    """From the key to the frame in which the cursor has moved."""
    before = _cursor_row(terminal)
    return terminal.latency(key, lambda: _cursor_row(terminal) not in {before, None})


def _idle(terminal: Terminal, seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        terminal.pump(0.02)


def _keys(folder: Path) -> list[Figure]:
    place = folder / "logs"
    place.mkdir()
    seconds = int(WARM_UP_S + KEYS * (_GAP_S + 0.1) + 20)
    with mosquitto(place, config_lines=CONFIG, verbose=False) as broker:
        env = {**os.environ, "FLEETVIEW_LOG_BYTES": str(AMPLE_BYTES)}
        with Terminal([FLEETVIEW, "--broker", broker.url], columns=_COLUMNS, rows=_ROWS, env=env) as terminal:
            terminal.wait(lambda text: "up " in text)
            command = [sys.executable, "-m", "benchmarks.log_flood", str(broker.port), str(RATE_PER_S), str(seconds)]
            with subprocess.Popen(command) as flood:
                try:
                    terminal.type("L")
                    terminal.wait("following")
                    _idle(terminal, WARM_UP_S)
                    terminal.type("p")
                    terminal.wait("paused")
                    for _ in range(5):
                        terminal.type("k")
                        _idle(terminal, 0.3)
                    latencies, begin = [], time.perf_counter()
                    before = _received(terminal)
                    for number in range(KEYS):
                        latencies.append(_latency_s(terminal, "kj"[number % 2]))
                        _idle(terminal, _GAP_S)
                    rate = (_received(terminal) - before) / (time.perf_counter() - begin)
                finally:
                    flood.terminate()
            terminal.leave()
    latencies.sort()
    note = f"p50 {latencies[len(latencies) // 2] * 1000:.0f} ms, {rate:,.0f} records/s taken in meanwhile"
    p95 = latencies[int(len(latencies) * 0.95)] * 1000
    return [
        Figure(f"logs, {RATE_PER_S:,} records/s: a key, p95", p95, "ms", at_most=80, note=note),
        Figure(f"logs, {RATE_PER_S:,} records/s: taken in", rate, "1/s", at_least=RATE_PER_S * 0.95),
    ]


def _received(terminal: Terminal) -> int:
    """Records that the title says are new since the pause."""
    title = terminal.text().splitlines()[2]
    return int(title.partition("paused, +")[2].partition(" new")[0].replace(",", ""))


def figures(folder: Path) -> list[Figure]:
    """Of the view alone, and end to end."""
    return _in_memory(folder) + _keys(folder)
