"""An updater and a real web server: every status on the way, and every offer that is bad, with nothing left behind."""

from __future__ import annotations

import asyncio
import os
import random
import re
import tarfile
import threading
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from support.releases import Device, Maker, Shop, member, shop, tar_gz
from support.wait import until

from fleetview_agent.release.inventory import sha256_of
from fleetview_agent.release.settings import Ota
from fleetview_agent.release.shelf import Shelf
from fleetview_agent.release.updater import Clock, Trouble, Updater
from fleetview_agent.wire import ReleaseOffer, ReleaseReport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path


@dataclass
class Bench:
    """A device's updater, and what it reported."""

    shelf: Shelf
    updater: Updater
    device: Device
    reports: list[ReleaseReport] = field(default_factory=list)
    gen: int = 0

    async def takes(self, offer: dict[str, Any]) -> ReleaseReport:
        """How it ends."""
        self.gen += 1
        before = len(self.reports)
        self.updater.offered(ReleaseOffer.model_validate(offer), self.gen)
        ends = {"committed", "rolled_back", "failed"}
        await until(lambda: any(report.status in ends for report in self.reports[before:]))
        await self.updater.idle()
        return self.reports[-1]

    @property
    def left(self) -> list[str]:
        return sorted(path.name for path in self.shelf.folder.iterdir())


@pytest.fixture
def maker(tmp_path: Path) -> Maker:
    return Maker(tmp_path / "shop")


@pytest.fixture
def store(maker: Maker) -> Iterator[Shop]:
    with shop(maker.folder) as made:
        yield made


