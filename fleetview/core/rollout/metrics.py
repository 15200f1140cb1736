"""What a measurement of a metric says: first whether there is evidence enough, then the value against its bounds.

A value fails when even the least that it may be is too high for the most that the control group's may be. It passes when it
is not likely to be too high, and something much too high would have been seen. Between the two it is inconclusive, and more
is measured: the window grows with the bake.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Literal

from fleetview.core.rollout import figures
from fleetview.core.rollout.events import DeviceSample, MeasurementTaken
from fleetview.core.rollout.figures import Estimate
from fleetview.core.rollout.gates import control_group
from fleetview.core.rollout.plan import GatePlan
from fleetview.core.rollout.state import LEFT_OUT, Measurement, Rollout, Stage, Verdict
from fleetview.core.rollout.words import count, share

ComparedWith = Literal["control", "baseline", "none"]
TOO_FAR = 2.0
"""A rate of so many times its bound has to be excluded before it passes: with fewer events, no errors prove nothing."""


@dataclass(frozen=True, slots=True)
class _Bounds:
    """With what a value is compared."""

    limit: float | None
    """The plan's bound, or what is too far above the control group's value: the lower of the two."""
    sure: float | None
    """The same by the upper bound of the control group's value: above, it is too far for certain."""
    control: Estimate | None = None
    control_limit: float | None = None
    compared_with: ComparedWith = "none"


@dataclass(frozen=True, slots=True)
class _Said:
    """The outcome in words."""

    verdict: Verdict
    text: str
    turn: str
    doubtful: bool = False


def judge_metric(rollout: Rollout, gate: GatePlan, taken: MeasurementTaken) -> Measurement:
    """The judgement of a measurement that was taken for the current wave."""
    case = _Case(rollout, gate, taken)
    return case.measurement()


def shown(gate: GatePlan, value: float) -> str:
    """A value of a gate as people read it."""
    if gate.measure == "log_templates":
        return count(round(value))
    return share(value) if gate.in_percent else f"{value:.4g}"


