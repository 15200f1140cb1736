"""The clock of what was observed, and the timers on it.

While the reader's own link is down nothing can be observed, so the clock stands still (rule 6). After it is back, a device's
timers wait 3 H more: it gets the time to speak before its silence counts again.
"""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fleetview.core.device import Device

HOLD_INTERVALS = 3
_BINS_PER_S = 4
"""As often as a dashboard lets time pass: what is in a bin is looked at twice at most."""


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

    A message costs nothing here: that a due time has moved back is found out when it is due. Devices wait in bins of a
    quarter of a second, which costs 8 bytes each; a heap of (time, device) would cost 130, of 100,000 devices 12 MiB.
    """

    __slots__ = ("_bins", "_order")

    def __init__(self) -> None:
        self._bins: dict[int, list[Device]] = {}
        self._order: list[int] = []
        """A heap of the bins there are."""

    def __len__(self) -> int:
        return sum(map(len, self._bins.values()))

    def set(self, device: Device, due_obs: float) -> None:
        """Look at the device at `due_obs`, or before when that was said before."""
        if due_obs < device.timer_obs:
            device.timer_obs = due_obs
            number = _bin_of(due_obs)
            devices = self._bins.get(number)
            if devices is None:
                self._bins[number] = [device]
                heapq.heappush(self._order, number)
            else:
                devices.append(device)

    def due(self, now_obs: float) -> list[Device]:
        """The devices to look at now, each once."""
        found = []
        now = _bin_of(now_obs)
        while self._order and self._order[0] <= now:
            number = self._order[0]
            later = []
            for device in self._waiting(number):
                if device.timer_obs <= now_obs:
                    device.timer_obs = math.inf
                    found.append(device)
                else:
                    later.append(device)
            if later:
                self._bins[number] = later
                break
            self._drop_first()
        return found

    def next_due(self) -> float:
        """When something is due next, in observed seconds; infinity for never."""
        while self._order:
            times = [device.timer_obs for device in self._waiting(self._order[0])]
            if times:
                return min(times)
            self._drop_first()
        return math.inf

    def _waiting(self, number: int) -> Iterator[Device]:
        """The devices of a bin that wait there still: one that is due before has gone to another bin, or been looked at."""
        return (device for device in self._bins[number] if _bin_of(device.timer_obs) == number)

    def _drop_first(self) -> None:
        del self._bins[heapq.heappop(self._order)]


def _bin_of(at_obs: float) -> int:
    return -1 if at_obs == math.inf else math.floor(at_obs * _BINS_PER_S)
