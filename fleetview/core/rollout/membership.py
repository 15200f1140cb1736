"""Which device is in which wave. The same for everybody who asks, now or later, and explained for each device.

Devices are put in one order, and each wave takes the first so many of it: so a wave holds all of the wave before, and what
it adds is as like the fleet as it can be.

1. The pinned canaries.
2. Of each group that has none of them, one device: no wave is without one of each.
3. All others, such that each group comes along in proportion (systematic sampling, Cochran 1977, chapter 8).

Among equals `sha256(rollout id + address)` decides: nobody can say beforehand whom it hits, and everybody can check it.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from fleetview.core.rollout.events import Candidate
from fleetview.core.rollout.plan import Plan
from fleetview.core.rollout.state import BUSY, FINAL, DeviceState, Rollout, WaveState
from fleetview_agent.wire import Address

Why = Literal["pinned", "first of its group", "by lot"]


@dataclass(frozen=True, slots=True)
class Place:
    """One device in the order."""

    candidate: Candidate
    why: Why
    wave: int
    """The first wave that it is in, from 0; that of the number of waves for a device that no wave reaches."""


def lot(rollout_id: str, address: Address) -> bytes:
    """What decides among equals."""
    return hashlib.sha256(f"{rollout_id}{address}".encode()).digest()


def order(rollout_id: str, candidates: Iterable[Candidate]) -> list[tuple[Candidate, Why]]:
    """The devices in the order in which waves take them, each with why it stands there."""
    groups: dict[tuple[str, ...], list[tuple[bytes, Candidate]]] = defaultdict(list)
    for candidate in candidates:
        groups[candidate.group].append((lot(rollout_id, candidate.address), candidate))
    pinned: list[tuple[bytes, Candidate]] = []
    firsts: list[tuple[bytes, Candidate]] = []
    rest: list[tuple[float, bytes, Candidate]] = []
    for members in groups.values():
        members.sort(key=lambda member: (not member[1].pinned, member[0]))
        ahead = sum(candidate.pinned for _, candidate in members)
        pinned += members[:ahead]
        if not ahead:
            firsts.append(members[0])
            ahead = 1
        rest += (((place + 0.5) / len(members), *members[place]) for place in range(ahead, len(members)))
    pinned.sort(key=lambda member: member[0])
    firsts.sort(key=lambda member: member[0])
    rest.sort(key=lambda member: member[:2])
    return [
        *((candidate, "pinned") for _, candidate in pinned),
        *((candidate, "first of its group") for _, candidate in firsts),
        *((candidate, "by lot") for _, _, candidate in rest),
    ]


def sizes(plan: Plan, total: int, at_least: int) -> list[int]:
    """How many devices each wave holds, all earlier ones included: of `total`, and at least those that the first must have.

    Never falls, for shares and numbers may be mixed. A pilot that is no smaller than the wave after it is empty: that one
    is to be judged as a wave is.
    """
    has_pilot = plan.waves[0].pilot
    found: list[int] = []
    for wave in plan.waves[has_pilot:]:
        found.append(max(wave.to.of(total), min(at_least, total), found[-1] if found else 0))
    if has_pilot:
        pilot = max(plan.waves[0].to.of(total), min(at_least, total))
        found.insert(0, pilot if pilot < found[0] else 0)
    return found


def places(plan: Plan, candidates: Iterable[Candidate]) -> list[Place]:
    """All devices in order, each with its wave."""
    ordered = order(plan.name, candidates)
    at_least = sum(why != "by lot" for _, why in ordered)
    waves = sizes(plan, len(ordered), at_least)
    found: list[Place] = []
    wave = 0
    for rank, (candidate, why) in enumerate(ordered):
        while wave < len(waves) and rank >= waves[wave]:
            wave += 1
        found.append(Place(candidate, why, wave))
    return found


def freeze(rollout: Rollout, candidates: Iterable[Candidate]) -> None:
    """Store who is in which wave. Devices that no wave reaches are no members."""
    plan = rollout.plan
    found = [place for place in places(plan, candidates) if place.wave < len(plan.waves)]
    rollout.head.waves = [WaveState(0) for _ in plan.waves]
    rollout.targets[plan.target.key] = plan.target
    for place in found:
        rollout.devices[place.candidate.address] = member(rollout, place.candidate, place.wave, len(rollout.devices))
        rollout.head.waves[place.wave].size += 1
    for before, wave in zip(rollout.head.waves, rollout.head.waves[1:], strict=False):
        wave.size += before.size
    rollout.index()


def join(rollout: Rollout, candidate: Candidate) -> DeviceState:
    """Take in a device that came later: it belongs to the last wave."""
    last = len(rollout.head.waves) - 1
    found = member(rollout, candidate, last, len(rollout.devices))
    rollout.devices[candidate.address] = found
    rollout.head.waves[last].size += 1
    rollout.by_wave[last].append(found)
    rollout.tally[last][found.stage] += 1
    return found


def member(rollout: Rollout, candidate: Candidate, wave: int, rank: int) -> DeviceState:
    """A device as it begins."""
    found = DeviceState(candidate.address, wave, rank, candidate.group, candidate.pinned)
    found.since_s = rollout.head.now_s
    found.gen_seen = candidate.gen
    found.presence, found.obstacle = candidate.presence, candidate.obstacle
    found.silent_since_s = None if candidate.presence == "online" else rollout.head.active_s
    previous = candidate.previous or rollout.plan.previous
    if previous is not None:
        rollout.targets[previous.key] = previous
        found.previous = previous.key
    return found


@dataclass(frozen=True, slots=True)
class Overlap:
    """Another rollout that has some of the same devices."""

    rollout: Rollout
    devices: int
    is_busy: bool
    """It still changes devices: a new one is refused, unless its plan supersedes it. One that is not busy any more is
    superseded by the new one without a word: its rollback would undo the newer change."""


def overlaps(rollouts: Iterable[Rollout], addresses: Iterable[Address]) -> list[Overlap]:
    """The rollouts that are not final and have some of these devices, the largest overlap first."""
    wanted = frozenset(addresses)
    found = [
        Overlap(rollout, len(wanted & rollout.devices.keys()), rollout.head.status in BUSY)
        for rollout in rollouts
        if rollout.head.status not in FINAL
    ]
    return sorted((each for each in found if each.devices), key=lambda each: (-each.devices, each.rollout.id))
