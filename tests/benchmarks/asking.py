"""What a Prometheus costs that is dead, hangs, or answers a lot: how soon it is shown, and how long a key would wait."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from support.fakes import fake_broker, mute
from support.programs import free_port
from support.servers import serving

from benchmarks.figures import Figure
from fleetview.access import Access
from fleetview.feeds.prometheus import Prometheus

RUNS = 5
QUESTIONS = 20
SERIES, POINTS = 2000, 200


def _vector() -> dict[str, Any]:
    labels: list[dict[str, str]] = [
        {"site": f"plant-{n % 300}", "device": f"gw-{n:05d}", "instance": "10.0.0.1:9100"} for n in range(10_000)
    ]
    result = [{"metric": {"__name__": "cpu"} | one, "value": [1795560018.341, "0.51234"]} for one in labels]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


def _matrix() -> dict[str, Any]:
    points = [[1795560018 + 15 * k, "0.51234"] for k in range(POINTS)]
    result = [{"metric": {"device": f"gw-{n:05d}"}, "values": points} for n in range(SERIES)]
    return {"status": "success", "data": {"resultType": "matrix", "result": result}}


BODIES = {"vector": _vector, "matrix": _matrix}


@contextmanager
def _elsewhere(name: str) -> Iterator[str]:
    """A server in another process, so that it does not share our interpreter's lock."""
    command = [sys.executable, "-m", "benchmarks.asking", name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


async def _longest_wait_s(of: Callable[[], Awaitable[object]]) -> float:
    """The longest that the event loop was kept from a timer meanwhile."""
    longest_s, over = 0.0, asyncio.Event()

    async def beats() -> None:
        nonlocal longest_s
        while not over.is_set():
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            longest_s = max(longest_s, time.perf_counter() - began - 0.001)

    beating = asyncio.create_task(beats())
    await asyncio.sleep(0.02)
    longest_s = 0.0
    await of()
    over.set()
    await beating
    return longest_s


async def _answer(url: str) -> tuple[float, float]:
    """Medians: seconds of processor for an answer, and the longest wait of the event loop."""
    server = Prometheus(Access(url))
    await server.instant("warm")
    cpu, waits = [], []
    for _ in range(RUNS):
        began = time.process_time()
        waits.append(await _longest_wait_s(lambda: server.instant("x")))
        cpu.append(time.process_time() - began)
    return median(cpu), median(waits)


async def _shown_after(url: str) -> tuple[float, Prometheus]:
    server, began = Prometheus(Access(url)), time.perf_counter()
    await asyncio.gather(*(server.instant(f"up{n}") for n in range(QUESTIONS)), return_exceptions=True)
    return time.perf_counter() - began, server


def figures(_folder: Path) -> list[Figure]:
    """The bare library beside it is `json.loads` in a thread, as prometheus-api-client does it."""
    dead_s, dead = asyncio.run(_shown_after(f"http://127.0.0.1:{free_port()}"))
    with fake_broker(mute) as silent:
        hang_s, hanging = asyncio.run(_shown_after(f"http://127.0.0.1:{silent.port}"))
    with _elsewhere("vector") as url:
        vector_s, vector_wait_s = asyncio.run(_answer(url))
    with _elsewhere("matrix") as url:
        _, matrix_wait_s = asyncio.run(_answer(url))
    text = json.dumps(_matrix())

    async def bare() -> float:
        return median([await _longest_wait_s(lambda: asyncio.to_thread(json.loads, text)) for _ in range(RUNS)])

    bare_s = asyncio.run(bare())
    return [
        Figure("a dead Prometheus is shown as such after", dead_s, "s", at_most=5, note=dead.standing.health.value),
        Figure("one that hangs", hang_s, "s", at_most=5, note=hanging.standing.health.value),
        Figure(f"requests to it for {QUESTIONS} questions", hanging.asking.counts.queries, "", at_most=4),
        Figure("10,000 series: processor time of the answer", vector_s * 1000, "ms", at_most=500),
        Figure("10,000 series: longest wait of the event loop", vector_wait_s * 1000, "ms", at_most=100),
        Figure(
            f"{SERIES * POINTS:,} points: longest wait, as a share of json.loads'",
            matrix_wait_s / bare_s,
            "",
            at_most=0.5,
            note=f"{matrix_wait_s * 1000:.0f} ms and {bare_s * 1000:.0f} ms",
        ),
    ]


if __name__ == "__main__":
    with serving(200, json.dumps(BODIES[sys.argv[1]]()).encode()) as fake:
        print(fake.url, flush=True)
        sys.stdin.read()
