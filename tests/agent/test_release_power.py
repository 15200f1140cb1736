"""A cut of power at every step of an update."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.power import update
from support.releases import Maker

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS = Path(__file__).parents[1]


@pytest.fixture
def device(tmp_path: Path) -> Iterator[tuple[Path, Maker]]:
    """A device that runs 1.0, with 0.9 on its disk from before; in memory, where thousands of syncs cost nothing."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as name:
        maker, folder = Maker(tmp_path / "made"), Path(name) / "releases"
        for version in ("0.9", "1.0"):
            updater = asyncio.run(update(folder, maker.offer(maker.archive(version)), gen=int(version.replace(".", ""))))
            assert updater.running == version
        yield folder, maker


def cut_at_every_step(folder: Path, offer: dict[str, Any]) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "support.power", str(folder), json.dumps(offer)],
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])},
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_it_boots_into_the_release_before_or_the_new_one_and_then_goes_on(device: tuple[Path, Maker]) -> None:
    folder, maker = device
    steps = cut_at_every_step(folder, maker.offer(maker.archive("1.1", files={"etc/conf": b"x" * 100_000})))
    assert len(steps) > 30, "there is much to do"
    assert steps[-1]["end"]
    for step in steps:
        found = step["boots"]
        assert found["problem"] is None, step
        assert found["runs"] == found["linked"] == ("1.1" if found["outcome"] == "committed" else "1.0"), step
        assert step["after"] == {"runs": "1.1", "linked": "1.1", "problem": None, "outcome": "committed"}, step
        assert step["left"] == [".update.json", "1.0", "1.1", "current"], step
    runs = [step["boots"]["runs"] for step in steps]
    assert runs == sorted(runs), "once committed it stays"
    assert runs[0] == "1.0"


def test_it_never_boots_into_a_release_that_is_bad(device: tuple[Path, Maker]) -> None:
    folder, maker = device
    steps = cut_at_every_step(folder, maker.offer(maker.archive("1.1-bad")))
    assert len(steps) > 30
    for step in steps:
        assert (step["boots"]["runs"], step["boots"]["linked"], step["boots"]["problem"]) == ("1.0", "1.0", None), step
        assert (step["after"]["runs"], step["after"]["outcome"]) == ("1.0", "rolled_back"), step
        assert step["left"] == [".update.json", "0.9", "1.0", "current"], step
