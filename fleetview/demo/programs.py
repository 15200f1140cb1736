"""Programs beside Python that the demo uses where they are installed, and ports of this machine for them."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from types import TracebackType
from typing import Self

HOST = "127.0.0.1"
_SBIN = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")
"""Where Debian and Homebrew put servers, which is not on every user's PATH."""


def find_program(*names: str) -> str | None:
    """The path of the first of these programs that there is."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *_SBIN))
    return next((found for name in names if (found := shutil.which(name, path=path))), None)


class HeldPort:
    """A free port of the loopback interface, kept for a program that is started later.

    On Linux it stays bound without listening: the kernel gives it to nobody by chance then, while a server that sets
    SO_REUSEADDR, as asyncio's and Go's do, can still bind it. Elsewhere that server would be refused, so there it is only
    chosen.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((HOST, 0))
        self.number = int(self._socket.getsockname()[1])
        if sys.platform != "linux":
            self._socket.close()

    @property
    def address(self) -> str:
        """`127.0.0.1:PORT`."""
        return f"{HOST}:{self.number}"

    @property
    def url(self) -> str:
        """Of a web server there."""
        return f"http://{self.address}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._socket.close()
