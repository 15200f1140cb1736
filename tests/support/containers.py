"""Containers of the images of `deploy/docker`, run by a real engine as the services of `deploy/compose` say.

Of an engine no more is asked than docker and podman have in common. Where there is none, or it can run nothing, as in a
container that may not make others, what needs it is skipped, and says why.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.deployed import DEPLOY, ROOT

COMPOSE = DEPLOY / "compose" / "compose.yaml"
UID = 10001


@dataclass(frozen=True, slots=True)
class Engine:
    """A program that runs containers."""

    program: str

    def run(self, *arguments: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """One of its commands, to its end."""
        command = [self.program, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)

    def asked(self, *arguments: str) -> str:
        """What it prints; fails when it fails."""
        done = self.run(*arguments)
        assert done.returncode == 0, f"{self.program} {' '.join(arguments)}: {done.stderr}"
        return done.stdout


def engine() -> Engine:
    """One that runs the images that `make images` built, or the test is skipped."""
    found = subprocess.run([ROOT / "tools" / "container-engine"], capture_output=True, text=True, check=False)
    if found.returncode != 0:
        pytest.skip(found.stderr.strip())
    program = found.stdout.strip()
    if program == "buildah":
        pytest.skip("buildah builds images and does not run them as an engine does: install podman or docker")
    running = Engine(program)
    for image in ("fleetview-agent", "fleetview"):
        if running.run("image", "inspect", image).returncode != 0:
            pytest.skip(f"{program} has no image {image}: make images")
        tried = running.run("run", "--rm", "--network", "host", image, "--version")
        if tried.returncode != 0:
            pytest.skip(f"{program} cannot run containers here: {tried.stderr.strip()[-300:]}")
    return running


@dataclass(frozen=True, slots=True)
class Service:
    """A service of compose.yaml, of which only paths, volumes and the network are ours."""

    keys: Mapping[str, Any]
    image: Mapping[str, Any]
    """As the engine tells it."""
    folder: Path
    """Where what it mounts from beside compose.yaml lies."""
    prefix: str
    """Of its volumes, which are this test's own."""

    @property
    def options(self) -> list[str]:
        """For `run`. Without `ulimits`: podman would set others of its own beside them, which not every machine grants."""
        keys = self.keys
        options = ["--network", "host", "--user", keys["user"], "--memory", keys["mem_limit"]]
        options += ["--pids-limit", str(keys["pids_limit"]), "--cpus", str(keys["cpus"])]
        options += ["--stop-timeout", keys.get("stop_grace_period", "10s").removesuffix("s")]
        options += ["--read-only"] if keys["read_only"] else []
        options += ["--init"] if keys["init"] else []
        for option, values in {
            "--cap-drop": keys["cap_drop"],
            "--security-opt": [value.removesuffix(":true") for value in keys["security_opt"]],
            "--tmpfs": keys["tmpfs"],
            "--volume": [self.mounted(value) for value in keys["volumes"]],
        }.items():
            options += [part for value in values for part in (option, value)]
        return options

    def mounted(self, volume: str) -> str:
        """What is mounted in its place here."""
        return f"{self.folder}/{volume[2:]}" if volume.startswith("./") else self.prefix + volume

    @property
    def check(self) -> list[str]:
        """What tells whether it is well: compose's word, or else the image's."""
        test = self.keys["healthcheck"]["test"] if "healthcheck" in self.keys else self.image["Healthcheck"]["Test"]
        kind, *command = test
        assert kind == "CMD", "there may be no shell"
        return list(command)


class Container:
    """One that was started."""

    def __init__(self, of: Engine, name: str) -> None:
        self.engine = of
        self.name = name

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Something else in it."""
        return self.engine.run("exec", self.name, *command)

    @property
    def said(self) -> str:
        """What came out of it."""
        done = self.engine.run("logs", self.name)
        return done.stdout + done.stderr

    def stop(self) -> int:
        """As a person would, or compose. Returns its exit code."""
        self.engine.asked("stop", self.name)
        return int(self.engine.asked("inspect", "--format", "{{.State.ExitCode}}", self.name))


@contextlib.contextmanager
def service(of: Engine, name: str, folder: Path) -> Iterator[Service]:
    """A service of compose.yaml, whose volumes go with the test."""
    compose = yaml.safe_load(COMPOSE.read_text())
    keys = compose["services"][name]
    (image,) = json.loads(of.asked("image", "inspect", keys["image"]))
    prefix = f"fleetview-test-{uuid.uuid4().hex[:8]}-"
    try:
        # Podman tells the health check beside `Config`, docker in it.
        yield Service(keys, image["Config"] | image, folder, prefix)
    finally:
        for volume in compose["volumes"]:
            of.run("volume", "rm", "--force", prefix + volume)


@contextlib.contextmanager
def started(of: Engine, what: Service, command: Sequence[str] = ()) -> Iterator[Container]:
    """A container of the service, gone however the test ends."""
    name = what.prefix + uuid.uuid4().hex[:8]
    try:
        of.asked("run", "--detach", "--name", name, *what.options, what.keys["image"], *command)
        container = Container(of, name)
        yield container
        print(container.said)  # noqa: T201  (shown when the test fails)
    finally:
        of.run("rm", "--force", "--volumes", name)


def belongs_to_the_image(folder: Path) -> None:
    """What is mounted from the host keeps its owner there: give it to the user of the images, as an operator has to."""
    if os.geteuid() != 0:
        pytest.skip("only root can give files to the user of the images")
    for path in (folder, *folder.rglob("*")):
        os.chown(path, UID, UID)
