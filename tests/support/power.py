"""Cuts the power of an update at every step that it takes on the disk.

Run as a program: `python -m support.power FOLDER OFFER`, where OFFER is the JSON of a release that is to take the place of
the one that runs. In a process of its own it forks a device for each step, which kills itself ahead of it; what was not
forced to the disk by then is lost. Then it looks at what boots, and lets that go on. A line of JSON for each step.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from fleetview_agent import durable
from fleetview_agent.release.errors import ReleaseError
from fleetview_agent.release.settings import Ota
from fleetview_agent.release.shelf import Shelf
from fleetview_agent.release.updater import Clock, Updater
from fleetview_agent.wire import ReleaseOffer
from support.releases import Device

GEN = 100


class Cutter:
    """Kills this process ahead of step number `at`, and loses what was written and not forced to the disk."""

    def __init__(self, folder: Path, at: int | None) -> None:
        self._folder = folder
        self._at = at
        self._count = 0
        self._last: tuple[str, Path] = ("", folder)
        self._unsynced: set[int] = set()
        """Inodes: what is renamed is not safer by that."""

    def __call__(self, step: str, path: Path) -> None:
        self._took(*self._last)
        self._last = step, path
        if self._count == self._at:
            for each in self._folder.rglob("*"):
                if each.is_file() and not each.is_symlink() and each.stat().st_ino in self._unsynced:
                    os.truncate(each, each.stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        self._count += 1

    def _took(self, step: str, path: Path) -> None:
        with contextlib.suppress(OSError):
            if step == "write":
                self._unsynced.add(path.stat().st_ino)
            elif step == "sync":
                self._unsynced.discard(path.stat().st_ino)


async def update(folder: Path, offer: dict[str, Any], *, gen: int = GEN) -> Updater:
    """Boot, and take the offer, until nothing is left to do."""
    shelf, device, ended = Shelf(folder), Device(), asyncio.Event()
    recovered = shelf.recover()
    device.run_release(recovered.release)

    def on_report() -> None:
        found = updater.report()
        if found is not None and found.version == version and found.status in {"committed", "rolled_back", "failed"}:
            ended.set()

    settings = Ota(allow_unsigned=True, settle_s=5, reserve_mib=0)
    clock = Clock(look_s=0.002, retry_base_s=0.01)
    updater = Updater(
        settings, shelf, recovered, device, verify_s=0.01, rng=random.Random(1), on_report=on_report, clock=clock
    )
    version = offer["version"]
    updater.offered(ReleaseOffer.model_validate(offer), gen)
    on_report()
    task = asyncio.create_task(updater.run())
    async with asyncio.timeout(30):
        await ended.wait()
        await updater.idle()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert device.runs == updater.running
    return updater


def forked(folder: Path, offer: dict[str, Any], at: int | None) -> bool:
    """A device in a process of its own; whether it came to its end."""
    pid = os.fork()
    if pid == 0:
        durable.before = Cutter(folder, at)
        try:
            asyncio.run(update(folder, offer))
        except BaseException as err:  # noqa: BLE001  (a child must not go on as its parent would)
            sys.stderr.write(f"{type(err).__name__}: {err}\n")
            os._exit(9)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, f"step {at}: the device ended in a defect"
    return not os.WIFSIGNALED(status)


def boots(folder: Path) -> dict[str, Any]:
    """What a device finds after a cut, proven to the last byte."""
    shelf = Shelf(folder)
    before = shelf.load()
    found = shelf.recover()
    problem = found.problem
    try:
        if found.state.running is not None:
            shelf.prove(found.state.running)
    except ReleaseError as err:
        problem = str(err)
    return {
        "runs": found.state.running,
        "linked": shelf.linked(),
        "problem": problem,
        "outcome": None if before.last is None or before.last.gen != GEN else before.last.status,
    }


def main(folder: Path, offer: dict[str, Any]) -> None:
    """Every step, one after the other."""
    at, done = 0, False
    while not done:
        copy = folder.with_name("device")
        shutil.copytree(folder, copy, symlinks=True)
        done = forked(copy, offer, at)
        found = boots(copy)
        assert forked(copy, offer, None)
        after = boots(copy)
        left = sorted(path.name for path in copy.iterdir())
        sys.stdout.write(json.dumps({"at": at, "boots": found, "after": after, "left": left, "end": done}) + "\n")
        shutil.rmtree(copy)
        at += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
