"""Finding every process that a test has started, however far removed: all inherit a token in their environment."""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NAME = "TEST_TOKEN_OF_FLEETVIEW"  # FLEETVIEW_* is taken away from who must not be told of a real fleet


@dataclass(frozen=True)
class Family:
    """The processes of one test."""

    token: str
    folder: Path
    """Their folder for temporary files."""

    @property
    def environ(self) -> dict[str, str]:
        """What a process of this family is started with."""
        return {**os.environ, _NAME: self.token, "TMPDIR": str(self.folder)}

    def alive(self) -> list[psutil.Process]:
        """Those that run now."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def commands(self) -> list[str]:
        """Their command lines."""
        found = []
        for process in self.alive():
            try:
                found.append(" ".join(process.cmdline()))
            except psutil.Error:
                continue  # it has just ended
        return found

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.status() != psutil.STATUS_ZOMBIE and process.environ().get(_NAME) == self.token
        except (psutil.Error, OSError):
            return False  # another user's, or it has just ended


@contextmanager
def family(folder: Path) -> Iterator[Family]:
    """Whoever is left at the end is killed, so that a failing test leaves nothing behind."""
    folder.mkdir()
    ours = Family(secrets.token_hex(8), folder)
    try:
        yield ours
    finally:
        for process in ours.alive():
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
