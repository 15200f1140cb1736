"""Real web servers that fleetview asks, each on a free loopback port and ended with its test; and one that misbehaves."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import threading
import urllib.request
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from support.programs import free_port, require
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@dataclass
class Asked:
    """A request that a fake received."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Fake:
    """A fake HTTP server."""

    url: str
    asked: list[Asked] = field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        return [one.path for one in self.asked]


@contextlib.contextmanager
def answering(reply: Callable[[Asked], tuple[int, Any, dict[str, str]]]) -> Iterator[Fake]:
    """An HTTP server that answers as the function says: status, body (bytes, or JSON of it), headers."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            one = Asked(self.command, self.path, {name.lower(): text for name, text in self.headers.items()}, body)
            fake.asked.append(one)
            status, content, headers = reply(one)
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response_only(status)
            for name, text in headers.items():
                self.send_header(name, text)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = _answer  # noqa: N815 (names of the library)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake = Fake(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def serving(status: int, body: Any, headers: dict[str, str] | None = None) -> contextlib.AbstractContextManager[Fake]:
    """An HTTP server that answers everything alike."""
    return answering(lambda _: (status, body, headers or {}))


@contextlib.contextmanager
def _running(command: list[str], ready: Callable[[], bool]) -> Iterator[None]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: process.poll() is not None or ready(), 40)
            assert process.poll() is None, f"{command[0]} ended with {process.returncode}"
            yield
        finally:
            process.kill()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def prometheus(
    folder: Path, *, prefix: str = "", config: str = "scrape_configs: []\n", web: str | None = None, scheme: str = "http"
) -> Iterator[str]:
    """A real Prometheus; `web` is its file for TLS and basic authentication."""
    program, port = require("prometheus"), free_port()
    (folder / "prometheus.yml").write_text(config)
    command = [program, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'prometheus'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", f"--web.route-prefix={prefix or '/'}"]
    url = f"{scheme}://127.0.0.1:{port}{prefix}"
    if web is not None:
        (folder / "web.yml").write_text(web)
        command.append(f"--web.config.file={folder / 'web.yml'}")
    ready = (lambda: _answers(f"{url}/-/ready")) if web is None else (lambda: _listens(port))
    with _running(command, ready):
        yield url


@contextlib.contextmanager
def alertmanager(folder: Path, config: str = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n") -> Iterator[str]:
    """A real Alertmanager, behind a path prefix."""
    program, port = require("prometheus-alertmanager"), free_port()
    (folder / "alertmanager.yml").write_text(config)
    command = [program, f"--config.file={folder / 'alertmanager.yml'}", f"--storage.path={folder / 'alertmanager'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--web.route-prefix=/am", "--cluster.listen-address="]
    url = f"http://127.0.0.1:{port}/am"
    with _running(command, lambda: _answers(f"{url}/-/ready")):
        yield url


@contextlib.contextmanager
def victoria_metrics(folder: Path) -> Iterator[str]:
    """A real VictoriaMetrics."""
    program, port = require("victoria-metrics"), free_port()
    command = [program, f"-storageDataPath={folder / 'victoria'}", f"-httpListenAddr=127.0.0.1:{port}"]
    command += ["-search.latencyOffset=0s"]
    url = f"http://127.0.0.1:{port}"
    with _running(command, lambda: _answers(f"{url}/health")):
        yield url


_RULES = """
groups:
- name: fleet
  interval: 1s
  rules:
  - alert: TooHot
    expr: vitals_cpu > 0.9
    labels: {severity: critical}
    annotations: {summary: "cpu of {{ $labels.device }} is {{ $value }}", runbook_url: "https://runbooks.example/too-hot"}
  - alert: DiskFills
    expr: vitals_disk >= 0.5
    for: 1h
    labels: {severity: warning}
  - alert: Broken
    expr: vitals_cpu * on() vitals_cpu > 0
"""
_METRICS = b"""vitals_cpu{tenant="acme",site="plant-7",device="gw-1"} 0.97
vitals_cpu{tenant="acme",site="plant-7",device="gw-2"} 0.1
vitals_cpu{tenant="acme",site="plant-8",device="gw-3"} +Inf
vitals_disk{tenant="acme",site="plant-7",device="gw-1"} 0.6
"""
_INHIBITS = """
route: {receiver: nobody, group_by: [alertname]}
receivers: [{name: nobody}]
inhibit_rules:
- {source_matchers: ['alertname="SiteDown"'], target_matchers: ['alertname="TooHot"'], equal: [site]}
"""


@dataclass
class Monitored:
    """A Prometheus that has rules, and the Alertmanager that it tells."""

    prometheus: str
    alertmanager: str


@contextlib.contextmanager
def monitored(folder: Path) -> Iterator[Monitored]:
    """Both, once the first alerts have come through: two firing, one pending, one rule that cannot be evaluated."""
    (folder / "rules.yml").write_text(_RULES)
    with serving(200, _METRICS, {"Content-Type": "text/plain"}) as exporter, alertmanager(folder, _INHIBITS) as tells:
        host = tells.removeprefix("http://").removesuffix("/am")
        config = (
            "global: {scrape_interval: 1s, external_labels: {cluster: eu-1}}\n"
            f"rule_files: [{folder / 'rules.yml'}]\n"
            f"scrape_configs: [{{job_name: fleet, static_configs: [{{targets: ['{exporter.url.removeprefix('http://')}']}}]}}]\n"
            "alerting: {alertmanagers: [{path_prefix: /am, static_configs: [{targets: ['" + host + "']}]}]}\n"
        )
        with prometheus(folder, config=config) as asks:
            wait_until(lambda: len(_json(f"{tells}/api/v2/alerts")) == 2, 40)
            wait_until(lambda: '"pending"' in json.dumps(_json(f"{asks}/api/v1/rules")), 40)
            yield Monitored(asks, tells)


def _json(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as response:
        return json.load(response)


def post_alerts(url: str, *labels: dict[str, str]) -> None:
    """Tells an Alertmanager of alerts that begin now."""
    body = json.dumps([{"labels": one, "annotations": {}} for one in labels]).encode()
    request = urllib.request.Request(f"{url}/api/v2/alerts", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10):
        pass
