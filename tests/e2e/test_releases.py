"""Releases that are desired of real agents, from a real web server and over a real broker."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from support.agents import agent_process, watching
from support.commands import fleetview
from support.power import update
from support.releases import Maker, shop
from support.wait import until

from fleetview_agent.release.shelf import Shelf
from fleetview_agent.wire import ReleaseReport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from support.agents import AgentProcess, Watch
    from support.broker import Broker
    from support.releases import Shop

ADDRESS = "default/default/gw-1"
UNWELL = "#!/bin/sh\nexec sleep 1000\n"
SLOW = 'ready = { file = "ready", interval_s = 0.1, start_period_s = 0.1, retries = 2 }'


@dataclass
class Device:
    """An agent with a module of its own and the updater."""

    folder: Path
    broker: Broker
    watch: Watch
    maker: Maker
    shop: Shop
    gen: int = 0
    version: str | None = None

    def script(self, version: str) -> str:
        """A module that says that it was started, and by whom."""
        return f'#!/bin/sh\necho "{version} $PWD" >> {self.folder}/starts\nexec sleep 1000\n'

    @property
    def starts(self) -> list[list[str]]:
        path = self.folder / "starts"
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    def release(self, version: str, **parts: Any) -> dict[str, Any]:
        archive = self.maker.archive(version, **{"script": self.script(version), **parts})
        return self.maker.offer(archive, f"{self.shop.url}/{archive.name}")

    async def wants(self, release: dict[str, Any], document: dict[str, Any] | None = None) -> None:
        self.gen += 1
        self.version = release["version"]
        config = {} if document is None else {"config": {"version": self.gen, "document": document}}
        payload = json.dumps({"v": 1, "gen": self.gen, "release": release, **config}).encode()
        await self.watch.session.publish(f"fleet/v1/{ADDRESS}/desired", payload, qos=1, retain=True)

    @property
    def reports(self) -> list[ReleaseReport]:
        """All that were told of the generation that was desired last."""
        told = [told.release for told in self.watch.reported if told.gen == self.gen and told.release is not None]
        return [report for report in told if report.version == self.version]

    @property
    def configs(self) -> list[str | None]:
        """The same of the configuration."""
        return [told.config.status for told in self.watch.reported if told.gen == self.gen and told.config is not None]

    async def ends_as(self, status: str) -> ReleaseReport:
        await until(lambda: self.reports and self.reports[-1].status == status, 40)
        return self.reports[-1]

    def runs(self, version: str) -> bool:
        """As heartbeats tell it."""
        beat = self.watch.heartbeats[-1]
        bridge = [info for info in beat.modules if info.name == "bridge"]
        return beat.release == version and bool(bridge) and (bridge[0].state, bridge[0].version) == ("running", version)

    @property
    def linked(self) -> str:
        return os.readlink(self.folder / "state" / "gw-1" / "releases" / "current")  # noqa: PTH115

    async def told(self) -> dict[str, Any]:
        """What `fleetview device --json` says."""
        ran = await asyncio.to_thread(fleetview, "device", ADDRESS, "--json", "--broker", self.broker.url, "--settle", "1.5")
        assert ran.code == 0, ran.err
        return ran.objects[0]


@asynccontextmanager
async def device_of(tmp_path: Path, broker: Broker) -> AsyncIterator[Device]:
    maker = Maker(tmp_path / "shop")
    with shop(maker.folder) as store:
        async with watching(broker.url) as watch:
            yield Device(tmp_path, broker, watch, maker, store)


@asynccontextmanager
async def running(device: Device, environ: dict[str, str] | None = None, /, **ota: object) -> AsyncIterator[AgentProcess]:
    own = {"command": ["sleep", "1000"]}
    keys: dict[str, Any] = {
        "broker_url": device.broker.url,
        "heartbeat_interval": 0.4,
        "verify_s": 0.6,
        "release": "factory",
        "modules": {"own": own, "ota_updater": {}},
        "ota": {"keys": [device.maker.key], "verify_s": 0.6, "settle_s": 10, **ota},
    }
    before = len(device.watch.heartbeats)
    with agent_process(device.folder, environ, **keys) as agent:
        await until(lambda: len(device.watch.heartbeats) > before or agent.process.poll() is not None)
        yield agent


async def test_an_update_is_kept_and_one_that_never_becomes_well_goes_back(tmp_path: Path, broker: Broker) -> None:
    async with device_of(tmp_path, broker) as device, running(device):
        assert device.watch.heartbeats[-1].release == "factory"
        await device.wants(device.release("1.0"))
        assert (await device.ends_as("committed")).version == "1.0"
        await until(lambda: device.runs("1.0"))
        assert device.watch.births[-1].modules == ["own", "ota_updater", "bridge"]

        await device.wants(device.release("1.1", files={"data": os.urandom(200_000)}))
        found = await device.ends_as("committed")
        assert (found.version, found.previous, found.progress, found.reason) == ("1.1", "1.0", 1.0, None)
        assert list(dict.fromkeys(report.status for report in device.reports)) == [
            "queued",
            "downloading",
            "verifying",
            "staged",
            "applying",
            "checking",
            "committed",
        ]
        await until(lambda: device.runs("1.1"))

        await device.wants(device.release("1.2", script=UNWELL, more=SLOW))
        found = await device.ends_as("rolled_back")
        assert (found.version, found.previous) == ("1.2", "1.1")
        assert "module bridge is in backoff for the 2nd time: not ready" in (found.reason or "")
        await until(lambda: device.runs("1.1"))
        assert device.linked == "1.1"
        releases = tmp_path / "state" / "gw-1" / "releases"
        assert sorted(path.name for path in releases.iterdir()) == [".update.json", "1.0", "1.1", "current"]
        await until(lambda: [version for version, _ in device.starts] == ["1.0", "1.1", "1.1"])
        assert device.starts[-1][1] == str(releases / "1.1")
        own = next(info for info in device.watch.heartbeats[-1].modules if info.name == "own")
        assert own.restarts == 0, "a release restarts its own modules only"

        told = await device.told()
        assert told["release"] == "1.1"
        assert told["config"] == "rolled_back"
        assert (told["reported"]["release"]["status"], told["reported"]["release"]["version"]) == ("rolled_back", "1.2")
        assert any("not ready" in reason["text"] for reason in told["why"])

        for _ in range(2):
            await device.wants({"version": "1.3", "url": f"{device.shop.url}/none", "sha256": "0" * 64, "size": 5})
            assert "not signed" in ((await device.ends_as("failed")).reason or "")
            statuses = list(dict.fromkeys(report.status for report in device.reports))
            assert statuses == ["queued", "failed"], "how the one before ended is not said of a new generation"
        await device.wants({"version": "1.3"})
        assert (await device.ends_as("failed")).reason == "release.url: missing"
        assert device.runs("1.1")


async def test_a_kill_while_a_release_is_checked_boots_into_the_one_before_and_tries_again(
    tmp_path: Path, broker: Broker
) -> None:
    async with device_of(tmp_path, broker) as device:
        first, second = device.release("1.0"), device.release("1.1")
        async with running(device):
            await device.wants(first)
            await device.ends_as("committed")
        async with running(device, verify_s=300) as agent:
            await until(lambda: device.runs("1.0"))
            await device.wants(second)
            await until(lambda: device.reports and device.reports[-1].status == "checking" and device.runs("1.1"))
            assert device.linked == "1.1"
            agent.process.send_signal(signal.SIGKILL)
            await agent.ended()
        found = Shelf(tmp_path / "state" / "gw-1" / "releases").recover()
        assert (found.state.running, found.problem, device.linked) == ("1.0", None, "1.0")
        async with running(device):
            assert (await device.ends_as("committed")).previous == "1.0"
            await until(lambda: device.runs("1.1"))
        versions = [version for version, _ in device.starts]
        assert versions[:3] == ["1.0", "1.0", "1.1"]
        assert versions[3:] in (["1.0", "1.1"], ["1.1"]), "1.0 may be gone again before it can say a word"


CUT = """
import os, signal
from fleetview_agent import durable
what, name, number = os.environ["CUT"].split()
left = int(number)

