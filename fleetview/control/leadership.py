"""Who leads a tenant's rollouts: one controller at a time, by the retained `_fleet/controller` and its epoch.

Devices obey the highest epoch they have seen, so two that lead at once do no harm; this is how it does not come to that.
Pure: what came and the time go in, what is to be done comes out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fleetview_agent.wire import Controller

BEAT_S = 15.0
"""Between two times that a leader says it leads."""
SILENT_S = 60.0
"""After so long without a word a leader counts as gone, should its will not have come."""

Role = Literal["waiting", "standing_by", "leading"]


@dataclass(slots=True)
class Leadership:
    """What a controller knows of who leads. Times are seconds of its monotonic clock."""

    id: str
    epoch: int
    """The highest that is known, from the journal on."""
    role: Role = "waiting"
    """Until it has seen what the broker has retained, it cannot tell."""
    other: str | None = None
    """Who leads instead."""
    other_heard_s: float = 0.0
    beat_s: float = 0.0
    """When it last said that it leads."""

    def heard(self, message: Controller | None, now_s: float) -> bool:
        """Take what stands on `_fleet/controller`; None for an empty payload. Whether this one has to step down by it."""
        if message is None or message.id is None:
            self.other = None
            self.beat_s = 0.0 if self.role == "leading" else self.beat_s  # somebody took it away: say it again
            return False
        if message.id == self.id:
            self.epoch = max(self.epoch, message.epoch or 0)
            return False
        epoch = message.epoch or 0
        if self.role == "leading" and epoch <= self.epoch:
            self.beat_s = 0.0  # the older one has not noticed: it does when this one says it again
            return False
        self.epoch = max(self.epoch, epoch)
        self.other, self.other_heard_s = message.id, now_s
        deposed = self.role == "leading"
        if deposed:
            self.role = "standing_by"
        return deposed

    def may_lead(self, now_s: float, *, insists: bool = False) -> bool:
        """Whether nobody else leads, as far as can be seen. `insists`: an operator said that the other one is gone."""
        if self.role == "leading":
            return False
        gone = self.other is None or insists or now_s - self.other_heard_s >= SILENT_S
        self.role = self.role if gone else "standing_by"
        return gone

    def lead(self) -> int:
        """Take the lead, with an epoch that nobody had. To be kept before anybody hears of it."""
        self.role, self.other, self.beat_s = "leading", None, 0.0
        self.epoch += 1
        return self.epoch

    def is_due(self, now_s: float) -> bool:
        """Whether it should say again that it leads."""
        return self.role == "leading" and (not self.beat_s or now_s - self.beat_s >= BEAT_S)
