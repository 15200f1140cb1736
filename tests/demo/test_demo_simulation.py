"""The simulated fleet on its virtual clock: the same by seed, and never in breach of the contract."""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetview.demo.choices import Scenario
from fleetview.demo.inventory import default_sites, plan_fleet
from fleetview.demo.outbox import Publication
from fleetview.demo.simulation import Simulation
from fleetview_agent.wire import (
    Address,
    Channel,
    Heartbeat,
    LogBatch,
    State,
    WireError,
    decode,
    session_is_newer,
)

START = 1_795_386_600.0
"""2026-11-22 22:30:00 UTC."""

Said = tuple[float, str, str, bytes]


def simulation(
    devices: int = 60, seed: int = 1, scenario: Scenario = Scenario.BAD_NIGHT, interval_s: float = 10.0
) -> Simulation:
    return Simulation(seed=seed, devices=devices, scenario=scenario, start_unix_s=START, interval_s=interval_s)


def played(sim: Simulation, until_s: float, steps: list[float] | None = None) -> list[Publication]:
    said = sim.retained()
    for now_s in sorted({*(steps or []), until_s}):
        said += sim.until(now_s)
    return said


def as_bytes(said: list[Publication]) -> list[Said]:
    return [(one.at_s, str(one.address), one.channel.value, one.payload()) for one in said]


@pytest.mark.parametrize("scenario", Scenario)
def test_same_seed_says_the_same(scenario: Scenario) -> None:
    first = as_bytes(played(simulation(scenario=scenario), 180))
    assert as_bytes(played(simulation(scenario=scenario), 180)) == first
    assert as_bytes(played(simulation(scenario=scenario, seed=2), 180)) != first


@given(steps=st.lists(st.floats(0, 320), max_size=20))
@settings(max_examples=8, deadline=None)
def test_when_it_is_asked_changes_nothing(steps: list[float]) -> None:
    assert as_bytes(played(simulation(40), 320, steps)) == as_bytes(played(simulation(40), 320))


@given(
    devices=st.integers(1, 45),
    seed=st.integers(0, 1000),
    scenario=st.sampled_from(Scenario),
    interval_s=st.sampled_from([1.0, 10.0, 30.0]),
)
@settings(max_examples=8, deadline=None)
def test_everything_said_keeps_the_contract(devices: int, seed: int, scenario: Scenario, interval_s: float) -> None:
    for one in played(simulation(devices, seed, scenario, interval_s), 120):
        if isinstance(one.body, bytes):
            continue  # other shippers' logs, and the device that breaks the contract on purpose
        if isinstance(one.body, LogBatch):
            assert decode(one.channel, one.payload()) == one.body
            continue
        written = json.loads(one.payload())
        assert decode(one.channel, one.payload()).model_dump(mode="json", exclude_unset=True) == {"v": 1} | written
        assert one.retain


def test_time_only_goes_forward() -> None:
    times = [one.at_s for one in played(simulation(), 300, [10, 20.5, 200])]
    assert times == sorted(times)


def by_device(said: list[Publication], channel: Channel) -> dict[Address, list[Publication]]:
    found: dict[Address, list[Publication]] = defaultdict(list)
    for one in said:
        if one.channel is channel:
            found[one.address].append(one)
    return found


def test_heartbeats_count_up_within_a_session_and_begin_a_new_one_at_0() -> None:
    jumps = 0
    restarts = 0
    for beats in by_device(played(simulation(), 600), Channel.HEARTBEAT).values():
        bodies = [one.body for one in beats if isinstance(one.body, Heartbeat)]
        for before, after in pairwise(bodies):
            if after.session == before.session:
                assert after.seq > before.seq
                assert after.metrics["requests_total"] >= before.metrics["requests_total"]  # type: ignore[operator]
                jumps += after.seq > before.seq + 1
            else:
                assert session_is_newer(after.session, before.session)
                assert after.seq == 0
                restarts += 1
    assert restarts > 3, "the flapping device starts again and again"
    assert 0 < jumps < 40, "only the lossy link loses heartbeats"