@asynccontextmanager
async def bench(tmp_path: Path, maker: Maker, **settings: Any) -> AsyncIterator[Bench]:
    shelf, device = Shelf(tmp_path / "releases"), Device()
    recovered = shelf.recover()
    device.run_release(recovered.release)
    usual: dict[str, Any] = {"keys": [maker.key], "settle_s": 5, "retries": 2, "timeout_s": 5}
    made = Bench(shelf, None, device)  # type: ignore[arg-type]
    made.updater = Updater(
        Ota(**usual | settings),
        shelf,
        recovered,
        device,
        verify_s=0.01,
        rng=random.Random(1),
        on_report=lambda: made.reports.append(made.updater.report() or ReleaseReport()),
        clock=Clock(look_s=0.002, retry_base_s=0.01),
    )
    task = asyncio.create_task(made.updater.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def web(store: Shop, maker: Maker, archive: Path) -> dict[str, Any]:
    return maker.offer(archive, f"{store.url}/{archive.name}")


async def test_every_status_is_reported_with_its_progress(tmp_path: Path, maker: Maker, store: Shop) -> None:
    async with bench(tmp_path, maker) as made:
        first = web(store, maker, maker.archive("1.0"))
        assert (await made.takes(first)).status == "committed"
        big = web(store, maker, maker.archive("1.1", files={"data": random.Random(1).randbytes(300_000)}))
        made.reports.clear()
        await made.takes(big)
        statuses = list(dict.fromkeys(report.status for report in made.reports))
        expected = ["queued", "downloading", "verifying", "staged", "applying", "checking", "committed"]
        assert statuses == expected
        progress = [report.progress for report in made.reports if report.progress is not None]
        assert progress == sorted(progress)
        assert any(0 < each < 1 for each in progress)
        assert {report.version for report in made.reports} == {"1.1"}
        assert {report.previous for report in made.reports} == {"1.0"}
        assert made.device.runs == "1.1"
        assert made.left == [".update.json", "1.0", "1.1", "current"]
        made.reports.clear()
        await made.takes(first)
        assert "downloading" not in [report.status for report in made.reports], "the one before is on the disk"
        assert (made.updater.running, made.updater.report().previous) == ("1.0", "1.1")  # type: ignore[union-attr]


async def test_a_signature_beside_the_archive_is_as_good_as_one_in_the_offer(
    tmp_path: Path, maker: Maker, store: Shop
) -> None:
    archive = maker.archive("1.0")
    offer = web(store, maker, archive)
    del offer["signature"]
    async with bench(tmp_path, maker) as made:
        assert (await made.takes(offer)).status == "committed"
        assert store.asked[0][0] == "/gateway-1.0.tar.gz.sig"


async def test_what_is_interrupted_is_resumed(tmp_path: Path, maker: Maker, store: Shop) -> None:
    archive = maker.archive("1.0", files={"data": random.Random(1).randbytes(300_000)})
    store.cut_after = [60_000, 60_000, 60_000]  # more often than may be tried without a gain
    async with bench(tmp_path, maker) as made:
        assert (await made.takes(web(store, maker, archive))).status == "committed"
        assert [wanted for _, wanted in store.asked] == [None, "bytes=60000-", "bytes=120000-", "bytes=180000-"]
        assert any(report.reason and "the connection ended" in report.reason for report in made.reports)


@dataclass
class Bad:
    """An offer that something is wrong with."""

    maker: Maker
    store: Shop
    archive: Path
    offer: dict[str, Any]
    settings: dict[str, Any] = field(default_factory=dict)

    def alter(self) -> None:
        data = bytearray(self.archive.read_bytes())
        data[len(data) // 2] ^= 1
        self.archive.write_bytes(data)

    def truncate(self) -> None:
        self.archive.write_bytes(self.archive.read_bytes()[:5000])

    def take_the_signature_away(self) -> None:
        del self.offer["signature"]
        self.archive.with_name(f"{self.archive.name}.sig").unlink()

    def sign_with_another_key(self) -> None:
        self.offer = Maker(self.maker.folder / "other").offer(self.archive, self.offer["url"])

    def name_another_file(self) -> None:
        self.offer["url"] += ".no"

    def let_the_server_fail(self) -> None:
        self.store.status = [503] * 10

    def let_the_server_hang(self) -> None:
        self.store.hang, self.store.ranges, self.settings["timeout_s"] = threading.Event(), False, 0.1

    def forget_the_program(self) -> None:
        archive = self.maker.archive("1.3", more='[modules.ui]\ncommand = ["bin/ui"]')
        self.offer = web(self.store, self.maker, archive)


def but(**values: Any) -> Callable[[Bad], None]:
    """The offer with other values."""
    return lambda bad: bad.offer.update(values)


def set_to(**settings: Any) -> Callable[[Bad], None]:
    """A device that is configured so."""
    return lambda bad: bad.settings.update(settings)


BAD: dict[str, tuple[Callable[[Bad], None], str]] = {
    "altered": (Bad.alter, "its sha256 is"),
    "truncated": (Bad.truncate, "bytes, and the offer says"),
    "unsigned": (Bad.take_the_signature_away, "it is not signed"),
    "another key": (Bad.sign_with_another_key, r"which is not in ota\.keys"),
    "another version": (but(version="1.2"), "not what was signed"),
    "not there": (Bad.name_another_file, "the server answers 404"),
    "down": (Bad.let_the_server_fail, "the server answers 503.*given up after 3 tries"),
    "hangs": (Bad.let_the_server_hang, "timed out; given up after 3 tries"),
    "wrong size": (but(size=5), "and the offer says 5"),
    "no sha256": (but(sha256=None), r"release\.sha256: missing"),
    "wrong sha256": (but(sha256="abc"), r"release\.sha256: 64 hex digits expected, not 'abc'"),
    "no version": (but(version="../../etc"), r"release\.version: a version expected"),
    "no url": (but(url="ftp://x/y"), r"release\.url: a URL"),
    "too large": (but(size=2**40), r"ota\.max_mib allows"),
    "too large unpacked": (set_to(max_unpacked_mib=1), r"ota\.max_unpacked_mib"),
    "no room": (set_to(reserve_mib=2**20), "the disk has no room for it"),
    "another name": (set_to(name="other"), r"ota\.name takes those of 'other' only"),
    "no program": (Bad.forget_the_program, r"modules\.ui: no program"),
}


@pytest.mark.parametrize("what", BAD)
async def test_a_bad_offer_is_refused_by_name_and_leaves_nothing(
    tmp_path: Path, maker: Maker, store: Shop, what: str
) -> None:
    archive = maker.archive("1.1", files={"data": random.Random(1).randbytes(10_000), "zeros": bytes(2_000_000)})
    bad = Bad(maker, store, archive, web(store, maker, archive))
    spoil, words = BAD[what]
    spoil(bad)
    async with bench(tmp_path, maker, **bad.settings) as made:
        made.shelf.folder.mkdir()
        found = await made.takes(bad.offer)
        assert found.status == "failed"
        assert re.search(words, found.reason or ""), found.reason
        assert made.device.runs is None
        assert made.left == [".update.json"]
        if what in {"another key", "another version", "no room", "no url"}:
            assert not [path for path, _ in store.asked if path.endswith(".gz")], "not a byte is fetched"


@pytest.mark.parametrize(
    ("settings", "status"),
    [({"keys": []}, "failed"), ({"keys": [], "allow_unsigned": True}, "committed"), ({"allow_unsigned": True}, "failed")],
)
async def test_unsigned_is_taken_only_by_who_has_no_keys_and_says_so(
    tmp_path: Path, maker: Maker, store: Shop, settings: dict[str, Any], status: str
) -> None:
    archive = maker.archive("1.0")
    offer = web(store, maker, archive)
    del offer["signature"]
    (maker.folder / f"{archive.name}.sig").unlink()
    async with bench(tmp_path, maker, **settings) as made:
        assert (await made.takes(offer)).status == status


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (member("../evil"), "leads out of the release"),
        (member("dev", tarfile.CHRTYPE), "a device"),
        (member("link", tarfile.SYMTYPE, linkname="/etc"), "a link out"),
        (member("release.toml"), "twice"),
        (member("su", mode=0o4755), "setuid"),
    ],
)
async def test_an_archive_with_more_than_files_in_it(
    tmp_path: Path, maker: Maker, store: Shop, entry: tarfile.TarInfo, words: str
) -> None:
    text = b'name = "g"\nversion = "1.0"\n[modules.m]\ncommand = ["true"]\n'
    archive = maker.folder / "a.tar.gz"
    archive.write_bytes(tar_gz((member("release.toml"), text), (entry, b"")))
    offer = {"version": "1.0", "url": f"{store.url}/a.tar.gz", "sha256": sha256_of(archive)}
    async with bench(tmp_path, maker, keys=[], allow_unsigned=True) as made:
        found = await made.takes(offer)
        assert found.status == "failed"
        assert words in (found.reason or "")
        assert made.left == [".update.json"]
        assert sorted(os.listdir(tmp_path)) == ["releases", "shop"]  # noqa: PTH208


