"""Ports that modules are to listen on, as far as probes and the collector's table name them, and who has them now."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator
from dataclasses import dataclass

from fleetview_agent.modules.process import MARK
from fleetview_agent.modules.spec import Probe, http_target, tcp_target
from fleetview_agent.preflight.findings import Answer, Finding
from fleetview_agent.preflight.inquiry import Inquiry
from fleetview_agent.preflight.machine import Machine

PORTS = "ports"
COLLECTOR = "telemetry_collector"
"""Listens on `telemetry.listen`, for a Prometheus on the device."""

_LISTEN = "0A"
"""TCP_LISTEN in the tables of /proc/net."""
_FIELDS = 10


@dataclass(frozen=True, slots=True)
class Holder:
    """Who listens on a port."""

    pid: int
    name: str
    module: str | None
    """Of an agent, by the mark in its environment."""


def ports(inquiry: Inquiry) -> Answer:
    """Whether they are free, or held by the module that is meant to hold them."""
    wanted = dict(_wanted(inquiry))
    if not wanted:
        return Finding(PORTS, "ok", "neither a probe nor telemetry.listen names one")
    listening = _listening(inquiry.machine)
    found = [
        finding
        for port, names in wanted.items()
        if (finding := _judge(inquiry, port, names, listening.get(port))) is not None
    ]
    free = ", ".join(str(port) for port in sorted(wanted))
    return found or Finding(PORTS, "ok", f"{free}: free, or held by the module that they are for")


def _wanted(inquiry: Inquiry) -> Iterator[tuple[int, list[str]]]:
    names: dict[int, list[str]] = {}
    for name, spec in inquiry.config.module_specs.items():
        for probe in (spec.ready, spec.healthy):
            port = None if probe is None else _local_port(probe)
            if port is not None and name not in names.setdefault(port, []):
                names[port].append(name)
    listen = inquiry.config.telemetry.listen
    if listen is not None and COLLECTOR in inquiry.config.module_specs:
        names.setdefault(tcp_target(listen)[1], []).append(COLLECTOR)
    yield from names.items()


def _local_port(probe: Probe) -> int | None:
    if probe.http is not None:
        host, port, *_ = http_target(probe.http)
    elif probe.tcp is not None:
        host, port = tcp_target(probe.tcp)
    else:
        return None
    try:
        here = host == "localhost" or ipaddress.ip_address(host).is_loopback or ipaddress.ip_address(host).is_unspecified
    except ValueError:
        here = False
    return port if here else None


def _judge(inquiry: Inquiry, port: int, names: list[str], inodes: set[str] | None) -> Finding | None:
    if len(names) > 1:
        words = f"{port} stands in the probes of {' and '.join(names)}: only one can listen there, give each its own"
        return Finding(PORTS, "warning", words)
    if not inodes:
        return None
    (name,) = names
    holder = _holder(inquiry.machine, inodes)
    if holder is None:
        if inquiry.agent_runs:
            return None  # most likely the module itself
        words = f"{port}, which module {name} is to listen on, is taken, by whom only root can see: ss -ltnp"
        return Finding(PORTS, "error", words)
    if holder.module == name or (name == COLLECTOR and _is_the_agent(inquiry, holder)):
        return None
    who = f"{holder.name} (pid {holder.pid})" + (f" of module {holder.module}" if holder.module else "")
    return Finding(PORTS, "error", f"{port}, which module {name} is to listen on, is taken by {who}: end that, or move one")


def _is_the_agent(inquiry: Inquiry, holder: Holder) -> bool:
    """Whether it is the agent itself, in which what is built in runs."""
    status = inquiry.store.status() if inquiry.agent_runs else None
    return status is not None and status.pid == holder.pid


def _listening(machine: Machine) -> dict[int, set[str]]:
    """Inodes of listening sockets by port."""
    found: dict[int, set[str]] = {}
    for table in ("proc/net/tcp", "proc/net/tcp6"):
        for line in (machine.text(table) or "").splitlines()[1:]:
            fields = line.split()
            if len(fields) >= _FIELDS and fields[3] == _LISTEN:
                found.setdefault(int(fields[1].rpartition(":")[2], 16), set()).add(fields[9])
    return found


def _holder(machine: Machine, inodes: set[str]) -> Holder | None:
    """The process that has one of these sockets; None when that is not ours to see."""
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for folder in machine.file("proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            held = any(os.readlink(entry) in wanted for entry in (folder / "fd").iterdir())  # noqa: PTH115  (text wanted)
        except OSError:
            continue  # another user's, or it has just ended
        if held:
            name = machine.text(f"proc/{folder.name}/comm") or "a program"
            return Holder(int(folder.name), name, _module(machine, folder.name))
    return None


def _module(machine: Machine, pid: str) -> str | None:
    for entry in (machine.text(f"proc/{pid}/environ") or "").split("\0"):
        if entry.startswith(f"{MARK}="):
            return entry.rpartition("/")[2]
    return None
