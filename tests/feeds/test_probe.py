"""Questions to Prometheus and Alertmanager: a real Prometheus, and small servers for what a real one does not show."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from support.fakes import fake_broker, mute
from support.programs import free_port, require
from support.wait import wait_until

from fleetview.feeds.probe import Answer, ask_alertmanager, ask_prometheus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextlib.contextmanager
def serving(status: int, body: Any, seen: list[str] | None = None) -> Iterator[str]:
    """An HTTP server that answers everything alike."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if seen is not None:
                seen.append(self.path)
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[str]:
    """A real Prometheus behind a path prefix, which scrapes itself."""
    program, port = require("prometheus"), free_port()
    config = tmp_path / "prometheus.yml"
    config.write_text("scrape_configs: []\n")
    command = [program, f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'data'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--web.route-prefix=/prefix"]
    url = f"http://127.0.0.1:{port}/prefix"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: _is_ready(url), 40)
            yield url
        finally:
            process.kill()


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=1) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def test_a_real_prometheus(prometheus: str) -> None:
    answer = ask_prometheus(prometheus + "/")
    assert answer == Answer(ok=True, words=f"Prometheus at {prometheus}/ answers, with 0 scrape targets")
    wrong = ask_prometheus(prometheus.removesuffix("/prefix"))
    assert not wrong.ok
    assert "path prefix" in wrong.words


def test_warnings_and_partial_answers_are_told() -> None:
    body = {
        "status": "success",
        "isPartial": True,
        "warnings": ["store gone"],
        "data": {"resultType": "vector", "result": [{"metric": {}, "value": [1, "7"]}]},
    }
    with serving(200, body) as url:
        answer = ask_prometheus(url)
    assert answer.ok
    assert answer.words == f"Prometheus at {url} answers, with 7 scrape targets; it warns: the answer is partial; store gone"


def test_a_real_status_of_alertmanager() -> None:
    seen: list[str] = []
    with serving(200, {"versionInfo": {"version": "0.27.0"}}, seen) as url:
        assert ask_alertmanager(f"{url}/") == Answer(ok=True, words=f"Alertmanager 0.27.0 at {url}/ answers")
    assert seen == ["/api/v2/status"]


ASKED = [ask_prometheus, ask_alertmanager]


@pytest.mark.parametrize("ask", ASKED)
@pytest.mark.parametrize(
    ("status", "body", "part"),
    [
        (503, b"busy", "answered HTTP 503"),
        (401, b"no", "does not let us in"),
        (404, b"no", "path prefix"),
        (200, b"<html>", "is a path prefix missing"),
        (200, {"status": "success"}, "is a path prefix missing"),
        (200, [1], "is a path prefix missing"),
    ],
)
def test_answers_that_are_none(ask: Callable[[str], Answer], status: int, body: Any, part: str) -> None:
    seen: list[str] = []
    with serving(status, body, seen) as url:
        answer = ask(url)
    assert (answer.ok, part in answer.words, url in answer.words) == (False, True, True), answer.words
    assert len(seen) == 1, "asked again, which takes seconds"


@pytest.mark.parametrize("ask", ASKED)
def test_nobody_there_and_nobody_answering(ask: Callable[..., Answer]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    answer = ask(f"http://user:secret@127.0.0.1:{port}")
    assert not answer.ok
    assert "cannot be reached" in answer.words
    assert "secret" not in answer.words
    with fake_broker(mute) as silent:
        answer = ask(f"http://127.0.0.1:{silent.port}", 1)
    assert not answer.ok
    assert "did not answer within 1 s" in answer.words
