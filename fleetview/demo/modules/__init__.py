"""Modules of the demo's real agents: which there are, and when each of them goes wrong.

The schedule is one for a person who watches: everything that an agent heals is seen within the first minutes, and after that
only now and then. The gaps between are longer than the ten minutes that make up for all failures, so that no module is ever
given up, nor waits longer than a second or two.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import NamedTuple

SCRIPT = Path(__file__).with_name("misbehaving.py")
SELDOM_S = 700
LIMIT_MIB = 48
"""For the one that leaks. An interpreter without anything in it has 12 MiB mapped."""
VERSION = "2.3.0"
BUILT_IN = "\n[modules.telemetry_collector]\n"
"""Shows what each module takes, so that the leak is seen to grow."""
APPLICATION = "metrology"
"""The application on each of these devices: the agent follows its log, and reads its metrics."""
_SCRAPE_EVERY_S = 5


class Played(NamedTuple):
    """One module."""

    name: str
    role: str
    """As misbehaving.py takes it."""
    plan_s: tuple[float, ...] = ()
    """How long each run goes well; the last for all that follow. Empty: all is always well."""
    depends_on: str | None = None


PLAYED: tuple[tuple[Played, ...], ...] = (
    # A dependency that dies: who depends on it waits, and comes back with it.
    (Played("fieldbus", "killed", (75, SELDOM_S + 150)), Played("gateway", "steady", depends_on="fieldbus")),
    # One that crashes at once again when it is started, and then not; and one that runs, but no longer does its work.
    (Played("bridge", "crash", (40, 6, 6, SELDOM_S)), Played("historian", "unwell", (110, SELDOM_S + 250))),
    # One that leaks until it has all that it may.
    (Played("vision", "leak", (150, SELDOM_S + 50)),),
)
"""By agent."""


class Ports(NamedTuple):
    """Free ports of the loopback interface, for the modules of one agent that listen."""

    health: int
    metrics: int


def module_tables(played: tuple[Played, ...], folder: Path, ports: Ports, *, well: bool) -> str:
    """What an agent's configuration says of its modules. `well`: none goes wrong.

    Each agent also has an application that is asked for its requests: gates of rollouts judge by them, and a device that
    counts none would keep them from ever being sure.
    """
    tables = [_table(module, folder, ports.health, well=well) for module in played]
    application = _table(Played(APPLICATION, "serving"), folder, ports.metrics, well=True)
    return "".join((BUILT_IN, *tables, application, _scrape(ports)))


def _scrape(ports: Ports) -> str:
    url = json.dumps(f"http://127.0.0.1:{ports.metrics}/metrics")
    return f"""
[[telemetry.scrape]]
url = {url}
metrics = ["requests_total", "request_errors_total"]
interval_s = {_SCRAPE_EVERY_S}
"""


def _table(module: Played, folder: Path, port: int, *, well: bool) -> str:
    text = json.dumps  # JSON's strings are TOML's basic strings, for everything that occurs in a path
    plan = () if well else module.plan_s
    command = [sys.executable, "-I", "-S", str(SCRIPT), module.name, module.role, str(folder / f"{module.name}.runs")]
    command += [str(port), *(f"{seconds:g}" for seconds in plan)]
    lines = [f"\n[modules.{module.name}]", f"command = {text(command)}", f"version = {text(VERSION)}", "stop_grace_s = 1"]
    if module.depends_on is not None:
        lines.append(f"depends_on = [{text(module.depends_on)}]")
    if module.role == "leak":
        lines.append(f"limits = {{ memory_mib = {LIMIT_MIB} }}")
    if module.role == "unwell":
        url = text(f"http://127.0.0.1:{port}/healthy")
        lines += [f"ready = {{ http = {url} }}", f"healthy = {{ http = {url}, interval_s = 2, start_period_s = 0 }}"]
    return "\n".join(lines) + "\n"
