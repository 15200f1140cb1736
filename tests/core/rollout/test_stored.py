"""What is stored comes back, what is damaged is refused, what is published has bounds, what is asked is read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.rollout.world import START_S, World, config_reported, config_target, fleet, plan_of, world
from fleetview.core.rollout import codec
from fleetview.core.rollout.codec import StateDamagedError
from fleetview.core.rollout.commands import Order, OrderRefusedError, order_message, parse_order
from fleetview.core.rollout.devices import meaning
from fleetview.core.rollout.events import OperatorSeen
from fleetview.core.rollout.snapshot import MAX_LISTED, message_of, read_snapshot, snapshot
from fleetview.core.rollout.state import PauseReason, Phase, Stage, Status
from fleetview.core.rollout.target import Target, desired_message, target_of
from fleetview_agent.wire import Channel, RolloutCommand, RolloutSnapshot, WireError, decode, encode


def test_a_rollout_comes_back_from_its_parts() -> None:
    run = world(40)
    run.run_until(lambda: run.rollout.head.phase is Phase.JUDGING)
    rollout = run.rollout
    again = codec.load_rollout(
        codec.dump_plan(rollout.plan),
        codec.dump_head(rollout.head),
        map(codec.dump_target, rollout.targets.values()),
        map(codec.dump_device, rollout.devices.values()),
    )
    assert codec.to_json(again) == codec.to_json(rollout)
    assert again.tally == rollout.tally
    measurement = rollout.head.gates["error-rate"].measurements[-1]
    assert codec.load_measurement(codec.dump_measurement(measurement)) == measurement


def test_a_course_is_the_same_when_it_is_restored_at_every_step() -> None:
    plan = plan_of(waves=["30%", "100%"])
    plain, restored = world(10, plan), world(10, plan)
    restored.restore_each_step = True
    for run in (plain, restored):
        run.run_until(lambda run=run: run.status is Status.SUCCEEDED)  # type: ignore[misc]
    assert plain.audits == restored.audits
    assert plain.offers == restored.offers


def test_what_is_damaged_is_refused_by_name() -> None:
    run = world(10)
    run.run_for(30)
    good = codec.to_json(run.rollout)

    def damage(**parts: Any) -> str:
        with pytest.raises(StateDamagedError) as caught:
            codec.from_json(good | parts)
        return str(caught.value)

    assert "the plan's hash is" in damage(plan=good["plan"] | {"every": 1})
    assert "the head cannot be read (status)" in damage(head=good["head"] | {"status": "confused"})
    assert "a device of rollout telemetry-1.5.0 cannot be read" in damage(devices=[{"wave": 1}])
    assert "is in wave 99" in damage(devices=[good["devices"][0] | {"wave": 98}])
    assert "version 7" in damage(v=7)


def test_the_snapshot_is_bounded_for_ten_thousand_devices() -> None:
    run = World(plan_of(waves=["20%", "100%"], per_minute=100_000, group_by="site"), fleet(10_000, sites=400))
    run.run_for(60, 30)
    for number, device in enumerate(run.rollout.devices.values()):
        device.reason = f"{number} " + "x" * 290
    shown = snapshot(run.rollout)
    assert len(shown.devices) == MAX_LISTED
    assert shown.unlisted == 9000
    assert sum(shown.counts.values()) == shown.devices_total == 10_000
    payload = encode(message_of(shown), compress=True)
    assert len(payload) < 128 * 1024
    message = decode(Channel.ROLLOUT, payload)
    assert isinstance(message, RolloutSnapshot)
    again = read_snapshot(message)
    assert again.model_dump() == read_snapshot(message_of(shown)).model_dump()
    assert again.status is Status.RUNNING


def test_the_snapshot_shows_what_is_wrong_first_and_who_is_there() -> None:
    run = world(60, plan_of(devices_on_fail="pause"))
    run.run_for(40)
    bad = run.agents[run.rollout.by_wave[0][0].address]
    bad.fails = "failed"
    run.run_until(lambda: run.status is Status.PAUSED)
    run.feed(OperatorSeen("ben@desk"))
    shown = snapshot(run.rollout)
    assert [pause.reason for pause in shown.pauses] == ["gate_failed"]
    assert shown.counts[Stage.FAILED] == 1
    assert set(shown.verbs) == {"pause", "resume", "retry", "skip", "abort", "rollback"}
    assert shown.waits_for == "an operator (gate_failed)"
    assert [operator.who for operator in shown.operators] == ["ben@desk"]
    assert shown.waves[0].counts[Stage.FAILED] == 1
    assert next(gate for gate in shown.gates if gate.name == "devices").verdict == "fail"
    with pytest.raises(WireError, match="status"):
        read_snapshot(RolloutSnapshot(**message_of(shown).model_dump() | {"status": "confused"}))


@settings(max_examples=25)
@given(
    verb=st.sampled_from(["pause", "resume", "retry", "skip", "abort", "rollback"]),
    reason=st.text(max_size=40).map(str.strip),
    revision=st.none() | st.integers(0, 2**40),
    reasons=st.lists(st.sampled_from(["operator", "step", "approval", "gate_failed"]), max_size=3).map(tuple),
    gate=st.none() | st.just("error-rate"),
)
def test_an_order_comes_back_from_its_payload(
    verb: Any, reason: str, revision: int | None, reasons: tuple[PauseReason, ...], gate: str | None
) -> None:
    order = Order("01JD", verb, "ana@laptop", reason, START_S, revision, reasons, gate, None)
    message = decode(Channel.ROLLOUT_COMMAND, encode(order_message(order)))
    assert isinstance(message, RolloutCommand)
    assert parse_order(message) == order


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "id: missing"),
        ({"id": "1", "by": "", "expires_at": "2026-11-22T10:00:00Z"}, "by: "),
        ({"id": "1", "by": "ana", "expires_at": "soon"}, "expires_at: "),
        ({"id": "1", "by": "ana", "expires_at": "2026-11-22T10:00:00Z", "reasons": ["tired"]}, "reasons.0: "),
        ({"id": "1", "by": "ana", "expires_at": "2026-11-22T10:00:00Z", "revision": -1}, "revision: "),
    ],
)
def test_an_order_that_cannot_be_read_says_why(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(OrderRefusedError, match=said):
        parse_order(RolloutCommand(verb="pause", **fields))


def test_a_target_goes_out_and_comes_back_as_desired() -> None:
    target = Target.model_validate(
        {"config": {"version": 12, "document": {"limit": 5}}, "release": {"version": "1.5.0", "url": "https://r.example/a"}}
    )
    desired = desired_message(target, 43, 7, "telemetry-1.5.0")
    assert target_of(desired) == target
    assert (desired.gen, desired.epoch, desired.rollout) == (43, 7, "telemetry-1.5.0")


def test_what_a_report_means() -> None:
    target = config_target(12)
    assert meaning(target, config_reported(target, 1)).proven
    assert meaning(target, config_reported(target, 1, status="pending")).stage is Stage.ACCEPTED
    assert meaning(target, config_reported(target, 1, status="applying")).stage is Stage.APPLYING
    assert meaning(target, config_reported(target, 1, sha256="0" * 64)).stage is Stage.FAILED
    assert meaning(target, config_reported(target, 1, version=11)).stage is Stage.FAILED
    no_hash = meaning(target, config_reported(target, 1, sha256=None))
    assert (no_hash.stage, no_hash.proven) == (Stage.APPLYING, False)
    assert meaning(target, config_reported(target, 1, status="rejected", reason="no such key")).reason == "no such key"
