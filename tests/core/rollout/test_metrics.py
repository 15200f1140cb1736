"""What a measurement says, and what would turn it."""

from __future__ import annotations

import math

import pytest

from core.rollout.world import World, plan_of, world
from fleetview.core.rollout.events import DeviceSample, MeasurementTaken
from fleetview.core.rollout.gates import Fates, canary_group, control_group, overall
from fleetview.core.rollout.metrics import judge_metric
from fleetview.core.rollout.state import GateState, Measurement, Phase, Status
from fleetview_agent.wire import Address

RATE = {"name": "error-rate", "measure": "error_rate", "max": "0.5%", "ratio": 2, "delta": "0.2%"}
CPU = {"name": "cpu", "measure": "cpu", "max": 0.95, "ratio": 1.25, "delta": 0.1}
QUERY = {"name": "queue", "query": "queue_length", "max": 80}


@pytest.fixture
def judging() -> World:
    """The first wave of five has converged and baked; 95 devices are the control group."""
    run = world(100, plan_of(gates=[RATE, CPU, QUERY]))
    run.prometheus = lambda asked: None
    run.run_until(lambda: run.rollout.head.phase is Phase.JUDGING)
    return run


def rates(group: list[Address], rate: float, events: float = 5000.0) -> list[DeviceSample]:
    return [DeviceSample(address, rate * events, events) for address in group]


def values(group: list[Address], value: float) -> list[DeviceSample]:
    return [DeviceSample(address, value) for address in group]


def judged(run: World, gate: str = "error-rate", **fields: object) -> Measurement:
    head = run.rollout.head
    plan = next(each for each in run.plan.gates if each.name == gate)
    taken = MeasurementTaken(gate, head.wave, head.evaluation, 300.0, **fields)  # type: ignore[arg-type]
    return judge_metric(run.rollout, plan, taken)


def test_groups(judging: World) -> None:
    canary, control = canary_group(judging.rollout), control_group(judging.rollout)
    assert (len(canary), len(control)) == (5, 95)
    judging.see(judging.agents[control[0]], "away")
    assert len(control_group(judging.rollout)) == 94


@pytest.mark.parametrize(
    ("rate", "control", "verdict"),
    [
        (0.001, 0.001, "pass"),
        (0.0029, 0.001, "pass"),  # within 0.2 points of the control group
        (0.02, 0.001, "fail"),
        (0.0045, 0.001, "fail"),  # below the absolute bound, but four times the control group's
        (0.0034, 0.001, "inconclusive"),  # above, but not for certain
        (0.02, 0.02, "fail"),  # as the control group, but above the absolute bound
        (0.0045, 0.003, "pass"),  # above by less than the ratio
    ],
)
def test_against_the_bound_and_the_control_group(judging: World, rate: float, control: float, verdict: str) -> None:
    found = judged(
        judging, canary=rates(canary_group(judging.rollout), rate), control=rates(control_group(judging.rollout), control)
    )
    assert found.verdict == verdict, found.text
    assert found.compared_with == "control"
    assert found.events == 25_000
    assert found.turn
    assert found.value is not None
    assert found.low is not None
    assert found.low <= found.value


def test_one_hot_device_does_not_decide(judging: World) -> None:
    canary, control = canary_group(judging.rollout), rates(control_group(judging.rollout), 0.001)
    hot = [DeviceSample(canary[0], 1500.0, 5000.0), *rates(canary[1:], 0.001)]
    assert judged(judging, canary=hot, control=control).verdict == "pass"
    two = [DeviceSample(canary[0], 1500.0, 5000.0), DeviceSample(canary[1], 1500.0, 5000.0), *rates(canary[2:], 0.001)]
    assert judged(judging, canary=two, control=control).verdict != "pass"


def test_missing_evidence_is_named(judging: World) -> None:
    canary = canary_group(judging.rollout)
    control = rates(control_group(judging.rollout), 0.001)
    assert "more events" in judged(judging, canary=rates(canary, 0.0, 10.0), control=control).turn
    assert "too few events to tell" in judged(judging, canary=rates(canary, 0.0, 30.0), control=control).text
    assert "of 90 % of the devices (now 4 of 5)" in judged(judging, canary=rates(canary[:4], 0.001), control=control).turn
    old = [DeviceSample(address, 1.0, 5000.0, age_s=61.0) for address in canary]
    assert "now 0 of 5" in judged(judging, canary=old, control=control).turn
    nan = [DeviceSample(address, math.nan, math.inf) for address in canary]
    assert judged(judging, canary=nan, control=control).verdict == "inconclusive"
    assert "control group" in judged(judging, canary=rates(canary, 0.001)).text
    more_bad_than_events = [DeviceSample(address, 10.0, 5.0) for address in canary]
    assert judged(judging, canary=more_bad_than_events, control=control).verdict == "inconclusive"


