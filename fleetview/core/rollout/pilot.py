"""The pilot: a few devices before the first wave proper, so that what kills devices does not kill a whole wave of them.

The first 5 % of ten thousand devices are five hundred, all of which would have a bad release before anything is known of it.
Five devices are enough to see most of what is wrong, and cost ten minutes. Where there is little traffic they are not enough
to prove that all is well: so a pilot goes on where nothing speaks against it, and only the waves after it ask for proof.
"""

from __future__ import annotations

from fleetview.core.rollout.plan import DEVICES_GATE
from fleetview.core.rollout.state import GateState, Rollout


def is_pilot(rollout: Rollout) -> bool:
    """Whether the current wave is one."""
    return rollout.plan.waves[rollout.head.wave].pilot


def lets_go_on(rollout: Rollout, gate: GateState) -> bool:
    """Whether a gate holds nothing up: it passed or was skipped; or the wave is a pilot, and the gate has no objection."""
    if gate.skipped_by is not None:
        return True
    if gate.errors > 0 or gate.verdict in {"fail", "error"}:
        return False
    return gate.verdict == "pass" or (is_pilot(rollout) and gate.name != DEVICES_GATE and _has_no_objection(rollout, gate))


def _has_no_objection(rollout: Rollout, gate: GateState) -> bool:
    """It was measured, as often as for a pass, and nothing speaks against the change. A gate that failed has to pass."""
    times, evaluation = rollout.plan.evidence.passes, rollout.head.evaluation
    last = [each for each in gate.measurements if each.evaluation == evaluation][-times:]
    is_clear = not any(each.doubtful or each.verdict in {"fail", "error"} for each in last)
    return len(last) == times and is_clear and not gate.has_failed


def how_it_let_go_on(gate: GateState) -> str:
    """What is kept of a gate when a wave is over: `pass`, or why it went on without."""
    if gate.skipped_by is not None:
        return f"skipped by {gate.skipped_by}: {gate.skip_reason}"
    return "pass" if gate.verdict == "pass" else f"{gate.verdict}, which will do for a pilot: {gate.text}"
