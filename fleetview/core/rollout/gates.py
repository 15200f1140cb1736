"""Whether a wave may pass: who is compared with whom, what the devices say, and what many measurements say together.

The gate of the devices is judged first, from MQTT alone, and fails at once; metrics are judged in `metrics`.
"""

from __future__ import annotations

from typing import NamedTuple

from fleetview.core.rollout.plan import DEVICES_GATE
from fleetview.core.rollout.state import BAD, UNDERWAY, DeviceState, GateState, Measurement, Phase, Rollout, Stage, Verdict
from fleetview.core.rollout.words import count
from fleetview_agent.wire import Address

SMALL_WAVE = 10
"""In waves of up to so many devices one bad device fails."""
FINISHED_FOR_SHARE = 5
"""In larger ones, so many have to have finished before a share is one."""
FEWEST_BAD = 2
"""And so many have to be bad: of twenty, one would be 5 %, and one of two hundred updates fails for reasons of its own."""
ERRORS_FOR_VERDICT = 5
BACKOFF_S = (5.0, 10.0, 20.0, 40.0, 80.0)
"""After so many failures in a row to measure."""
FAILS, FAILS_OF = 2, 3


# -- who is compared with whom


def canary_group(rollout: Rollout) -> list[Address]:
    """The devices that run the change, of all waves so far."""
    waves = rollout.by_wave[: rollout.head.wave + 1]
    return [device.address for wave in waves for device in wave if device.stage is Stage.CONVERGED]


def control_group(rollout: Rollout) -> list[Address]:
    """Members of later waves, which run what they ran before."""
    waves = rollout.by_wave[rollout.head.wave + 1 :]
    return [device.address for wave in waves for device in wave if is_control(device)]


def is_control(device: DeviceState) -> bool:
    """Whether a device has not been changed, and says how it is."""
    return device.gen == 0 and device.presence == "online" and device.obstacle is None


# -- the devices


class Fates(NamedTuple):
    """How the devices of a wave fared, or those of a rollback."""

    size: int
    finished: int
    bad: int
    underway: int
    """Begun with, and not finished."""

    def fails(self, max_bad: float) -> bool:
        """In waves of up to ten one bad device fails; in larger ones two that are `max_bad` of those that were begun with.

        Of all that were begun with, not of those that have finished: who refuses a change says so in a second, who takes it
        has converged minutes later, and five refusals would be 100 % of a thousand. And one device is never a share.
        """
        if self.bad <= 0:
            return False
        enough = max(FEWEST_BAD, max_bad * (self.finished + self.underway))
        return self.size <= SMALL_WAVE or (self.finished >= FINISHED_FOR_SHARE and self.bad >= enough)

    def allowed(self, max_bad: float) -> int:
        """How many bad devices do not fail yet, with so many finished and underway."""
        bad = 0
        while bad < self.finished and not self._replace(bad=bad + 1).fails(max_bad):
            bad += 1
        return bad


def judge_devices(rollout: Rollout) -> Measurement:
    """The gate of the devices: of each wave so far, for a device of an earlier one may still turn bad."""
    max_bad, finished_in_all = rollout.plan.max_bad, 0
    found = Fates(0, 0, 0, 0)
    for wave in range(rollout.head.wave + 1):
        found = _fates(rollout, wave)
        finished_in_all += found.finished
        if found.fails(max_bad):
            text = f"{found.bad} of {count(found.finished, 'finished device')} of wave {wave + 1} bad"
            return _measured(rollout, "fail", found, text, "a retry of those devices, or a skip")
    are = "is" if found.bad == 1 else "are"
    turn = f"{count(found.allowed(max_bad) + 1, 'bad device')} of {found.finished} would fail it; there {are} {found.bad}"
    text = f"{found.bad} of {count(found.finished, 'finished device')} bad"
    if not finished_in_all:
        return _measured(rollout, "inconclusive", found, "no device has finished", "a device that has")
    # While it bakes, one that is underway is one that came back: it blocks nothing.
    open_ones = rollout.tally[rollout.head.wave][Stage.WAITING] + found.underway
    if open_ones and rollout.head.phase not in {Phase.BAKING, Phase.JUDGING}:
        return _measured(rollout, "inconclusive", found, f"{text}, {open_ones} not through", turn)
    return _measured(rollout, "pass", found, text, turn)


def _fates(rollout: Rollout, wave: int) -> Fates:
    """Without the bad devices with which an operator chose to go on."""
    tally = rollout.tally[wave]
    bad = max(0, bad_in(tally) - rollout.head.waves[wave].bad_taken)
    underway = sum(tally[stage] for stage in UNDERWAY)
    return Fates(len(rollout.by_wave[wave]), tally[Stage.CONVERGED] + bad, bad, underway)


def bad_in(tally: dict[Stage, int]) -> int:
    """How many devices of a wave ended badly."""
    return sum(tally[stage] for stage in BAD)


def _measured(rollout: Rollout, verdict: Verdict, found: Fates, text: str, turn: str) -> Measurement:
    head = rollout.head
    return Measurement(
        gate=DEVICES_GATE,
        wave=head.wave,
        evaluation=head.evaluation,
        at_s=head.now_s,
        verdict=verdict,
        text=text,
        turn=turn,
        value=found.bad / found.finished if found.finished else None,
        bound=rollout.plan.max_bad,
        devices=found.finished,
        of_devices=found.size,
    )


# -- many measurements


def overall(gate: GateState, evaluation: int, passes: int) -> Verdict:
    """What the measurements of this evaluation say together: three passes in a row pass, two fails of three fail."""
    verdicts = [each.verdict for each in gate.measurements if each.evaluation == evaluation]
    if verdicts[-FAILS_OF:].count("fail") >= FAILS:
        return "fail"
    if len(verdicts) >= passes and all(verdict == "pass" for verdict in verdicts[-passes:]):
        return "pass"
    return "error" if verdicts and verdicts[-1] == "error" else "inconclusive"
