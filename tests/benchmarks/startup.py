"""How long a person waits: for the first paint, and for the version."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from support.programs import free_port
from support.terminal import Terminal

from benchmarks.figures import Figure

RUNS = 5
FLEETVIEW = str(Path(sys.executable).with_name("fleetview"))


def _version_s() -> float:
    begin = time.perf_counter()
    subprocess.run([FLEETVIEW, "--version"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def _first_paint_s() -> float:
    with Terminal([FLEETVIEW, "--broker", f"mqtt://127.0.0.1:{free_port()}"], columns=160, rows=48) as terminal:
        took = terminal.wait("msg/s")
        terminal.leave()
        return took


def figures(_folder: Path) -> list[Figure]:
    """Medians of five runs after one that compiles."""
    _version_s()
    _first_paint_s()
    return [
        Figure("fleetview --version", median(_version_s() for _ in range(RUNS)), "s", at_most=0.25),
        Figure("first paint of fleetview", median(_first_paint_s() for _ in range(RUNS)), "s", at_most=0.8),
    ]