def test_heartbeats_keep_the_interval_within_its_jitter() -> None:
    quiet = simulation(20, scenario=Scenario.CALM)
    for beats in by_device(played(quiet, 120)[100:], Channel.HEARTBEAT).values():
        for before, after in pairwise(beats[1:]):
            assert 9.0 - 1e-6 <= after.at_s - before.at_s <= 11.0 + 1e-6


def test_records_are_numbered_without_a_hole_but_the_ones_owned_up_to() -> None:
    owned_up = 0
    for batches in by_device(played(simulation(), 900), Channel.LOG).values():
        expected: int | None = None
        for one in batches:
            if not isinstance(one.body, LogBatch):
                continue
            assert one.body.first_seq is not None
            head = one.body.records[0]
            if expected is not None and one.body.first_seq != expected:
                assert head["event"] == "gap"
                assert (head["first_seq"], head["count"]) == (expected, one.body.first_seq - expected)
                owned_up += 1
            expected = one.body.first_seq + len(one.body.records)
    assert owned_up, "the full spool never owned up"


def test_a_will_names_the_session_that_it_ends() -> None:
    wills = 0
    for states in by_device(played(simulation(), 300), Channel.STATE).values():
        for before, after in pairwise(states):
            assert isinstance(before.body, State)
            assert isinstance(after.body, State)
            if after.body.state == "lost":
                assert after.body.session == before.body.session
                assert after.body.at is None
                wills += 1
    assert wills > 10, "a whole site has gone"


def test_what_breaks_the_contract_is_refused_by_its_reader() -> None:
    raw = [one for one in played(simulation(), 300) if isinstance(one.body, bytes)]
    broken = [one for one in raw if one.channel is Channel.HEARTBEAT]
    assert broken
    for one in broken:
        with pytest.raises(WireError):
            decode(one.channel, one.payload())
    foreign = [decode(one.channel, one.payload()) for one in raw if one.channel is Channel.LOG]
    assert foreign
    assert all(isinstance(batch, LogBatch) and batch.stream is None for batch in foreign)


def test_silent_devices_say_nothing_until_they_are_back() -> None:
    sim = simulation()
    sim.retained()
    dark: set[Address] = set()
    for one in sim.until(900):
        if isinstance(one.body, State):
            (dark.add if one.body.state == "lost" else dark.discard)(one.address)
        elif one.channel is Channel.HEARTBEAT:
            assert one.address not in dark, one


def test_retained_again_after_the_broker_was_away_is_complete() -> None:
    sim = simulation()
    first = {(one.address, one.channel) for one in sim.retained()}
    sim.until(100)
    again = sim.retained()
    assert first <= {(one.address, one.channel) for one in again}
    assert len(again) == len({(one.address, one.channel) for one in again})


def test_goodbyes_leave_nobody_online_and_forgetting_leaves_nothing() -> None:
    sim = simulation(30)
    states = {one.address: one.body for one in played(sim, 60) + sim.goodbyes("the end") if one.channel is Channel.STATE}
    assert not [body for body in states.values() if isinstance(body, State) and body.state == "online"]
    taken = {(one.address, one.channel) for one in sim.forgotten() if not one.payload()}
    assert {(one.address, one.channel) for one in sim.retained()} <= taken


@pytest.mark.parametrize(("devices", "sites"), [(0, None), (5, 6), (5, 0)])
def test_numbers_that_make_no_fleet_are_refused_in_words(devices: int, sites: int | None) -> None:
    with pytest.raises(ValueError, match="at least one"):
        plan_fleet(seed=1, devices=devices, sites=sites)


@given(devices=st.integers(1, 400), seed=st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_a_fleet_has_the_size_asked_for_and_no_empty_site(devices: int, seed: int) -> None:
    plans = plan_fleet(seed=seed, devices=devices)
    assert len({plan.address for plan in plans}) == devices
    assert len({plan.address.site for plan in plans}) == default_sites(devices)
