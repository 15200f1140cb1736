"""A rollout's course: each way that it may go, and each verb."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from core.rollout.world import NEW, OLD, START_S, Agent, World, fleet, plan_of, world
from fleetview.core.rollout.events import (
    DeviceSample,
    LeadershipTaken,
    LinkLost,
    LinkRestored,
    Measure,
    MeasurementFailed,
    MeasurementTaken,
    ReportHeard,
    SupersededBy,
)
from fleetview.core.rollout.state import Phase, Stage, Status
from fleetview.core.rollout.words import consequence, waits_for
from fleetview_agent.wire import Address, ReleaseReport, Reported


def wave_of(run: World, wave: int) -> list[Agent]:
    return [run.agents[device.address] for device in run.rollout.by_wave[wave]]


def started(size: int = 100, **fields: object) -> World:
    """A world whose first wave has just been offered the change."""
    run = world(size, plan_of(**fields))
    run.run_until(lambda: run.rollout.head.phase is Phase.APPLYING)
    return run


def test_a_good_release_reaches_all() -> None:
    run = world(60)
    run.run_until(lambda: run.status is Status.SUCCEEDED)
    assert run.stages() == {"converged": 60}
    assert len(run.offers) == 60
    assert run.now_s - START_S < 11 * 660 + 60
    assert all(agent.version == "1.5.0" for agent in run.agents.values())


def test_a_regression_is_rolled_back_from_the_first_wave() -> None:
    run = world(100)
    run.new_rate = 0.02
    run.run_until(lambda: run.status is Status.ROLLED_BACK)
    assert run.stages() == {"rolled_back": 5, "waiting": 95}
    assert all(agent.version == "1.4.2" for agent in run.agents.values())
    assert "error-rate: 2 %" in next(audit.why for audit in run.audits if "rolling_back" in audit.what)
    text = run.rollout.head.text
    assert text.startswith("rolled back: ")
    assert "error-rate: 2 %" in text, "what led to it is still said at the end"
    assert text.endswith("; 5 of 5 devices are back; 0 failed, 0 not reached")


def test_a_regression_in_a_later_wave_pauses_and_resume_judges_the_same_wave_again() -> None:
    run = world(100)
    run.run_until(lambda: run.rollout.head.wave == 2)
    run.new_rate = 0.02
    run.run_until(lambda: run.status is Status.PAUSED)
    assert set(run.rollout.head.pauses) == {"gate_failed"}
    assert run.order("resume").taken
    run.run_until(lambda: run.status is Status.PAUSED)
    assert run.rollout.head.wave == 2  # not walked past
    assert len(run.offers) == 25
    run.new_rate = 0.001
    assert run.order("resume").taken
    run.run_until(lambda: run.rollout.head.wave == 3)


def test_skip_wants_a_reason_and_the_typed_id() -> None:
    run = world(100)
    run.run_until(lambda: run.rollout.head.wave == 2)
    run.new_rate = 0.02
    run.run_until(lambda: run.status is Status.PAUSED)
    assert "needs a reason" in run.order("skip").text
    assert "typed: telemetry-1.5.0" in run.order("skip", reason="known").text
    assert "no gate 'errors'" in run.order("skip", reason="known", confirm=run.rollout.id, gate="errors").text
    said = consequence(run.rollout, "skip")
    assert said == "passes error-rate, cpu without proof: wave 4 would give 10 devices more the change"
    assert run.order("skip", reason="ticket 4711", confirm=run.rollout.id, gate="error-rate").taken
    run.run_until(lambda: run.rollout.head.wave == 3)
    assert run.rollout.head.waves[2].verdicts["error-rate"] == "skipped by ana: ticket 4711"


@pytest.mark.parametrize(("fault", "stage"), [("failed", "failed"), ("rolled_back", "rolled_back")])
def test_one_bad_device_in_a_small_wave_fails_at_once(fault: str, stage: str) -> None:
    run = started(100, devices_on_fail="pause")
    wave_of(run, 0)[0].fails = fault
    run.run_until(lambda: run.status is Status.PAUSED)
    assert run.stages()[stage] == 1
    assert run.rollout.head.phase is Phase.APPLYING  # no bake was waited for
    run.order("resume")
    run.run_for(10)
    assert run.status is Status.PAUSED


def test_retry_offers_again_and_judges_anew() -> None:
    run = started(100, devices_on_fail="pause")
    broken = wave_of(run, 0)[0]
    broken.fails = "failed"
    run.run_until(lambda: run.status is Status.PAUSED)
    broken.fails = None
    assert consequence(run.rollout, "retry") == "offers the change again to 1 device that failed, and judges wave 1 anew"
    assert run.order("retry").taken
    run.run_until(lambda: run.rollout.head.wave == 1)
    gens = [gen for address, gen, *_ in run.offers if address == broken.address]
    assert gens == [1, 2]


def test_a_device_that_lies_has_failed() -> None:
    run = started(100, devices_on_fail="pause")
    wave_of(run, 0)[0].lies = True
    run.run_until(lambda: run.status is Status.PAUSED)
    assert "runs release 9.9.9, not 1.5.0" in [device.reason for device in run.rollout.devices.values()]


def test_deferred_leaves_the_denominator_and_comes_back_later() -> None:
    run = world(400, plan_of(devices_on_fail="pause"))
    for agent in list(run.agents.values())[::33]:
        agent.presence = "away"
    run.run_until(lambda: run.rollout.head.wave == 6)
    deferred = [device for device in run.rollout.devices.values() if device.stage is Stage.DEFERRED]
    assert deferred
    assert all(device.address not in {address for address, *_ in run.offers} for device in deferred)
    back = run.agents[deferred[0].address]
    run.see(back, "online")
    run.run_until(lambda: run.rollout.devices[back.address].stage is Stage.CONVERGED)
    run.run_until(lambda: run.status is Status.SUCCEEDED_WITH_STRAGGLERS)
    assert run.stages() == {"converged": 388, "deferred": 12}


def test_too_many_deferred_pause_until_somebody_takes_them() -> None:
    run = world(100)
    for agent in list(run.agents.values())[::2]:
        agent.presence = "away"
    run.run_until(lambda: run.status is Status.PAUSED)
    assert set(run.rollout.head.pauses) == {"too_many_deferred"}
    run.order("resume")
    run.run_until(lambda: run.rollout.head.wave == 1)


def test_lost_counts_and_deferred_does_not() -> None:
    run = started(100, devices_on_fail="pause")
    wave_of(run, 0)[0].dies_when = "checking"
    run.run_until(lambda: run.status is Status.PAUSED)
    assert run.stages()["lost"] == 1


def test_one_that_converged_and_fell_silent_is_lost() -> None:
    run = world(100, plan_of(devices_on_fail="pause"))
    run.run_until(lambda: run.rollout.head.wave == 1)
    run.see(wave_of(run, 0)[0], "silent")
    run.run_until(lambda: run.status is Status.PAUSED)
    assert run.stages()["lost"] == 1
    assert "1 of 5 finished devices of wave 1 bad" in run.rollout.head.text


def test_paused_time_does_not_count_for_deadlines() -> None:
    run = started(100, devices_on_fail="pause")
    assert run.order("pause", reason="lunch").taken
    device = next(iter(run.rollout.underway))
    run.agents[device].presence = "away"
    run.see(run.agents[device], "away")
    run.run_for(7200)
    assert run.rollout.devices[device].stage in {Stage.OFFERED, Stage.ACCEPTED}
    offers = len(run.offers)
    run.order("resume")
    run.run_for(700)
    assert run.rollout.devices[device].stage in {Stage.DEFERRED, Stage.LOST}
    assert len(run.offers) == offers


def test_abort_withdraws_in_the_same_round_and_leaves_the_rest_as_it_is() -> None:
    run = world(100, plan_of(waves=["50%", "100%"]))
    run.run_for(10)
    for agent in list(run.agents.values())[::4]:
        agent.deaf = True
    run.run_until(lambda: run.rollout.head.phase is Phase.APPLYING)
    run.run_for(20)
    asleep = {address for address, device in run.rollout.underway.items() if device.stage is Stage.OFFERED}
    assert asleep
    assert consequence(run.rollout, "abort").startswith(f"withdraws {len(asleep)} offers not yet accepted")
    before = len(run.withdrawals)
    assert run.order("abort", reason="wrong release").taken
    assert {address for address, _ in run.withdrawals[before:]} == asleep
    assert run.status is Status.ABORTING
    run.run_until(lambda: run.status is Status.ABORTED)
    assert run.rollout.head.text == "wrong release"
    offers = len(run.offers)
    run.run_for(600)
    assert len(run.offers) == offers
    assert run.order("rollback", reason="all of it").taken
    run.run_until(lambda: run.status is Status.ROLLED_BACK)
    assert all(agent.version == "1.4.2" for agent in run.agents.values())


def test_rollback_goes_newest_wave_first_at_a_bounded_rate() -> None:
    run = world(100, plan_of(rollback_per_minute=6))
    run.run_until(lambda: run.rollout.head.wave == 3)
    run.run_for(10)
    first = len(run.offers)
    assert run.order("rollback").taken
    run.run_for(60)
    back = [run.rollout.devices[address].wave for address, *_ in run.offers[first:]]
    assert 0 < len(back) <= 7
    run.run_until(lambda: run.status is Status.ROLLED_BACK)
    waves = [run.rollout.devices[address].wave for address, *_ in run.offers[first:]]
    assert waves == sorted(waves, reverse=True)
    assert all(run.rollout.targets[target] == OLD for *_, target in run.offers[first:])


def test_a_rollback_that_goes_wrong_itself_stops() -> None:
    run = world(100)
    run.run_until(lambda: run.rollout.head.wave == 1)
    for agent in run.agents.values():
        agent.sick = True
    run.order("rollback")
    run.run_until(lambda: run.status is Status.ROLLBACK_FAILED)
    assert run.rollout.head.text.startswith("rollback failed: by ana; ")


def test_approval_is_somebody_elses() -> None:
    run = world(40, plan_of(approval=True))
    run.run_for(30)
    assert run.status is Status.AWAITING_APPROVAL
    assert not run.rollout.devices
    assert "somebody else" in run.order("resume", "ana").text
    assert run.order("resume", "ben", reasons=("approval",)).taken
    run.run_until(lambda: run.status is Status.RUNNING)
    assert run.rollout.head.approved_by == "ben"


def test_a_hold_waits_for_a_person() -> None:
    run = world(40, plan_of(waves=[{"to": "10%", "hold": "step"}, {"to": "50%", "hold": "approval"}, "100%"]))
    run.run_until(lambda: run.status is Status.PAUSED)
    assert set(run.rollout.head.pauses) == {"step"}
    assert run.order("resume").taken
    run.run_until(lambda: run.status is Status.PAUSED)
    assert not run.order("resume").taken
    assert not run.order("resume", "ana", reasons=("approval",)).taken
    assert run.order("resume", "ben", reasons=("approval",)).taken
    run.run_until(lambda: run.status is Status.SUCCEEDED)


def test_generations_go_on_from_the_highest_that_is_known() -> None:
    run = world(20, plan_of(waves=["100%"], devices_on_fail="pause"), gen=41)
    run.run_for(30)
    assert {gen for _, gen, *_ in run.offers} == {42}
    liar = next(iter(run.agents))
    run.feed(ReportHeard(liar, Reported(session="s", gen=99)))
    run.order("rollback")
    run.run_until(lambda: run.status is Status.ROLLED_BACK)
    assert {gen for address, gen, *_ in run.offers if address == liar} == {42, 100}


def test_a_report_of_another_generation_moves_nothing() -> None:
    run = world(100, gen=41)
    for agent in run.agents.values():
        agent.deaf = True
    run.run_until(lambda: bool(run.rollout.underway))
    address, device = next(iter(run.rollout.underway.items()))
    for gen in (0, 41, 43):
        done = Reported(session="s", gen=gen, release=ReleaseReport(version="1.5.0", status="committed"))
        run.feed(ReportHeard(address, done))
        assert (device.stage, device.reported) == (Stage.OFFERED, f"answers generation {gen}")
    run.run_for(130)
    assert (device.stage, device.exposed) == (Stage.TIMED_OUT, False)
    assert device.reason == "did not accept within 120 s (answers generation 43)"
    assert (address, 42) in run.withdrawals


def test_the_time_in_which_no_controller_ran_counts_for_no_deadline() -> None:
    run = world(100, step_s=150.0)
    run.run_until(lambda: run.rollout.head.phase is Phase.APPLYING)
    run.run_for(100)
    run.now_s += 5000
    run.feed(LeadershipTaken(2, 90.0))
    run.run_until(lambda: run.rollout.head.wave == 1)
    assert run.stages()["converged"] == 5


def test_a_rollback_that_recovers_offers_nothing_meanwhile() -> None:
    run = world(100, plan_of(rollback_per_minute=6))
    run.run_until(lambda: run.rollout.head.wave == 3)
    run.order("rollback")
    run.run_for(20)
    offers = len(run.offers)
    run.feed(LeadershipTaken(2, 90.0))
    run.run_for(80)
    assert len(run.offers) == offers
    run.run_until(lambda: run.status is Status.ROLLED_BACK)


def test_max_unavailable_bounds_each_group() -> None:
    agents = fleet(60)
    for address, agent in agents.items():
        agent.group = (address.site,)
    run = World(plan_of(waves=["100%"], group_by="site", max_unavailable=2), agents)
    most = 0
    for _ in range(30):
        run.run_for(10)
        found = [run.rollout.devices[address].group for address in run.rollout.underway]
        most = max([most, *(found.count(group) for group in set(found))])
    assert most == 2


def test_orders_that_come_twice_too_late_or_about_something_older_are_refused() -> None:
    run = started(100)
    revision = run.rollout.head.revision
    assert run.order("pause", "ben").taken
    run.orders -= 1
    assert "taken already" in run.order("resume").text
    assert "expired" in run.order("resume", expires_at_s=run.now_s - 1).text
    assert "changed since" in run.order("resume", revision=revision).text
    assert run.order("resume", revision=run.rollout.head.revision).taken
    assert "it takes" in run.order("resume").text


@pytest.mark.parametrize("fault", ["dead", "nan", "empty", "silent"])
def test_no_evidence_pauses_and_never_decides(fault: str) -> None:
    run = world(100)

    def ask(asked: Measure) -> MeasurementTaken | MeasurementFailed | None:
        taken = run.measure(asked)
        assert taken is not None
        match fault:
            case "dead":
                return MeasurementFailed(asked.gate, asked.wave, asked.evaluation, "connection refused")
            case "nan":
                return replace(taken, canary=[DeviceSample(each.address, math.nan, 100.0) for each in taken.canary])
            case "empty":
                return replace(taken, canary=())
        return None

    run.prometheus = ask
    run.run_until(lambda: run.status is Status.PAUSED)
    assert set(run.rollout.head.pauses) == ({"gate_inconclusive"} if fault in {"nan", "empty"} else {"gate_error"})
    assert run.rollout.head.wave == 0
    run.prometheus = None
    run.order("resume")
    run.run_until(lambda: run.rollout.head.wave == 1)


def test_a_start_recovers_first_and_judges_anew() -> None:
    run = world(100)
    run.run_until(lambda: run.rollout.head.phase is Phase.JUDGING)
    run.run_for(40)
    measured = len(run.rollout.head.gates["error-rate"].measurements)
    assert measured
    evaluation = run.rollout.head.evaluation
    run.now_s += 5000
    run.pending = []
    run.feed(LeadershipTaken(2, 90.0))
    assert set(run.rollout.head.pauses) == {"recovering"}
    assert run.rollout.head.evaluation == evaluation + 1
    assert not run.order("resume", reasons=("recovering",)).taken
    restarted_s = run.now_s
    run.run_until(lambda: run.status is Status.RUNNING)
    assert run.now_s == restarted_s + 90
    run.run_until(lambda: run.rollout.head.wave == 1)
    assert {epoch for _, _, epoch, _ in run.offers[5:]} == {2}
    run.feed(LeadershipTaken(1, 90.0))
    assert run.rollout.head.epoch == 2


def test_a_controller_that_is_blind_ends_nothing() -> None:
    run = started(100)
    run.feed(LinkLost())
    stages = run.stages()
    run.now_s += 3600
    run.feed(LinkRestored(90.0))
    assert run.stages() == stages
    run.run_until(lambda: run.status is Status.SUCCEEDED)


def test_superseded_withdraws_and_ends() -> None:
    run = world(100)
    run.run_for(20)
    run.feed(SupersededBy("telemetry-1.6.0", "ben"))
    assert run.status is Status.SUPERSEDED
    assert not run.rollout.underway
    assert not run.order("rollback").taken


def test_an_empty_selection_and_waves_that_add_nothing() -> None:
    run = World(plan_of(), {})
    run.run_for(20)
    assert run.status is Status.ABORTED
    assert "means no device" in run.rollout.head.text
    run = world(2)
    run.run_until(lambda: run.status is Status.SUCCEEDED)
    assert run.rollout.head.waves[1].verdicts["devices"] == "no new device"


def test_one_that_cannot_go_back_is_not_changed() -> None:
    run = world(20, plan_of(waves=["100%"]))
    real = run.candidate
    run.candidate = lambda agent: replace(real(agent), previous=None)  # type: ignore[method-assign]
    run.run_for(60)
    assert run.stages() == {"skipped": 20}
    assert not run.offers


def test_it_says_what_it_waits_for() -> None:
    run = world(100)
    assert waits_for(run.rollout).text == "the devices that its selection means"
    run.run_until(lambda: run.rollout.head.phase is Phase.BAKING)
    found = waits_for(run.rollout)
    assert found.text == "the bake to be over"
    assert found.until_s == pytest.approx(run.now_s + 300, abs=11)
    run.order("pause", reason="lunch")
    assert waits_for(run.rollout).text == "an operator (operator)"
    assert NEW.words == "release 1.5.0"
    assert Address("default", "plant-0", "gw-00000") in run.rollout.devices