def before(step, path):
    global left
    left -= step == what and path.name == name
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)

durable.before = before
"""
# While the link is made, when it is made, and ahead of what commits it. `test_release_power` does it at every step.
CUTS = ["link current 1", "sync releases 4", "rename .update.json 3"]


async def test_a_real_agent_is_cut_off_amid_an_update_again_and_again(tmp_path: Path, broker: Broker) -> None:
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "sitecustomize.py").write_text(CUT)
    releases = tmp_path / "state" / "gw-1" / "releases"
    async with device_of(tmp_path, broker) as device:
        await update(releases, device.release("1.0"), gen=0)
        fresh = tmp_path / "fresh"
        shutil.copytree(releases, fresh, symlinks=True)
        await device.wants(device.release("1.1"))
        for cut in CUTS:
            shutil.rmtree(tmp_path / "state")
            shutil.copytree(fresh, releases, symlinks=True)
            path = os.pathsep.join([str(tmp_path / "cut"), os.environ.get("PYTHONPATH", "")])
            async with running(device, {**os.environ, "CUT": cut, "PYTHONPATH": path}) as agent:
                assert await agent.ended(30) == -signal.SIGKILL, cut
            found = Shelf(releases).recover()
            assert (found.state.running, found.problem) == ("1.0", None), cut
            Shelf(releases).prove("1.0")
        async with running(device):
            assert (await device.ends_as("committed")).previous == "1.0"
            await until(lambda: device.runs("1.1"))


async def test_a_configuration_waits_for_the_release_that_is_checked(tmp_path: Path, broker: Broker) -> None:
    async with device_of(tmp_path, broker) as device, running(device, verify_s=2):
        release = device.release("1.0")
        await device.wants(release)
        await until(lambda: device.reports and device.reports[-1].status == "checking")
        document: dict[str, Any] = {"modules": {"third": {"command": ["sleep", "1000"]}}}
        await device.wants(release, document)
        await device.ends_as("committed")
        await until(lambda: device.configs[-1:] == ["applying"])
        assert list(dict.fromkeys(device.configs)) == ["pending", "applying"]
        committed = [told.release is not None and told.release.status == "committed" for told in device.watch.reported]
        applying = [told.config is not None and told.config.status == "applying" for told in device.watch.reported]
        assert committed.index(True) < applying.index(True)
        await until(lambda: device.configs[-1:] == ["applied"])
        assert device.watch.births[-1].modules == ["own", "ota_updater", "third", "bridge"]
        await device.wants(release, {"modules": {"bridge": {"command": ["sleep", "1000"]}}})
        await until(lambda: device.configs[-1:] == ["rejected"])
        reported = device.watch.reported[-1].config
        assert reported is not None
        assert "it cannot be together with release 1.0" in (reported.reason or "")
        assert device.runs("1.0")


async def test_the_updater_is_restarted_amid_a_check(tmp_path: Path, broker: Broker) -> None:
    async with device_of(tmp_path, broker) as device, running(device, verify_s=4):
        await device.wants(device.release("1.0"))
        await until(lambda: device.reports and device.reports[-1].status == "checking" and device.runs("1.0"))
        command = {"v": 1, "verb": "restart_module", "args": {"name": "ota_updater"}, "expires_at": "2999-01-01T00:00:00Z"}
        await device.watch.session.publish(f"fleet/v1/{ADDRESS}/command/a", json.dumps(command).encode(), qos=1)
        await until(lambda: [report.status for report in device.reports].count("queued") > 1)
        assert (await device.ends_as("committed")).version == "1.0"
        await until(lambda: device.runs("1.0"))


async def test_without_an_updater_a_release_is_failed_in_words(tmp_path: Path, broker: Broker) -> None:
    async with device_of(tmp_path, broker) as device:
        with agent_process(tmp_path, None, broker_url=broker.url, heartbeat_interval=0.4):
            await until(lambda: device.watch.heartbeats)
            await device.wants(device.release("1.0"))
            assert "ota_updater is not among the modules" in ((await device.ends_as("failed")).reason or "")
