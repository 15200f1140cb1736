"""The command line of fleetview. `--version` is answered before anything is imported that takes time."""

from __future__ import annotations

import sys


def main() -> int:
    """The program. Returns its exit code: 0 done, 1 the answer is no, 2 usage or configuration, 3 a peer is not there."""
    if sys.argv[1:] == ["--version"]:
        from fleetview import __version__  # noqa: PLC0415

        print(f"fleetview {__version__}")
        return 0
    from fleetview.cli.app import run  # noqa: PLC0415

    return run()
