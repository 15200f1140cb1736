"""Configurations that are desired of real agents, on a real broker, and what `fleetview device` says of it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from support.agents import agent_again, agent_process, run_agent, watching
from support.commands import fleetview
from support.wait import until

from fleetview_agent.wire import (
    ConfigOffer,
    Desired,
    Heartbeat,
    ModuleInfo,
    ReleaseReport,
    Reported,
    document_sha256,
    encode,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from support.agents import AgentProcess, Watch
    from support.broker import Broker

ADDRESS = "default/default/gw-1"
TOPIC = f"fleet/v1/{ADDRESS}"
SECRET = "hunter2"


class Device:
    """An agent with two modules, each of which says with which SETTING it was started, and under which process id."""

    def __init__(self, folder: Path, broker: Broker, watch: Watch) -> None:
        self.folder, self.broker, self.watch = folder, broker, watch
        self.gen = 0

    def module(self, name: str, **keys: object) -> dict[str, object]:
        script = f'echo "$SETTING $$" >> {self.folder / name}; exec sleep 1000'
        return {"command": ["sh", "-c", script], "env": {"SETTING": "file"}, **keys}

    def keys(self, **keys: object) -> dict[str, object]:
        modules = {"changed": self.module("changed"), "left-alone": self.module("left-alone")}
        return {"broker_url": self.broker.url, "modules": modules, "heartbeat_interval": 0.4, "verify_s": 2.0, **keys}

    def starts(self, name: str) -> list[list[str]]:
        """The setting and the process id of each start of a module."""
        path = self.folder / name
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    async def wants(self, document: dict[str, Any], **fields: Any) -> None:
        self.gen += 1
        config = ConfigOffer(version=self.gen, sha256=document_sha256(document), document=document)
        desired = Desired.model_validate({"gen": self.gen, "config": config, **fields})
        await self.watch.session.publish(f"{TOPIC}/desired", encode(desired), qos=1, retain=True)

    async def ends_as(self, status: str) -> Reported:
        """Wait for the generation that was desired last to come to this end."""
        await until(lambda: self.watch.reported and self.watch.reported[-1].gen == self.gen and self.status == status)
        return self.watch.reported[-1]

    @property
    def status(self) -> str | None:
        config = self.watch.reported[-1].config
        return None if config is None else config.status

    @property
    def statuses(self) -> list[str | None]:
        """All that were told of the generation that was desired last."""
        return [told.config.status for told in self.watch.reported if told.gen == self.gen and told.config is not None]

    @property
    def beat(self) -> Heartbeat:
        return self.watch.heartbeats[-1]

    def info(self, name: str) -> ModuleInfo | None:
        return next((info for info in self.beat.modules if info.name == name), None)

    def is_running(self, *names: str) -> bool:
        found = [self.info(name) for name in names]
        return all(info is not None and info.state == "running" for info in found)

    async def told(self) -> dict[str, Any]:
        """What `fleetview device --json` says."""
        ran = await asyncio.to_thread(fleetview, "device", ADDRESS, "--json", "--broker", self.broker.url, "--settle", "1.5")
        assert ran.code == 0, ran.err
        return ran.objects[0]


@asynccontextmanager
async def device_of(tmp_path: Path, broker: Broker) -> AsyncIterator[Device]:
    async with watching(broker.url) as watch:
        yield Device(tmp_path, broker, watch)


@asynccontextmanager
async def running(device: Device, **keys: object) -> AsyncIterator[AgentProcess]:
    before = len(device.watch.heartbeats)
    with agent_process(device.folder, None, **device.keys(**keys)) as agent:
        await until(lambda: len(device.watch.heartbeats) > before and device.is_running("changed", "left-alone"))
        await until(lambda: device.watch.reported and device.watch.reported[-1].session == device.beat.session)
        yield agent


async def test_good_ones_are_applied_bad_ones_rejected_and_those_that_do_harm_rolled_back(
    tmp_path: Path, broker: Broker
) -> None:
    async with device_of(tmp_path, broker) as device, running(device):
        assert (device.watch.reported[0].gen, device.watch.reported[0].config) == (0, None)

        good = {
            "modules": {"changed": {"env": {"SETTING": "new", "PASSWORD": SECRET}}, "third": device.module("third")},
            "heartbeat_interval": 0.3,
            "labels": {"ring": "canary"},
            "log_level": "DEBUG",
        }
        await device.wants(good)
        reported = await device.ends_as("applied")
        assert device.statuses == ["pending", "applying", "applied"]
        assert reported.model_dump(mode="json", exclude={"at", "session"}, exclude_unset=True) == {
            "v": 1,
            "gen": 1,
            "config": {
                "version": 1,
                "sha256": document_sha256(good),
                "status": "applied",
                "reason": None,
                "last_good": 1,
            },
        }
        await until(lambda: device.beat.config == 1 and device.beat.gen == 1 and device.is_running("changed", "third"))
        assert [setting for setting, _ in device.starts("changed")] == ["file", "new"]
        assert len(device.starts("left-alone")) == 1, "only the changed one is restarted"
        assert [device.info(name).restarts for name in ("changed", "left-alone", "third")] == [1, 0, 0]  # type: ignore[union-attr]
        birth = device.watch.births[-1]
        assert (birth.heartbeat_interval_s, birth.labels) == (0.3, {"ring": "canary"})
        assert birth.modules == ["changed", "left-alone", "third"]
        assert {birth.session for birth in device.watch.births} == {device.beat.session}

        await device.wants({**good, "modules": {"changed": {"depends_on": ["nobody"]}}})
        rejected = await device.ends_as("rejected")
        assert rejected.config is not None
        assert "modules.changed.depends_on[0]: no module is called 'nobody'" in (rejected.config.reason or "")
        assert (rejected.config.version, rejected.config.last_good) == (2, 1)
        await device.wants({"modules": {"changed": {"command": ["/no/such/program"]}}}, release={"version": "2.0"})
        assert "no program '/no/such/program'" in ((await device.ends_as("rejected")).config or ConfigOffer()).reason  # type: ignore[union-attr,operator]
        await until(lambda: device.watch.reported[-1].release)
        assert (device.watch.reported[-1].release or ReleaseReport()).status == "failed", "it is not begun"
        await device.wants({"broker_url": f"mqtt://x:{SECRET}@elsewhere"})
        assert "broker_url: is set on the device only" in ((await device.ends_as("rejected")).config or ConfigOffer()).reason  # type: ignore[union-attr,operator]
        assert len(device.starts("changed")) == 2, "the old one runs on"

        await device.wants({"modules": {"changed": {"command": ["sh", "-c", "exit 3"]}}})
        await device.ends_as("rolled_back")
        await until(lambda: device.beat.config == 1 and device.is_running("changed", "left-alone", "third"))
        assert device.starts("changed")[-1][0] == "new"
        assert len(device.starts("left-alone")) == 1

        found = await device.told()
        assert found["reported"]["config"]["status"] == found["config"] == "rolled_back"
        # In so short a window it may not be in trouble for long either, whichever comes first.
        assert re.fullmatch(
            r"module changed is in backoff( for the 2nd time)?: exit status 3", found["reported"]["config"]["reason"]
        )
        assert (found["reported"]["config"]["version"], found["reported"]["config"]["last_good"]) == (5, 1)
        assert (found["reported"]["gen"], found["desired"]["gen"], found["heartbeat"]["gen"]) == (5, 5, 5)
        assert any("rolled back: module changed" in why["text"] for why in found["why"])
        assert found["heartbeat"]["config"] == 1

        own = [payload for topic, payload, _ in device.watch.messages if not topic.endswith("/desired")]
        assert not [payload for payload in own if SECRET.encode() in payload]


async def test_what_arrives_again_is_old_or_no_longer_wanted_changes_nothing(tmp_path: Path, broker: Broker) -> None:
    async with device_of(tmp_path, broker) as device:
        async with running(device) as agent:
            await device.wants({"modules": {"changed": {"env": {"SETTING": "new"}}}}, epoch=2)
            await device.ends_as("applied")
            device.gen = 4
            await device.wants({"labels": {"too": "old"}}, epoch=1)
            device.gen = -1
            await device.wants({"labels": {"too": "old"}})
            await device.watch.session.publish(f"{TOPIC}/desired", b"no JSON", qos=1)
            await until(lambda: sum("is refused" in text or "cannot be read" in text for text in device.watch.texts) >= 3)
            assert device.watch.reported[-1].gen == 1
            agent.process.send_signal(signal.SIGTERM)
            assert await agent.ended() == 0
        await device.watch.session.publish(f"{TOPIC}/desired", b"", qos=1, retain=True)
        async with running(device):
            assert device.watch.reported[-1].gen == 1
            assert (device.status, device.beat.config, device.beat.gen) == ("applied", 1, 1)
            assert [setting for setting, _ in device.starts("changed")] == ["file", "new", "new"]
            assert (await device.told())["config"] == "unmanaged"


async def test_an_agent_that_is_killed_while_it_watches_starts_with_the_last_good_one_and_tries_again(
    tmp_path: Path, broker: Broker
) -> None:
    def settings() -> list[str]:
        return [setting for setting, _ in device.starts("changed")]

    async with device_of(tmp_path, broker) as device:
        async with running(device, verify_s=1.0):
            await device.wants({"modules": {"changed": {"env": {"SETTING": "good"}}}})
            await device.ends_as("applied")
        async with running(device, verify_s=3600) as agent:
            await device.wants({"modules": {"changed": {"env": {"SETTING": "untried"}}}})
            await until(lambda: settings()[-1] == "untried")
            agent.process.kill()
            await agent.ended()
        async with running(device, verify_s=2):
            assert settings()[:5] == ["file", "good", "good", "untried", "good"]
            first = next(beat for beat in device.watch.heartbeats if beat.session == device.beat.session)
            assert (first.config, first.gen) == (1, 2)
            (cut_short, *_) = [
                told.config for told in device.watch.reported if told.session == device.beat.session and told.config
            ]
            assert cut_short.status == "pending"
            assert "cut short by a restart" in (cut_short.reason or "")
            await device.ends_as("applied")
            assert settings()[-1] == "untried"
            await until(lambda: device.beat.config == 2)


async def test_the_file_is_read_again_on_a_signal_and_refused_when_it_cannot_be_used(tmp_path: Path, broker: Broker) -> None:
    async with device_of(tmp_path, broker) as device, running(device) as agent:
        config = tmp_path / "agent.json"
        keys = json.loads(config.read_text())
        app_log = tmp_path / "app.log"
        app_log.write_text("a line of the application\n")

        def reload(**changes: object) -> None:
            config.write_text(json.dumps({**keys, **changes}))
            os.kill(agent.process.pid, signal.SIGHUP)

        reload(heartbeat_interval=-1)
        await until(lambda: any("heartbeat_interval: at least 0.1 expected" in text for text in device.watch.texts))
        reload(site="elsewhere")
        await until(lambda: any("site can only be changed by a restart" in text for text in device.watch.texts))
        assert agent.process.poll() is None
        modules = {**keys["modules"], "changed": device.module("changed", env={"SETTING": "again"})}
        reload(modules=modules, logs={"files": [{"path": str(app_log)}]}, log_level="WARN")
        await until(lambda: [setting for setting, _ in device.starts("changed")] == ["file", "again"])
        await until(lambda: "a line of the application" in device.watch.texts)
        assert len(device.starts("left-alone")) == 1
        await device.wants({"logs": None})
        await device.ends_as("applied")
        app_log.write_text("a line of the application\nwritten meanwhile\n")
        await device.wants({})
        await device.ends_as("applied")
        await until(lambda: "written meanwhile" in device.watch.texts)
        assert device.watch.texts.count("a line of the application") == 1
        assert "configuration 2 is applied" not in device.watch.texts, "the level is WARN now"


async def test_a_file_that_does_harm_is_rolled_back_and_stays_so_through_a_crash_until_it_is_mended(
    tmp_path: Path, broker: Broker
) -> None:
    def settings() -> list[str]:
        return [setting for setting, _ in device.starts("changed")]

    def edit(**keys: object) -> str:
        modules = {"left-alone": device.module("left-alone"), **keys}
        text = json.dumps({**json.loads(config.read_text()), "modules": modules})
        config.write_text(text)
        os.kill(agent.process.pid, signal.SIGHUP)
        return text

    config = tmp_path / "agent.json"
    async with device_of(tmp_path, broker) as device:
        async with running(device, verify_s=3.0) as agent:
            text = edit(changed={"command": ["sh", "-c", f"echo bad $$ >> {tmp_path / 'changed'}; exit 3"]})
            await until(lambda: any("of the file is rolled back: module changed" in text for text in device.watch.texts))
            await until(lambda: device.is_running("changed", "left-alone") and settings()[-1] == "file")
            await until(lambda: any("the configuration file was rolled back" in why for why in device.beat.reasons))
            assert device.beat.health == "degraded"
            assert len(device.starts("left-alone")) == 1, "only what differs is restarted"
            agent.process.kill()
            await agent.ended()
            assert config.read_text() == text, "the file is its owner's"
        before = len(settings())
        with agent_again(tmp_path) as agent:
            await until(lambda: len(settings()) > before and device.is_running("changed", "left-alone"))
            assert settings()[-1] == "file"
            told = await asyncio.to_thread(run_agent, ["check", "--config", str(config)])
            assert re.search(r"warning +configuration +the configuration file was rolled back", told.stdout)
            told = await asyncio.to_thread(run_agent, ["config", "check", "--config", str(config)])
            assert "the configuration file was rolled back" in told.stdout
            edit(changed=device.module("changed", env={"SETTING": "mended"}))
            await until(lambda: any("configuration reloaded: modules" in text for text in device.watch.texts))
            assert settings()[-1] == "mended"
            await until(lambda: device.beat.health == "ok" and not device.beat.reasons)


async def test_an_agent_that_is_killed_while_it_tries_its_file_starts_with_the_one_before_and_tries_again(
    tmp_path: Path, broker: Broker
) -> None:
    def settings() -> list[str]:
        return [setting for setting, _ in device.starts("changed")]

    async with device_of(tmp_path, broker) as device:
        async with running(device, verify_s=1.0) as agent:
            modules = {
                "left-alone": device.module("left-alone"),
                "changed": device.module("changed", env={"SETTING": "new"}),
            }
            config = tmp_path / "agent.json"
            config.write_text(json.dumps({**json.loads(config.read_text()), "modules": modules, "verify_s": 3600}))
            os.kill(agent.process.pid, signal.SIGHUP)
            await until(lambda: settings()[-1] == "new")
            agent.process.kill()
            await agent.ended()
        with agent_again(tmp_path):
            await until(lambda: len(settings()) > 3)
            assert settings()[:4] == ["file", "new", "file", "new"]


@pytest.mark.parametrize("fields", [{}, {"release": {"version": "2.0"}}])
async def test_without_a_configuration_only_the_generation_changes(
    tmp_path: Path, broker: Broker, fields: dict[str, Any]
) -> None:
    async with device_of(tmp_path, broker) as device, running(device):
        await device.watch.session.publish(f"{TOPIC}/desired", json.dumps({"v": 1, "gen": 9, **fields}).encode(), qos=1)
        await until(lambda: device.watch.reported[-1].gen == 9 and device.beat.gen == 9)
        assert device.watch.reported[-1].config is None
        assert device.beat.config is None
        if fields:
            await until(lambda: device.watch.reported[-1].release is not None)
