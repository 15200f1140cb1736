"""The clock of what was observed, and the timers on it.

While the reader's own link is down nothing can be observed, so the clock stands still (rule 6). After it is back, a device's
timers wait 3 H more: it gets the time to speak before its silence counts again.
"""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fleetview.core.device import Device

HOLD_INTERVALS = 3


class ObservedClock:
    """Turns monotonic seconds into observed seconds. Starts with the link down."""

    __slots__ = ("_down_since_mono", "_frozen_s", "_returns")

    def __init__(self) -> None:
        self._frozen_s = 0.0
        self._down_since_mono: float | None = None
        self._returns: list[float] | None = None  # None until the link was up for the first time

    @property
    def link_up(self) -> bool:
        """Whether anything can be observed now."""
        return self._returns is not None and self._down_since_mono is None

    @property
    def down_since_mono(self) -> float | None:
        """Since when the link is down; None while it is up and before it first was."""
        return self._down_since_mono

    @property
    def epoch(self) -> int:
        """How often the link came back. What was missed between two epochs is the reader's own fault."""
        return len(self._returns or ())

    def observed(self, mono_s: float) -> float:
        """Observed seconds at a moment."""
        at_s = mono_s if self._down_since_mono is None else self._down_since_mono
        return at_s - self._frozen_s if self._frozen_s else at_s  # the same object: kept twice in each device

    def go_down(self, mono_s: float) -> None:
        """The link is lost."""
        if self._down_since_mono is None and self._returns is not None:
            self._down_since_mono = mono_s

    def come_up(self, mono_s: float) -> None:
        """The link is there, or there again."""
        if self._returns is None:
            self._returns = []
        elif self._down_since_mono is not None:
            self._frozen_s += mono_s - self._down_since_mono
            self._down_since_mono = None
            self._returns.append(self.observed(mono_s))

    def hold(self, device: Device, now_obs: float) -> float | None:
        """Shift a device's timers by the time they stood still after the link came back.

        Returns when they start again, or None when they run. A device that was heard live since needs no hold: whoever hears
        it sets `holds_counted` to `epoch`.
        """
        returns = self._returns or []
        hold_s = HOLD_INTERVALS * device.interval_s
        while device.holds_counted < len(returns):
            back = returns[device.holds_counted]
            following = device.holds_counted + 1
            until = min(back + hold_s, returns[following] if following < len(returns) else math.inf)
            if now_obs < until:
                return until
            if device.seen_obs is not None:
                device.seen_obs += until - back
            device.claim_due_obs += until - back
            device.will_due_obs += until - back
            device.holds_counted = following
        return None

    def own(self, device: Device, now_obs: float) -> float:
        """A device's own moment: now, or the return of the link while its timers stand still since then."""
        if self._returns is None or self.hold(device, now_obs) is None:
            return now_obs
        return self._returns[device.holds_counted]


class Timers:
    """When to look at which device next.

    A message costs nothing here: that a due time has moved back is found out when it is due.
    """

    __slots__ = ("_count", "_heap")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Device]] = []
        self._count = 0

    def set(self, device: Device, due_obs: float) -> None:
        """Look at the device at `due_obs`, or before when that was said before."""
        if due_obs < device.timer_obs:
            device.timer_obs = due_obs
            self._count += 1
            heapq.heappush(self._heap, (due_obs, self._count, device))

    def due(self, now_obs: float) -> list[Device]:
        """The devices to look at now, each once."""
        found = []
        while self._heap and self._heap[0][0] <= now_obs:
            due_obs, _, device = heapq.heappop(self._heap)
            if device.timer_obs == due_obs:
                device.timer_obs = math.inf
                found.append(device)
        return found

    def next_due(self) -> float:
        """When something is due next, in observed seconds; infinity for never."""
        return self._heap[0][0] if self._heap else math.inf
