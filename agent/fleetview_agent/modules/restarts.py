"""How long a module that failed has to wait, and when it is given up. Decisions only."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

BASE_S = 1.0
CAP_S = 300.0
MOST_FAILURES = 5
WINDOW_S = 600.0
"""So many failures within so long, and somebody has to look at it: starting it again has not helped."""
STABLE_S = 600.0
"""Who ran for so long begins anew."""


def delay_s(attempt: int, rng: random.Random) -> float:
    """How long to wait after failure number `attempt` (from 0): 1 s x 2^n up to 300 s, of which a half is drawn.

    Never less than the half, unlike between an agent and its broker: what fails at once must not spin. The draw keeps
    modules that fell together from coming back together.
    """
    bound_s = min(CAP_S, BASE_S * 2.0 ** min(attempt, 16))
    return rng.uniform(bound_s / 2, bound_s)


@dataclass(slots=True)
class Restarts:
    """What the failures of one module add up to."""

    rng: random.Random
    _attempt: int = 0
    _failures_s: list[float] = field(default_factory=list)
    """Moments of those within the window, at most MOST_FAILURES."""

    def failed(self, now_s: float, ran_s: float) -> float | None:
        """Note a failure of a module that was running for `ran_s`; how long to wait, or None when it is given up."""
        if ran_s >= STABLE_S:
            self.reset()
        self._failures_s = [moment_s for moment_s in self._failures_s if now_s - moment_s < WINDOW_S]
        self._failures_s = [*self._failures_s, now_s][-MOST_FAILURES:]
        self._attempt += 1
        return None if len(self._failures_s) >= MOST_FAILURES else delay_s(self._attempt - 1, self.rng)

    def forgive(self) -> None:
        """Take the last failure back: it was another module's."""
        del self._failures_s[-1:]
        self._attempt = max(0, self._attempt - 1)

    def reset(self) -> None:
        """Begin anew."""
        self._attempt = 0
        self._failures_s.clear()
