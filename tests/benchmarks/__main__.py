"""`make bench`: measures, prints a table, and fails when a figure misses its bound."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks import asking, export, fleet, ingest, logs, pictures, rollout_screen, rounds, startup, steady, twin
from benchmarks.figures import table

GROUPS = {
    "startup": startup.figures,
    "ingest": ingest.figures,
    "steady": steady.figures,
    "fleet": fleet.figures,
    "logs": logs.figures,
    "asking": asking.figures,
    "pictures": pictures.figures,
    "export": export.figures,
    "twin": twin.figures,
    "rounds": rounds.figures,
    "rollout-screen": rollout_screen.figures,
}


def main(names: list[str]) -> int:
    """Measure the named groups, or all. Returns the exit code."""
    unknown = [name for name in names if name not in GROUPS]
    if unknown:
        print(f"bench: unknown {', '.join(unknown)}; there are {', '.join(GROUPS)}", file=sys.stderr)
        return 2
    found = []
    with tempfile.TemporaryDirectory(prefix="fleetview-bench-") as folder:
        for name in names or GROUPS:
            measured = GROUPS[name](Path(folder))
            print(table(measured), flush=True)
            found += measured
    return 0 if all(figure.holds for figure in found) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
