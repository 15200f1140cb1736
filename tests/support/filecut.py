"""A device that loses its power while a file is tried that it was told to read anew: run by test_twin_local.

For every k a child is forked that reads a bad file anew, then a good one, and kills itself ahead of step k on its own files;
what was not forced to the disk by then is lost. Then one starts on what is left, and goes on. A line of JSON for each.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

from fleetview_agent import durable
from fleetview_agent.twin import keep
from support.power import Cutter
from support.powercut import Device, child, device_folder, tell

TESTED = ["bad", "better"]
"""What the file says, one after the other: labels by which `Device` knows whether it is well."""


def write(folder: Path, label: str) -> None:
    path = folder / "agent.json"
    durable.write_atomically(path, json.dumps({**json.loads(path.read_text()), "labels": {"is": label}}).encode())


def label_of(folder: Path) -> str:
    return str(json.loads((folder / "agent.json").read_text())["labels"]["is"])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class Owner(Device):
    """Whose file is edited, and read anew."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._folder = folder
        self.was: list[str] = []
        """What was made to run, one after the other."""

    @property
    def label(self) -> str:
        return str(self.config.labels["is"])

    def apply(self, config: Any) -> None:
        assert config.labels["is"] == "file" or keep.load_doubt(self._folder)[0], "what runs untried is known as such"
        super().apply(config)
        self.was.append(self.label)

    async def goes_on(self, folder: Path, labels: list[str]) -> None:
        """From a start: what was cut short is tried first."""
        running = asyncio.create_task(self.twin.run())
        await self.settled(folder)
        for label in labels:
            before, durable.before = durable.before, None  # the owner's writing is not the agent's
            write(folder, label)
            durable.before = before
            self.twin.reload()
            await asyncio.sleep(0)
            await self.settled(folder)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running

    async def settled(self, folder: Path) -> None:
        """Whatever is tried has come to an end."""
        await asyncio.sleep(0)
        while self.is_tried(folder):  # noqa: ASYNC110  (nobody tells)
            await asyncio.sleep(0.002)

    @staticmethod
    def is_tried(folder: Path) -> bool:
        doubt, problem = keep.load_doubt(folder)
        assert problem is None, problem
        return doubt is not None and doubt.reason is None


def live(folder: Path, cut_at: int | None) -> None:
    durable.before = None if cut_at is None else Cutter(folder, cut_at)
    asyncio.run(begin(folder))


async def begin(folder: Path) -> None:
    await Owner(folder).goes_on(folder, TESTED)


async def start_again(folder: Path, cut_at: int) -> None:
    said, doubt = label_of(folder), keep.load_doubt(folder)[0]
    device = Owner(folder)
    first = {"cut_at": cut_at, "file": said, "doubt": doubt is not None, "runs": device.label}
    await device.goes_on(folder, [])
    assert label_of(folder) == said, "the file is its owner's"
    then = {"then": device.label, "problems": device.twin.problems}
    tell(json.dumps({**first, **then, "again": Owner(folder).label, "left": names(folder)}))


def main(base: Path) -> None:
    cut_at, is_over = 0, False
    while not is_over:
        folder = device_folder(base, f"cut-{cut_at}")
        status = os.waitpid(child(partial(live, folder, cut_at)), 0)[1]
        assert status in {0, signal.SIGKILL}, status
        is_over = status == 0
        asyncio.run(start_again(folder, cut_at))
        cut_at += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]))
