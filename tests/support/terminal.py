"""A program in a real pseudo-terminal: what stands on its screen, what it writes, what it costs."""

from __future__ import annotations

import fcntl
import os
import pty
import queue
import signal
import struct
import subprocess
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import psutil
import pyte

_ANSWERS = {
    b"\x1b[c": b"\x1b[?62;22c",  # what kind of terminal are you
    b"\x1b[6n": b"\x1b[1;1R",
    b"\x1b[?2026$p": b"\x1b[?2026;2$y",  # synchronized output is known
}


class _Screen(pyte.Screen):
    """pyte 0.8 takes the kitty keyboard protocol's `CSI > 1 u` for a call with arguments that it does not know."""

    def report_device_status(self, mode: int, **_: object) -> None:
        """Terminal answers are ours, not pyte's."""

    def report_device_attributes(self, mode: int = 0, **_: object) -> None:
        """Terminal answers are ours, not pyte's."""

    def set_margins(self, top: int | None = None, bottom: int | None = None, **_: object) -> None:
        """Textual sets none."""


@dataclass(frozen=True, slots=True)
class Idle:
    """What a program did while it was left alone."""

    seconds: float
    bytes_per_s: float
    cpu_fraction: float
    """Of one core; of the program and its children."""


class Terminal:
    """Runs a program; a context manager that ends it."""

    def __init__(
        self, command: Sequence[str], *, columns: int = 120, rows: int = 36, env: dict[str, str] | None = None
    ) -> None:
        self._command = command
        self._screen = _Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        # COLUMNS and LINES, which pytest-xdist sets for its workers, would beat the size of the terminal.
        terminal = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}
        environ = {**os.environ, **terminal, **(env or {})}
        self._env = {name: value for name, value in environ.items() if name not in {"COLUMNS", "LINES"}}
        self.bytes_read = 0
        self.read_at = 0.0
        """When that arrived which was worked out last."""
        self._arrived: queue.Queue[tuple[float, bytes]] = queue.Queue()
        self._closed = False
        self.last_bytes = b""
        self.started = 0.0

    def __enter__(self) -> Self:
        # What a person chose on this machine must not decide what is tested, nor the other way round.
        self._state = tempfile.TemporaryDirectory(prefix="fleetview-state-")
        self._env.setdefault("XDG_STATE_HOME", self._state.name)
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", self._screen.lines, self._screen.columns, 0, 0))
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            self._command, stdin=slave, stdout=slave, stderr=slave, env=self._env, start_new_session=True, close_fds=True
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._reader.join(2)
        os.close(self._master)
        self._state.cleanup()

    def _read(self) -> None:
        """In a thread, so that working out what came before does not count as the time that something took to come."""
        data = b"?"
        while data:
            try:
                data = os.read(self._master, 1 << 16)
            except OSError:
                data = b""
            self._arrived.put((time.perf_counter(), data))

    def pump(self, seconds: float = 0.05) -> bool:
        """Read what the program writes for at most this long. False when it has closed the terminal."""
        if self._closed:
            return False
        try:
            self.read_at, data = self._arrived.get(timeout=seconds) if seconds else self._arrived.get_nowait()
        except queue.Empty:
            return True
        if not data:
            self._closed = True
            return False
        self.bytes_read += len(data)
        self.last_bytes = (self.last_bytes + data)[-65536:]
        for question, answer in _ANSWERS.items():
            if question in data:
                os.write(self._master, answer)
        self._stream.feed(data)
        return True

    def pump_for(self, seconds: float) -> None:
        """Read what the program writes for so long."""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end and self.pump(0.02):
            continue

    def row(self, y: int) -> str:
        """A row of the screen."""
        return self._screen.display[y]

    def text(self) -> str:
        """The screen."""
        return "\n".join(line.rstrip() for line in self._screen.display)

    def backgrounds(self, column: int) -> list[str]:
        """The colours behind a column of the screen, from the top."""
        return [self._screen.buffer[y][column].bg for y in range(self._screen.lines)]

    def bar(self, header: int = 2) -> int | None:
        """The row of the cursor bar: the one below the header whose background no other row has."""
        grounds = self.backgrounds(4)
        alone = [y for y, ground in enumerate(grounds) if grounds.count(ground) == 1 and y >= header]
        return alone[0] if len(alone) == 1 else None

    def latency(self, keys: str, changed: Callable[[], bool], timeout_s: float = 5.0) -> float:
        """Seconds from sending keys to the arrival of what makes `changed` true. Raises TimeoutError."""
        began = time.perf_counter()
        self.type(keys)
        while not changed():
            if time.perf_counter() - began > timeout_s or not self.pump(0.02):
                msg = f"{keys!r} changed nothing; the screen:\n{self.text()}"
                raise TimeoutError(msg)
        return self.read_at - began

    def wait(self, wanted: str | Callable[[str], bool], timeout_s: float = 20.0) -> float:
        """Wait until a text stands on the screen. Returns seconds since the start; raises TimeoutError with the screen."""
        holds = wanted if callable(wanted) else lambda text: wanted in text
        end = time.perf_counter() + timeout_s
        while not holds(self.text()):
            if time.perf_counter() > end or not self.pump():
                msg = f"{wanted!r} did not come; the screen:\n{self.text()}"
                raise TimeoutError(msg)
        return time.perf_counter() - self.started

    def type(self, keys: str) -> None:
        """Send keys."""
        os.write(self._master, keys.encode())

    def leave(self, keys: str = "q", timeout_s: float = 10.0) -> int:
        """Send the keys that end the program. Returns its exit code."""
        self.type(keys)
        self.wait_end(timeout_s)
        return self.process.returncode

    def wait_end(self, timeout_s: float = 10.0) -> None:
        """Read until the program has ended."""
        end = time.perf_counter() + timeout_s
        while self.process.poll() is None and time.perf_counter() < end:
            self.pump()
        self.pump_for(1)  # to the end of what it wrote
        self.process.wait(1)

    def idle(self, seconds: float) -> Idle:
        """Leave the program alone, and see what it does."""
        before_bytes, before_cpu, begin = self.bytes_read, self._cpu_s(), time.perf_counter()
        while time.perf_counter() - begin < seconds:
            self.pump()
        took = time.perf_counter() - begin
        return Idle(took, (self.bytes_read - before_bytes) / took, (self._cpu_s() - before_cpu) / took)

    def _cpu_s(self) -> float:
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)
