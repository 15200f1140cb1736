"""The main path: real agents, a real broker, the headless commands and the dashboard in a real terminal."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.broker import Broker
from support.terminal import Terminal

FLEETVIEW = [sys.executable, "-m", "fleetview"]
NAMES = ("edge-agent-001", "edge-agent-002", "edge-agent-003")
TRIES = 60


def devices(broker: Broker, *arguments: str) -> dict[str, dict[str, Any]]:
    """The answer of `fleetview devices --json`, by device."""
    command = [*FLEETVIEW, "devices", *arguments, "--broker", broker.url, "--json"]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
    rows = [json.loads(line) for line in answer.stdout.splitlines()]
    return {row["device"]: row for row in rows}


def eventually(broker: Broker, holds: Callable[[dict[str, dict[str, Any]]], bool]) -> dict[str, dict[str, Any]]:
    """Ask until it holds; each question waits for the retained state to settle, so this takes its time by itself."""
    for _ in range(TRIES):
        found = devices(broker, "--settle", "1.5")  # longer than a heartbeat interval, so that who is alive is heard
        if holds(found):
            return found
    pytest.fail(f"it never came to hold; the last answer: {json.dumps(found, indent=1)}")


@pytest.fixture
def agents(broker: Broker, tmp_path: Path) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Three real agents with a heartbeat every second."""
    with ExitStack() as stack:
        running = {}
        for name in NAMES:
            config = tmp_path / f"{name}.toml"
            config.write_text(
                f'agent_id = "{name}"\ntenant = "acme"\nsite = "plant-7"\nbroker_url = "{broker.url}"\n'
                f'heartbeat_interval = 1\nstate_dir = "{tmp_path / name}"\n'
            )
            command = [sys.executable, "-m", "fleetview_agent", "run", "--config", str(config)]
            process = stack.enter_context(subprocess.Popen(command, stderr=subprocess.DEVNULL))
            stack.callback(process.kill)
            running[name] = process
        yield running


@pytest.mark.timeout(180)
def test_killed_stopped_and_frozen_agents_are_told_apart(broker: Broker, agents: dict[str, subprocess.Popen[bytes]]) -> None:
    eventually(broker, lambda found: len(found) == 3 and all(row["confirmed"] for row in found.values()))

    killed, stopped, frozen = (agents[name] for name in NAMES)
    killed.kill()
    stopped.terminate()
    frozen.send_signal(signal.SIGSTOP)
    try:
        found = eventually(
            broker, lambda found: [found[name]["connectivity"] for name in NAMES] == ["lost", "offline", "stale"]
        )
    finally:
        frozen.send_signal(signal.SIGCONT)

    assert not found["edge-agent-003"]["confirmed"], "a snapshot that comes later has not heard it live"
    detail = subprocess.run(
        [*FLEETVIEW, "device", "acme/plant-7/edge-agent-002", "--broker", broker.url, "--json"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "stopped by SIGTERM" in json.loads(detail.stdout)["why"][0]["text"]
    eventually(
        broker, lambda found: found["edge-agent-003"]["connectivity"] == "online" and found["edge-agent-003"]["confirmed"]
    )


@pytest.mark.timeout(120)
def test_the_dashboard_in_a_real_terminal(broker: Broker, agents: dict[str, subprocess.Popen[bytes]]) -> None:
    with Terminal([*FLEETVIEW, "--broker", broker.url], columns=120, rows=36) as terminal:
        terminal.wait(lambda text: all(name in text for name in NAMES))
        terminal.wait("● 3 ok")
        agents["edge-agent-001"].terminate()
        terminal.wait("stopped by SIGTERM")
        terminal.type("\r")
        terminal.wait("what happened")
        terminal.wait("online -> offline: stopped by SIGTERM")
        terminal.type("l")
        terminal.wait("following")
        terminal.type("\x1b")
        terminal.wait("what happened")
        broker.stop()
        terminal.wait("next try in")
        broker.start()
        terminal.wait("● up")
        assert terminal.leave("q") == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_the_terminal_as_it_was(broker: Broker, number: signal.Signals) -> None:
    with Terminal([*FLEETVIEW, "--broker", broker.url]) as terminal:
        terminal.wait("● up")
        terminal.process.send_signal(number)
        terminal.wait_end()
        assert terminal.process.returncode == 128 + number
        assert terminal.last_bytes.rfind(b"\x1b[?1049l") > terminal.last_bytes.rfind(b"\x1b[?1049h")
