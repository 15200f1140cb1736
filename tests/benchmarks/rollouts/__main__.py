"""Runs each cell with each policy, prints the table, and fails when ours misses its bounds."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isnan
from multiprocessing import Pool

from benchmarks.rollouts.others import argo, flagger, hawkbit
from benchmarks.rollouts.ours import Ours
from benchmarks.rollouts.truth import Cell, Fleet, Run

CELLS = (
    Cell("good", is_good=True),
    Cell("good, noisy baseline", is_good=True, noise=0.3, spread=0.8),
    Cell("good, low traffic", is_good=True, per_minute=1.0),
    Cell("good, one hot device", is_good=True, hot=True),
    Cell("good, 3 % offline", is_good=True, offline=0.03),
    Cell("good, 0.5 % of updates fail", is_good=True, flaky=0.005),
    Cell("good, Prometheus dies", is_good=True, prometheus_dies_s=1900.0),
    Cell("+0.5 points", is_good=False, regression=0.005),
    Cell("+1 point", is_good=False, regression=0.01),
    Cell("+2 points", is_good=False, regression=0.02),
    Cell("+5 points", is_good=False, regression=0.05),
    Cell("+20 points", is_good=False, regression=0.2),
    Cell("+0.5 points, noisy baseline", is_good=False, regression=0.005, noise=0.3, spread=0.8),
    Cell("+1 point, noisy baseline", is_good=False, regression=0.01, noise=0.3, spread=0.8),
    Cell("+1 point, low traffic", is_good=False, regression=0.01, per_minute=1.0),
    Cell("+2 points, low traffic", is_good=False, regression=0.02, per_minute=1.0),
    Cell("+2 points, one hot device", is_good=False, regression=0.02, hot=True),
    Cell("slow bricks, 20 %", is_good=False, brick=0.2),
    Cell("slow bricks, 5 %", is_good=False, brick=0.05),
    Cell("+2 points, Prometheus dies", is_good=False, regression=0.02, prometheus_dies_s=240.0),
)
POLICIES: dict[str, Callable[[Fleet], Run]] = {
    "ours": lambda fleet: Ours(fleet).run(),
    "Argo": argo,
    "Flagger": flagger,
    "hawkBit": hawkbit,
}
MAX_FALSE_STOPS = 0.01
_EVEN = 5e-4
BOUND_BY = ("good", "good, noisy baseline", "good, low traffic", "good, one hot device", "good, 3 % offline")
"""The good cells in which nothing happens that a rollout has to stop for."""


@dataclass(frozen=True, slots=True)
class Sum:
    """A cell with a policy."""

    exposed: float
    stopped: float
    asks: float
    through: float
    stuck: float
    took_s: float
    """Of those that were through; of a bad release, until the stop."""


def _one(job: tuple[int, str, int, int]) -> Sum:
    place, policy, runs, size = job
    cell = CELLS[place]
    found = [POLICIES[policy](Fleet(cell, size, seed=1_000_000 * place + run)) for run in range(runs)]

    def share(*ends: str) -> float:
        return sum(run.end in ends for run in found) / len(found)

    wanted = [run.took_s for run in found if (run.end == "through") == cell.is_good and run.end != "stuck"]
    return Sum(
        exposed=sum(run.exposed for run in found) / len(found),
        stopped=share("stopped"),
        asks=share("asks"),
        through=share("through"),
        stuck=share("stuck"),
        took_s=sum(wanted) / len(wanted) if wanted else float("nan"),
    )


def _line(cell: Cell, policy: str, found: Sum) -> str:
    kind = "good" if cell.is_good else "bad"
    took = f"{found.took_s / 60:7.1f}" if not isnan(found.took_s) else "      -"
    return (
        f"{cell.name:<30} {kind:<5} {policy:<8} {found.exposed:>8.1%} {found.stopped:>8.1%} {found.asks:>8.1%} "
        f"{found.through:>8.1%} {found.stuck:>8.1%} {took}"
    )


def _misses(sums: dict[tuple[str, str], Sum]) -> list[str]:
    """Where ours does not keep its bounds."""
    found = []
    for cell in CELLS:
        ours = sums[cell.name, "ours"]
        if cell.name in BOUND_BY and ours.stopped > MAX_FALSE_STOPS:
            found.append(f"{cell.name}: {ours.stopped:.1%} false stops")
        if not cell.is_good:
            found += [
                f"{cell.name}: {ours.exposed:.1%} exposed, {policy} {theirs.exposed:.1%}"
                for policy in ("Argo", "Flagger", "hawkBit")
                if (theirs := sums[cell.name, policy]).exposed < ours.exposed - 1e-9
            ]
    return found


def _ties(sums: dict[tuple[str, str], Sum]) -> list[str]:
    """Where another one exposes as few: none can do better than to stop within the first wave."""
    return [
        f"{cell.name}: {ours.exposed:.1%} exposed, as {policy}"
        for cell in CELLS
        for policy in ("Argo", "Flagger", "hawkBit")
        if not cell.is_good and abs((ours := sums[cell.name, "ours"]).exposed - sums[cell.name, policy].exposed) < _EVEN
    ]


def main(arguments: Sequence[str]) -> int:
    """Run all. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="bench-rollouts", description=__doc__)
    parser.add_argument("--runs", type=int, default=1000, help="runs of each cell (default 1000)")
    parser.add_argument("--devices", type=int, default=200, help="devices of a fleet (default 200)")
    parser.add_argument("--jobs", type=int, default=2)
    said = parser.parse_args(arguments)
    jobs = [(place, policy, said.runs, said.devices) for place in range(len(CELLS)) for policy in POLICIES]
    began_s = time.monotonic()
    print(f"{said.runs} runs of each cell, fleets of {said.devices} devices, virtual time\n")
    print(
        f"{'fleet and release':<30} {'truth':<5} {'policy':<8} {'exposed':>8} {'stopped':>8} {'asks':>8} {'through':>8} {'stuck':>8} minutes"
    )
    sums: dict[tuple[str, str], Sum] = {}
    with Pool(said.jobs) as pool:
        for (place, policy, _, _), found in zip(jobs, pool.imap(_one, jobs), strict=True):
            sums[CELLS[place].name, policy] = found
            print(_line(CELLS[place], policy, found), flush=True)
    print(f"\n{'mean over the bad releases':<36} {'policy':<8} {'exposed':>8} {'missed':>8}")
    for policy in POLICIES:
        bad = [sums[cell.name, policy] for cell in CELLS if not cell.is_good]
        exposed, missed = (sum(getattr(each, name) for each in bad) / len(bad) for name in ("exposed", "through"))
        print(f"{'':<36} {policy:<8} {exposed:>8.1%} {missed:>8.1%}")
    print(f"\n{time.monotonic() - began_s:.0f} s")
    for tie in _ties(sums):
        print(f"EVEN  {tie}")
    misses = _misses(sums)
    for miss in misses:
        print(f"MISS  {miss}")
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
