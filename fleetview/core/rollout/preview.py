"""The consequences of a plan before anything is done: which devices in which wave and site, who is left out, how long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from fleetview.core.rollout.devices import covers
from fleetview.core.rollout.events import Candidate
from fleetview.core.rollout.membership import Place, lot, places
from fleetview.core.rollout.plan import MASS_ROLLBACK, Plan
from fleetview.core.rollout.words import count
from fleetview_agent.wire import Address

_CONVERGING_S = 90.0
"""Three heartbeats: no device converges sooner."""


@dataclass(frozen=True, slots=True)
class WavePreview:
    """One wave, as it would be if it began now."""

    number: int
    """From 1."""
    to: str
    """As planned."""
    devices: int
    """New in it."""
    up_to: int
    """With all earlier ones."""
    sites: dict[str, int]
    """New devices by site."""
    offline: tuple[Address, ...]
    """Not there now: they would be deferred."""
    left_out: dict[Address, str]
    """Not eligible now, each with why."""
    pinned: int = 0
    hold: str | None = None
    pilot: bool = False
    """Goes on unless something speaks against it; empty when the next wave is no larger."""
    at_least_s: float = 0.0
    """How long it takes if everything passes at once."""


@dataclass(frozen=True, slots=True)
class Preview:
    """A plan's blast radius."""

    devices: int
    sites: int
    offline: int
    left_out: int
    waves: tuple[WavePreview, ...]
    unreached: int
    """That the selection means, but no wave reaches."""
    at_least_s: float
    """From start to end if everything passes at once and nobody has to be asked."""
    places: tuple[Place, ...] = field(repr=False, default=())
    warnings: tuple[str, ...] = ()
    """What an operator should know before starting."""


def preview(plan: Plan, candidates: Iterable[Candidate]) -> Preview:
    """What a plan would do to these devices, all that its selection means."""
    found = places(plan, candidates)
    members = [place for place in found if place.wave < len(plan.waves)]
    waves: list[WavePreview] = []
    for number, wave in enumerate(plan.waves, 1):
        new = [place.candidate for place in members if place.wave == number - 1]
        waves.append(
            WavePreview(
                number=number,
                to=str(wave.to),
                devices=len(new),
                up_to=len(new) + (waves[-1].up_to if waves else 0),
                sites=dict(sorted(Counter(each.address.site for each in new).items())),
                offline=tuple(each.address for each in new if _left_out(plan, each) is None and each.presence != "online"),
                left_out={each.address: why for each in new if (why := _left_out(plan, each)) is not None},
                pinned=sum(each.pinned for each in new),
                hold=wave.hold,
                pilot=wave.pilot,
                at_least_s=_at_least_s(plan, len(new), is_last=number == len(plan.waves)),
            )
        )
    return Preview(
        devices=len(members),
        sites=len({place.candidate.address.site for place in members}),
        offline=sum(len(wave.offline) for wave in waves),
        left_out=sum(len(wave.left_out) for wave in waves),
        waves=tuple(waves),
        unreached=len(found) - len(members),
        at_least_s=sum(wave.at_least_s for wave in waves),
        places=tuple(found),
        warnings=tuple(_warnings(plan, waves, len(members))),
    )


def why(plan: Plan, candidates: Iterable[Candidate], address: Address) -> str:
    """Why a device is in a wave, or in none, in one sentence that can be checked."""
    found = places(plan, candidates)
    for rank, place in enumerate(found):
        if place.candidate.address == address:
            return _why(plan, found, place, rank)
    return f"{address} is in no wave: {plan.select} does not mean it"


def _why(plan: Plan, found: Sequence[Place], place: Place, rank: int) -> str:
    candidate = place.candidate
    group = f" of group {'/'.join(candidate.group)}" if candidate.group else ""
    drawn = lot(plan.name, candidate.address).hex()[:12]
    because = {
        "pinned": f"the plan pins it ({plan.canaries})",
        "first of its group": f"it is the first{group}, by lot {drawn}",
        "by lot": f"it is number {rank + 1} of {len(found)}{group}, by lot {drawn}",
    }[place.why]
    if place.wave >= len(plan.waves):
        return f"{candidate.address} is in no wave: {because}, and the last wave goes to {plan.waves[-1].to}"
    now = _left_out(plan, candidate)
    if now is None and candidate.presence != "online":
        now = "it is offline, and would be deferred"
    left_out = f"; now {now}" if now is not None else ""
    return f"{candidate.address} is in wave {place.wave + 1} of {len(plan.waves)}: {because}{left_out}"


def _left_out(plan: Plan, candidate: Candidate) -> str | None:
    if candidate.obstacle is not None:
        return candidate.obstacle
    previous = candidate.previous or plan.previous
    if previous is None or not covers(previous, plan.target):
        return "nothing is known to which it could go back"
    return None


def _at_least_s(plan: Plan, devices: int, *, is_last: bool) -> float:
    if not devices:
        return 0.0
    interval_s = max((gate.interval for gate in plan.gates), default=0.0)
    judging_s = interval_s * (plan.evidence.passes - 1)
    found = devices / plan.per_minute * 60 + _CONVERGING_S + plan.evidence.bake + judging_s
    return found if is_last else max(found, plan.every)


def _warnings(plan: Plan, waves: Sequence[WavePreview], total: int) -> Iterable[str]:
    if not total:
        yield f"{plan.select} means no device"
        return
    for wave in waves:
        if len(wave.offline) > (wave.devices - 1 if wave.pilot else plan.max_deferred * wave.devices):
            yield f"wave {wave.number} would pause: {len(wave.offline)} of {count(wave.devices)} are offline"
        if wave.devices and len(wave.left_out) == wave.devices:
            yield f"wave {wave.number} would wait for evidence: none of its {count(wave.devices)} can take part now"
    first = next(wave.up_to for wave in waves if wave.devices)
    if first > MASS_ROLLBACK * total and first > 1:
        yield f"the first wave gives {count(first)} of {total} the change"
    for gate in plan.gates:
        if gate.limit is None:
            yield f"gate {gate.name} has no max: in the last wave it compares with the control group of the wave before"
