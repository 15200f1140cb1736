"""Runs one command that ends when the demo ends, even when that is killed with -9 and can do nothing about it.

The demo holds the write end of this process's standard input. However the demo ends, the kernel closes that end; this
process reads the end of file, ends the command and everything the command started in its process group, removes the
command's folder, and ends itself. Run as a script in isolated mode and not as a module, because it lives as long as the
command does: without site and fleetview it starts in 20 ms and stays below 10 MB.

    leash.py [--grace S] [--delay S] [--nice N] [--remove FOLDER] -- COMMAND...
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from typing import NamedTuple, NoReturn

_STDIN = 0
_PR_SET_PDEATHSIG = 1
_NOT_STARTED = 127
"""What shells use for a command that could not be started."""
_SIGNALLED = 128


class Orders(NamedTuple):
    """What the command line asks for."""

    command: list[str]
    grace_s: float = 3.0
    """From the request to end until the command is killed."""
    delay_s: float = 0.0
    """Before the command is started; it is not started at all when the demo ends in that time."""
    nice: int = 0
    remove: str | None = None
    """The command's own folder, removed when the command has ended."""


def _parse(arguments: list[str]) -> Orders:
    split = arguments.index("--")
    given = dict(zip(arguments[0:split:2], arguments[1:split:2], strict=True))
    return Orders(
        command=arguments[split + 1 :],
        grace_s=float(given.get("--grace", "3")),
        delay_s=float(given.get("--delay", "0")),
        nice=int(given.get("--nice", "0")),
        remove=given.get("--remove"),
    )


def _wakeup() -> int:
    """A descriptor that becomes readable on any signal that matters, so that one select waits for everything."""
    readable, writable = os.pipe()
    os.set_blocking(readable, False)
    os.set_blocking(writable, False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    return readable


def _holder_is_gone(ready: list[int]) -> bool:
    return _STDIN in ready and not os.read(_STDIN, 512)


def _asked_to_end(wakeup: int, ready: list[int]) -> bool:
    if wakeup not in ready:
        return False
    return any(number != signal.SIGCHLD for number in os.read(wakeup, 512))


def _become(orders: Orders, parent: int) -> NoReturn:
    """In the forked child: become the command."""
    try:
        os.setpgid(0, 0)
        if sys.platform == "linux":
            # Should somebody kill this leash with -9, the kernel ends the command. It counts the death of the *thread* that
            # forked, which is why this stands here, where there is only one, and not in the demo.
            import ctypes  # noqa: PLC0415  # only here, for it costs 10 ms

            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(_NOT_STARTED)
        if orders.nice:
            os.nice(orders.nice)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, _STDIN)
        os.execvp(orders.command[0], orders.command)  # noqa: S606  # no shell is the point
    except OSError as err:
        os.write(2, f"cannot start {orders.command[0]}: {err.strerror}\n".encode())
    os._exit(_NOT_STARTED)


def _make_group(pid: int) -> None:
    """Here as well as in the child, for the group must exist before anything is signalled, whoever is faster."""
    try:
        os.setpgid(pid, pid)
    except OSError:
        return  # the child has become the command already, and has made the group before


def _reap(pid: int) -> int | None:
    """The exit status of the command in the shell's form; None while it runs."""
    done, status = os.waitpid(pid, os.WNOHANG)
    if not done:
        return None
    code = os.waitstatus_to_exitcode(status)
    return _SIGNALLED - code if code < 0 else code


def _signal_group(pid: int, number: signal.Signals) -> None:
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return  # the group is empty; macOS says EPERM when only the unreaped leader is left


def _watch(pid: int, wakeup: int, grace_s: float) -> int:
    """Waits until the command has ended or must end, and sees to it that it does. Returns its exit status."""
    watched = [_STDIN, wakeup]
    deadline: float | None = None
    while True:
        patience = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select(watched, [], [], patience)
        end = _holder_is_gone(ready)
        if end:
            watched = [wakeup]
        end = _asked_to_end(wakeup, ready) or end
        if (status := _reap(pid)) is not None:
            return status
        if end and deadline is None:
            deadline = time.monotonic() + grace_s
            _signal_group(pid, signal.SIGTERM)
            _signal_group(pid, signal.SIGCONT)  # a command that is stopped would not see it
        elif deadline is not None and time.monotonic() >= deadline:
            _signal_group(pid, signal.SIGKILL)
            deadline = time.monotonic() + grace_s


def _ends_before_start(wakeup: int, delay_s: float) -> bool:
    if not delay_s:
        return False
    ready, _, _ = select.select([_STDIN, wakeup], [], [], delay_s)
    return bool(ready)


def _remove(folder: str) -> None:
    import shutil  # noqa: PLC0415  # only at the end, for it costs 10 ms

    shutil.rmtree(folder, ignore_errors=True)


def main(arguments: list[str]) -> int:
    """Runs the command and returns its exit status; 128 and more for a signal, 127 when it could not be started."""
    orders = _parse(arguments)
    wakeup = _wakeup()
    status = 0
    if not _ends_before_start(wakeup, orders.delay_s):
        leash = os.getpid()
        pid = os.fork()
        if pid == 0:
            _become(orders, leash)
        _make_group(pid)
        status = _watch(pid, wakeup, orders.grace_s)
        _signal_group(pid, signal.SIGKILL)
    if orders.remove:
        _remove(orders.remove)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
