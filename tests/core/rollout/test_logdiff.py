"""What updated devices log and others do not: templates, counts in any order, bounds, and when something stands out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetview.core.rollout import logdiff
from fleetview.core.rollout.codec import dump_counted, load_counted
from fleetview.core.rollout.events import MeasurementTaken
from fleetview.core.rollout.logdiff import Difference, LogDifference, group_of, template_of
from fleetview.core.rollout.metrics import judge_metric
from fleetview.core.rollout.plan import GatePlan
from fleetview.core.rollout.shown_logs import shown_differences
from fleetview.core.rollout.snapshot import message_of, read_snapshot, snapshot
from fleetview.core.rollout.state import Stage
from fleetview_agent.wire import Address, Channel, Level, decode, encode

from .world import plan_of, world

Record = tuple[Any, int, Level, str]
RECORDS = st.lists(
    st.tuples(
        st.sampled_from(["updated", "control"]),
        st.integers(0, 5),
        st.sampled_from(list(Level)),
        st.one_of(st.text(max_size=300), st.sampled_from(["took 5 ms", "took 17 ms", "KeyError 'a'", "KeyError 'b'"])),
    ),
    max_size=60,
)


def device(number: int) -> Address:
    return Address("acme", "plant-1", f"gw-{number}")


def compared(records: list[Record], *, updated: int = 3, control: int = 30) -> LogDifference:
    found = LogDifference()
    found.begin(1000.0)
    found.watch({"updated": updated, "control": control}, 60.0)
    for group, number, level, message in records:
        found.take(group, device(number), level, "app", message)
    return found


def only(found: LogDifference) -> Difference:
    (each,) = found.result().found
    return each


@pytest.mark.parametrize(
    ("message", "template"),
    [
        ("evaluation failed: KeyError 'limit'", "evaluation failed: KeyError <*>"),
        ("took 17.5 ms, 3 of 4 tries", "took <*> ms, <*> of <*> tries"),
        ("can't open /var/lib/app/x.db: errno 2", "can't open <*>: errno <*>"),
        ("GET https://api.example:443/v1/a?b=c failed", "GET <*> failed"),
        ("session 0b5e4a52-31f5-4c7a-9d53-0a8d5e2f8a11 is gone", "session <*> is gone"),
        ("at 0xdeadbeef, commit 6c866a1f", "at <*>, commit <*>"),
        ("peer 10.0.0.7:1883 left", "peer <*> left"),
        ("accessed the facade", "accessed the facade"),
        ("a\x1b[31mb\nc", "a␛[<*>mb c"),
    ],
)
def test_what_varies_is_taken_out_of_a_message(message: str, template: str) -> None:
    assert template_of(message) == template


@given(RECORDS, st.randoms())
def test_the_order_in_which_records_come_does_not_matter(records: list[Record], random: Any) -> None:
    other = records.copy()
    random.shuffle(other)
    assert compared(records).result() == compared(other).result()


@given(RECORDS)
def test_every_record_is_counted_once(records: list[Record]) -> None:
    found = compared(records)
    seen = found.counted.templates.values()
    assert sum(each.updated.times + each.control.times for each in seen) == len(records)
    assert found.counted.left_out == 0
    assert all(len(key.template) <= logdiff.MAX_CHARS for key in found.counted.templates)


@given(st.text(max_size=3000))
def test_a_template_is_bounded_and_harmless(message: str) -> None:
    assert len(template_of(message)) <= logdiff.MAX_CHARS
    assert "\n" not in template_of(message)
    assert "\x1b" not in template_of(message)


def test_it_keeps_so_many_templates_and_devices_and_counts_the_rest() -> None:
    letters = [
        f"{chr(97 + one)}{chr(97 + two)}{chr(97 + three)}" for one in range(26) for two in range(26) for three in (0, 1)
    ]
    found = compared([("updated", 0, Level.ERROR, word) for word in letters])
    assert len(letters) == 1352
    assert (len(found.counted.templates), found.counted.left_out) == (logdiff.MAX_TEMPLATES, 352)
    many = compared([("updated", number, Level.ERROR, "x") for number in range(500)], updated=500, control=5000)
    assert (only(many).devices, only(many).times) == (logdiff.MAX_DEVICES, 500)
    crowd = compared([("updated", number, Level.ERROR, word) for word in letters[:30] for number in (0, 1)])
    assert (len(crowd.result().found), crowd.result().unlisted) == (logdiff.MAX_DIFFERENCES, 10)


def test_what_the_others_never_log_stands_out_once_they_would_have() -> None:
    records: list[Record] = [("updated", number % 3, Level.ERROR, f"KeyError '{number}'") for number in range(412)]
    each = only(compared(records))
    assert (each.key, each.devices, each.times) == ((Level.ERROR, "app", "KeyError <*>"), 3, 412)
    assert (each.control_times, each.ratio, each.example) == (0, None, "KeyError '0'")
    assert compared(records, control=2).result().found == (), "of two others, two are not three"
    assert compared(records, control=0).result().found == ()
    assert compared([("updated", 0, Level.ERROR, "KeyError")] * 400).result().found == (), "one device of three"
    alone = compared([("updated", 0, Level.ERROR, "KeyError")], updated=1)
    assert only(alone).devices == 1


def test_what_the_others_log_stands_out_when_it_is_far_more_often() -> None:
    ours: list[Record] = [("updated", number, Level.WARN, "slow") for number in (0, 1, 2) for _ in range(10)]
    rare: list[Record] = [("control", 9, Level.WARN, "slow")] * 60
    assert only(compared(ours + rare)).ratio == pytest.approx(5.0)
    assert compared([*ours, *rare, rare[0]]).result().found == ()


def test_the_worst_comes_first() -> None:
    records: list[Record] = [
        ("updated", number, level, f"it is {level.name}")
        for level in (Level.INFO, Level.ERROR, Level.WARN)
        for number in (0, 1)
    ]
    assert [each.key.level for each in compared(records).result().found] == [Level.ERROR, Level.WARN, Level.INFO]


@given(RECORDS)
def test_what_was_counted_is_the_same_when_it_was_kept(records: list[Record]) -> None:
    found = compared(records)
    again = LogDifference(load_counted(dump_counted(found.counted)))
    assert again.counted == found.counted
    assert again.result() == found.result()


def test_when_nothing_more_comes_only_what_stands_out_is_kept() -> None:
    ours: list[Record] = [("updated", number, Level.ERROR, "KeyError") for number in (0, 1)]
    found = compared([*ours, ("control", 5, Level.INFO, "all is well")])
    before = found.result()
    found.end()
    assert found.result() == before
    assert len(found.counted.templates) == 1


def test_before_a_device_is_updated_nothing_counts() -> None:
    found = LogDifference()
    found.watch({"control": 30}, 600.0)
    found.take("control", device(1), Level.ERROR, "app", "x")
    assert not found.counted.templates


def test_who_is_updated_and_who_is_not() -> None:
    found = world(20, plan_of(waves=["20%", "100%"]))
    found.run_until(lambda: found.rollout.head.phase.value == "baking")
    groups = [(each.wave, each.stage, group_of(found.rollout, each)) for each in found.rollout.devices.values()]
    assert all(
        group == ("updated" if wave == 0 and stage is Stage.CONVERGED else "control") for wave, stage, group in groups
    )


def test_a_snapshot_carries_it() -> None:
    records: list[Record] = [("updated", number, Level.ERROR, f"KeyError '{number}'") for number in range(3)]
    public = snapshot(world(20).rollout)
    public.log_differences = shown_differences(compared(records).result())
    read = read_snapshot(decode(Channel.ROLLOUT, encode(message_of(public), compress=True)))  # type: ignore[arg-type]
    assert read.log_differences == public.log_differences
    (each,) = read.log_differences
    assert (each.head, each.words) == ("new on updated devices", "3 devices, 3 times, never on the others")


@pytest.mark.parametrize(
    ("gate", "words"),
    [
        ({"measure": "log_templates"}, "max_devices belongs to measure = log_templates"),
        ({"measure": "cpu", "max": 1, "max_devices": 2}, "max_devices belongs to measure = log_templates"),
        ({"measure": "log_templates", "max_devices": 2, "max": 1}, "log_templates has no max"),
    ],
)
def test_a_gate_of_logs_says_on_how_many_devices_it_fails(gate: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        plan_of(gates=[{"name": "new-errors", **gate}])


def test_a_gate_of_logs_needs_that_they_are_compared() -> None:
    gate = {"name": "new-errors", "measure": "log_templates", "max_devices": 2}
    assert plan_of(gates=[gate]).gates[0].limit == 2
    with pytest.raises(ValueError, match="needs what log_evidence = false turns off"):
        plan_of(gates=[gate], log_evidence=False)


def test_a_gate_of_logs_says_nothing_before_they_were_compared_for_as_long_as_a_bake() -> None:
    gate = GatePlan(name="new-errors", measure="log_templates", max_devices=2)
    found = world(60, plan_of(gates=[gate.model_dump(exclude_none=True)], waves=["20%", "100%"]))
    found.run_until(lambda: found.rollout.head.phase.value == "baking")
    found.run_for(found.rollout.plan.evidence.bake + 60)
    head = found.rollout.head
    assert found.rollout.head.wave == 0

    def judged(compared_s: float, devices: int) -> tuple[str, str]:
        taken = MeasurementTaken(gate.name, head.wave, head.evaluation, compared_s, canary=(), scalar=devices)
        measurement = judge_metric(found.rollout, gate, taken)
        return measurement.verdict, measurement.text

    bake_s = found.rollout.plan.evidence.bake
    assert judged(bake_s - 10, 3) == ("inconclusive", "needs 10 s more of baking")
    assert judged(bake_s + 100, 3) == ("fail", "3 devices, above 2 devices")
    assert judged(bake_s + 100, 2) == ("pass", "2 devices, not above 2 devices")


def test_a_new_error_counts_and_a_warning_does_not() -> None:
    records: list[Record] = [("updated", number, Level.WARN, "slow") for number in (0, 1, 2)]
    assert compared(records).result().new_errors_on == 0
    records += [("updated", number, Level.ERROR, "broken") for number in (0, 1)]
    assert compared(records).result().new_errors_on == 2
    assert compared([*records, ("control", 9, Level.ERROR, "broken")]).result().new_errors_on == 0
