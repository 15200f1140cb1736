"""The file on the device, read anew: tried, watched and taken back as a configuration from afar, and never written."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.filecut import Owner, write
from support.powercut import device_folder
from support.wait import until

from fleetview_agent import durable
from fleetview_agent.twin import keep
from fleetview_agent.twin.model import Doubt
from fleetview_agent.wire import ConfigOffer, Desired, encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TESTS = Path(__file__).parents[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return device_folder(tmp_path, "state")


def allow(folder: Path, verify_s: float) -> None:
    """The window that the file gives to what is tried."""
    path = folder / "agent.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "verify_s": verify_s}))


def doubt(folder: Path) -> Doubt | None:
    found, problem = keep.load_doubt(folder)
    assert problem is None
    return found


@asynccontextmanager
async def lives(device: Owner) -> AsyncIterator[Owner]:
    running = asyncio.create_task(device.twin.run())
    yield device
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def reads(device: Owner, folder: Path, label: str) -> None:
    """Its file says this, and it is told so."""
    write(folder, label)
    device.twin.reload()
    await until(lambda: device.label == label)


async def test_a_good_one_stays_and_a_bad_one_goes(folder: Path) -> None:
    async with lives(Owner(folder)) as device:
        await reads(device, folder, "better")
        tried = doubt(folder)
        assert tried is not None
        assert (tried.before["labels"], tried.attempts, tried.reason) == ({"is": "file"}, 1, None)
        await until(lambda: doubt(folder) is None)
        assert (device.label, device.twin.problems) == ("better", [])

        write(folder, "bad")
        device.twin.reload()
        await until(lambda: device.twin.problems)
        assert device.label == "better", "what was good last"
        assert device.twin.problems == ["the configuration file was rolled back, and is not used: module m failed"]
        assert Owner(folder).label == "better", "a start does not fall for it either"

        await reads(device, folder, "third")
        await until(lambda: doubt(folder) is None)
        assert device.twin.problems == []
    assert Owner(folder).label == "third"


async def test_the_same_file_is_tried_once_more_when_somebody_asks(folder: Path) -> None:
    async with lives(Owner(folder)) as device:
        write(folder, "bad")
        for _ in range(2):
            device.twin.reload()
            await until(lambda: device.was.count("bad") == 1 and device.label == "file")
            device.was.clear()
        found = doubt(folder)
        assert found is not None
        assert found.attempts == 1


async def test_one_that_was_mended_meanwhile_is_read_as_by_any_start(folder: Path) -> None:
    async with lives(Owner(folder)) as device:
        write(folder, "bad")
        device.twin.reload()
        await until(lambda: device.twin.problems)
    write(folder, "mended")
    device = Owner(folder)
    assert (device.label, device.twin.problems, doubt(folder)) == ("mended", [], None)


async def test_a_stop_that_was_asked_for_does_not_count_and_two_ends_are_too_many(folder: Path) -> None:
    allow(folder, 3600)
    async with lives(Owner(folder)) as device:
        await reads(device, folder, "better")
        device.twin.stop()
    found = doubt(folder)
    assert found is not None
    assert (found.attempts, found.reason) == (0, None)
    for attempts in (1, 2):
        async with lives(Owner(folder)) as device:
            assert device.label == "file"
            device.twin.reload()
            await until(lambda device=device: device.label == "better")  # type: ignore[misc]
            found = doubt(folder)
            assert found is not None
            assert found.attempts == attempts
    device = Owner(folder)
    assert device.label == "file"
    assert "the agent ended 2 times while it was being tried" in device.twin.problems[0]


async def test_a_newer_one_takes_the_place_of_what_is_tried(folder: Path) -> None:
    allow(folder, 3600)
    async with lives(Owner(folder)) as device:
        await reads(device, folder, "better")
        await reads(device, folder, "third")
        found = doubt(folder)
        assert found is not None
        assert found.before["labels"] == {"is": "file"}, "nothing else was good yet"
        write(folder, "file")
        device.twin.reload()
        await until(lambda: doubt(folder) is None)
        assert device.label == "file"
        async with device.twin.alone():
            pass


async def test_of_two_changes_at_once_neither_is_blamed_for_the_other(folder: Path) -> None:
    async with lives(Owner(folder)) as device:
        write(folder, "bad")
        device.twin.reload()
        await until(lambda: device.label == "bad")
        async with device.twin.alone():
            assert device.label == "file", "it had waited for this"
            assert device.twin.problems
        document = {"heartbeat_interval": 7.0}
        device.twin.received(encode(Desired(gen=1, config=ConfigOffer(version=1, document=document))))
        await until(lambda: device.report()["status"] == "applied")
        assert device.config.heartbeat_interval == 7.0
        assert device.label == "file", "it is laid over what runs, and not over what was taken back"


async def test_what_cannot_be_kept_is_not_tried(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_what: str, _path: Path) -> None:
        raise OSError(28, "No space left on device")

    write(folder, "better")
    device = Owner(folder)
    write(folder, "third")
    async with lives(device):
        monkeypatch.setattr(durable, "before", full)
        device.twin.reload()
        await until(lambda: any("is not reloaded" in text and "No space left" in text for text in caplog.messages))
        assert device.label == "better"
        assert device.twin.problems == []


@pytest.mark.parametrize("content", ["", "[]", '{"sha256": "x", "before": [], "attempts": 1, "reason": null}'])
def test_a_doubt_that_cannot_be_read_is_none(folder: Path, content: str) -> None:
    (folder / keep.DOUBT_FILE).write_text(content)
    found, problem = keep.load_doubt(folder)
    assert found is None
    assert keep.DOUBT_FILE in (problem or "")
    assert Owner(folder).label == "file"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="it forks")
def test_whenever_the_power_goes_nothing_runs_that_was_begun_and_not_verified(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "support.filecut", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])},
    )
    assert ended.returncode == 0, ended.stderr
    cuts = [json.loads(line) for line in ended.stdout.splitlines()]
    assert len(cuts) > 12
    for cut in cuts:
        assert cut["left"] in (["agent.json"], ["agent.json", keep.DOUBT_FILE]), cut
        if not cut["doubt"]:
            # Not begun, or verified: what its owner has written is read as by any start.
            assert cut["runs"] == cut["then"] == cut["file"], cut
        elif cut["file"] == "bad":
            assert (cut["runs"], cut["then"], cut["again"]) == ("file", "file", "file"), cut
            assert "module m failed" in cut["problems"][0]
        elif cut["runs"] == "file":
            assert (cut["then"], cut["again"], cut["problems"]) == ("better", "better", []), "it is tried again"
    assert {(cut["file"], cut["doubt"]) for cut in cuts} == {(file, doubt) for file in ("bad", "better") for doubt in (0, 1)}
