"""Ends what modules leave behind when the agent was killed and can do nothing any more.

The kernel kills a module's own process then (PDEATHSIG), but not what that has started. So a shell, which takes a megabyte
where another Python would take ten, waits for the agent's end of a pipe to close, however that comes about; and kills the
groups it was told of, and whoever bears the mark of this session's modules.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import subprocess

from fleetview_agent.modules.process import MARK

_log = logging.getLogger(__name__)

_WAIT_S = 2.0

# Reads `+ GROUP` and `- GROUP`; $1 is the mark. Three rounds, for whoever was just being started by one of those killed.
_SCRIPT = """
trap '' HUP INT TERM
groups=' '
while read -r sign group; do
  case $sign in
    +) groups="$groups$group " ;;
    -) groups="${groups%% $group *} ${groups#* $group }" ;;
  esac
done
for round in 1 2 3; do
  for group in $groups; do kill -s KILL -- "-$group"; done
  for file in $(grep -lF -- "$1" /proc/[0-9]*/environ); do
    file=${file#/proc/}
    kill -s KILL "${file%/environ}"
  done
done
"""


class Guard:
    """Watches over one session of the agent."""

    def __init__(self, session: str) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        shell = shutil.which("sh")
        if shell is None:
            _log.warning(
                "there is no shell on this machine: if the agent is killed, what modules have started may outlive it"
            )
            return
        self._process = subprocess.Popen(  # noqa: S603  (the script is ours)
            [shell, "-c", _SCRIPT, "fleetview-agent-guard", f"{MARK}={session}/"],
            stdin=subprocess.PIPE,
            bufsize=0,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )

    def add(self, group: int) -> None:
        """A group of processes that must not outlive the agent."""
        self._say(f"+ {group}\n")

    def remove(self, group: int) -> None:
        """It is gone; its number may come to somebody else."""
        self._say(f"- {group}\n")

    def close(self) -> None:
        """End the guard. It kills what is left."""
        if self._process is None or self._process.stdin is None:
            return
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(_WAIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _say(self, line: str) -> None:
        if self._process is None or self._process.stdin is None:
            return
        try:
            os.write(self._process.stdin.fileno(), line.encode())
        except OSError as err:
            _log.warning("the guard of the modules is gone: %s", err.strerror)
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            self._process.poll()
            self._process = None
