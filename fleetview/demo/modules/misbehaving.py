"""A module of the demo's real agents, which goes well for a while and then goes wrong.

    misbehaving.py NAME ROLE RUNS PORT [SECONDS...]

Run number n goes well for the n-th of SECONDS, the last of them for all runs after that; without any, for ever. RUNS is a
file that counts the runs. A script of its own without site, so that each takes 20 ms to start and 10 MB.

Two of the roles listen on PORT: `unwell` answers whether it is well, `serving` with what it has done, for Prometheus.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path

_TICK_S = 1.0
_WORD_EVERY_S = 45.0
_MIB = 1 << 20
_HTTP = "HTTP/1.1 {}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}"
_REQUESTS_PER_S = 7.0
_FAILING = 0.0005
_METRICS = """\
# TYPE requests_total counter
requests_total {requests}
# TYPE request_errors_total counter
request_errors_total {errors}
"""


def _say(level: str, message: str, **more: object) -> None:
    """A line in the form of structured logs, which agents ship as a record."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    line = {"timestamp": f"{stamp}Z", "level": level, "message": message, **more}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _run_number(path: Path) -> int:
    """Which run this is, from 0; counted there."""
    try:
        number = int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        number = 0
    path.write_text(str(number + 1), encoding="ascii")
    return number


def _left_of_the_limit() -> int:
    """Bytes that this process may still take."""
    import resource  # noqa: PLC0415  # there is none on every system, and one role in five needs it

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    try:
        mapped = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        mapped = 16 * _MIB
    return max(_MIB, (48 * _MIB if limit == resource.RLIM_INFINITY else limit) - mapped)


def _done(for_s: float) -> str:
    """What an application that has run for so long has done, in the text format of Prometheus."""
    requests = int(for_s * _REQUESTS_PER_S)
    return _METRICS.format(requests=requests, errors=int(requests * _FAILING))


def _answer(listener: socket.socket, *, well: bool, text: str, timeout_s: float) -> None:
    """Answer whoever asks meanwhile."""
    ready, _, _ = select.select([listener], [], [], timeout_s)
    if not ready:
        return
    with contextlib.suppress(OSError), listener.accept()[0] as asking:
        asking.settimeout(_TICK_S)
        asking.recv(4096)
        asking.sendall(_HTTP.format("200 OK" if well else "503 Service Unavailable", len(text), text).encode())


class Module:
    """One run."""

    def __init__(self, role: str, goes_well_s: float | None, port: int) -> None:
        self._role = role
        self._goes_well_s = goes_well_s
        self._began_s = time.monotonic()
        self._leaked: list[bytes] = []
        listens = role in {"unwell", "serving"}
        self._listener = socket.create_server(("127.0.0.1", port)) if listens else None
        self._leak_bytes = 0
        if role == "leak" and goes_well_s:
            self._leak_bytes = int(_left_of_the_limit() / (goes_well_s / _TICK_S))

    @property
    def is_over(self) -> bool:
        """Whether it has gone well for as long as it should."""
        return self._goes_well_s is not None and time.monotonic() - self._began_s >= self._goes_well_s

    def tick(self) -> None:
        """A moment of this run. Raises MemoryError when a leak is full, and ends the process in two of the roles."""
        if self._listener is not None:
            until_s = time.monotonic() + _TICK_S
            while (left_s := until_s - time.monotonic()) > 0:
                text = _done(time.monotonic() - self._began_s) if self._role == "serving" else ""
                _answer(self._listener, well=not self.is_over, text=text, timeout_s=left_s)
            return
        left_s = _TICK_S if self._goes_well_s is None else self._goes_well_s - (time.monotonic() - self._began_s)
        time.sleep(max(0.01, min(_TICK_S, left_s)))
        if self._leak_bytes:
            self._leaked.append(b"x" * self._leak_bytes)
        elif self.is_over and self._role == "killed":
            _say("ERROR", "the bus controller does not answer any more")
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.is_over and self._role == "crash":
            _say("ERROR", "unhandled: register map has no entry 0x4F", exception="KeyError")
            sys.exit(1)


def main(arguments: list[str]) -> int:
    """Run until it goes wrong."""
    name, role, runs, port, *plan = arguments
    number = _run_number(Path(runs))
    goes_well_s = float(plan[min(number, len(plan) - 1)]) if plan else None
    module = Module(role, goes_well_s, int(port))
    _say("INFO", f"{name} started", run=number)
    word_s = time.monotonic()
    try:
        while True:
            module.tick()
            if time.monotonic() - word_s >= _WORD_EVERY_S:
                word_s = time.monotonic()
                _say("INFO", f"{name}: all channels read")
    except MemoryError:
        del module
        _say("ERROR", "out of memory: the frame buffer cannot grow any more")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
