"""The demo's Prometheus and Alertmanager, where they are installed, with `fleetview export` between them and the broker.

Their addresses are known before they are started, so that the dashboard need not wait for them: they come up while it
draws its first screen. All they write goes into folders that vanish with them.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fleetview.demo.children import Child
from fleetview.demo.programs import HeldPort, find_program
from fleetview.demo.rules import impatient, shipped_rules

LARGEST = 5_000
"""Devices up to which the demo has a Prometheus: each has 40 series, and memory is not the demo's to take."""
_EVERY_S, _FIRST_EVERY_S = 5, 2
"""How often the dashboard takes the fleet to be scraped, and rules are evaluated; and how often a small one is scraped, for
Prometheus waits for up to that long before the first time (and 5 s before that)."""
_LARGE, _LARGE_EVERY_S = 1_000, 15
"""From how many devices on they are scraped less often, for a scrape of them takes the exporter a while."""
_EXPORT_DELAY_S, _DELAY_S = 0.6, 0.8
"""Behind the dashboard's first screen: they give way to it, but not all at once."""
_NICE = 5
_GRACE_S = 1.0
"""What they have on disk is thrown away: there is nothing to end in good order."""
_PROMETHEUS, _ALERTMANAGER = "prometheus", "prometheus-alertmanager"
"""Debian's packages, and the names of its programs."""
_JOB = "fleetview"
"""As the rules call it."""


@dataclass(frozen=True, slots=True)
class Servers:
    """What is there, or will be in a moment."""

    prometheus: str | None = None
    """Its URL."""
    alertmanager: str | None = None
    scrape_interval_s: float = _EVERY_S
    advice: str | None = None
    """How to get what is not there."""
    children: list[Child] = field(default_factory=list)


@contextmanager
def monitoring(broker_url: str, devices: int) -> Iterator[Servers]:
    """The servers for the length of the context, as far as this machine has them. Returns before they answer."""
    program, alerting = find_program(_PROMETHEUS), find_program("alertmanager", _ALERTMANAGER)
    rules = shipped_rules()
    if devices > LARGEST:
        yield Servers(advice=f"a demo of more than {LARGEST:,} devices goes without a Prometheus")
        return
    if program is None or not rules:
        what = _get(_PROMETHEUS, _ALERTMANAGER) if program is None else "the rules of deploy/prometheus are not installed"
        yield Servers(advice=what)
        return
    every_s = _EVERY_S if devices <= _LARGE else _LARGE_EVERY_S
    with ExitStack() as stack:
        exporter, prometheus, alertmanager = (stack.enter_context(HeldPort()) for _ in range(3))
        children = [_export(broker_url, exporter)]
        stack.enter_context(children[0])
        if alerting is not None:
            children.append(stack.enter_context(_alertmanager(alerting, alertmanager)))
        told = alertmanager if alerting is not None else None
        children.append(stack.enter_context(_prometheus(program, prometheus, exporter, told, rules=rules, every_s=every_s)))
        yield Servers(
            prometheus.url,
            None if told is None else told.url,
            every_s,
            _get(_ALERTMANAGER) if told is None else None,
            children,
        )


def _get(*packages: str) -> str:
    return f"to get one in the demo: apt-get install {' '.join(packages)}"


def _write(child: Child, name: str, content: object) -> Path:
    """A configuration: all JSON is YAML, and needs no thought about what to quote."""
    file = child.folder / name
    file.write_text(content if isinstance(content, str) else json.dumps(content, indent=1), encoding="utf-8")
    return file


def _export(broker_url: str, port: HeldPort) -> Child:
    child = Child.prepare("export")
    # A variable or a file that says where a real fleet is must not send the demo there.
    env = {name: value for name, value in os.environ.items() if not name.startswith("FLEETVIEW_")}
    env["FLEETVIEW_CONFIG"] = os.devnull
    command = [sys.executable, "-m", "fleetview", "export", "--broker", broker_url, "--listen", port.address]
    child.start(command, grace_s=_GRACE_S, delay_s=_EXPORT_DELAY_S, nice=_NICE, env=env)
    return child


def _alertmanager(program: str, port: HeldPort) -> Child:
    child = Child.prepare("alertmanager")
    config = {
        # Alerts go nowhere: nothing that the demo plays may reach a person who is not at this screen.
        "route": {"receiver": "nobody", "group_by": ["alertname", "site"], "group_wait": "2s", "group_interval": "10s"},
        "receivers": [{"name": "nobody"}],
        "inhibit_rules": [
            {
                "source_matchers": ["alertname = FleetDeviceCritical"],
                "target_matchers": ["alertname = FleetModuleDown"],
                "equal": ["tenant", "site", "device"],
            }
        ],
    }
    file = _write(child, "alertmanager.yml", config)
    command = [program, f"--config.file={file}", f"--storage.path={child.folder / 'data'}", "--cluster.listen-address="]
    command += [f"--web.listen-address={port.address}", f"--web.external-url={port.url}", "--log.level=warn"]
    child.start(command, grace_s=_GRACE_S, delay_s=_DELAY_S, nice=_NICE)
    return child


def _prometheus(
    program: str, port: HeldPort, exporter: HeldPort, alertmanager: HeldPort | None, *, rules: dict[str, str], every_s: int
) -> Child:
    child = Child.prepare("prometheus")
    for name, text in rules.items():
        _write(child, name, impatient(text))
    scraped_s = _FIRST_EVERY_S if every_s == _EVERY_S else every_s
    config: dict[str, object] = {
        "global": {
            "scrape_interval": f"{scraped_s}s",
            "scrape_timeout": f"{scraped_s}s",
            "evaluation_interval": f"{every_s}s",
        },
        "rule_files": list(rules),
        "scrape_configs": [{"job_name": _JOB, "static_configs": [{"targets": [exporter.address]}]}],
    }
    if alertmanager is not None:
        config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager.address]}]}]}
    file = _write(child, "prometheus.yml", config)
    command = [program, f"--config.file={file}", f"--storage.tsdb.path={child.folder / 'data'}"]
    command += ["--storage.tsdb.retention.time=1d", "--log.level=warn"]
    command += [f"--web.listen-address={port.address}", f"--web.external-url={port.url}"]
    child.start(command, grace_s=_GRACE_S, delay_s=_DELAY_S, nice=_NICE)
    return child
