"""The few devices that go before the first wave."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.rollout.world import World, fleet, plan_of
from fleetview.core.rollout.events import DeviceSample, Measure, MeasurementFailed, MeasurementTaken
from fleetview.core.rollout.membership import places
from fleetview.core.rollout.plan import DEFAULT_WAVES
from fleetview.core.rollout.preview import preview
from fleetview.core.rollout.snapshot import snapshot
from fleetview.core.rollout.state import Phase, Status

WAVES = [wave.model_dump() for wave in DEFAULT_WAVES]
TOO_FEW = 5.0


def run_of(size: int) -> World:
    return World(plan_of(waves=WAVES), fleet(size))


def little_traffic(run: World) -> None:
    """From now on each device has so few requests that nothing can be proven, and none of them fails."""

    def ask(asked: Measure) -> MeasurementTaken | MeasurementFailed | None:
        taken = run.measure(asked)
        if taken is None or asked.gate != "error-rate":
            return taken
        return replace(taken, canary=[DeviceSample(each.address, 0.0, TOO_FEW) for each in taken.canary])

    run.prometheus = ask


def test_a_bad_release_reaches_the_pilot_only() -> None:
    run = run_of(1000)
    run.new_rate = 0.05
    run.run_until(lambda: run.status is Status.ROLLED_BACK)
    assert run.rollout.head.wave == 0
    assert run.stages() == {"rolled_back": 5, "waiting": 995}


def test_after_the_pilot_comes_the_first_wave_with_all_that_it_holds() -> None:
    run = run_of(1000)
    run.run_until(lambda: run.rollout.head.wave == 1 and run.rollout.head.phase is Phase.JUDGING)
    assert len(run.offers) == 50
    assert run.rollout.head.waves[0].verdicts == {"devices": "pass", "error-rate": "pass", "cpu": "pass"}
    assert [wave.size for wave in run.rollout.head.waves][:3] == [5, 50, 150]


def test_without_proof_the_pilot_goes_on_and_the_wave_after_it_does_not() -> None:
    run = run_of(1000)
    little_traffic(run)
    run.run_until(lambda: run.status is Status.PAUSED)
    head = run.rollout.head
    assert (head.wave, set(head.pauses)) == (1, {"gate_inconclusive"})
    assert [wave.ending for wave in snapshot(run.rollout).waves[:1]] == ["nothing against it"]
    said = head.waves[0].verdicts["error-rate"]
    assert said == "inconclusive, which will do for a pilot: needs 75 more events (now 25)"


def test_what_cannot_be_measured_holds_the_pilot_too() -> None:
    run = run_of(1000)
    run.prometheus = lambda asked: MeasurementFailed(asked.gate, asked.wave, asked.evaluation, "connection refused")
    run.run_until(lambda: run.status is Status.PAUSED)
    assert (run.rollout.head.wave, set(run.rollout.head.pauses)) == (0, {"gate_error"})
    assert len(run.offers) == 5


def test_what_is_likely_too_high_holds_the_pilot_until_it_is_certain() -> None:
    run = run_of(1000)
    for agent in run.agents.values():
        agent.requests = 40.0
    run.new_rate = 0.0125  # 2 of 160 requests, one device left out: above 0.5 %, but not for certain
    run.run_until(lambda: run.status is Status.PAUSED)
    assert (run.rollout.head.wave, set(run.rollout.head.pauses)) == (0, {"gate_inconclusive"})
    assert run.rollout.head.gates["error-rate"].measurements[-1].doubtful


def test_a_gate_that_failed_in_the_pilot_is_not_walked_past_for_want_of_proof() -> None:
    run = World(plan_of(waves=WAVES, gates=[{"name": "error-rate", "measure": "error_rate", "max": 0.005, "on_fail": "pause"}]),
                fleet(1000))  # fmt: skip
    run.new_rate = 0.05
    run.run_until(lambda: run.status is Status.PAUSED)
    assert set(run.rollout.head.pauses) == {"gate_failed"}
    little_traffic(run)
    assert run.order("resume").taken
    run.run_until(lambda: run.status is Status.PAUSED)
    assert (run.rollout.head.wave, set(run.rollout.head.pauses)) == (0, {"gate_inconclusive"})


@pytest.mark.parametrize(("away", "goes_on"), [(0, True), (2, True), (4, True), (5, False)])
def test_a_pilot_goes_on_with_who_is_there(away: int, goes_on: bool) -> None:
    run = run_of(1000)
    pilots = [place.candidate.address for place in places(run.plan, map(run.candidate, run.agents.values()))[:5]]
    for address in pilots[:away]:
        run.agents[address].presence = "away"
    run.run_until(lambda: run.status is Status.PAUSED or run.rollout.head.wave == 1)
    assert (run.rollout.head.wave == 1) is goes_on
    assert set(run.rollout.head.pauses) == (set() if goes_on else {"too_many_deferred"})


@pytest.mark.parametrize(("size", "sizes"), [(60, [0, 3, 9]), (100, [0, 5, 15]), (101, [5, 6, 16])])
def test_there_is_none_where_the_first_wave_is_no_larger(size: int, sizes: list[int]) -> None:
    run = run_of(size)
    run.run_for(30)
    assert [wave.size for wave in run.rollout.head.waves][:3] == sizes
    assert len(run.offers) == next(each for each in sizes if each)
    assert run.rollout.head.waves[0].started_s is not None
    shown = snapshot(run.rollout).waves[0]
    assert (shown.pilot, shown.devices) == (True, sizes[0])
    assert sizes[0] or shown.ending == "not needed"
    radius = preview(run.plan, map(run.candidate, run.agents.values()))
    assert [wave.devices for wave in radius.waves][:2] == [sizes[0], sizes[1] - sizes[0]]
