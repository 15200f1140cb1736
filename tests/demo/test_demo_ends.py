"""`fleetview demo` leaves no process and no file behind, however it ends. Real processes, each with everything started."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from support.processes import Family, family
from support.programs import require
from support.wait import wait_until

from fleetview.demo.modules import PLAYED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEMO = [sys.executable, "-m", "fleetview", "demo", "--broker-only", "--devices", "12"]
EVERYBODY = [
    re.compile(pattern)
    for pattern in (
        r"mosquitto\.conf",
        r"fleetview\.demo\.player",
        *(rf"fleetview_agent run .*edge-agent-00{number}.*agent\.toml" for number in (1, 2, 3)),
        *(rf"misbehaving\.py {module.name} " for played in PLAYED for module in played),
    )
]


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Family]:
    require("mosquitto")
    with family(tmp_path / "tmp") as made:
        yield made


@contextmanager
def demo(ours: Family, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A demo that has told its URL, and whose children have all been started."""
    command = [*DEMO, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ours.environ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"mqtt://127.0.0.1:")
        wait_until(lambda: everybody_runs(ours))
        try:
            yield process
        finally:
            process.kill()  # or a test that fails would wait for it without end


def everybody_runs(ours: Family) -> bool:
    commands = [command for command in ours.commands() if "leash.py" not in command]
    return all(any(known.search(command) for command in commands) for known in EVERYBODY)


def nothing_is_left(ours: Family) -> None:
    wait_until(lambda: not ours.commands())
    wait_until(lambda: not list(ours.folder.iterdir()))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ends_cleanly_on_a_signal(ours: Family, number: signal.Signals) -> None:
    with demo(ours) as process:
        process.send_signal(number)
        assert process.wait(20) == 0
        # By then, and not some time later
        assert not ours.commands()
        assert not list(ours.folder.iterdir())


def test_leaves_nothing_when_killed_with_9(ours: Family) -> None:
    with demo(ours) as process:
        process.kill()
    nothing_is_left(ours)


def test_leaves_nothing_when_the_terminal_is_closed(ours: Family) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(sys.executable, DEMO, ours.environ)
    wait_until(lambda: everybody_runs(ours))
    os.close(terminal)
    os.waitpid(pid, 0)
    nothing_is_left(ours)


STAGE = "import os, sys; from fleetview.demo.stage import on_stage\nwith on_stage(devices=12) as stage:\n    {}"


@pytest.mark.parametrize(
    ("ending", "status"),
    [("1 / 0", 1), ("sys.exit(5)", 5), ("os._exit(6)", 6), ("os.abort()", -signal.SIGABRT), ("pass", 0)],
)
def test_leaves_nothing_when_the_program_ends_within(ours: Family, ending: str, status: int) -> None:
    done = subprocess.run([sys.executable, "-c", STAGE.format(ending)], env=ours.environ, capture_output=True, check=False)
    assert done.returncode == status, done.stderr
    nothing_is_left(ours)


def test_end_of_the_broker_is_told_and_ends_the_demo(ours: Family) -> None:
    with demo(ours) as process:
        broker = [one for one in ours.alive() if "mosquitto.conf" in " ".join(one.cmdline()) and one.name() == "mosquitto"]
        assert len(broker) == 1
        broker[0].kill()
        assert process.wait(20) == 1
        assert process.stderr is not None
        assert b"the demo's mosquitto has ended with status 137" in process.stderr.read()
    nothing_is_left(ours)


def test_end_of_an_agent_is_told_and_the_demo_goes_on(ours: Family) -> None:
    with demo(ours) as process:
        assert process.stderr is not None
        agent = [
            one for one in ours.alive() if "fleetview_agent" in one.cmdline() and "leash" not in " ".join(one.cmdline())
        ]
        agent[0].kill()
        lines = iter(process.stderr.readline, b"")
        assert any(b"has ended with status 137" in line for line in lines)
        assert process.poll() is None
        process.terminate()
        assert process.wait(20) == 0


def test_without_any_broker_it_says_what_to_install(ours: Family, tmp_path: Path) -> None:
    blind = (
        "import importlib.util, sys; import fleetview.demo.broker as broker\n"
        "broker._find_mosquitto = lambda: None\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'amqtt' else find(name, *rest)\n"
        "sys.argv = ['fleetview', 'demo', '--broker-only']\n"
        "from fleetview.cli import main; sys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-c", blind], env=ours.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert done.stdout == ""
    assert "apt install mosquitto" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("wrong", [["--devices", "0"], ["--scenario", "good-night"], ["--seed", "x"]])
def test_wrong_options_are_usage(wrong: list[str]) -> None:
    done = subprocess.run([*DEMO, *wrong], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert wrong[0] in done.stderr
    assert "Traceback" not in done.stderr
