"""The process of a module: how it is started, asked to end, and made sure of that nothing is left of it.

Each is the leader of a session of its own, so that signals reach its children too, and none that is meant for the agent
reaches it. The kernel kills it when the agent dies (PDEATHSIG); what it started meanwhile is found by `guard`. A mark in the
environment, which children inherit, tells to which module a process belongs that has left the group.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleetview_agent.modules.spec import Limits, ModuleSpec

if sys.platform != "win32":
    import pwd
    import resource

MARK = "FLEETVIEW_MODULE"
"""`<session>/<name>`. Not FLEETVIEW_AGENT_..., which is configuration to an agent that a module may be or start."""

_PR_SET_PDEATHSIG = 1
_SIGKILL = 9
"""As a number, for Windows has no such name, and runs no modules, but an agent."""
_ROUNDS = 5
"""For finding whoever was just being started by one of those that were killed."""
_MIB = 1024 * 1024
_CPU_GRACE_S = 2
"""Between SIGXCPU, which tells why, and SIGKILL."""


class SpawnError(Exception):
    """A process could not be started. Says which, why, and what to do about it where that can be known."""


@dataclass(frozen=True, slots=True)
class Outlets:
    """Where a process reads and writes. File descriptors."""

    stdout: int = subprocess.DEVNULL
    stderr: int = subprocess.DEVNULL
    stdin: int = subprocess.DEVNULL


async def spawn(
    command: Sequence[str], spec: ModuleSpec, mark: str, outlets: Outlets | None = None
) -> asyncio.subprocess.Process:
    """Start a command as this module runs. Raises SpawnError."""
    _not_on_windows()
    outlets = outlets or Outlets()
    who = _user(spec.user)
    try:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=outlets.stdin,
            stdout=outlets.stdout,
            stderr=outlets.stderr,
            cwd=None if spec.cwd is None else str(spec.cwd),  # as text, for it comes back in errors
            env=environment(os.environ, spec, mark),
            start_new_session=True,
            preexec_fn=_preparation(spec.limits),
            **who,
        )
    except OSError as err:
        what = err.filename if isinstance(err.filename, str) else command[0]
        if isinstance(err, PermissionError) and who and os.geteuid() != 0:
            words = f"the agent is not root, and so cannot start it as user {spec.user!r}"
            raise SpawnError(words) from None
        words = f"cannot be started: {what}: {err.strerror}"
        raise SpawnError(words) from None
    except (subprocess.SubprocessError, ValueError) as err:
        words = f"cannot be started: {err}"
        raise SpawnError(words) from None


def startable(spec: ModuleSpec) -> str | None:
    """The program that a module would run; None when it is built in. Raises SpawnError when it could not be started."""
    if spec.command is None:
        return None
    _not_on_windows()
    if _user(spec.user) and os.geteuid() != 0:
        words = f"the agent is not root, and so cannot start it as user {spec.user!r}"
        raise SpawnError(words)
    _bounds(spec.limits)
    if spec.cwd is not None and not spec.cwd.is_dir():
        words = f"cwd {spec.cwd} is not a folder"
        raise SpawnError(words)
    program = shutil.which(spec.command[0], path=spec.env.get("PATH"))
    if program is None:
        words = f"no program {spec.command[0]!r} that may be run is there: install it, or correct `command`"
        raise SpawnError(words)
    return program


def _not_on_windows() -> None:
    if sys.platform == "win32":
        words = "modules are not run on Windows: take its command away"
        raise SpawnError(words)


def environment(base: Mapping[str, str], spec: ModuleSpec, mark: str) -> dict[str, str]:
    """The environment of a module. What configures the agent, its broker's password among it, is none of its business."""
    found = {name: value for name, value in base.items() if not name.startswith("FLEETVIEW_AGENT_")}
    if spec.user is not None:
        with contextlib.suppress(KeyError):
            found |= {"HOME": pwd.getpwnam(spec.user).pw_dir, "USER": spec.user, "LOGNAME": spec.user}
    return {**found, **spec.env, MARK: mark}


