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
PLAUSIBLE_C = (-60.0, 200.0)
_ERRORS = (OSError, psutil.Error, RuntimeError, NotImplementedError, ValueError, KeyError, IndexError, AttributeError)
"""What psutil 7 raises in containers and on odd kernels, where files of /proc and /sys are hidden or look otherwise."""


T = TypeVar("T")


def asked(question: Callable[[], T]) -> T | None:
    """The answer to a question to psutil; None where the machine has none."""
    try:
        return question()
    except _ERRORS:
        return None


def _fraction(percent: float | None) -> float | None:
    return None if percent is None else round(min(max(percent / 100, 0.0), 1.0), 4)


_MIN_WINDOW_S = 1.0
"""Of CPU time that says something: right after the start there would be little but the start itself."""


RECENT_S = 2.0


class Vitals:
    """Vitals since the last time they were asked for."""

    def __init__(self, disk: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._disk = disk
        self._clock = clock
        self._cpu: float | None = None
        self._cpu_asked_s = clock()
        self._cpu_times = asked(_cpu_times)
        self._process = psutil.Process()

    def resources(self, *, with_cpu: bool = True) -> Resources:
        """CPU (mean since the last call), memory and disk (that which holds `disk`) as fractions; the temperature."""
        figures = {
            "cpu": self._cpu_since() if with_cpu else None,
            "memory": _fraction(asked(lambda: psutil.virtual_memory().percent)),
            "disk": _fraction(asked(lambda: psutil.disk_usage(str(_existing(self._disk))).percent)),
            "temperature_c": asked(_temperature_c),
        }
        return Resources(**{name: value for name, value in figures.items() if value is not None})

    def _cpu_since(self) -> float | None:
        now_s = self._clock()
        if now_s - self._cpu_asked_s >= _MIN_WINDOW_S:
            self._cpu_asked_s = now_s
            before, self._cpu_times = self._cpu_times, asked(_cpu_times)
            self._cpu = _busy(before, self._cpu_times)
        return self._cpu

    def own(self) -> dict[str, float]:
        """What the agent itself takes, under the names that Prometheus clients use for it."""
        figures: dict[str, float] = {}
        times = asked(self._process.cpu_times)
        memory = asked(self._process.memory_info)
        if times is not None:
            figures["process_cpu_seconds_total"] = round(times.user + times.system, 3)
        if memory is not None:
            figures["process_resident_memory_bytes"] = memory.rss
        return figures


class Recent:
    """Vitals for whoever asks often: measured anew when they are older than RECENT_S.

    With `Vitals` of their own, for each of those tells the CPU's use since it was last asked.
    """

    def __init__(self, vitals: Vitals, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._vitals = vitals
        self._clock = clock
        self._last: Resources | None = None
        self._last_s = 0.0

    def resources(self) -> Resources:
        """As `Vitals` has them."""
        if self._last is None or self._clock() - self._last_s >= RECENT_S:
            self._last, self._last_s = self._vitals.resources(), self._clock()
        return self._last


def _cpu_times() -> tuple[float, float]:
    """Seconds of all processors since the machine started: busy, and in all.

    Not `psutil.cpu_percent`, which keeps in one place when it was last asked, whoever asks.
    """
    times = psutil.cpu_times()
    # a guest's time is counted as user's too; waiting for a disk is not work (psutil counts so as well)
    whole = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    return whole - times.idle - getattr(times, "iowait", 0.0), whole


def _busy(before: tuple[float, float] | None, now: tuple[float, float] | None) -> float | None:
    if before is None or now is None or now[1] <= before[1]:
        return None
    return round(min(max((now[0] - before[0]) / (now[1] - before[1]), 0.0), 1.0), 4)


def _existing(path: Path) -> Path:
    """The path, or what there is of it: the disk is the same."""
    return next((each for each in (path, *path.parents) if each.exists()), Path("/"))


def _temperature_c() -> float | None:
    sensors = psutil.sensors_temperatures() if hasattr(psutil, "sensors_temperatures") else {}
    for name in (*(each for each in _CPU_SENSORS if each in sensors), *sensors):
        readings = [entry.current for entry in sensors[name] if PLAUSIBLE_C[0] < entry.current < PLAUSIBLE_C[1]]
        if readings:
            return round(max(readings), 1)
    return None


def _os_name() -> str | None:
    release = asked(platform.freedesktop_os_release)
    return (release or {}).get("PRETTY_NAME") or platform.system() or None


def host_info() -> HostInfo:
    """Inventory of the machine."""
    memory = asked(psutil.virtual_memory)
    fields = {
        "arch": platform.machine() or None,
        "os": _os_name(),
        "kernel": platform.release() or None,
        "cpus": os.cpu_count(),
        "memory_bytes": None if memory is None else int(memory.total),
        "hostname": asked(platform.node) or None,
        "boot_id": boot_id(),
    }
    return HostInfo.model_validate({name: value for name, value in fields.items() if value is not None})
