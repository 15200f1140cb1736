"""Releases of modules, and a web server that has them: with Range, without, and one that misbehaves."""

from __future__ import annotations

import contextlib
import gzip
import io
import ssl
import tarfile
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from fleetview_agent.release import tool
from fleetview_agent.release.updater import Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from fleetview_agent.release.manifest import Manifest
    from support.tls import Issued

SLEEPER = "#!/bin/sh\nexec sleep 1000\n"


@dataclass
class Maker:
    """Builds and signs releases in a folder."""

    folder: Path
    key: str = ""
    """The public key."""

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.key = tool.keygen(self.folder / "key")

    def archive(
        self,
        version: str,
        *,
        script: str = SLEEPER,
        more: str = "",
        name: str = "gateway",
        files: Mapping[str, bytes] | None = None,
    ) -> Path:
        """A release with the module `bridge`. `more`: keys of that module, and what stands below it."""
        source = self.folder / f"source-{version}"
        (source / "bin").mkdir(parents=True)
        program = source / "bin" / "bridge"
        program.write_text(script)
        program.chmod(0o755)
        manifest = f'name = "{name}"\nversion = "{version}"\n[modules.bridge]\ncommand = ["bin/bridge"]\n{more}\n'
        (source / "release.toml").write_text(manifest)
        for path, data in (files or {}).items():
            (source / path).parent.mkdir(parents=True, exist_ok=True)
            (source / path).write_bytes(data)
        return tool.build(source, self.folder / f"{name}-{version}.tar.gz")

    def offer(self, archive: Path, url: str | None = None) -> dict[str, Any]:
        """What `desired` says of it."""
        return tool.sign(archive, self.folder / "key", url)


def tar_gz(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """An archive of just these."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for member, data in members:
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return gzip.compress(plain.getvalue())


def member(name: str, kind: bytes = tarfile.REGTYPE, **fields: Any) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type = kind
    for field_name, value in fields.items():
        setattr(found, field_name, value)
    return found


@dataclass
class Shop:
    """A web server for the files of a folder."""

    folder: Path
    url: str = ""
    ranges: bool = True
    cut_after: list[int] = field(default_factory=list)
    """For each answer to come: after so many bytes the connection ends."""
    status: list[int] = field(default_factory=list)
    """For each answer to come, in place of what it would be."""
    hang: threading.Event | None = None
    """No more bytes after the first thousand until then."""
    validator: str | None = '"v1"'
    """The ETag."""
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    """Path and Range of each request."""
    location: str | None = None
    """Send everybody there."""


def _handler(shop: Shop) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            shop.asked.append((self.path, wanted))
            path = shop.folder / self.path.lstrip("/")
            status = shop.status.pop(0) if shop.status else 200
            if shop.location is not None:
                self.send_response(302)
                self.send_header("Location", shop.location)
                self.end_headers()
                return
            if status != 200 or not path.is_file():
                self.send_error(status if status != 200 else 404)
                return
            data, at = path.read_bytes(), 0
            if wanted and shop.ranges and self.headers.get("If-Range") in {None, shop.validator}:
                at = int(wanted.removeprefix("bytes=").partition("-")[0])
                if at >= len(data):
                    self.send_error(416)
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {at}-{len(data) - 1}/{len(data)}")
            else:
                self.send_response(200)
            if shop.validator is not None:
                self.send_header("ETag", shop.validator)
            self.send_header("Content-Length", str(len(data) - at))
            self.end_headers()
            self._send(data[at:])

        def _send(self, data: bytes) -> None:
            cut = shop.cut_after.pop(0) if shop.cut_after else None
            with contextlib.suppress(ConnectionError):
                if shop.hang is not None:
                    self.wfile.write(data[:1000])
                    self.wfile.flush()
                    shop.hang.wait(60)
                    return
                self.wfile.write(data[:cut])

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


@contextlib.contextmanager
def shop(folder: Path, tls: Issued | None = None) -> Iterator[Shop]:
    """A server on a free loopback port, ended with its test."""
    made = Shop(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(made))
    server.daemon_threads = True
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.cert, tls.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    made.url = f"http{'' if tls is None else 's'}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield made
    finally:
        if made.hang is not None:
            made.hang.set()
        server.shutdown()
        thread.join()
        server.server_close()


class Device:
    """One on which a release is bad when its version says so."""

    def __init__(self) -> None:
        self.runs: str | None = None

    def fits(self, release: Manifest) -> None:
        pass

    def run_release(self, release: Manifest | None) -> None:
        self.runs = None if release is None else release.version

    def begin_check(self) -> None:
        pass

    def trouble(self) -> Trouble | None:
        return Trouble("module bridge failed", hopeless=True) if self.runs and "bad" in self.runs else None

    def alone(self) -> contextlib.AbstractAsyncContextManager[object]:
        return contextlib.nullcontext()
