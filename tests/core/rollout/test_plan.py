"""A plan's defaults, and in words what is wrong with one: the place in the file, the value, and what was probably meant."""

from __future__ import annotations

import json

import pytest

from core.rollout.world import plan_of
from fleetview.core.rollout.plan import Plan
from fleetview.core.rollout.planfile import PlanError, parse_plan

GOOD = """
name: telemetry-1.5.0
target:
  release: {version: "1.5.0", url: "https://releases.example/1.5.0.tar.gz", size: 48213}
select: site:plant-* -label.ring:lab
group_by: hardware
"""


def problems(text: str, name: str = "plan.yaml") -> str:
    with pytest.raises(PlanError) as caught:
        parse_plan(text, name)
    return str(caught.value)


def test_defaults_are_the_default_policy() -> None:
    plan = parse_plan(GOOD)
    pilot, *waves = plan.waves
    assert (str(pilot.to), pilot.pilot) == ("5", True)
    assert [str(wave.to) for wave in waves] == [f"{n} %" for n in (5, 15, 25, 35, 45, 55, 65, 75, 85, 95, 100)]
    assert not any(wave.pilot for wave in waves)
    assert plan.every == 600
    error_rate, cpu = plan.gates
    assert (error_rate.measure, error_rate.max, cpu.measure) == ("error_rate", 0.005, "cpu")
    assert (plan.deadlines.accept, plan.deadlines.apply, plan.deadlines.verify) == (120, 600, 300)
    assert (plan.evidence.bake, plan.evidence.events, plan.evidence.passes) == (300, 100, 3)
    assert (plan.max_bad, plan.max_deferred) == (0.05, 0.2)
    assert plan.group_by == ("hardware",)


def test_toml_and_json_say_the_same_as_yaml() -> None:
    toml = """
name = "telemetry-1.5.0"
select = "site:plant-* -label.ring:lab"
group_by = "hardware"
[target.release]
version = "1.5.0"
url = "https://releases.example/1.5.0.tar.gz"
size = 48213
"""
    plan = parse_plan(GOOD)
    assert parse_plan(toml, "plan.toml") == plan
    assert parse_plan(json.dumps(plan.to_json()), "plan.json").digest == plan.digest
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_waves_short_long_and_by_number() -> None:
    plan = parse_plan(GOOD + 'waves: ["5%", {to: 20, hold: approval}, {to: "100%", hold: step}]\nevery: 1h30m\n')
    assert [str(wave.to) for wave in plan.waves] == ["5 %", "20", "100 %"]
    assert [wave.hold for wave in plan.waves] == [None, "approval", "step"]
    assert plan.every == 5400


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("wave: [5%]", "plan.yaml: wave: unknown key 'wave'; did you mean 'waves'?"),
        ("deadlines: {aply: 5m}", "deadlines.aply: unknown key 'aply'; did you mean 'apply'?"),
        ("waves: [20%, 10%]", "waves: wave 2 goes to 10 %, the one before to 20 % already"),
        ("waves: [20, 20]", "waves: wave 2 goes to 20, the one before to 20 already"),
        ("waves: [5%, {to: 10%, pilot: true}]", "waves: wave 2 is a pilot: only the first of several waves can be one"),
        ("waves: [{to: 5, pilot: true}]", "waves: wave 1 is a pilot: only the first of several waves can be one"),
        ("waves: []", "waves: 1 to 100 waves expected, not 0"),
        ("waves: [0%]", "waves.0.to: a share above 0% and up to 100% expected"),
        ("waves: [0.05]", 'waves.0.to: a share or a number of devices expected, such as "5%" or 20, not 0.05'),
        ("every: soon", "every: a duration of at most 30 days expected, such as 90s, 10m or 1h30m, not 'soon'"),
        ("canaries: 'labl.ring:x'", "canaries: not a filter of devices: unknown field 'labl.ring'"),
        ("canaries: 'seen<5m'", "canaries: not a filter of devices"),
        ("gates: [{name: p95, query: up}]", "gates.0: p95: neither max nor ratio: it could never fail"),
        ("gates: [{name: p95, max: 1}]", "gates.0: p95: a query belongs to measure = promql"),
        ("gates: [{name: devices, query: up, max: 1}]", "gates: 'devices' is there twice"),
        (
            "gates: [{name: a, query: up, max: 1, on_fial: abort}]",
            "gates.0.on_fial: unknown key 'on_fial'; did you mean 'on_fail'?",
        ),
        ("gates: [{name: a, query: up, max: 1, on_fail: explode}]", "gates.0.on_fail: input should be"),
        ("approval: 'no'", "approval: true or false expected, not 'no'"),
        ("start_at: '2026-11-22T10:00:00'", "start_at: a time with its zone"),
        ("max_bad: 105%", "max_bad: a share between 0% and 100% expected, such as 5% or 0.05, not '105%'"),
        ("name: again", "'name' is there twice (line 7, column 1)"),
        ("x: &a [1]\ny: *a", "an alias"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(more: str, said: str) -> None:
    assert said in problems(GOOD + more + "\n")


def test_all_that_is_wrong_is_said_at_once() -> None:
    found = problems("name: a/b\ntarget: {}\nselect: ''\nwaves: x\n").splitlines()
    assert len(found) == 4
    assert any("select: an empty selection; site:* is every device" in line for line in found)
    assert any("neither a config nor a release" in line for line in found)


def test_a_version_that_yaml_took_for_a_number_is_no_version() -> None:
    assert "target.release.version: a text in quotes expected, not 1.1" in problems(GOOD.replace('"1.5.0"', "1.10"))


def test_what_is_no_plan_at_all() -> None:
    assert "plan.yaml is not YAML" in problems("a: [")
    assert "plan.toml is not TOML" in problems("a = [", "plan.toml")
    assert "a table of keys expected" in problems("- 1\n- 2\n")
    assert "larger than 256 KiB" in problems("# " + "x" * 300_000)
    assert "missing; What they should run" in problems("name: a\nselect: site:x\n")


def test_the_hash_of_a_document_is_held_against_it() -> None:
    config = {"version": 12, "document": {"limit": 5}}
    sha256 = plan_of(target={"config": config}).target.config_offer()
    assert sha256 is not None
    assert sha256.sha256 is not None
    plan_of(target={"config": config | {"sha256": sha256.sha256}})
    with pytest.raises(ValueError, match="but that of the document is"):
        plan_of(target={"config": config | {"sha256": "0" * 64}})
