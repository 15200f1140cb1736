"""Child processes that cannot outlive the demo: broker, player and agents are all started here.

Each runs under a leash (see leash.py). Ends of the demo that it does not notice itself, such as `kill -9` or a closed
terminal, are noticed there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

_LEASH = Path(__file__).with_name("leash.py")
_SHOWN_BYTES = 4096
_KILL_AFTER_S = 5.0


class Child:
    """One process on a leash, with a folder of its own that vanishes with it.

    The leash has a session of its own, so that Ctrl-C and a hangup of the terminal reach the demo alone, which ends its
    children in its own order.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        """Private to this child; the child's output stands here in `output`."""
        self._process: subprocess.Popen[bytes] | None = None
        self._grace_s = 0.0
        # Held open, so that the last words of a child can be read after its leash has removed the folder.
        self._output = (folder / "output").open("w+b")

    @classmethod
    def prepare(cls, name: str) -> Self:
        """A child that is still to be started, with its folder made, so that files can be put there first."""
        return cls(name, Path(tempfile.mkdtemp(prefix=f"fleetview-{name}-")))

    def start(
        self,
        command: Sequence[str | Path],
        *,
        grace_s: float = 3.0,
        delay_s: float = 0.0,
        nice: int = 0,
        env: dict[str, str] | None = None,
    ) -> None:
        """Starts the command, after `delay_s`. A command that cannot be started ends with status 127 and says why.

        `env` is its whole environment; None: ours.
        """
        self._grace_s = grace_s
        leash = [sys.executable, "-I", "-S", str(_LEASH), "--grace", str(grace_s), "--delay", str(delay_s)]
        leash += ["--nice", str(nice), "--remove", str(self.folder), "--", *map(str, command)]
        self._process = subprocess.Popen(  # noqa: S603  # our own command line
            leash,
            stdin=subprocess.PIPE,
            stdout=self._output,
            stderr=self._output,
            start_new_session=True,
            env=env,
        )

    @property
    def pid(self) -> int:
        """Of the leash; 0 when the child was never started."""
        return self._process.pid if self._process else 0

    def status(self) -> int | None:
        """The exit status, 128 and more for a signal; None while the child runs."""
        return self._process.poll() if self._process else 0

    def output(self) -> str:
        """The last of what the child wrote to stdout and stderr."""
        if self._output.closed:
            return ""
        # pread, because the child writes through the same open file and its position must not move
        size = os.fstat(self._output.fileno()).st_size
        return os.pread(self._output.fileno(), _SHOWN_BYTES, max(0, size - _SHOWN_BYTES)).decode("utf-8", "replace")

    def release(self) -> None:
        """Asks the child to end, without waiting for it."""
        if self._process and self._process.stdin:
            self._process.stdin.close()

    def stop(self) -> None:
        """Ends the child and waits for it. Does nothing when it has ended already."""
        self.release()
        if self._process is None:
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            try:
                self._process.wait(self._grace_s + _KILL_AFTER_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._output.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
