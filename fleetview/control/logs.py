"""What the devices of running rollouts log, handed to the comparison of each rollout (`core.rollout.logdiff`)."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fleetview.core.rollout.logdiff import Counted, Differences, Group, Key, LogDifference, group_of
from fleetview.core.rollout.state import Rollout, Status
from fleetview_agent.wire import Address, LogBatch, normalize

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fleetview.core.received import Received

EVERY_S = 1.0
"""Between two looks at who is in which group."""
EARLIER_S = 5.0
"""A report comes so much later than what it reports, at most: records from then belong to the change already."""
_REMEMBERED = 16
"""Batches of a device: what a link repeats is counted once."""
KEPT_EVERY_S = 15.0
"""What a crash may cost of the counts. Each time all of them are written, which is some 100 kB."""


@dataclass(slots=True, eq=False)
class _Compared:
    """One rollout."""

    difference: LogDifference = field(default_factory=LogDifference)
    updated_s: dict[Address, float] = field(default_factory=dict)
    """When each of the updated devices was."""
    shown: frozenset[Key] = frozenset()
    """The templates that stood out when that was last looked at."""
    kept_s: float = 0.0
    """When the counts were last handed to the journal."""
    is_over: bool = False


class LogEvidence:
    """The comparisons of all rollouts of a controller. After a restart they go on from what the journal kept of them."""

    def __init__(self, kept: Mapping[str, Counted] | None = None) -> None:
        """`kept`: by rollout, what was counted before."""
        self._compared = {name: _Compared(LogDifference(counted)) for name, counted in (kept or {}).items()}
        self._batches: dict[Address, deque[tuple[str, int]]] = {}
        self._looked_s: float | None = None

    def take_in(self, received: Received, rollouts: Iterable[Rollout], clock_skew_s: float) -> None:
        """Count what a device logs, in those of the rollouts that it takes part in. Its clock is so far ahead."""
        batch = received.body
        if not isinstance(batch, LogBatch) or received.retained:
            return
        wanted = [(rollout, group) for rollout in rollouts if (group := self._group(rollout, received.address)) is not None]
        if not wanted or self._is_repeated(received.address, batch):
            return
        records = [normalize(raw, int(received.unix_s * 1000)) for raw in batch.records]
        for rollout, group in wanted:
            compared = self._compared.setdefault(rollout.id, _Compared())
            since_s = self._since_s(compared, rollout, received.address, group)
            if since_s is None:
                continue
            for record in records:
                at_s = record.time_ms / 1000 - (0.0 if record.time_is_receipt else clock_skew_s)
                if at_s >= since_s - EARLIER_S:  # what a device could not send before is of what it ran before
                    compared.difference.take(group, received.address, record.level, record.service, record.message)

    @staticmethod
    def _is_compared(rollout: Rollout) -> bool:
        return rollout.plan.log_evidence and rollout.head.status in {Status.RUNNING, Status.PAUSED}

    def _group(self, rollout: Rollout, address: Address) -> Group | None:
        if not self._is_compared(rollout):
            return None
        device = rollout.devices.get(address)
        return None if device is None else group_of(rollout, device)

    def _is_repeated(self, address: Address, batch: LogBatch) -> bool:
        if batch.stream is None or batch.first_seq is None:
            return False
        known = self._batches.setdefault(address, deque(maxlen=_REMEMBERED))
        this = (batch.stream, batch.first_seq)
        if this in known:
            return True
        known.append(this)
        return False

    @staticmethod
    def _since_s(compared: _Compared, rollout: Rollout, address: Address, group: Group) -> float | None:
        """From when its records count; None while nothing does."""
        if group == "control":
            return compared.difference.counted.began_s
        since_s = compared.updated_s.setdefault(address, rollout.devices[address].since_s)
        compared.difference.begin(since_s)
        return since_s

    def look(self, rollouts: Iterable[Rollout], now_s: float) -> list[str]:
        """Note who is in which group. Returns the rollouts of which something else stands out than before."""
        passed_s = EVERY_S if self._looked_s is None else now_s - self._looked_s
        if 0 <= passed_s < EVERY_S:
            return []
        self._looked_s = now_s
        changed, members = [], set[Address]()
        for rollout in rollouts:
            if not self._is_compared(rollout):
                continue
            members |= rollout.devices.keys()
            compared = self._compared.setdefault(rollout.id, _Compared())
            counts = self._count(compared, rollout)
            compared.difference.watch(counts, max(0.0, min(passed_s, 10 * EVERY_S)))
            shown = frozenset(each.key for each in compared.difference.result().found)
            if shown != compared.shown:
                compared.shown = shown
                changed.append(rollout.id)
        for address in self._batches.keys() - members:
            del self._batches[address]
        return changed

    def _count(self, compared: _Compared, rollout: Rollout) -> Counter[Group]:
        counts: Counter[Group] = Counter()
        for address, device in rollout.devices.items():
            group = group_of(rollout, device)
            if group == "updated":
                self._since_s(compared, rollout, address, group)
            else:
                compared.updated_s.pop(address, None)
            if group is not None:
                counts[group] += 1
        return counts

    def to_keep(self, rollouts: Iterable[Rollout], now_s: float) -> dict[str, Counted]:
        """What the journal is to keep now, by rollout: now and then while it goes on, and once it is over."""
        found: dict[str, Counted] = {}
        for rollout in rollouts:
            compared = self._compared.get(rollout.id)
            if compared is None or compared.is_over or not compared.difference.has_begun:
                continue
            if not self._is_compared(rollout):
                compared.is_over = True
                compared.difference.end()
            elif 0 <= now_s - compared.kept_s < KEPT_EVERY_S:
                continue
            compared.kept_s = now_s
            found[rollout.id] = compared.difference.counted
        return found

    def of(self, rollout: str) -> Differences | None:
        """What stands out in a rollout, also when it is over; None when nothing was compared."""
        compared = self._compared.get(rollout)
        return None if compared is None else compared.difference.result()
