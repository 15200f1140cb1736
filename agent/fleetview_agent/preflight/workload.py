"""What the configuration asks of the machine: log files, programs of modules, their ports, a container engine."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from fleetview_agent.modules.process import SpawnError, startable
from fleetview_agent.modules.registry import why_not_run
from fleetview_agent.modules.spec import ModuleSpec
from fleetview_agent.preflight.findings import Answer, Finding
from fleetview_agent.preflight.inquiry import Inquiry

LOG_FILES, MODULES, RELEASES, ENGINE = "log files", "modules", "releases", "container engine"

ENGINES = ("docker", "podman")
_STORAGE = {"docker": ("overlay2", "overlayfs"), "podman": ("overlay",)}
"""One driver of the kernel under the names that engines have for it; `overlayfs` is docker's with containerd's store."""
_ROTATE = ("local", "journald", "none", "syslog", "k8s-file")
"""Log drivers that need no further setting to be bounded here."""


def log_files(inquiry: Inquiry) -> Answer:
    """Whether the logs can be read that are to be shipped."""
    found: list[Finding] = []
    for entry in inquiry.config.logs.files:
        paths = inquiry.followed(entry.path)
        inquiry.log_files += len(paths)
        closed = [path for path in paths if not os.access(path, os.R_OK)]
        if closed:
            words = f"{closed[0]} cannot be read by this user; add it to the group of the file"
            found.append(Finding(LOG_FILES, "error", words))
        elif paths:
            found.append(Finding(LOG_FILES, "ok", f"{entry.path}: {len(paths)} found"))
        else:
            found.append(Finding(LOG_FILES, "warning", f"{entry.path}: nothing there yet; is the pattern right?"))
    return found or Finding(LOG_FILES, "ok", "none are configured")


def modules(inquiry: Inquiry) -> Answer:
    """Whether they can be started."""
    return list(_modules(inquiry)) or Finding(MODULES, "ok", "none are configured")


def _modules(inquiry: Inquiry) -> Iterator[Finding]:
    for name, spec in inquiry.config.module_specs.items():
        try:
            program = startable(spec)
        except SpawnError as err:
            yield Finding(MODULES, "error", f"{name}: {err}")
        else:
            missing = why_not_run(name, spec)
            words = f"{missing}: take it out of the configuration" if missing else f"{name}: {program or 'built in'}"
            yield Finding(MODULES, "warning" if missing else "ok", words)


def releases(inquiry: Inquiry) -> Answer:
    """Whose releases the updater takes."""
    config = inquiry.config
    if "ota_updater" not in config.module_specs:
        return Finding(RELEASES, "ok", "not needed: ota_updater is not among the modules")
    if config.ota.keys:
        return Finding(RELEASES, "ok", f"signed by one of the keys {', '.join(config.ota.key_ids)}")
    if config.ota.allow_unsigned:
        return Finding(RELEASES, "warning", "are taken from anybody: set ota.keys, and leave allow_unsigned out")
    return Finding(RELEASES, "warning", "none is taken: set ota.keys to who may sign them")


async def engine(inquiry: Inquiry) -> Answer:
    """Whether the container engine that modules are started by is there, and keeps within its disk."""
    wanted = [name for name in ENGINES if any(_starts(spec, name) for spec in inquiry.config.module_specs.values())]
    found = [finding for name in wanted for finding in await _engine(inquiry, name)]
    return found or Finding(ENGINE, "ok", "not needed: no module is started by docker or podman")


def _starts(spec: ModuleSpec, name: str) -> bool:
    return bool(spec.command) and PurePosixPath((spec.command or [""])[0]).name == name


async def _engine(inquiry: Inquiry, name: str) -> list[Finding]:
    program = inquiry.machine.program(name)
    if program is None:
        return [Finding(ENGINE, "error", f"modules are started by {name}, which is not there: install it")]
    status, text, errors = await inquiry.machine.output([program, "info", "--format", "{{json .}}"])
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError):
        facts = None
    if status != 0 or not isinstance(facts, dict):
        last = (errors.strip().splitlines() or ["it said nothing"])[-1]
        words = f"{name} info: {last}: start the engine, and let this user use it (group docker)"
        return [Finding(ENGINE, "error", words)]
    if facts.get("ServerErrors"):
        return [Finding(ENGINE, "error", f"{name}: {facts['ServerErrors'][0]}: start the engine, and let this user use it")]
    return list(_podman(facts) if name == "podman" else _docker(inquiry, facts))


def _docker(inquiry: Inquiry, facts: Mapping[str, Any]) -> Iterator[Finding]:
    storage, logs, version = facts.get("Driver"), facts.get("LoggingDriver"), facts.get("ServerVersion")
    yield _storage("docker", str(version), str(storage))
    options = _daemon(inquiry).get("log-opts")
    bounded = (isinstance(options, dict) and bool(options.get("max-size"))) or _bounded_themselves(inquiry)
    if logs in _ROTATE or (logs == "json-file" and bounded):
        yield Finding(ENGINE, "ok", f"docker keeps logs by {logs}, which is bounded")
    else:
        words = (
            f"docker keeps logs by {logs}, which grows until the disk is full: in /etc/docker/daemon.json set"
            ' "log-driver": "local", or "log-opts": {"max-size": "10m", "max-file": "3"}'
        )
        yield Finding(ENGINE, "warning", words)


def _bounded_themselves(inquiry: Inquiry) -> bool:
    """Whether each module that docker starts says how much of its logs is kept (`--log-opt max-size=10m`)."""
    commands = [spec.command or [] for spec in inquiry.config.module_specs.values() if _starts(spec, "docker")]
    return all(any("max-size=" in word for word in command) for command in commands)


def _daemon(inquiry: Inquiry) -> dict[str, Any]:
    try:
        found = json.loads(inquiry.machine.text("etc/docker/daemon.json") or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _podman(facts: Mapping[str, Any]) -> Iterator[Finding]:
    store, host, version = facts.get("store") or {}, facts.get("host") or {}, facts.get("version") or {}
    yield _storage("podman", str(version.get("Version")), str(store.get("graphDriverName")))
    logs = host.get("logDriver")
    if logs in _ROTATE:
        yield Finding(ENGINE, "ok", f"podman keeps logs by {logs}, which is bounded")
    else:
        yield Finding(ENGINE, "warning", f'podman keeps logs by {logs}: set log_driver = "journald" in containers.conf')


def _storage(name: str, version: str, storage: str) -> Finding:
    if storage in _STORAGE[name]:
        return Finding(ENGINE, "ok", f"{name} {version}, storage {storage}")
    why = "that is slower, and wears flash out: change its storage driver"
    words = f"{name} {version} stores by {storage}, not {_STORAGE[name][0]}; {why}"
    return Finding(ENGINE, "warning", words)
