"""A device that loses its power between two steps on its files: a process of its own, run by test_twin_powercut.

For every k it forks a child that lives through all of DOCUMENTS and kills itself with SIGKILL ahead of step k (what was not
forced to the disk by then is lost); for every other k one more, which starts from what is left and is killed too; then one
that may live. That prints a line of JSON of what it found.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from fleetview_agent import durable
from fleetview_agent.configload import Source
from fleetview_agent.reported import NoUpdater, ReportedState
from fleetview_agent.twin import keep
from fleetview_agent.twin.twin import Host, Twin
from fleetview_agent.twin.watch import Sample
from fleetview_agent.wire import ConfigOffer, Desired, ModuleInfo, encode
from support.power import Cutter

VERIFY_S = 0.1
AT_ONCE = 8
"""They mostly wait."""
DOCUMENTS: list[dict[str, Any]] = [
    {"labels": {"is": "good"}},
    {"labels": {"is": "bad"}},
    {"labels": {"is": "not", "valid": 5}},
    {"labels": {"is": "better"}},
]
ENDS = ["applied", "rolled_back", "rejected", "applied"]


class Device:
    """A twin, and the agent around it that only remembers what runs."""

    def __init__(self, folder: Path) -> None:
        source = Source(folder / "agent.json", environ={})
        self.twin = Twin(folder, source, source.load())
        self.reported = ReportedState("s", now=lambda: datetime.now(UTC))
        self.config = self.twin.config
        self.statuses: list[str | None] = []
        self.twin.attach(Host(self.apply, self.sample, self.reported, NoUpdater(self.reported)))

    def apply(self, config: Any) -> None:
        self.config = config

    def sample(self) -> Sample:
        bad = self.config.labels.get("is") == "bad"
        return Sample("ok", modules=[ModuleInfo(name="m", state="failed" if bad else "running")])

    def report(self) -> dict[str, Any]:
        found = self.reported.message().model_dump(mode="json")["config"]
        return dict(found or {})

    async def lives_through(self, gens: range) -> None:
        running = asyncio.create_task(self.twin.run())
        for gen in gens:
            self.twin.received(encode(Desired(gen=gen, config=ConfigOffer(version=gen, document=DOCUMENTS[gen - 1]))))
            while self.report()["status"] in {"pending", "applying"}:  # noqa: ASYNC110  (nobody tells)
                await asyncio.sleep(0.002)
            found = self.report()
            was_cut_twice = "the agent ended 2 times" in (found["reason"] or "")
            assert found["status"] == ("rolled_back" if was_cut_twice else ENDS[gen - 1]), found
        running.cancel()


def child(work: Callable[[], None]) -> int:
    """The process id of one that does this."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return pid


def tell(line: str) -> None:
    os.write(1, f"{line}\n".encode())  # in one piece: others write there too


def live(folder: Path, cut_at: int) -> None:
    durable.before = Cutter(folder, cut_at)
    asyncio.run(Device(folder).lives_through(range(1, len(DOCUMENTS) + 1)))


def live_on(folder: Path, cut_at: int) -> None:
    durable.before = Cutter(folder, cut_at)
    asyncio.run(Device(folder).lives_through(range(max(1, keep.load(folder).kept.gen), len(DOCUMENTS) + 1)))


def start_again(folder: Path, cut_at: int) -> None:
    found = keep.load(folder)
    device = Device(folder)
    first = {
        "cut_at": cut_at,
        "runs": device.config.labels["is"],
        "last_good": found.last_good.document["labels"]["is"] if found.last_good else None,
        "gen": found.kept.gen,
        "trying": found.kept.trying.document["labels"]["is"] if found.kept.trying else None,
        "status": device.report().get("status"),
        "files": sorted(path.name for path in folder.iterdir()),
        "problems": found.problems,
    }
    asyncio.run(device.lives_through(range(max(1, found.kept.gen), len(DOCUMENTS) + 1)))
    tell(json.dumps({**first, "then": device.config.labels["is"], "kept": keep.load(folder).kept.status}))


def device_folder(base: Path, name: str) -> Path:
    folder = base / name
    folder.mkdir()
    keys = {"agent_id": "a", "broker_url": "mqtt://hub", "labels": {"is": "file"}, "verify_s": VERIFY_S}
    (folder / "agent.json").write_text(json.dumps(keys))
    return folder


def of_one(base: Path, cut_at: int) -> None:
    """Cut once; and in every other folder once more, early in the next life."""
    folder = device_folder(base, f"cut-{cut_at}")
    lives = [partial(live, folder, cut_at)]
    if cut_at % 2:
        lives.append(partial(live_on, folder, cut_at % 5))
    for life in lives:
        status = os.waitpid(child(life), 0)[1]
        assert status in {0, signal.SIGKILL}, status
    start_again(folder, cut_at)


def main(base: Path) -> None:
    done: list[str] = []
    durable.before = lambda what, path: done.append(f"{what} {path.name}")
    asyncio.run(Device(device_folder(base, "whole")).lives_through(range(1, len(DOCUMENTS) + 1)))
    durable.before = None
    tell(json.dumps({"steps": done}))
    waiting = list(range(len(done)))
    running: set[int] = set()
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            running.add(child(partial(of_one, base, waiting.pop(0))))
        pid, status = os.wait()
        running.discard(pid)
        assert status == 0, status


if __name__ == "__main__":
    main(Path(sys.argv[1]))
