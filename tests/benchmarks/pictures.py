"""How soon a device's charts stand on the screen once Prometheus has answered, and what columns from it cost the table."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import parse_qs, urlsplit

from support.broker import mosquitto
from support.servers import Asked, answering
from support.terminal import Terminal

from benchmarks.figures import Figure
from benchmarks.fleet import CONFIG, LARGE, crowd, keys_to_row, p95_ms
from benchmarks.startup import FLEETVIEW
from fleetview.remembered import Remembered

DEVICES = 10
SITES = 200
"""Of the crowd."""
KEYS = 40
RUNS = 7
ANSWER_S = 0.05
"""What a Prometheus nearby takes."""

_NAMED = re.compile(r'device=~"([^"]+)"')


class Answers:
    """A Prometheus that knows a device and its peers, and when it first answered a question since it was asked to note that."""

    def __init__(self) -> None:
        self.first_s: float | None = None

    def since_s(self, mono_s: float) -> float:
        """From the first answer to a moment; answers are noted anew from then on."""
        assert self.first_s is not None
        seconds, self.first_s = mono_s - self.first_s, None
        return seconds

    def reply(self, asked: Asked) -> tuple[int, Any, dict[str, str]]:
        """Each question's answer: four courses over the time that was asked for."""
        path = urlsplit(asked.path)
        if not path.path.endswith("/query_range"):
            return 200, {"status": "success", "data": {"resultType": "vector", "result": []}}, {}
        question = parse_qs(path.query)
        start, end, step = (float(question[name][0]) for name in ("start", "end", "step"))
        times = [start + place * step for place in range(round((end - start) / step) + 1)]
        courses = {"own": 0.97, "low": 0.1, "median": 0.2, "high": 0.3}
        result = [
            {"metric": {"fleetview": whose}, "values": [[at, str(value)] for at in times]}
            for whose, value in courses.items()
        ]
        body = json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}}).encode()
        time.sleep(ANSWER_S)
        if self.first_s is None:
            self.first_s = time.perf_counter()
        return 200, body, {"Content-Type": "application/json"}


def _courses(query: str) -> Iterator[tuple[dict[str, str], float]]:
    """The labels and the value of each series of an answer: of a device and its peers, or of the devices that are named."""
    if (named := _NAMED.search(query)) is None:
        for whose, value in (("own", 0.97), ("low", 0.1), ("median", 0.2), ("high", 0.3)):
            yield {"fleetview": whose}, value
        return
    for device in named[1].split("|"):
        number = int(device.removeprefix("gw-"))
        yield {"tenant": "acme", "site": f"plant-{number % SITES:03d}", "device": device}, number % 100 / 100


def _charts(folder: Path) -> Figure:
    answers = Answers()
    with mosquitto(folder, verbose=False) as broker, crowd(broker, DEVICES, 5, 300), answering(answers.reply) as fake:
        command = [FLEETVIEW, "--broker", broker.url, "--prometheus", fake.url]
        with Terminal(command, columns=160, rows=48) as terminal:
            terminal.wait(lambda text: f"of {DEVICES}" in text and "gw-0" in text, 60)
            terminal.pump_for(3)
            found = [_opened(terminal, answers) for _ in range(RUNS)]
            terminal.leave()
    note = f"median {median(found) * 1000:.0f} ms of {RUNS} devices"
    name = "a device's charts: first picture after Prometheus' answer, the latest"
    return Figure(name, max(found) * 1000, "ms", at_most=300, note=note)


def _opened(terminal: Terminal, answers: Answers) -> float:
    """Seconds from the first answer to the first picture; the cursor is on the next device afterwards."""
    terminal.type("\r")
    terminal.pump_for(1)
    answers.first_s = None
    terminal.latency("m", lambda: "peers 20% (10% to 30%)" in terminal.text())
    seconds = answers.since_s(terminal.read_at)
    for keys in ("\x1b", "\x1b", "\x1b[B"):
        terminal.type(keys)
        terminal.pump_for(1)
    return seconds


def _columns(folder: Path) -> list[Figure]:
    """The cursor in a large fleet, without histories from Prometheus and with two of them."""
    found = []
    with (
        mosquitto(folder, config_lines=CONFIG, verbose=False) as broker,
        crowd(broker, LARGE, 0, 0) as fleet,
        answering(Answers().reply) as fake,
    ):
        fleet.wait()
        for columns in (None, ["CPU history", "error rate history", "why"]):
            state = folder / ("with" if columns else "without")
            remembered = Remembered(state / "fleetview" / "views.json", broker.host)
            remembered.put("columns", columns)
            remembered.save()
            command = [FLEETVIEW, "--broker", broker.url, "--prometheus", fake.url]
            with Terminal(command, columns=160, rows=48, env={"XDG_STATE_HOME": str(state)}) as terminal:
                terminal.wait(lambda text: f"of {LARGE:,}" in text and "reading what" not in text, 180)
                terminal.pump_for(5)
                if columns:
                    terminal.wait("Prometheus, ")
                found.append(p95_ms(keys_to_row(terminal, KEYS)))
                terminal.leave()
    without_ms, with_ms = found
    name = f"{LARGE:,} devices, two histories shown: key to row, p95"
    return [Figure(name, with_ms, "ms", at_most=60, note=f"without them {without_ms:.0f} ms")]


def figures(folder: Path) -> list[Figure]:
    """Of the charts of a device, and of columns."""
    places = [folder / name for name in ("charts", "columns")]
    for place in places:
        place.mkdir()
    return [_charts(places[0]), *_columns(places[1])]
