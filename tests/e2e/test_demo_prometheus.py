"""`fleetview demo` in a real terminal: with Prometheus and Alertmanager on PATH, and without."""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from support.processes import Family, family
from support.programs import free_port, require
from support.servers import answering
from support.terminal import Terminal
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.servers import Asked

DEMO = [sys.executable, "-m", "fleetview", "demo"]
SERVERS = ("prometheus --config", "prometheus-alertmanager --config", "fleetview export")


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Family]:
    require("mosquitto")
    with family(tmp_path / "tmp") as made:
        yield made


def servers(ours: Family) -> list[str]:
    commands = [command for command in ours.commands() if "leash.py" not in command]
    return [server for server in SERVERS if any(server in command for command in commands)]


@pytest.mark.timeout(180)
def test_every_screen_is_real_and_nothing_outlives_it(ours: Family) -> None:
    require("prometheus")
    require("prometheus-alertmanager")
    # A proxy that is in the way must not be asked for servers on this machine.
    environ = {**ours.environ, "http_proxy": f"http://127.0.0.1:{free_port()}", "no_proxy": "", "NO_PROXY": ""}
    with Terminal(DEMO, env=environ, columns=160, rows=48) as terminal:
        terminal.wait("prometheus ●", 60)
        assert servers(ours) == list(SERVERS)
        terminal.type("M")
        terminal.wait(lambda text: "a online" in text and "no data" not in text, 60)
        terminal.type("\x1b")
        terminal.wait("WHY")
        terminal.type("\r")
        terminal.wait("what happened")
        terminal.type("m")
        terminal.wait("from Prometheus, ")
        terminal.wait(lambda text: "peers" in text and "asking" not in text)
        terminal.type("\x1b")
        terminal.wait("what happened")
        terminal.type("\x1b")
        terminal.wait("WHY")
        terminal.type("a")
        terminal.wait(lambda text: "✗ firing" in text or "▲ firing" in text, 90)
        terminal.wait("FleetWatchdog")
        terminal.wait("alertmanager ● up")
        terminal.process.kill()
        terminal.wait_end()
    wait_until(lambda: not ours.commands())
    wait_until(lambda: not list(ours.folder.iterdir()))


@pytest.mark.timeout(120)
def test_without_them_the_screens_say_so_and_draw_heartbeats(ours: Family, tmp_path: Path) -> None:
    environ = {**ours.environ, "PATH": str(tmp_path)}
    with Terminal([*DEMO, "--devices", "12"], env=environ) as terminal:
        terminal.wait("WHY")
        terminal.type("M")
        terminal.wait("heartbeats of the last hour (no Prometheus)")
        terminal.wait("apt-get install prometheus prometheus-alertmanager")
        terminal.wait(lambda text: "CPU, the highest" in text and "all devices" in text)
        terminal.type("\x1b")
        terminal.wait("WHY")
        terminal.type("a")
        terminal.wait("no alerts are known")
        terminal.wait("apt-get install prometheus prometheus-alertmanager")
        assert servers(ours) == []
        terminal.type("\x1b")
        terminal.wait("WHY")
        terminal.type("\r")
        terminal.wait("what happened")
        terminal.type("m")
        terminal.wait("apt-get install prometheus prometheus-alertmanager")
        assert terminal.leave() == 0
    assert not ours.commands()
    assert not list(ours.folder.iterdir())


@pytest.mark.timeout(120)
def test_a_prometheus_that_comes_to_hang_is_shown_and_holds_up_no_key() -> None:
    hangs, let_go = threading.Event(), threading.Event()

    def reply(asked: Asked) -> tuple[int, object, dict[str, str]]:
        if hangs.is_set():
            let_go.wait(60)
        data = {"groups": []} if "rules" in asked.path else {"resultType": "vector", "result": []}
        return 200, {"status": "success", "data": data}, {}

    nobody = f"mqtt://127.0.0.1:{free_port()}"
    with answering(reply) as fake:
        command = [sys.executable, "-m", "fleetview", "--broker", nobody, "--prometheus", fake.url]
        with Terminal(command, columns=160, env={"FLEETVIEW_CONFIG": os.devnull, "no_proxy": "*"}) as terminal:
            terminal.wait("prometheus ●")
            hangs.set()
            terminal.wait("prometheus ✗ unreachable")
            terminal.type("M")  # the charts ask too, and what they ask hangs
            terminal.wait("devices by state")
            terminal.type("?")
            terminal.wait("Ask any query")
            terminal.type("\x1b")
            terminal.wait("devices by state")
            let_go.set()
            terminal.wait(lambda text: "prometheus ●" in text, 60)
            assert terminal.leave() == 0
        let_go.set()
