"""The modes `static` and `container`: the unit's and the image's command lines, run here as they stand, but for paths.

Neither systemd nor a container engine need run where tests do. What they would do is done by hand: the environment is what the
file says and nothing else, the command is the file's, and so is the signal that ends it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.agents import watching
from support.broker import mosquitto
from support.deployed import AGENT_IMAGE, ROOT, SERVICE, environment_of, stages, unit_keys, values
from support.programs import require
from support.wait import until

from fleetview_agent.cli import WRONG_USAGE
from fleetview_agent.mqtt import TlsFiles

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from support.tls import Authority

SAMPLE = ROOT / "fixtures" / "configs" / "agent.toml"
SAMPLE_BROKER, SAMPLE_CERTIFICATE, SAMPLE_LOGS = "mqtts://hub.example.com:8883", "/certs/agent.crt", "/var/log/app/*.log"
NAME = "edge-agent-001"
"""Of the sample's device."""

Command = tuple[list[str], dict[str, str]]
"""Arguments and environment."""


def of_the_unit() -> tuple[Command, Command]:
    """What starts the agent, and what would ask for its health on the same machine."""
    service = unit_keys(SERVICE)
    environ = environment_of(service["Environment"])
    program, *arguments = service["ExecStart"].split()
    assert program == "/usr/bin/fleetview-agent"
    return (arguments, environ), (["health", *arguments[1:]], environ)


def of_the_image() -> tuple[Command, Command]:
    """Likewise of the container."""
    final = stages(AGENT_IMAGE)[1]
    environ = environment_of(" ".join(values(final, "ENV")))
    program, *arguments = json.loads(values(final, "ENTRYPOINT")[0])
    assert program == "fleetview-agent"
    arguments += json.loads(values(final, "CMD")[0])
    check = json.loads(values(final, "HEALTHCHECK")[0].partition("CMD ")[2])
    return (arguments, environ), (check[1:], environ)


MODES = {"static": of_the_unit, "container": of_the_image}

_WATCH_WRITES = """\
import os, sys

def _hook(event, args, out=os.environ.get("WRITES")):
    if event != "open" or not isinstance(args[0], (str, bytes)):
        return
    path, flags = os.path.abspath(os.fsdecode(args[0])), args[2]
    if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and path != out:
        fd = os.open(out, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(fd, os.fsencode(path) + b"\\n")
        os.close(fd)

sys.addaudithook(_hook)
"""
"""As sitecustomize: notes each file that is opened for writing."""


class Place:
    """Where the files of the mode lie in this test."""

    def __init__(self, folder: Path, broker_url: str, authority: Authority) -> None:
        self.folder = folder
        self.writes = folder / "writes"
        self.state = folder / "state"
        self.config = folder / "agent.toml"
        (folder / "hook").mkdir()
        (folder / "hook" / "sitecustomize.py").write_text(_WATCH_WRITES)
        issued = authority.issue(NAME)
        certs = folder / "certs"
        certs.mkdir()
        issued.cert.rename(certs / "agent.crt")
        issued.key.rename(certs / "agent.key")
        (certs / "ca.crt").write_bytes(authority.cafile.read_bytes())
        text = SAMPLE.read_text()
        for sample, ours in (
            (SAMPLE_BROKER, broker_url),
            (SAMPLE_CERTIFICATE, str(certs / "agent.crt")),
            (SAMPLE_LOGS, f"{folder}/*.log"),
            ("heartbeat_interval = 30 ", "heartbeat_interval = 0.5 "),
        ):
            assert sample in text
            text = text.replace(sample, ours)
        self.config.write_text(text)

    def ours(self, text: str) -> str:
        return {"/etc/fleetview-agent/agent.toml": str(self.config), "/var/lib/fleetview-agent": str(self.state)}.get(
            text, text
        )

    def command(self, command: Command) -> Command:
        arguments, environ = command
        # PATH and PYTHONPATH only because the interpreter of this test is not the system's.
        more = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{self.folder / 'hook'}:{':'.join(filter(None, sys.path))}"}
        here = {name: self.ours(value) for name, value in environ.items()} | more | {"WRITES": str(self.writes)}
        return [sys.executable, "-B", "-m", "fleetview_agent", *map(self.ours, arguments)], here


@contextmanager
def started(command: list[str], environ: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, env=environ, cwd="/", stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


async def finished(command: list[str], environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run, command, env=environ, cwd="/", capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize("mode", MODES)
async def test_a_mode_runs_is_well_writes_only_its_state_and_leaves(tmp_path: Path, authority: Authority, mode: str) -> None:
    run, health = MODES[mode]()
    viewer = authority.issue("viewer")
    with mosquitto(tmp_path, tls=authority) as broker:
        place = Place(tmp_path, broker.url, authority)
        ask = place.command(health)
        assert (await finished(*ask)).returncode == 1
        async with watching(broker.url, tls=TlsFiles(authority.cafile, viewer.cert, viewer.key)) as watch:
            with started(*place.command(run)) as process:
                await until(lambda: len(watch.heartbeats) > 1)
                (birth,) = watch.births
                assert (birth.device, birth.deployment) == (NAME, mode)
                found = await finished(*ask)
                assert (found.returncode, found.stdout.startswith("healthy")) == (0, True)
                process.send_signal(signal.SIGTERM)
                await until(lambda: process.poll() is not None)
                assert process.returncode == 0
            await until(lambda: watch.has_state("offline"))
    written = {Path(line) for line in place.writes.read_text().splitlines()}
    assert any(path.is_relative_to(place.state) for path in written), "the hook saw nothing at all"
    assert {path for path in written if not path.is_relative_to(place.state)} <= {Path(os.devnull)}


async def test_a_configuration_that_cannot_be_used_is_not_tried_again(tmp_path: Path, authority: Authority) -> None:
    place = Place(tmp_path, "mqtts://127.0.0.1:1", authority)
    place.config.write_text(place.config.read_text() + "\nunknown = 1\n")
    found = await finished(*place.command(of_the_unit()[0]))
    assert found.returncode == WRONG_USAGE
    assert f"RestartPreventExitStatus={WRONG_USAGE}" in SERVICE.read_text()


def test_the_unit_is_as_hardened_as_the_docs_say() -> None:
    """`systemd-analyze security` rates it, and `verify` knows its keys; both work without systemd running."""
    analyze = require("systemd-analyze")
    rated = subprocess.run(
        [analyze, "security", "--offline=true", "--no-pager", "--threshold=20", str(SERVICE)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )
    assert rated.returncode == 0, rated.stdout[-2000:] + rated.stderr
    verified = subprocess.run([analyze, "verify", str(SERVICE)], capture_output=True, text=True, check=False)
    missing = "Command /usr/bin/fleetview-agent is not executable"
    complaints = [line for line in verified.stderr.splitlines() if SERVICE.name in line and missing not in line]
    assert complaints == []