async def test_the_manifest_has_to_say_what_was_offered(tmp_path: Path, maker: Maker, store: Shop) -> None:
    offer = web(store, maker, maker.archive("1.0"))
    offer = {name: value for name, value in offer.items() if name != "signature"} | {"version": "1.1"}
    async with bench(tmp_path, maker, keys=[], allow_unsigned=True) as made:
        found = await made.takes(offer)
        assert found.reason == "release.toml says version '1.0', and the offer '1.1'"


async def test_a_release_that_never_becomes_well_is_taken_back(tmp_path: Path, maker: Maker, store: Shop) -> None:
    async with bench(tmp_path, maker) as made:
        await made.takes(web(store, maker, maker.archive("1.0")))
        found = await made.takes(web(store, maker, maker.archive("1.2-bad")))
        assert (found.status, found.version, found.previous) == ("rolled_back", "1.2-bad", "1.0")
        assert found.reason == "module bridge failed"
        assert (made.device.runs, made.shelf.linked(), made.updater.running) == ("1.0", "1.0", "1.0")
        assert made.left == [".update.json", "1.0", "current"]


async def test_without_a_way_back_nothing_is_begun(tmp_path: Path, maker: Maker, store: Shop) -> None:
    async with bench(tmp_path, maker) as made:
        await made.takes(web(store, maker, maker.archive("1.0")))
        (made.shelf.path("1.0") / "bin" / "bridge").write_text("#!/bin/sh\n# damaged\nexec sleep 1\n")
        found = await made.takes(web(store, maker, maker.archive("1.1")))
        assert found.status == "failed"
        assert found.reason == (
            'there would be nothing to go back to: release 1.0 is damaged: "bin/bridge" is not as it was unpacked'
        )
        assert made.device.runs == "1.0"


async def test_another_content_under_the_same_version_is_refused(tmp_path: Path, maker: Maker, store: Shop) -> None:
    other = Maker(tmp_path / "other")
    async with bench(tmp_path, maker, keys=[maker.key, other.key]) as made:
        await made.takes(web(store, maker, maker.archive("1.0")))
        found = await made.takes(other.offer(other.archive("1.0", script="#!/bin/sh\n")))
        assert found.status == "failed"
        assert "another content needs another version" in (found.reason or "")
        assert made.device.runs == "1.0"


async def test_what_is_on_its_way_ends_when_it_is_withdrawn_or_the_agent_ends(
    tmp_path: Path, maker: Maker, store: Shop
) -> None:
    store.hang = threading.Event()
    offer = web(store, maker, maker.archive("1.0", files={"data": random.Random(1).randbytes(300_000)}))
    async with bench(tmp_path, maker) as made:
        made.updater.offered(ReleaseOffer.model_validate(offer), 1)
        await until((made.shelf.download / offer["sha256"]).exists)
        made.updater.withdrawn()
        await until(lambda: made.updater.report() is None)
        await until(lambda: made.left == [".update.json"])
        made.updater.offered(ReleaseOffer.model_validate(offer), 2)
        await until((made.shelf.download / offer["sha256"]).exists)
    store.hang.set()
    store.hang = None
    async with bench(tmp_path, maker) as made:  # what it was about is remembered, and needs no broker
        await until(lambda: made.device.runs == "1.0")
        await made.updater.idle()
        assert store.asked[-1][1] is not None, "it goes on where it ended"


async def test_a_disk_that_cannot_be_written_holds_everything_up(
    tmp_path: Path, maker: Maker, store: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleetview_agent.release.updater._DISK_RETRY_S", 0.05)
    async with bench(tmp_path, maker) as made:
        (tmp_path / "releases").write_text("a file where the folder should be")
        made.updater.offered(ReleaseOffer.model_validate(web(store, maker, maker.archive("1.0"))), 1)
        await until(lambda: made.updater.problems)
        assert "cannot be written" in made.updater.problems[0]
        assert not store.asked
        (tmp_path / "releases").unlink()
        await until(lambda: made.device.runs == "1.0")
        await made.updater.idle()
        assert not made.updater.problems


async def test_trouble_in_words(tmp_path: Path, maker: Maker, store: Shop) -> None:
    class Slow(Device):
        looks = 0

        def trouble(self) -> Trouble | None:
            self.looks += 1
            return Trouble("module bridge is starting") if self.looks < 5 else None

    async with bench(tmp_path, maker) as made:
        made.updater._device = Slow()
        assert (await made.takes(web(store, maker, maker.archive("1.0")))).status == "committed"
        assert "module bridge is starting" in [report.reason for report in made.reports]
