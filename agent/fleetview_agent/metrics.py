"""Vitals of the machine, by psutil and a few files of Linux. What a machine does not tell is left out, never guessed."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil

from fleetview_agent.store import boot_id
from fleetview_agent.wire import HostInfo, Resources

_CPU_SENSORS = ("coretemp", "k10temp", "cpu_thermal", "cpu-thermal", "soc_thermal", "acpitz")
"""Where the processor's temperature is, the surest first (psutil.sensors_temperatures)."""
_PLAUSIBLE_C = (-60.0, 200.0)
_ERRORS = (OSError, psutil.Error, RuntimeError, NotImplementedError, ValueError, KeyError, IndexError, AttributeError)
"""What psutil 7 raises in containers and on odd kernels, where files of /proc and /sys are hidden or look otherwise."""


T = TypeVar("T")


def _asked(question: Callable[[], T]) -> T | None:
    try:
        return question()
    except _ERRORS:
        return None


def _fraction(percent: float | None) -> float | None:
    return None if percent is None else round(min(max(percent / 100, 0.0), 1.0), 4)


_MIN_WINDOW_S = 1.0
"""Of CPU time that says something: right after the start there would be little but the start itself."""


class Vitals:
    """Vitals since the last time they were asked for."""

    def __init__(self, disk: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._disk = disk
        self._clock = clock
        self._cpu: float | None = None
        self._cpu_asked_s = clock()
        self._process = psutil.Process()
        _asked(lambda: psutil.cpu_percent(interval=None))  # the first answer is 0: there is no time before it

    def resources(self, *, with_cpu: bool = True) -> Resources:
        """CPU (mean since the last call), memory and disk (that which holds `disk`) as fractions; the temperature."""
        figures = {
            "cpu": self._cpu_since() if with_cpu else None,
            "memory": _fraction(_asked(lambda: psutil.virtual_memory().percent)),
            "disk": _fraction(_asked(lambda: psutil.disk_usage(str(_existing(self._disk))).percent)),
            "temperature_c": _asked(_temperature_c),
        }
        return Resources(**{name: value for name, value in figures.items() if value is not None})

    def _cpu_since(self) -> float | None:
        now_s = self._clock()
        if now_s - self._cpu_asked_s >= _MIN_WINDOW_S:
            self._cpu_asked_s = now_s
            self._cpu = _fraction(_asked(lambda: psutil.cpu_percent(interval=None)))
        return self._cpu

    def own(self) -> dict[str, float]:
        """What the agent itself takes, under the names that Prometheus clients use for it."""
        figures: dict[str, float] = {}
        times = _asked(self._process.cpu_times)
        memory = _asked(self._process.memory_info)
        if times is not None:
            figures["process_cpu_seconds_total"] = round(times.user + times.system, 3)
        if memory is not None:
            figures["process_resident_memory_bytes"] = memory.rss
        return figures


def _existing(path: Path) -> Path:
    """The path, or what there is of it: the disk is the same."""
    return next((each for each in (path, *path.parents) if each.exists()), Path("/"))


def _temperature_c() -> float | None:
    sensors = psutil.sensors_temperatures() if hasattr(psutil, "sensors_temperatures") else {}
    for name in (*(each for each in _CPU_SENSORS if each in sensors), *sensors):
        readings = [entry.current for entry in sensors[name] if _PLAUSIBLE_C[0] < entry.current < _PLAUSIBLE_C[1]]
        if readings:
            return round(max(readings), 1)
    return None


def _os_name() -> str | None:
    release = _asked(platform.freedesktop_os_release)
    return (release or {}).get("PRETTY_NAME") or platform.system() or None


def host_info() -> HostInfo:
    """Inventory of the machine."""
    memory = _asked(psutil.virtual_memory)
    fields = {
        "arch": platform.machine() or None,
        "os": _os_name(),
        "kernel": platform.release() or None,
        "cpus": os.cpu_count(),
        "memory_bytes": None if memory is None else int(memory.total),
        "hostname": _asked(platform.node) or None,
        "boot_id": boot_id(),
    }
    return HostInfo.model_validate({name: value for name, value in fields.items() if value is not None})
