"""A real Prometheus on a free loopback port, ended however the test ends."""

from __future__ import annotations

import contextlib
import json
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from support import servers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass
class Prometheus:
    """A running Prometheus."""

    url: str

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
    folder = tmp_path / "prometheus"
    folder.mkdir(exist_ok=True)
    with servers.prometheus(folder, config=config) as url:
        yield Prometheus(url)
