"""What `deploy/` offers to copy, run as it stands: only paths and the port are others."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from support.agents import agent_process, watching
from support.broker import Broker, mosquitto
from support.deployed import SERVICE, environment_of, unit_keys
from support.tls import Authority, Issued
from support.wait import until

from fleetview_agent.cli import WRONG_USAGE, _parser
from fleetview_agent.configload import load
from fleetview_agent.mqtt import BrokerUrl, LinkError, TlsFiles, open_session

DEPLOY = Path(__file__).parents[2] / "deploy" / "mosquitto"
OWN_PLACES = ("listener", "persistence_location", "cafile", "certfile", "keyfile", "acl_file", "#")


def files(authority: Authority, issued: Issued) -> TlsFiles:
    return TlsFiles(cafile=authority.cafile, cert=issued.cert, key=issued.key)


@pytest.fixture
def guarded(tmp_path: Path, authority: Authority) -> Iterator[Broker]:
    """Mosquitto with the configuration and the access rules of deploy/."""
    server = authority.issue("broker")
    text = (DEPLOY / "mosquitto.conf").read_text()
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(OWN_PLACES)]
    lines += [f"cafile {authority.cafile}", f"certfile {server.cert}", f"keyfile {server.key}"]
    lines += [f"acl_file {DEPLOY / 'acl'}", f"persistence_location {tmp_path}/"]
    with mosquitto(tmp_path, config_lines=lines, anonymous=False) as broker:
        broker.scheme = "mqtts"
        yield broker


async def test_an_agent_gets_in_by_its_certificate_and_a_viewer_sees_it(
    guarded: Broker, authority: Authority, tmp_path: Path
) -> None:
    device, viewer = authority.issue("gw-1"), authority.issue("viewer")
    keys = {"broker_url": guarded.url, "tls_cert": str(device.cert), "tls_key": str(device.key)}
    with agent_process(tmp_path, **keys, tls_ca=str(authority.cafile)):
        async with watching(guarded.url, tls=files(authority, viewer)) as watch:
            await until(lambda: bool(watch.births and watch.heartbeats))
        command = [sys.executable, "-m", "fleetview", "devices", "--json", "--settle", "1.5", "--broker", guarded.url]
        command += ["--cafile", str(authority.cafile), "--cert", str(viewer.cert), "--key", str(viewer.key)]
        answer = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True, timeout=30)
    row = json.loads(answer.stdout)
    assert (row["device"], row["connectivity"], row["confirmed"]) == ("gw-1", "online", True)


async def test_a_device_cannot_speak_for_another_nor_to_itself(guarded: Broker, authority: Authority) -> None:
    device, viewer = authority.issue("gw-1"), authority.issue("viewer")
    url, ours = BrokerUrl.parse(guarded.url), files(authority, device)
    own = "fleet/v1/acme/lab/gw-1/log"
    async with watching(guarded.url, tls=files(authority, viewer)) as watch:
        for topic in (
            "fleet/v1/acme/lab/gw-2/log",
            "fleet/v1/acme/lab/gw-1/desired",
            "fleet/v1/acme/lab/gw-1/command/1",
            own,
        ):
            # One session each: Mosquitto 2.0.11 ends the connection of an MQTT 5 client that publishes what it may not.
            async with open_session(url, tls=ours, client_id="gw-1", on_message=lambda *_: None) as session:
                with nullcontext() if topic == own else pytest.raises(LinkError):
                    await session.publish(topic, topic.encode())
        await until(lambda: bool(watch.messages))
    assert [topic for topic, _, _ in watch.messages] == [own]


async def test_an_operator_may_ask_devices_and_a_viewer_may_not(
    guarded: Broker, authority: Authority, tmp_path: Path
) -> None:
    device = authority.issue("gw-1")
    keys = {"broker_url": guarded.url, "tls_cert": str(device.cert), "tls_key": str(device.key)}
    codes = {}
    with agent_process(tmp_path, **keys, tls_ca=str(authority.cafile)):
        for name in ("operator", "viewer"):
            who = authority.issue(name)
            async with watching(guarded.url, tls=files(authority, who)) as watch:
                await until(lambda watch=watch: bool(watch.heartbeats))  # type: ignore[misc]
            command = [sys.executable, "-m", "fleetview", "command", "ping", "gw-1", "--yes", "--expires", "3s"]
            command += [
                "--broker",
                guarded.url,
                "--cafile",
                str(authority.cafile),
                "--cert",
                str(who.cert),
                "--key",
                str(who.key),
            ]
            env = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
            ran = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=40, env=env)
            codes[name] = (ran.returncode, ran.stdout.split()[0])
    assert codes["operator"] == (0, "succeeded")
    assert codes["viewer"][0] == 1


def test_the_service_runs_the_agent_and_lets_it_end_its_modules() -> None:
    """systemd knows its own keys (`systemd-analyze verify`); what it is to run only the agent knows."""
    service = unit_keys(SERVICE)
    program, *arguments = service["ExecStart"].split()
    assert Path(program).name == "fleetview-agent"
    options = _parser().parse_args(arguments)
    assert (options.command, str(options.config)) == ("run", "/etc/fleetview-agent/agent.toml")
    given = environment_of(service["Environment"])
    environ = {"FLEETVIEW_AGENT_AGENT_ID": "a", "FLEETVIEW_AGENT_BROKER_URL": "mqtt://b", **given}
    assert load(None, environ=environ).config.state_dir == Path("/var/lib") / service["StateDirectory"]
    assert service["KillMode"] == "mixed", "or all modules would be told to end at once"
    assert service["RestartPreventExitStatus"] == str(WRONG_USAGE)
