"""A real Prometheus on a free loopback port, ended however the test ends."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from support.programs import free_port, require

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_START_S = 30.0
_ATTEMPTS = 5


@dataclass
class Prometheus:
    """A running Prometheus."""

    url: str
    log: Path

    def get(self, path: str, **parameters: str) -> Any:
        """The `data` of an answer of its API."""
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=20) as answer:
            return json.load(answer)["data"]

    def query(self, promql: str) -> dict[str, float]:
        """An instant query's values by device, or by "" where that is no label."""
        found = self.get("query", query=promql)["result"]
        return {each["metric"].get("device", ""): float(each["value"][1]) for each in found}

    def targets(self) -> list[dict[str, Any]]:
        """What it scrapes."""
        found: list[dict[str, Any]] = self.get("targets")["activeTargets"]
        return found


@contextlib.contextmanager
def prometheus(tmp_path: Path, config: str) -> Iterator[Prometheus]:
    """A running Prometheus with this configuration, beside which rule files may lie."""
    program = require("prometheus")
    folder = tmp_path / "prometheus"
    folder.mkdir(exist_ok=True)
    (folder / "prometheus.yml").write_text(config)
    log = folder / "prometheus.log"
    for attempt in range(_ATTEMPTS):
        port = free_port()
        command = [program, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
        command += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
        with log.open("ab") as out:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=dict(os.environ))
        try:
            if _ready(process, f"http://127.0.0.1:{port}/-/ready"):
                yield Prometheus(f"http://127.0.0.1:{port}", log)
                return
        finally:
            process.kill()
            process.wait()
        words = log.read_text(errors="replace")
        if attempt == _ATTEMPTS - 1 or "in use" not in words:
            words = f"prometheus did not start:\n{words[-4000:]}"
            raise RuntimeError(words)


def _ready(process: subprocess.Popen[bytes], url: str) -> bool:
    deadline = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError, urllib.error.URLError):
            urllib.request.urlopen(url, timeout=2).close()
            return True
        time.sleep(0.02)
    return False