def test_before_the_bake_is_over_nothing_is_said(judging: World) -> None:
    judging.rollout.head.judged_from_s = judging.rollout.head.active_s - 200
    control = rates(control_group(judging.rollout), 0.001)
    found = judged(judging, canary=rates(canary_group(judging.rollout), 0.2), control=control)
    assert (found.verdict, found.turn) == ("inconclusive", "100 s more of baking")


def test_cpu_is_compared_with_itself_before_and_with_how_the_others_changed(judging: World) -> None:
    canary, control = canary_group(judging.rollout), control_group(judging.rollout)
    loads = [0.1, 0.3, 0.5, 0.6, 0.2]
    before = [DeviceSample(address, load) for address, load in zip(canary, loads, strict=True)] + values(control, 0.3)
    now = [DeviceSample(address, load + 0.02) for address, load in zip(canary, loads, strict=True)]
    assert judged(judging, "cpu", canary=now, control=values(control, 0.3), baseline=before).verdict == "pass"
    hotter = [DeviceSample(address, load + 0.3) for address, load in zip(canary, loads, strict=True)]
    assert judged(judging, "cpu", canary=hotter, control=values(control, 0.3), baseline=before).verdict == "fail"
    # the whole fleet is busier by as much
    assert judged(judging, "cpu", canary=hotter, control=values(control, 0.6), baseline=before).verdict == "pass"


def test_a_query_by_device_and_one_with_a_single_value(judging: World) -> None:
    canary = canary_group(judging.rollout)
    assert judged(judging, "queue", canary=values(canary, 12.0)).verdict == "pass"
    assert judged(judging, "queue", canary=values(canary, 99.0)).verdict == "fail"
    assert judged(judging, "queue", canary=(), scalar=12.0).verdict == "pass"
    assert judged(judging, "queue", canary=(), scalar=99.0).verdict == "fail"
    assert judged(judging, "queue", canary=(), scalar=math.nan).verdict == "inconclusive"


def test_the_last_wave_is_compared_with_the_control_group_of_before() -> None:
    run = world(60)
    run.run_until(lambda: run.rollout.head.wave == 10)
    run.new_rate = 0.02
    run.run_until(lambda: run.status is not Status.RUNNING)
    assert run.status is Status.PAUSED
    last = run.rollout.head.gates["error-rate"].measurements[-1]
    assert (last.compared_with, last.verdict) == ("baseline", "fail")


@pytest.mark.parametrize(
    ("verdicts", "together"),
    [
        ("p", "inconclusive"), ("ppp", "pass"), ("ppip", "inconclusive"), ("fppp", "pass"), ("f", "inconclusive"),
        ("ff", "fail"), ("fpf", "fail"), ("fppf", "inconclusive"), ("ffppp", "pass"), ("ppe", "error"), ("", "inconclusive"),
    ],
)  # fmt: skip
def test_three_passes_in_a_row_pass_and_two_fails_of_three_fail(verdicts: str, together: str) -> None:
    words = {"p": "pass", "f": "fail", "i": "inconclusive", "e": "error"}
    before = [Measurement("error-rate", 0, 1, 0.0, "fail", "", "")] * 3  # of an earlier evaluation: these do not count
    found = [Measurement("error-rate", 0, 2, 0.0, words[each], "", "") for each in verdicts]  # type: ignore[arg-type]
    assert overall(GateState("error-rate", [*before, *found]), 2, 3) == together


@pytest.mark.parametrize(
    ("fates", "fails"),
    [
        (Fates(10, 1, 1, 9), True),
        (Fates(10, 10, 0, 0), False),
        (Fates(11, 4, 2, 7), False),
        (Fates(11, 5, 1, 6), False),
        (Fates(11, 5, 2, 6), True),
        (Fates(20, 20, 1, 0), False),
        (Fates(100, 100, 4, 0), False),
        (Fates(100, 100, 5, 0), True),
        (Fates(1000, 5, 5, 995), False),
        (Fates(1000, 50, 50, 950), True),
    ],
)
def test_the_gate_of_the_devices(fates: Fates, fails: bool) -> None:
    assert fates.fails(0.05) is fails
    assert (fates.bad > fates.allowed(0.05)) is fails
