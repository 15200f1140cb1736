"""A command as people and scripts run it: a real process, with no settings of the machine's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any


class Ran:
    """What became of a command."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr
        assert "Traceback" not in self.err, self.err
        if self.err:
            sys.stdout.write(self.err)  # shown when the test fails

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


def fleetview(*arguments: str, **environ: str) -> Ran:
    """Runs it; `environ` is all that it has of FLEETVIEW_*."""
    bare = {name: text for name, text in os.environ.items() if not name.startswith("FLEETVIEW_")}
    bare |= {"FLEETVIEW_CONFIG": os.devnull, "no_proxy": "*"}
    done = subprocess.run(
        [sys.executable, "-m", "fleetview", *arguments],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        stdin=subprocess.DEVNULL,
        env=bare | environ,
    )
    return Ran(done)
