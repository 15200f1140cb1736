"""What the demo runs its Prometheus with: the shipped rules, made impatient, on ports that nobody else gets."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support.programs import require

from fleetview.demo import monitoring, rules
from fleetview.demo.programs import HeldPort

ROOT = Path(__file__).parents[2]


def test_the_rules_are_those_that_are_shipped() -> None:
    folder = ROOT / "deploy" / "prometheus"
    assert rules.shipped_rules() == {name: (folder / name).read_text() for name in rules.FILES}


def test_an_impatient_rule_says_what_it_is_otherwise(tmp_path: Path) -> None:
    shipped = rules.shipped_rules()
    for name, text in shipped.items():
        (tmp_path / name).write_text(rules.impatient(text))
    made = (tmp_path / "alert_rules.yml").read_text()
    assert set(re.findall(r" for: (\S+)", made)) == {f"{rules.PATIENCE_S}s"}
    long = [found for found in re.findall(r" for: (\S+)", shipped["alert_rules.yml"]) if found != f"{rules.PATIENCE_S}s"]
    assert re.findall(r"demo: .* as shipped, after (\w+)\.", made) == long
    # Nothing else was changed.
    kept = [line for line in made.splitlines() if " for: " not in line and " demo: " not in line]
    assert kept == [line for line in shipped["alert_rules.yml"].splitlines() if " for: " not in line]
    command = [require("promtool"), "check", "rules", "--lint-fatal", *(str(tmp_path / name) for name in rules.FILES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr


def test_short_patience_is_left_alone() -> None:
    text = "      - alert: A\n        for: 5s\n        annotations:\n          summary: x\n"
    assert rules.impatient(text) == text


async def test_a_held_port_is_given_to_nobody_by_chance_and_can_be_bound() -> None:
    with HeldPort() as port:
        if sys.platform == "linux":
            with pytest.raises(OSError, match="in use"), socket.socket() as other:
                other.bind(("127.0.0.1", port.number))
        server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", port.number)
        _, writer = await asyncio.open_connection("127.0.0.1", port.number)
        writer.close()
        server.close()


def test_nothing_is_started_where_it_cannot_be_or_would_be_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    with monitoring.monitoring("mqtt://127.0.0.1:1", monitoring.LARGEST + 1) as servers:
        assert servers.prometheus is None
        assert "more than 5,000 devices" in (servers.advice or "")
    monkeypatch.setattr(monitoring, "find_program", lambda *_: None)
    with monitoring.monitoring("mqtt://127.0.0.1:1", 60) as servers:
        assert (servers.prometheus, servers.children) == (None, [])
        assert servers.advice == "to get one in the demo: apt-get install prometheus prometheus-alertmanager"
    monkeypatch.setattr(monitoring, "find_program", lambda name, *_: "/bin/true" if name == "prometheus" else None)
    monkeypatch.setattr(rules, "_FOLDERS", ())
    with monitoring.monitoring("mqtt://127.0.0.1:1", 60) as servers:
        assert servers.advice == "the rules of deploy/prometheus are not installed"


def test_without_an_alertmanager_prometheus_runs_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitoring, "find_program", lambda name, *_: "/bin/true" if name == "prometheus" else None)
    with monitoring.monitoring("mqtt://127.0.0.1:1", 2_000) as servers:
        assert [child.name for child in servers.children] == ["export", "prometheus"]
        assert (servers.alertmanager, servers.scrape_interval_s) == (None, 15)
        assert servers.advice == "to get one in the demo: apt-get install prometheus-alertmanager"
        config = json.loads((servers.children[1].folder / "prometheus.yml").read_text())
        assert "alerting" not in config
        assert config["scrape_configs"][0]["job_name"] == "fleetview"
        folders = [child.folder for child in servers.children]
    assert not any(folder.exists() for folder in folders)


def test_an_installed_package_has_the_rules(tmp_path: Path) -> None:
    """As `pip install .` would install it."""
    build = "from hatchling.builders.wheel import WheelBuilder; import sys\n"
    build += "print(next(WheelBuilder(sys.argv[1]).build(directory=sys.argv[2], versions=['standard'])))"
    done = subprocess.run(
        [sys.executable, "-c", build, str(ROOT), str(tmp_path)], capture_output=True, text=True, check=True, timeout=50
    )
    with zipfile.ZipFile(done.stdout.strip()) as wheel:
        for name in rules.FILES:
            assert wheel.read(f"fleetview/deploy/prometheus/{name}") == (ROOT / "deploy" / "prometheus" / name).read_bytes()
