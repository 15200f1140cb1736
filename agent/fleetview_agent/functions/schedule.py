"""When it is time for a function to run. Decisions only: time is an argument."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cronsim import CronSim, CronSimError

from fleetview_agent.modules.spec import Triggers

LONGEST_LOOK_S = 30.0
"""After which to look at the time of day again: it may be set meanwhile."""


@dataclass(slots=True)
class Schedule:
    """The times of one function: `every_s` by a monotonic clock from when this was made, `cron` by the time of day in UTC.

    What was missed (the agent was busy, the clock was set) is made up for once.
    """

    triggers: Triggers
    now_s: float
    _next_s: float | None = field(init=False, default=None)
    _next_at: datetime | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if self.triggers.every_s is not None:
            self._next_s = self.now_s + self.triggers.every_s

    def due(self, now_s: float, now: datetime) -> Iterator[str]:
        """What it is time for: `every_s`, `cron`, both or nothing."""
        if self.triggers.every_s is not None and self._next_s is not None and now_s >= self._next_s:
            missed = (now_s - self._next_s) // self.triggers.every_s
            self._next_s += (missed + 1) * self.triggers.every_s
            yield "every_s"
        if self.triggers.cron is not None:
            coming = next_at(self.triggers.cron, now)
            if self._next_at is not None and now >= self._next_at:
                self._next_at = coming
                yield "cron"
            elif coming is not None and (self._next_at is None or coming < self._next_at):
                self._next_at = coming  # the first one; or the clock was set back

    def wait_s(self, now_s: float, now: datetime) -> float | None:
        """When to ask again; None when there is nothing to wait for."""
        waits = []
        if self._next_s is not None:
            waits.append(self._next_s - now_s)
        if self.triggers.cron is not None:
            until_s = LONGEST_LOOK_S if self._next_at is None else (self._next_at - now).total_seconds()
            waits.append(min(until_s, LONGEST_LOOK_S))
        return max(0.0, min(waits)) if waits else None


def next_at(cron: str, now: datetime) -> datetime | None:
    """The first time after this one that an expression means; None when there is none within the next fifty years."""
    try:
        return next(CronSim(cron, now.astimezone(UTC)))
    except StopIteration:
        return None


def cron_problem(cron: str) -> str | None:
    """What is wrong with a cron expression."""
    try:
        found = next_at(cron, datetime.now(UTC) - timedelta(seconds=1))
    except CronSimError as err:
        return f'not a cron expression such as "30 6 * * mon-fri" (minute, hour, day, month, weekday): {str(err).lower()}'
    return None if found is not None else "there is no such day"
