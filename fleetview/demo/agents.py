"""The demo's real agents: `fleetview-agent run` as on a device, each with a folder, modules and an application."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from fleetview.demo.broker import free_port
from fleetview.demo.children import Child
from fleetview.demo.modules import APPLICATION, Played, Ports, module_tables

AGENTS = 3
VERIFY_S = 15
"""So long a configuration from afar is watched: a minute, as by default, is long for who looks on."""
HEARTBEAT_S = 10
_DELAY_S = 1.2
"""Three interpreters that start at once would take the processor from the dashboard just when it draws its first screen."""
_NICE = 5
_GRACE_S = 2.0


def _config(name: str, broker_url: str, folder: Path, app_log: Path, modules: str) -> str:
    # JSON's strings are TOML's basic strings, for everything that occurs in a path
    text = json.dumps
    return f"""\
agent_id = {text(name)}
tenant = "acme"
site = "lab"
broker_url = {text(broker_url)}
heartbeat_interval = {HEARTBEAT_S}
labels = {{ ring = "lab", kind = "real" }}
state_dir = {text(str(folder / "state"))}
verify_s = {VERIFY_S}

[[logs.files]]
path = {text(str(app_log))}
service = {text(APPLICATION)}
{modules}"""


def agent_name(number: int) -> str:
    """The device id of one of them."""
    return f"edge-agent-{number:03d}"


def make_app_log(child: Child) -> Path:
    """The file that the agent will follow, in its folder."""
    app_log = child.folder / "app.log"
    app_log.touch()
    return app_log


def start_agent(child: Child, app_log: Path, broker_url: str, played: tuple[Played, ...] = (), *, well: bool = True) -> None:
    """Starts it, behind everything else. Its modules go wrong on schedule, unless all is to be `well`."""
    config = child.folder / "agent.toml"
    tables = module_tables(played, child.folder, Ports(free_port(), free_port()), well=well)
    config.write_text(_config(child.name, broker_url, child.folder, app_log, tables), encoding="utf-8")
    command = [sys.executable, "-m", "fleetview_agent", "run", "--config", str(config)]
    # A variable that configures agents on this machine would outrank the file, and send the demo's to a real broker.
    env = {name: value for name, value in os.environ.items() if not name.startswith("FLEETVIEW_AGENT_")}
    child.start(command, grace_s=_GRACE_S, delay_s=_DELAY_S, nice=_NICE, env=env)
