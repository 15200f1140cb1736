"""A child on a leash ends with its holder, whatever holder and child do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest
from support.processes import Family, family
from support.wait import wait_until

from fleetview.demo.children import Child

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PYTHON = [sys.executable, "-I", "-S", "-c"]
SLEEPER = [*PYTHON, "import time; print('up', flush=True); time.sleep(600)"]
STUBBORN = [*PYTHON, f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPER[-1]}"]
PARENT = [*PYTHON, f"import os; os.fork(); {SLEEPER[-1]}"]
PARENT_OF_STUBBORN = [
    *PYTHON,
    f"import os, signal; os.fork() or signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPER[-1]}",
]


@pytest.fixture
def ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Family]:
    with family(tmp_path / "tmp") as made:
        for name, value in made.environ.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("tempfile.tempdir", str(made.folder))
        yield made


def others(ours: Family) -> list[psutil.Process]:
    return [process for process in ours.alive() if process.pid != os.getpid()]


def started(command: list[str], *, grace_s: float = 3.0) -> Child:
    child = Child.prepare("sleeper")
    child.start(command, grace_s=grace_s)
    wait_until(lambda: child.output().count("up") == (2 if "os.fork()" in command[-1] else 1))
    return child


def test_stop_ends_the_child_and_removes_its_folder(ours: Family) -> None:
    child = started(SLEEPER)
    assert len(others(ours)) == 2
    assert child.status() is None
    child.stop()
    assert child.status() == 128 + signal.SIGTERM
    assert not others(ours)
    assert not list(ours.folder.iterdir())


@pytest.mark.parametrize(
    "command", [STUBBORN, PARENT, PARENT_OF_STUBBORN], ids=["ignores SIGTERM", "has a child", "has a child that ignores it"]
)
def test_nobody_gets_away(ours: Family, command: list[str]) -> None:
    child = started(command, grace_s=0.2)
    assert len(others(ours)) >= 2
    child.stop()
    wait_until(lambda: not others(ours))


def test_a_frozen_child_is_asked_to_end_like_any_other(ours: Family) -> None:
    child = started(SLEEPER, grace_s=15)
    psutil.Process(child.pid).children()[0].suspend()
    child.stop()
    assert child.status() == 128 + signal.SIGTERM
    assert not others(ours)


def test_what_the_terminal_sends_to_the_demo_does_not_reach_its_children(ours: Family) -> None:
    with started(SLEEPER) as child:
        sleeper = psutil.Process(child.pid).children()[0].pid
        assert {os.getsid(child.pid), os.getsid(sleeper)} == {child.pid}
        assert len({os.getpgrp(), os.getpgid(child.pid), os.getpgid(sleeper)}) == 3


def test_killing_the_leash_ends_the_child(ours: Family) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux tells a process of its parent's death")
    child = started(SLEEPER)
    os.kill(child.pid, signal.SIGKILL)
    wait_until(lambda: not others(ours))
    child.stop()


def test_signal_to_the_leash_ends_the_child(ours: Family) -> None:
    child = started(SLEEPER)
    os.kill(child.pid, signal.SIGTERM)
    wait_until(lambda: child.status() is not None)
    assert not others(ours)
    child.stop()


def test_exit_status_and_last_words_survive_the_folder(ours: Family) -> None:
    child = Child.prepare("short")
    child.start([sys.executable, "-c", "import sys; print('that was it', file=sys.stderr); sys.exit(7)"])
    wait_until(lambda: child.status() is not None)
    assert child.status() == 7
    assert not child.folder.exists()
    assert child.output() == "that was it\n"
    child.stop()


def test_command_that_is_not_there_says_so(ours: Family) -> None:
    child = Child.prepare("absent")
    child.start(["/nowhere/program"])
    wait_until(lambda: child.status() is not None)
    assert child.status() == 127
    assert child.output() == "cannot start /nowhere/program: No such file or directory\n"
    child.stop()


def test_child_that_waits_for_its_start_is_never_started_when_the_demo_ends(ours: Family) -> None:
    marker = ours.folder / "started"
    child = Child.prepare("late")
    child.start([sys.executable, "-c", f"open({str(marker)!r}, 'w')"], delay_s=30)
    began = time.monotonic()
    child.stop()
    assert time.monotonic() - began < 20
    assert not marker.exists()
    assert not others(ours)


def test_child_never_started_leaves_no_folder(ours: Family) -> None:
    with Child.prepare("never") as child:
        (child.folder / "config").touch()
        assert child.pid == 0
    assert not list(ours.folder.iterdir())


def test_holder_killed_with_9_takes_its_children_along(ours: Family) -> None:
    holder = (
        "import sys, time; from fleetview.demo.children import Child\n"
        f"child = Child.prepare('held'); child.start({STUBBORN!r}, grace_s=0.2)\n"
        "while 'up' not in child.output(): time.sleep(0.01)\n"
        "print('held', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", holder], stdout=subprocess.PIPE, env=ours.environ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert len(others(ours)) == 3
        process.kill()
    wait_until(lambda: not others(ours))
    wait_until(lambda: not list(ours.folder.iterdir()))