class _Case:
    """One measurement with what of it can be used."""

    def __init__(self, rollout: Rollout, gate: GatePlan, taken: MeasurementTaken) -> None:
        self._rollout, self._gate, self._taken = rollout, gate, taken
        fresh_s = 2 * rollout.plan.evidence.scrape
        self._canary = self._usable(taken.canary, fresh_s)
        self._control = self._usable(taken.control, fresh_s)
        self._before = self._usable(taken.baseline, inf)
        self._scalar = taken.scalar if figures.usable(taken.scalar) else None
        shown_waves = rollout.by_wave[: rollout.head.wave + 1]
        # Who said goodbye has no samples, and nobody expects any; who fell silent has to be explained.
        self._of_devices = sum(
            device.stage is Stage.CONVERGED and device.presence != "away" for wave in shown_waves for device in wave
        )

    def _usable(self, samples: Sequence[DeviceSample], fresh_s: float) -> list[DeviceSample]:
        return [each for each in samples if each.age_s <= fresh_s and figures.usable(each.value) and self._is_sound(each)]

    def _is_sound(self, sample: DeviceSample) -> bool:
        if not self._gate.is_rate:
            return True
        return sample.events is not None and figures.usable(sample.events) and 0 <= sample.value <= sample.events

    def measurement(self) -> Measurement:
        canary = self._estimate()
        missing = self._missing()
        if canary is None:
            return self._measured(
                _Said("inconclusive", missing or "no samples", missing or "samples"), None, _Bounds(None, None)
            )
        bounds = self._bounds()
        if missing:
            return self._measured(_Said("inconclusive", f"needs {missing}", missing), canary, bounds)
        return self._measured(self._verdict(canary, bounds), canary, bounds)

    # -- evidence

    def _missing(self) -> str:
        """What evidence is missing; empty when there is enough."""
        head, evidence = self._rollout.head, self._rollout.plan.evidence
        tally = self._rollout.tally[head.wave]
        size = len(self._rollout.by_wave[head.wave]) - sum(tally[stage] for stage in LEFT_OUT)
        wanted = min(evidence.converged, size) - tally[Stage.CONVERGED]
        if wanted > 0 or not self._of_devices:
            return count(max(1, wanted), "more converged device")
        if self._scalar is None and len(self._canary) < evidence.coverage * self._of_devices:
            fresh = f"samples younger than {2 * evidence.scrape:g} s"
            return f"{fresh} of {share(evidence.coverage)} of the devices (now {len(self._canary)} of {self._of_devices})"
        events = sum(each.events or 0.0 for each in self._canary)
        if self._scalar is None and self._gate.is_rate and events < evidence.events:
            return f"{evidence.events - events:,.0f} more events (now {events:,.0f})"
        baked_s = head.active_s - head.judged_from_s
        if self._gate.measure == "log_templates":
            if self._taken.window_s <= 0 and not control_group(self._rollout):
                return "a control group, whose logs to compare with"
            baked_s = min(baked_s, self._taken.window_s)
        if baked_s < evidence.bake or self._taken.window_s <= 0:
            return f"{evidence.bake - baked_s:.0f} s more of baking"
        return ""

    # -- the value

    def _estimate(self) -> Estimate | None:
        if self._scalar is not None:  # one value in all: nothing is known of how sure it is
            return Estimate(self._scalar, self._scalar, self._scalar, 0)
        if not self._canary:
            return None
        if self._gate.is_rate:
            return _rate(self._canary)
        old = {each.address: each.value for each in self._before}
        if all(each.address in old for each in self._canary):
            changes = [each.value - old[each.address] for each in self._canary]
            return figures.mean([each.value for each in self._canary], spread_of=changes)
        return figures.mean([each.value for each in self._canary])

    # -- the bounds

    def _bounds(self) -> _Bounds:
        gate = self._gate
        control, compared_with = self._compared_with()
        if control is None or gate.ratio is None or gate.delta is None:
            return _Bounds(gate.limit, gate.limit)
        limit = max(gate.ratio * control.value, control.value + gate.delta)
        sure = max(gate.ratio * control.high, control.high + gate.delta)
        most = inf if gate.limit is None else gate.limit
        return _Bounds(min(most, limit), min(most, sure), control, limit, compared_with)

    def _compared_with(self) -> tuple[Estimate | None, ComparedWith]:
        """Devices not yet changed; else the same devices before; else the control group as it was last."""
        if self._gate.ratio is None or self._scalar is not None:
            return None, "none"
        if self._is_enough(self._control):
            return self._as_the_control() or self._value_of(self._control), "control"
        if control_group(self._rollout):
            return None, "none"
        own = {each.address for each in self._canary}
        before = [each for each in self._before if each.address in own]
        if self._is_enough(before):
            return self._value_of(before), "baseline"
        if (last := self._rollout.head.controls.get(self._gate.name)) is not None:
            return Estimate(last[0], last[0], last[1], 0), "baseline"
        return None, "none"

    def _is_enough(self, samples: Sequence[DeviceSample]) -> bool:
        if not self._gate.is_rate:
            return bool(samples)
        return sum(each.events or 0.0 for each in samples) >= self._rollout.plan.evidence.events

    def _value_of(self, samples: Sequence[DeviceSample]) -> Estimate | None:
        return _rate(samples) if self._gate.is_rate else figures.mean([each.value for each in samples])

    def _as_the_control(self) -> Estimate | None:
        """What the canary's mean would be, had its devices changed since before as the control group's have.

        Devices differ in their load by far more than a change makes out, so each is compared with itself (difference in
        differences). None without the values from before, of both groups.
        """
        old = {each.address: each.value for each in self._before}
        own = [old[each.address] for each in self._canary if each.address in old]
        pairs = [(each.value, old[each.address]) for each in self._control if each.address in old]
        if self._gate.is_rate or len(own) < len(self._canary) or not pairs:
            return None
        moved = figures.mean([now for now, _ in pairs], spread_of=[now - before for now, before in pairs])
        shift = sum(own) / len(own) - sum(before for _, before in pairs) / len(pairs)
        return Estimate(moved.value + shift, moved.low + shift, moved.high + shift, moved.devices, None, moved.worth)

    # -- the verdict

    def _verdict(self, canary: Estimate, bounds: _Bounds) -> _Said:
        gate, limit, sure = self._gate, bounds.limit, bounds.sure
        if gate.ratio is not None and bounds.control is None and self._scalar is None and control_group(self._rollout):
            return _Said("inconclusive", "needs samples of the control group", "samples of devices not yet changed")
        if limit is None or sure is None:
            turn = "a max for this gate" if self._scalar is None else "a max for this gate, or a query by device"
            return _Said("inconclusive", "there is nothing to compare it with", turn)
        value, low, bound = shown(gate, canary.value), shown(gate, canary.low), self._bound_words(bounds)
        if canary.low > sure:
            passes = self._rollout.plan.evidence.passes
            return _Said(
                "fail", f"{value}, above {bound}", f"{shown(gate, limit)} or less, {count(passes, 'time')} in a row"
            )
        likely, most = canary.within(figures.LIKELY_Z)[0], canary.within(figures.SEEN_Z)[1]
        if likely > limit:
            turn = f"fails when more than {shown(gate, sure)} is certain (now {low}), passes at {shown(gate, limit)} or less"
            text = f"{value} is above {bound}, but not for certain (at least {low})"
            return _Said("inconclusive", text, turn, doubtful=True)
        if gate.is_rate and canary.events and most > TOO_FAR * limit > 0:
            text = f"{value}, but it may be {shown(gate, most)}: too few events to tell it from {bound}"
            return _Said("inconclusive", text, f"more events (now {canary.events:,.0f})")
        return _Said("pass", f"{value}, not above {bound}", self._turn_of_a_pass(canary, limit))

    def _bound_words(self, bounds: _Bounds) -> str:
        gate = self._gate
        if bounds.control is None or bounds.control_limit is None or bounds.control_limit != bounds.limit:
            return shown(gate, gate.limit or 0.0)
        whose = "that of the control group" if bounds.compared_with == "control" else "that of before"
        more = (
            f"{gate.ratio:g} times {whose}, {shown(gate, bounds.control.value)}, and {shown(gate, gate.delta or 0.0)} more"
        )
        return f"{shown(gate, bounds.control_limit)} ({more})"

    def _turn_of_a_pass(self, canary: Estimate, limit: float) -> str:
        above = f"more than {shown(self._gate, limit)}"
        if not self._gate.is_rate or not canary.events:
            return above
        more = max(1.0, (limit - canary.value) * canary.events)
        return f"{above}: about {more:,.0f} more bad events in {canary.events:,.0f}"

    def _measured(self, said: _Said, canary: Estimate | None, bounds: _Bounds) -> Measurement:
        head, control = self._rollout.head, bounds.control
        return Measurement(
            gate=self._gate.name,
            wave=head.wave,
            evaluation=head.evaluation,
            at_s=head.now_s,
            verdict=said.verdict,
            text=said.text,
            turn=said.turn,
            doubtful=said.doubtful,
            value=None if canary is None else canary.value,
            low=None if canary is None else canary.low,
            high=None if canary is None else canary.high,
            bound=self._gate.limit,
            control=None if control is None else control.value,
            control_high=None if control is None else control.high,
            control_bound=bounds.control_limit,
            devices=len(self._canary),
            of_devices=self._of_devices,
            control_devices=0 if control is None else control.devices,
            events=None if canary is None else canary.events,
            window_s=self._taken.window_s,
            query=self._taken.query,
            compared_with=bounds.compared_with,
        )


def _rate(samples: Sequence[DeviceSample]) -> Estimate | None:
    counts = [(each.value, each.events or 0.0) for each in samples]
    return figures.rate(counts) if any(events > 0 for _, events in counts) else None
