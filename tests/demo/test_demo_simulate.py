"""`fleetview simulate` as a person meets it."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from support.agents import watching
from support.broker import mosquitto
from support.programs import free_port
from support.tls import Authority
from support.wait import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.broker import Broker

SIMULATE = [sys.executable, "-m", "fleetview", "simulate"]


def simulate(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*SIMULATE, *arguments], capture_output=True, text=True, check=False, timeout=40)


@contextmanager
def running(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_plays_until_a_signal_and_says_goodbye(broker: Broker, number: signal.Signals) -> None:
    command = [*SIMULATE, "--broker", broker.url, "--devices", "7", "--tenant", "beta", "--sites", "2", "--scenario", "calm"]
    async with watching(broker.url) as watch:
        with running(command) as process:
            await until(lambda: len(watch.births) == 7 and len(watch.heartbeats) > 7)
            process.send_signal(number)
            out, err = process.communicate(timeout=20)
        assert process.returncode == 0
        assert out == ""
        assert "devices: 7, sites: 2, scenario calm, seed 1" in err
        assert "ended; " in err
        assert {topic.split("/")[2] for topic, _, _ in watch.messages} == {"beta"}
        await until(lambda: [state.reason for state in watch.states].count("simulation ended") >= 6)


async def test_ends_by_itself_and_forgets(broker: Broker) -> None:
    done = simulate("--broker", broker.url, "--devices", "5", "--seconds", "0.5", "--forget")
    assert done.returncode == 0, done.stderr
    async with watching(broker.url) as watch:
        await watch.session.publish("fleet/v1/acme/plant-1/marker/state", b"x", qos=1)
        await until(lambda: watch.messages)
        assert len(watch.messages) == 1


async def test_plays_over_tls_with_a_certificate(tmp_path: Path, authority: Authority) -> None:
    client = authority.issue("simulator")
    with mosquitto(tmp_path, tls=authority) as broker:
        files = ["--cafile", str(authority.cafile), "--cert", str(client.cert), "--key", str(client.key)]
        done = simulate("--broker", broker.url, "--devices", "3", "--seconds", "0.5", *files)
        assert done.returncode == 0, done.stderr
        refused = simulate("--broker", broker.url, "--devices", "3", "--seconds", "0.5", *files[:2])
        assert refused.returncode == 3
        assert "certificate" in refused.stderr


def test_broker_that_is_not_there_is_3() -> None:
    port = free_port()
    done = simulate("--broker", f"mqtt://127.0.0.1:{port}", "--devices", "3")
    assert done.returncode == 3
    assert f"127.0.0.1:{port}" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (["--broker", "http://x"], "http"),
        (["--broker", "mqtt://127.0.0.1:1", "--devices", "3", "--sites", "9"], "9 sites for 3 devices"),
        (["--broker", "mqtt://127.0.0.1:1", "--devices", "0"], "--devices"),
        (["--broker", "mqtt://127.0.0.1:1", "--tenant", "a/b"], "'a/b'"),
        (["--broker", "mqtt://127.0.0.1:1", "--root", "a/#"], "'a/#'"),
        (["--broker", "mqtt://127.0.0.1:1", "--interval", "0"], "--interval"),
        (["--broker", "mqtt://127.0.0.1:1", "--cert", "c.pem"], "--cert: mqtt://127.0.0.1:1 is not encrypted"),
        (["--broker", "mqtts://127.0.0.1:1", "--cafile", "/nowhere/ca.pem"], "/nowhere/ca.pem"),
        ([], "--broker"),
    ],
)
def test_wrong_options_are_2_and_named(wrong: list[str], named: str) -> None:
    devices = [] if "--devices" in wrong else ["--devices", "3"]
    done = simulate(*wrong, *devices)
    assert done.returncode == 2
    assert named in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
