"""A real mosquitto on a free loopback port, ended however the test ends."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from support.programs import free_port, require

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from support.tls import Authority

_START_S = 20.0
_ATTEMPTS = 5
_RUNNING = " running"
"""Ends mosquitto's line "mosquitto version 2.0.11 running"."""


@dataclass
class Broker:
    """A mosquitto that a test may stop, start again on the same port, and kill."""

    program: str
    folder: Path
    port: int
    lines: Sequence[str]
    scheme: str = "mqtt"
    host: str = "127.0.0.1"
    verbose: bool = True
    """Log every packet. A benchmark's broker has something better to do."""
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def log(self) -> str:
        """What mosquitto said so far."""
        return (self.folder / "mosquitto.log").read_text(errors="replace")

    @property
    def pid(self) -> int:
        assert self._process is not None, "the broker does not run"
        return self._process.pid

    def start(self) -> None:
        """Returns once it accepts connections."""
        assert self._process is None, "the broker runs already"
        config = self.folder / "mosquitto.conf"
        # As root mosquitto would become another user, who cannot read the test's folder.
        user = ["user root"] if os.geteuid() == 0 else []
        config.write_text("\n".join([f"listener {self.port} {self.host}", *user, *self.lines, ""]))
        with (self.folder / "mosquitto.log").open("ab") as log:
            starts = self.log.count(_RUNNING)
            command = [self.program, *(["-v"] if self.verbose else []), "-c", str(config)]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + _START_S
        # Its own word counts too: a broker of another test may have taken the port meanwhile, and accept in its place.
        while self.log.count(_RUNNING) <= starts or not _accepts(self.host, self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                words = f"mosquitto did not start:\n{self.log}"
                raise RuntimeError(words)
            time.sleep(0.01)

    def stop(self) -> None:
        """As on shutdown: SIGTERM."""
        self._end("terminate")

    def kill(self) -> None:
        """As a crash: SIGKILL."""
        self._end("kill")

    def _end(self, how: str) -> None:
        process, self._process = self._process, None
        if process is not None:
            if process.poll() is not None:
                # Seen only when the test fails, and then the reason: somebody else ended it, or it crashed.
                sys.stderr.write(f"mosquitto {process.pid} had ended with {process.returncode}:\n{self.log[-2000:]}\n")
            getattr(process, how)()
            try:
                process.wait(_START_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _accepts(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def mosquitto(
    tmp_path: Path,
    *,
    config_lines: Sequence[str] = (),
    port: int | None = None,
    tls: Authority | None = None,
    require_certificate: bool = True,
    server_names: Sequence[str] = ("localhost", "127.0.0.1"),
    anonymous: bool = True,
    verbose: bool = True,
) -> Iterator[Broker]:
    """A running mosquitto. With `tls` it has a certificate of that authority and trusts its clients.

    It writes into a folder below tmp_path, so one test may have several.
    """
    program = require("mosquitto")
    number = sum(1 for _ in tmp_path.glob("mosquitto-*"))
    folder = tmp_path / f"mosquitto-{number}"
    folder.mkdir()
    lines = [f"allow_anonymous {str(anonymous).lower()}", *config_lines]
    if tls is not None:
        server = tls.issue("broker", names=server_names)
        lines += [f"cafile {tls.cafile}", f"certfile {server.cert}", f"keyfile {server.key}"]
        lines += [f"require_certificate {str(require_certificate).lower()}"]
    broker = _started(
        Broker(program, folder, port or free_port(), lines, "mqtts" if tls else "mqtt", verbose=verbose),
        fixed=port is not None,
    )
    try:
        yield broker
    finally:
        broker.kill()


def _started(broker: Broker, *, fixed: bool) -> Broker:
    for attempt in range(_ATTEMPTS):
        try:
            broker.start()
        except RuntimeError:
            if fixed or attempt == _ATTEMPTS - 1 or "in use" not in broker.log:
                raise
            broker.port = free_port()
        else:
            break
    return broker
