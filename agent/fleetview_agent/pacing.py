"""When an agent says something again: how long it waits after a failure, and before it contradicts. Decisions only."""

from __future__ import annotations

import random
from dataclasses import dataclass

BACKOFF_BASE_S = 1.0
BACKOFF_CAP_S = 60.0


def backoff_s(attempt: int, rng: random.Random) -> float:
    """How long to wait after the failed attempt number `attempt` (from 0): exponential backoff with full jitter.

    Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015. A fleet that lost its broker must not come back
    in step.
    """
    return rng.uniform(0.0, min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2.0 ** min(attempt, 16)))


@dataclass(slots=True)
class Reassertion:
    """When to say again that this agent is online, after something else stood there.

    At once the first time. Then ever later up to a minute, because two agents with one id would otherwise answer each other
    without end. Ten quiet minutes begin it anew.
    """

    QUIET_S = 600.0
    CAP_S = 60.0

    _streak: int = 0
    _last_s: float = float("-inf")

    def delay_s(self, now_s: float) -> float:
        """How long to wait before saying so."""
        if now_s - self._last_s > self.QUIET_S:
            self._streak = 0
        delay = min(self.CAP_S, 2.0 ** (self._streak - 1)) if self._streak else 0.0
        self._streak = min(self._streak + 1, 16)
        self._last_s = now_s + delay
        return delay
