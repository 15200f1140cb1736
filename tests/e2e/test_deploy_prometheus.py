"""What `deploy/prometheus` offers to copy: valid for Prometheus itself, and its rules tested by promtool."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from support.programs import require

from fleetview.export.families import OWN

DEPLOY = Path(__file__).parents[2] / "deploy" / "prometheus"
OF_DEVICES = {"fleet_requests_total", "fleet_request_errors_total", "fleet_request_duration_p95_seconds"}
"""Numbers under `metrics` of heartbeats that the rules reckon with; the contract's own example has them."""
OF_APPLICATIONS = {"fleet_request_duration_seconds_bucket"}


def promtool(*arguments: str) -> str:
    command = [require("promtool"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50, cwd=DEPLOY)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_configuration_and_rules_are_valid() -> None:
    assert "2 rule files found" in promtool("check", "config", "prometheus.yml")
    promtool("check", "rules", "--lint-fatal", "recording_rules.yml", "alert_rules.yml")


@pytest.mark.parametrize("name", sorted(path.name for path in (DEPLOY / "tests").glob("*.yml")))
def test_the_rules_do_what_they_say(name: str) -> None:
    assert "SUCCESS" in promtool("test", "rules", f"tests/{name}")


def test_every_alert_has_a_test() -> None:
    alerts = set(re.findall(r"alert: (\w+)", (DEPLOY / "alert_rules.yml").read_text()))
    tests = "".join(path.read_text() for path in (DEPLOY / "tests").glob("*.yml"))
    assert alerts == set(re.findall(r"alertname: (\w+)", tests))
    fired = set(re.findall(r"alertname: (\w+)\n\s+eval_time: \S+\n\s+exp_alerts:\n\s+- exp_labels", tests))
    assert fired == alerts


def test_the_rules_name_only_what_the_exporter_serves() -> None:
    text = "".join((DEPLOY / name).read_text() for name in ("recording_rules.yml", "alert_rules.yml"))
    expressions = re.sub(r"#.*|tenant_\w+:fleet_\w+:\w+", "", text)
    named = set(re.findall(r"\bfleet_[a-z0-9_]+", expressions))
    assert named - set(OWN) == OF_DEVICES | OF_APPLICATIONS
