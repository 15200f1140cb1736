from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.agents import run_agent

from fleetview_agent import __version__
from fleetview_agent.wire import MODELS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("arguments", [[], ["rnu"], ["run", "--confg", "x"], ["config"], ["schema", "a", "b"]])
def test_wrong_usage_is_2_with_a_word_about_it(arguments: list[str]) -> None:
    found = run_agent(arguments)
    assert found.returncode == 2
    assert "fleetview-agent" in found.stderr
    assert "Traceback" not in found.stderr


def test_version() -> None:
    assert run_agent(["--version"]).stdout == f"fleetview-agent {__version__}\n"


@pytest.mark.parametrize("command", [["run"], ["check"], ["health"], ["config", "check"]])
def test_a_wrong_configuration_is_2_and_says_all_that_is_wrong(tmp_path: Path, command: list[str]) -> None:
    config = tmp_path / "agent.toml"
    config.write_text('agent_id = "gw-1"\nbroker_url = "hub"\nheartbeat_intervall = 3\n')
    found = run_agent([*command, "--config", str(config)])
    assert found.returncode == 2
    assert found.stdout == ""
    assert found.stderr.splitlines() == [
        f"{config}: heartbeat_intervall: unknown key (value 3); did you mean heartbeat_interval?",
        f"{config}: broker_url: 'hub' is not a broker URL: begin it with mqtt:// or, for TLS, mqtts://",
    ]


def test_config_check_says_what_holds_and_why(tmp_path: Path) -> None:
    config = tmp_path / "agent.json"
    config.write_text('{"agent_id": "gw-1", // here\n "broker_url": "mqtt://hub"}')
    environ = {"FLEETVIEW_AGENT_SITE": "plant-7"}
    found = run_agent(["config", "check", "--config", str(config), "--set", "tenant=acme"], environ)
    lines = found.stdout.splitlines()
    assert found.returncode == 0
    assert lines[0] == "ok"
    assert f'agent_id = "gw-1"    # file {config}' in lines
    assert 'site = "plant-7"    # environment FLEETVIEW_AGENT_SITE' in lines
    assert 'tenant = "acme"    # flag --set' in lines
    assert "heartbeat_interval = 30    # default" in lines


def test_schemas() -> None:
    everything = json.loads(run_agent(["schema"]).stdout)
    assert set(everything) == {channel.value for channel in MODELS}
    assert json.loads(run_agent(["schema", "heartbeat"]).stdout) == everything["heartbeat"]
    found = run_agent(["schema", "hartbeat"])
    assert found.returncode == 2
    assert "did you mean heartbeat?" in found.stderr


def test_a_reader_that_has_enough_is_no_error() -> None:
    command = f"{sys.executable} -m fleetview_agent schema | head -1"
    found = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30, check=True)
    assert found.stdout == "{\n"
    assert found.stderr == ""


@pytest.mark.parametrize(
    ("command", "unwanted"),
    [
        (["--version"], {"pydantic", "asyncio", "paho", "psutil"}),
        (["health", "--set", "agent_id=a", "--set", "broker_url=mqtt://b"], {"aiomqtt", "paho", "psutil"}),
        (["config", "check", "--set", "agent_id=a", "--set", "broker_url=mqtt://b"], {"aiomqtt", "paho", "psutil"}),
    ],
)
def test_a_command_loads_only_what_it_needs(command: list[str], unwanted: set[str], tmp_path: Path) -> None:
    script = (
        "import sys\nfrom fleetview_agent.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\nprint(*sys.modules, file=sys.stderr)"
    )
    found = subprocess.run(
        [sys.executable, "-c", script, *command], capture_output=True, text=True, timeout=30, check=True, cwd=tmp_path
    )
    loaded = set(found.stderr.split())
    assert "fleetview_agent.cli" in loaded
    assert not unwanted & loaded


def test_the_agent_loads_no_part_of_the_dashboard() -> None:
    script = "import sys, fleetview_agent.runner; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    loaded = set(found.stdout.split())
    assert not {"fleetview", "textual", "rich", "requests", "multiprocessing", "pydantic_settings"} & loaded
