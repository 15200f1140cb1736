"""The machine as preflight sees it: files below a root, programs on a path, a few calls of the system.

All of it can be another's, so that a test can stand on a machine that is not here.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fleetview_agent.preflight.clock import NTP_PORT, KernelClock, read_kernel_clock

OUTPUT_S = 10.0
_MOST_BYTES = 1 << 20


def _statvfs(path: Path) -> os.statvfs_result:
    return os.statvfs(path)  # looked up late: not every system has it


@dataclass(frozen=True, slots=True)
class Machine:
    """Where to look."""

    root: Path = Path("/")
    path: str | None = None
    """Folders of programs, as PATH has them; None for PATH."""
    ntp_port: int = NTP_PORT
    kernel_clock: Callable[[], KernelClock | None] = field(default=read_kernel_clock)
    user_id: int = field(default_factory=lambda: os.geteuid() if hasattr(os, "geteuid") else -1)
    """Whose rights all this is seen with."""
    statvfs: Callable[[Path], os.statvfs_result] = field(default=_statvfs)

    def file(self, name: str) -> Path:
        """The path of a file that every Linux has at `name`, without the leading `/`."""
        return self.root / name

    def text(self, name: str) -> str | None:
        """What stands in such a file, without space around it; None when it cannot be read."""
        try:
            with self.file(name).open("rb") as file:
                return file.read(_MOST_BYTES).decode("utf-8", "replace").strip()
        except OSError:
            return None

    def program(self, name: str) -> str | None:
        """Where a program is."""
        return shutil.which(name, path=self.path)

    async def output(self, command: Sequence[str]) -> tuple[int, str, str]:
        """Exit status, stdout and stderr of a program. Raises OSError, also when it takes too long."""
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C"},
        )
        try:
            async with asyncio.timeout(OUTPUT_S):
                stdout, stderr = await process.communicate()
        except TimeoutError:
            msg = f"{command[0]} did not answer within {OUTPUT_S:g} s"
            raise OSError(msg) from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return process.returncode or 0, stdout.decode("utf-8", "replace"), stderr.decode("utf-8", "replace")
