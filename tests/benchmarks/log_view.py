"""A million records in the log, in a process of its own: what a filter over them costs, and what they weigh.

python -m benchmarks.log_view RECORDS LOG_BYTES RESULT
"""

from __future__ import annotations

import gc
import json
import sys
import time
from pathlib import Path

import psutil

from benchmarks.log_flood import BATCH, DEVICES, batch
from fleetview.core.logbook import Logbook
from fleetview.core.logview import LogView, Question, Step
from fleetview.core.query.gaps import compile_with_gaps
from fleetview.core.received import Received
from fleetview_agent.wire import Address, Channel, decode_log

STARTED_S = 1_795_000_000.0
FILTERS = {"level>=warn": "by level", 'message~"in 5"': "by text", "nowhere-to-be-found": "that finds nothing"}
SLICE_S = 0.008
"""What the dashboard gives a slice."""
SCREEN = 48


def fill(view: LogView, text: str) -> dict[str, float]:
    """Ask for a filter, and look at all there is."""
    began = time.perf_counter()
    found = compile_with_gaps(text)
    view.ask(Question(test=found.test, gap_test=found.gap_test))
    first_s, longest_s, step = 0.0, 0.0, Step(more=True)
    while step.more:
        begin = time.perf_counter()
        end = begin + SLICE_S
        step = view.step(int((STARTED_S + 1e6) * 1000), lambda end=end: time.perf_counter() >= end)  # type: ignore[misc]
        longest_s = max(longest_s, time.perf_counter() - begin)
        if not first_s and (len(view.rows) >= SCREEN or not step.more):
            first_s = time.perf_counter() - began
    return {"first_s": first_s, "longest_s": longest_s, "total_s": time.perf_counter() - began, "shown": view.shown}


def main(records: int, log_bytes: int, result: str) -> None:
    """Measure, and write the figures."""
    gc.set_threshold(2_000, 5, 2_500)  # as the dashboard does it
    process = psutil.Process()
    compile_with_gaps("ok")  # the parser is not what is weighed
    before = process.memory_info().rss
    book = Logbook(log_bytes, device_share=1.0)
    view = LogView(book)
    spent_s = 0.0
    for number in range(records // BATCH):
        device, now_s = number % DEVICES, STARTED_S + number / 200
        address = Address("acme", f"plant-{device % 8}", f"gw-{device:04}")
        payload = batch(device, number // DEVICES * BATCH, now_s)
        begin = time.perf_counter()
        body = decode_log(payload)
        book.add(address, body, Received(address, Channel.LOG, body, payload, False, now_s, now_s))
        spent_s += time.perf_counter() - begin
        if number % 50 == 0:
            view.step(int((now_s + 1) * 1000), lambda: False)
    while view.step(int((STARTED_S + 1e6) * 1000), lambda: False).more:
        continue
    grown = process.memory_info().rss - before
    figures = {
        "records": len(book),
        "add_us": spent_s / records * 1e6,
        "counted": book.bytes,
        "grown": grown,
        "filters": {what: fill(view, text) for text, what in FILTERS.items()} if view.complete else {},
    }
    Path(result).write_text(json.dumps(figures))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
