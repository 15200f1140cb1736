"""What `make demo` and `make test` do to a Debian machine, with the machine's programs replaced by ones that write down."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "tools" / "debian-programs"
UNITS = "prometheus.service prometheus-alertmanager.service"
WANTED = ("prometheus", "prometheus-alertmanager", "sh")


class Machine:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir()
        for name in ("sh", "mktemp", "tail", "rm"):
            (self.bin / name).symlink_to(str(shutil.which(name)))
        self.put("id", "echo 0")
        for name in ("systemctl", "apt-get"):
            self.put(name, f'echo {name} "$@" >> {folder}/done')

    def put(self, name: str, script: str) -> None:
        program = self.bin / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    def run(self, *arguments: str, systemd: bool = True) -> subprocess.CompletedProcess[str]:
        env = {"PATH": str(self.bin), "SYSTEMD_RUNS": str(self.folder if systemd else self.folder / "none")}
        return subprocess.run([SCRIPT, *arguments], env=env, capture_output=True, text=True, check=False, timeout=30)

    @property
    def done(self) -> list[str]:
        file = self.folder / "done"
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_services_are_held_back_and_stay_off(machine: Machine) -> None:
    done = machine.run(*WANTED)
    assert done.returncode == 0
    assert done.stdout == "installing prometheus prometheus-alertmanager ...\n"
    assert machine.done == [
        f"systemctl mask --quiet --runtime {UNITS}",
        "apt-get update -qq",
        "apt-get install -y -qq --no-install-recommends prometheus prometheus-alertmanager",
        f"systemctl unmask --quiet --runtime {UNITS}",
        f"systemctl disable --quiet {UNITS}",
    ]


def test_what_is_there_is_left_alone(machine: Machine) -> None:
    for name in WANTED[:2]:
        machine.put(name, "")
    done = machine.run(*WANTED)
    assert (done.returncode, done.stdout, machine.done) == (0, "", [])


def test_without_systemd_nothing_is_masked(machine: Machine) -> None:
    assert machine.run("prometheus", systemd=False).returncode == 0
    assert [line.split()[0] for line in machine.done] == ["apt-get", "apt-get"]


@pytest.mark.parametrize("optional", [True, False])
def test_without_root_it_says_what_is_missing(machine: Machine, optional: bool) -> None:
    machine.put("id", "echo 1000")
    done = machine.run(*(["--optional"] if optional else []), *WANTED)
    assert done.returncode == (0 if optional else 1)
    assert "as root, apt-get install prometheus prometheus-alertmanager" in done.stdout
    assert machine.done == []


@pytest.mark.parametrize("optional", [True, False])
def test_a_package_that_does_not_come_leaves_nothing_masked(machine: Machine, optional: bool) -> None:
    machine.put("apt-get", "echo no network; exit 100")
    done = machine.run(*(["--optional"] if optional else []), "prometheus")
    assert done.returncode == (0 if optional else 1)
    assert "no network" in done.stdout
    assert machine.done[-1] == "systemctl unmask --quiet --runtime prometheus.service"
