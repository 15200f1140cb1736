"""What the collector asks the system for, beside the vitals that every heartbeat has. What it does not tell is left out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

import psutil

from fleetview_agent.metrics import PLAUSIBLE_C, asked

_VIRTUAL = ("lo", "lo0", "veth*", "docker*", "br-*", "virbr*", "cni*", "cali*", "flannel*", "tun*", "tap*", "wg*")
"""What goes through these goes through another as well, or does not leave the machine."""


class Traffic(NamedTuple):
    """What went through a network interface since the machine started."""

    receive_bytes: int
    transmit_bytes: int
    receive_errors: int
    transmit_errors: int


class Sensor(NamedTuple):
    """A thermometer."""

    name: str
    place: str
    celsius: float


class Usage(NamedTuple):
    """What a group of processes takes."""

    cpu_s: float
    """Processor time of those that are there, and of their children that are not."""
    resident_bytes: int


def traffic(globs: Sequence[str]) -> dict[str, Traffic]:
    """The traffic of the interfaces that these mean, by name; without any: of those that lead out of the machine."""
    found = asked(lambda: psutil.net_io_counters(pernic=True)) or {}
    return {
        name: Traffic(each.bytes_recv, each.bytes_sent, each.errin, each.errout)
        for name, each in found.items()
        if (_is_one_of(name, globs) if globs else not _is_one_of(name, _VIRTUAL))
    }


def _is_one_of(name: str, globs: Sequence[str]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)


def sensors() -> list[Sensor]:
    """All thermometers whose readings can be true."""
    found = asked(psutil.sensors_temperatures) if hasattr(psutil, "sensors_temperatures") else None
    return [
        Sensor(name, entry.label or str(index), entry.current)
        for name, entries in (found or {}).items()
        for index, entry in enumerate(entries)
        if PLAUSIBLE_C[0] < entry.current < PLAUSIBLE_C[1]
    ]


def load() -> float | None:
    """Processes that run or want to, mean of a minute."""
    found = asked(psutil.getloadavg)
    return None if found is None else round(found[0], 2)


def usage(groups: Mapping[str, int]) -> dict[str, Usage]:
    """What each of these groups of processes takes now."""
    if not groups:
        return {}
    names = {group: name for name, group in groups.items()}
    found: dict[str, Usage] = {}
    for pid in asked(psutil.pids) or []:
        name = names.get(asked(lambda pid=pid: os.getpgid(pid)) or 0)  # type: ignore[misc]
        if name is None:
            continue
        one = asked(lambda pid=pid: _one(pid))  # type: ignore[misc]
        if one is not None:
            before = found.get(name, Usage(0.0, 0))
            found[name] = Usage(before.cpu_s + one.cpu_s, before.resident_bytes + one.resident_bytes)
    return found


def _one(pid: int) -> Usage:
    process = psutil.Process(pid)
    with process.oneshot():
        times = process.cpu_times()
        cpu_s = times.user + times.system + times.children_user + times.children_system
        return Usage(cpu_s, process.memory_info().rss)
