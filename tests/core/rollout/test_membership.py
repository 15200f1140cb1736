"""Who is in which wave: reproducible, stratified, growing, explained."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import pairwise
from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from core.rollout.world import OLD, plan_of, world
from fleetview.core.rollout.events import Candidate
from fleetview.core.rollout.membership import overlaps, places
from fleetview.core.rollout.plan import Plan
from fleetview.core.rollout.preview import preview, why
from fleetview_agent.wire import Address

GROUPS = st.lists(st.sampled_from(["rev-a", "rev-b", "rev-c", "rev-d"]), min_size=1, max_size=80)


def candidates(groups: list[str], pinned: frozenset[int] = frozenset()) -> list[Candidate]:
    return [
        Candidate(Address("default", f"plant-{number % 3}", f"gw-{number}"), (group,), number in pinned, previous=OLD)
        for number, group in enumerate(groups)
    ]


def members(plan: Plan, found: list[Candidate]) -> list[set[Address]]:
    """The devices of each wave, earlier ones included."""
    where = places(plan, found)
    return [{place.candidate.address for place in where if place.wave <= wave} for wave in range(len(plan.waves))]


@given(GROUPS, st.lists(st.integers(1, 100), min_size=1, max_size=6, unique=True).map(sorted), st.randoms())
def test_waves_hold_the_one_before_and_one_of_each_group(groups: list[str], percents: list[int], chance: object) -> None:
    plan = plan_of(waves=[f"{percent}%" for percent in percents])
    found = candidates(groups)
    waves = members(plan, found)
    for percent, wave in zip(percents, waves, strict=True):
        exact = max(1, ceil(Fraction(percent, 100) * len(groups)))
        assert len(wave) == max(exact, len(set(groups)))
    assert all(before <= after for before, after in pairwise(waves))
    first = {each.group for each in found if each.address in waves[0]}
    assert first == {(group,) for group in groups}
    shuffled = list(found)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert members(plan, shuffled) == waves


@given(st.integers(20, 200), st.integers(20, 200))
def test_groups_come_along_in_proportion(some: int, others: int) -> None:
    plan = plan_of(waves=["50%"])
    where = places(plan, candidates(["rev-a"] * some + ["rev-b"] * others))
    found = Counter(place.candidate.group for place in where if place.wave == 0)
    assert abs(found["rev-a",] - some / 2) <= 2
    assert abs(found["rev-b",] - others / 2) <= 2


def test_pinned_canaries_come_first_and_another_id_draws_others() -> None:
    found = candidates(["rev-a"] * 100, pinned=frozenset({17, 42}))
    first = members(plan_of(waves=["5%", "100%"]), found)[0]
    assert {Address("default", "plant-2", "gw-17"), Address("default", "plant-0", "gw-42")} <= first
    assert len(first) == 5
    assert members(plan_of(name="telemetry-1.6.0", waves=["5%", "100%"]), found)[0] != first


def test_a_preview_says_who_when_and_why() -> None:
    found = candidates(["rev-a"] * 95 + ["rev-b"] * 5, pinned=frozenset({3}))
    found += [
        Candidate(Address("default", "plant-9", f"off-{number}"), ("rev-a",), presence="away", previous=OLD)
        for number in range(3)
    ]
    found.append(Candidate(Address("default", "plant-9", "old"), ("rev-a",), obstacle="in maintenance", previous=OLD))
    found.append(Candidate(Address("default", "plant-9", "new"), ("rev-a",), previous=None))
    plan = plan_of(waves=["5%", "50%", "90%"], canaries="label.ring:canary", group_by="hardware")
    shown = preview(plan, found)
    assert [wave.up_to for wave in shown.waves] == [6, 53, 95]
    assert sum(wave.devices for wave in shown.waves) == shown.devices == 95
    assert shown.unreached == 10
    assert shown.waves[0].pinned == 1
    assert sum(shown.waves[0].sites.values()) == 6
    assert shown.at_least_s >= 3 * 600 - 200
    pinned = Address("default", "plant-0", "gw-3")
    assert why(plan, found, pinned) == f"{pinned} is in wave 1 of 3: the plan pins it (label.ring:canary)"
    assert "no wave" in why(plan, found, Address("default", "plant-0", "nobody"))
    everybody = preview(plan_of(), found)
    assert everybody.offline == 3
    assert everybody.left_out == 2
    reasons = {reason for wave in everybody.waves for reason in wave.left_out.values()}
    assert reasons == {"in maintenance", "nothing is known to which it could go back"}
    assert preview(plan_of(), []).warnings == ("site:* means no device",)


def test_a_late_joiner_belongs_to_the_last_wave() -> None:
    run = world(40)
    run.run_for(60)
    before = len(run.rollout.devices)
    late = Candidate(Address("default", "plant-1", "late"), previous=OLD)
    from fleetview.core.rollout.events import DeviceJoined

    run.feed(DeviceJoined(late), DeviceJoined(late))
    assert len(run.rollout.devices) == before + 1
    assert run.rollout.devices[late.address].wave == len(run.plan.waves) - 1
    assert run.rollout.head.waves[-1].size == before + 1


def test_overlapping_rollouts_are_found_and_told_apart() -> None:
    busy, over, other = world(40), world(20), world(0)
    for run in (busy, over):
        run.run_for(60)
    over.order("abort")
    over.run_for(600)
    found = overlaps([busy.rollout, over.rollout, other.rollout], list(busy.agents)[:30])
    assert [(each.devices, each.is_busy) for each in found] == [(30, True), (20, False)]
    assert not overlaps([busy.rollout], [Address("default", "plant-9", "else")])