def _user(name: str | None) -> dict[str, Any]:
    if name is None:
        return {}
    try:
        entry = pwd.getpwnam(name)
    except (KeyError, ValueError):
        words = f"no user is called {name!r} on this machine: create it, or set `user` to another"
        raise SpawnError(words) from None
    if entry.pw_uid == os.geteuid():
        return {}
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": os.getgrouplist(name, entry.pw_gid)}


def _preparation(limits: Limits) -> Callable[[], None]:
    """What the new process does before it becomes the module. All that can be, is done here before: see `preexec_fn`."""
    bounds = _bounds(limits)
    agent = os.getpid()
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

    def prepare() -> None:
        if prctl is not None:
            # After the user was changed, which would clear it. It holds for the thread that forked: the main thread.
            prctl(_PR_SET_PDEATHSIG, _SIGKILL)
            if os.getppid() != agent:
                os._exit(1)  # the agent was gone before
        for which, bound in bounds:
            resource.setrlimit(which, bound)

    return prepare


def _bounds(limits: Limits) -> list[tuple[int, tuple[int, int]]]:
    wanted = [
        ("open_files", limits.open_files, resource.RLIMIT_NOFILE, 1, 0),
        ("cpu_time_s", limits.cpu_time_s, resource.RLIMIT_CPU, 1, _CPU_GRACE_S),
        # last: it holds at once, for what is still to be done here too
        ("memory_mib", limits.memory_mib, resource.RLIMIT_AS, _MIB, 0),
    ]
    found = []
    for name, value, which, unit, grace in wanted:
        if value is None:
            continue
        most = resource.getrlimit(which)[1]
        if most != resource.RLIM_INFINITY and value * unit + grace > most:
            words = f"limits.{name} = {value} is above {most // unit}, which the system allows"
            raise SpawnError(words)
        found.append((which, (value * unit, value * unit + grace)))
    return found


class ModuleProcess:
    """A running process of a module."""

    def __init__(self, process: asyncio.subprocess.Process, spec: ModuleSpec, mark: str) -> None:
        self._process = process
        self.spec = spec
        """Of which it may be told another while it runs."""
        self._mark = mark
        self._last_resort: asyncio.TimerHandle | None = None

    @property
    def group(self) -> int:
        """Of processes; also the process id of its leader."""
        return self._process.pid

    async def ended(self) -> int:
        """Wait for its end; the status, or the negative number of the signal that killed it."""
        return await self._process.wait()

    def ask_to_end(self) -> None:
        """Send the signal for that, and SIGKILL after the time that the module is given."""
        kill_group(self.group, self.spec.stop_signal_number)
        if self._last_resort is None:
            loop = asyncio.get_running_loop()
            self._last_resort = loop.call_later(self.spec.stop_grace_s, kill_group, self.group)

    def clear_away(self) -> None:
        """Kill all that is left of it: in its group, and what left that but bears its mark."""
        if self._last_resort is not None:
            self._last_resort.cancel()
        kill_group(self.group)
        kill_marked(f"{MARK}={self._mark}".encode() + b"\0")


def kill_group(group: int, how: int = _SIGKILL) -> None:
    """Send a signal to all processes of a group, if there are any."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS refuses where only zombies are left
        os.killpg(group, how)


def kill_marked(mark: bytes, proc: Path = Path("/proc")) -> None:
    """Kill all processes whose environment holds this."""
    for _ in range(_ROUNDS):
        found = [pid for pid in _processes(proc) if mark in _environ(proc, pid)]
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, _SIGKILL)


def _processes(proc: Path) -> list[int]:
    try:
        return [int(name) for name in os.listdir(proc) if name.isdigit()]  # noqa: PTH208  (there may be thousands)
    except OSError:
        return []  # no such file system here: there are the groups


def _environ(proc: Path, pid: int) -> bytes:
    try:
        return (proc / str(pid) / "environ").read_bytes() + b"\0"
    except OSError:
        return b""  # another user's, or it has just ended


def status_words(status: int, limits: Limits | None = None) -> str:
    """How a process ended."""
    if status >= 0:
        return f"exit status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    cpu = limits is not None and limits.cpu_time_s is not None and name == "SIGXCPU"
    return f"killed by {name}" + (f": cpu_time_s = {limits.cpu_time_s} is used up" if cpu and limits else "")
