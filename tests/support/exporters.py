"""A real `fleetview export` in a process of its own."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING

from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class ExportProcess:
    """A running exporter."""

    process: subprocess.Popen[bytes]
    errors: Path
    port: int = 0

    @property
    def said(self) -> str:
        """What it told the person so far."""
        return self.errors.read_text()

    def get(self, path: str = "/metrics", **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of an answer."""
        link = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            link.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
            answer = link.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            link.close()

    def metrics(self, path: str = "/metrics") -> str:
        """The text of a scrape."""
        return self.get(path)[2].decode()


@contextlib.contextmanager
def export_process(folder: Path, *arguments: str) -> Iterator[ExportProcess]:
    """`fleetview export` on a free loopback port, once it serves."""
    number = sum(1 for _ in folder.glob("export-*"))
    errors = folder / f"export-{number}.err"
    command = [sys.executable, "-m", "fleetview", "export", "--listen", "127.0.0.1:0", *arguments]
    with errors.open("wb") as err:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err)
    exporter = ExportProcess(process, errors)
    try:
        wait_until(lambda: "serving http" in exporter.said or process.poll() is not None)
        match = re.search(r"serving http://127\.0\.0\.1:(\d+)/metrics", exporter.said)
        assert match is not None, exporter.said
        exporter.port = int(match[1])
        yield exporter
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        sys.stdout.write(exporter.said)  # shown when the test fails
