"""Programs that tests need beside Python. Where they must be there, a test that finds none fails instead of passing by."""

from __future__ import annotations

import os
import shutil
import socket

import pytest


def require(program: str) -> str:
    """The path of a program; without it the test is skipped, or fails where CI=true."""
    path = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if path is not None:
        return path
    words = f"{program} is not installed"
    if os.environ.get("CI") == "true":
        pytest.fail(words)
    pytest.skip(words)


def free_port() -> int:
    """A loopback port that nobody listens on now. Somebody else may take it before its user does: retry."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
