"""What it costs to leave the programs alone: the dashboard over 1,000 devices, and an agent."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import paho.mqtt.publish
import psutil
from support.broker import mosquitto
from support.terminal import Idle, Terminal

from benchmarks.figures import Figure
from benchmarks.startup import FLEETVIEW

DEVICES = 1_000
INTERVAL_S = 10
SECONDS = 20.0
AGENT_SECONDS = 90.0
_ALONE = "alone"


def _dashboard(folder: Path) -> list[Figure]:
    place = folder / "steady"
    place.mkdir()
    idle: dict[str, Idle] = {}
    with mosquitto(place, config_lines=("max_queued_messages 0",), verbose=False) as broker:
        simulate = [FLEETVIEW, "simulate", "--broker", broker.url, "--devices", str(DEVICES), "--scenario", "calm"]
        with subprocess.Popen([*simulate, "--interval", str(INTERVAL_S)], stderr=subprocess.DEVNULL) as fleet:
            try:
                for link in ("fast", "slow"):
                    idle[link] = _left_alone(broker.url, link, 2 * INTERVAL_S)  # until all were heard live
            finally:
                fleet.terminate()
    what = f"dashboard, {DEVICES:,} devices, {DEVICES / INTERVAL_S:.0f} heartbeats/s, 160x48"
    return [
        Figure(f"{what}: of a core", idle["fast"].cpu_fraction * 100, "%", at_most=15),
        Figure(f"{what}: to the terminal", idle["fast"].bytes_per_s / 1024, "KB/s", at_most=8),
        Figure(f"{what}, slow link: of a core", idle["slow"].cpu_fraction * 100, "%", at_most=15),
        Figure(f"{what}, slow link: to the terminal", idle["slow"].bytes_per_s / 1024, "KB/s", at_most=2),
    ]


def _left_alone(url: str, link: str, settle_s: float) -> Idle:
    with Terminal([FLEETVIEW, "--broker", url, "--link", link], columns=160, rows=48) as terminal:
        terminal.wait(f"of {DEVICES:,}", 60)
        terminal.idle(settle_s)
        idle = terminal.idle(SECONDS)
        terminal.leave()
    return idle


def _quiet_fleet(folder: Path) -> list[Figure]:
    """Everything is retained, and nobody says anything more: what remains is what the dashboard does by itself."""
    place = folder / "quiet"
    place.mkdir()
    with mosquitto(place, config_lines=("max_queued_messages 0",), verbose=False) as broker:
        birth = {"v": 1, "session": "S1", "heartbeat_interval_s": 600}
        paho.mqtt.publish.multiple(
            [
                {
                    "topic": f"fleet/v1/acme/plant-{number % 20}/gw-{number:04}/{channel}",
                    "payload": json.dumps({**birth, "device": f"gw-{number:04}", **more}),
                    "qos": 1,
                    "retain": True,
                }
                for number in range(DEVICES)
                for channel, more in (("birth", {}), ("state", {"state": "online"}))
            ],
            hostname="127.0.0.1",
            port=broker.port,
        )
        idle = {link: _left_alone(broker.url, link, 10) for link in ("fast", "slow")}
    what = f"dashboard, {DEVICES:,} silent devices, 160x48"
    return [
        Figure(f"{what}{more}: {name}", value, unit, at_most=most)
        for link, more in (("fast", ""), ("slow", ", slow link"))
        for name, value, unit, most in (
            ("of a core", idle[link].cpu_fraction * 100, "%", 2.0),
            ("to the terminal", idle[link].bytes_per_s, "B/s", 200.0),
        )
    ]


def _agents(folder: Path) -> list[Figure]:
    """An idle agent without modules, and one with all that are built in."""
    place = folder / "agent"
    place.mkdir()
    with mosquitto(place) as broker, ExitStack() as running:
        agents = [running.enter_context(_agent(place, broker.url, name)) for name in (_ALONE, "with-built-in-modules")]
        time.sleep(5)  # its start is not its steady state
        before, begin = [_cpu_s(agent) for agent in agents], time.perf_counter()
        time.sleep(AGENT_SECONDS)
        took = time.perf_counter() - begin
        alone, built_in = (
            (agent.memory_info().rss / 2**20, (_cpu_s(agent) - cpu_s) / took * 100)
            for agent, cpu_s in zip(agents, before, strict=True)
        )
    return [
        Figure("agent: resident", alone[0], "MiB", at_most=45),
        Figure("agent, heartbeat every 30 s: of a core", alone[1], "%", at_most=0.5),
        Figure("agent with the three built-in modules: resident", built_in[0], "MiB", at_most=50),
        Figure("agent with the three built-in modules, idle: of a core", built_in[1], "%", at_most=1),
    ]


@contextmanager
def _agent(place: Path, broker_url: str, name: str) -> Iterator[psutil.Process]:
    config = place / f"{name}.toml"
    lines = [
        f'agent_id = "{name}"',
        f'broker_url = "{broker_url}"',
        "heartbeat_interval = 30",
        f'state_dir = "{place / name}"',
    ]
    if name != _ALONE:
        lines += [f"[modules.{module}]" for module in ("telemetry_collector", "rule_engine", "ota_updater")]
    config.write_text("\n".join(lines) + "\n")
    command = [sys.executable, "-m", "fleetview_agent", "run", "--config", str(config)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as agent:
        try:
            yield psutil.Process(agent.pid)
        finally:
            agent.terminate()


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def figures(folder: Path) -> list[Figure]:
    """Of the dashboard and of the agent."""
    return _dashboard(folder) + _quiet_fleet(folder) + _agents(folder)
