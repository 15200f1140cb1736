"""Counters across restarts, late and repeated heartbeats: what Prometheus sees never goes back, and nothing is counted twice."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.world import ExportWorld
from fleetview_agent.wire import Channel

INFO = 'fleet_device_log_records_total{level="info"}'
REQUESTS = "fleet_requests_total"


def beat(
    world: ExportWorld, seq: int, session: str = "S1", *, info: int = 0, requests: float | None = None, **more: Any
) -> None:
    metrics = {} if requests is None else {"requests_total": requests}
    world.heartbeat(seq, session, logs={"info": info}, metrics=metrics, **more)


def test_a_restart_adds_onto_what_was_before() -> None:
    world = ExportWorld()
    world.online()
    beat(world, 0, info=100, requests=50)
    world.online("S2")
    beat(world, 0, "S2", info=3, requests=2)
    assert (world.scrape()[INFO], world.scrape()[REQUESTS]) == (103, 52)
    beat(world, 1, "S2", info=10, requests=8)
    assert (world.scrape()[INFO], world.scrape()[REQUESTS]) == (110, 58)


def test_a_restart_whose_counter_has_overtaken_the_old_one() -> None:
    """Log counts begin with the session, so all of the new one is more; other counters may outlive the agent: no false jump."""
    world = ExportWorld()
    world.online()
    beat(world, 0, info=100, requests=1_000_000)
    world.online("S2")
    beat(world, 0, "S2", info=150, requests=1_000_050)
    assert (world.scrape()[INFO], world.scrape()[REQUESTS]) == (250, 1_000_050)


@pytest.mark.parametrize(
    ("seq", "session", "retained"), [(4, "S2", False), (5, "S2", True), (9, "S1", False), (9, "S1", True)]
)
def test_a_late_repeated_or_retained_older_heartbeat_changes_nothing(seq: int, session: str, retained: bool) -> None:
    world = ExportWorld()
    world.online("S2")
    beat(world, 5, "S2", info=100, requests=50)
    before = world.scrape()
    beat(world, seq, session, info=7, requests=3, retained=retained)
    after = world.scrape()
    assert {name: before[name] for name in (INFO, REQUESTS)} == {name: after[name] for name in (INFO, REQUESTS)}
    assert world.store.late["acme"] == 1
    beat(world, 6, "S2", info=101, requests=51)
    assert (world.scrape()[INFO], world.scrape()[REQUESTS]) == (101, 51), "it left no offset behind"


def test_a_counter_that_begins_anew_within_a_session_goes_on() -> None:
    """An application that restarts below its agent."""
    world = ExportWorld()
    world.online()
    for seq, requests in enumerate((10, 20, 5, 6)):
        beat(world, seq, requests=requests)
    assert world.scrape()[REQUESTS] == 26


@pytest.mark.parametrize("restart", [False, True])
def test_a_counter_that_was_missing_for_a_while_does_not_begin_anew(restart: bool) -> None:
    world = ExportWorld()
    world.online()
    beat(world, 0, requests=50)
    session = "S2" if restart else "S1"
    if restart:
        world.online("S2")
    world.heartbeat(1, session)
    assert REQUESTS not in world.scrape()
    assert INFO not in world.scrape()
    beat(world, 2, session, info=4, requests=3)
    assert world.scrape()[REQUESTS] == 53
    assert world.scrape()[INFO] == 4


def test_log_counts_that_were_missing_over_a_restart_are_added_though_higher() -> None:
    world = ExportWorld()
    world.online()
    beat(world, 0, info=100)
    world.online("S2")
    world.heartbeat(0, "S2")
    beat(world, 1, "S2", info=150)
    assert world.scrape()[INFO] == 250


def test_a_device_that_was_removed_begins_anew() -> None:
    world = ExportWorld()
    world.online()
    beat(world, 0, info=100, requests=50)
    world.send_bytes(Channel.BIRTH, b"")
    assert world.scrape().text == ""
    assert (len(world.store.shapes), world.store.series, world.store.shapes.names("acme")) == (0, {}, 0)
    world.online("S2")
    beat(world, 0, "S2", info=1, requests=2)
    assert (world.scrape()[INFO], world.scrape()[REQUESTS]) == (1, 2)


def test_a_sum_beyond_all_numbers_is_not_shown_as_infinite() -> None:
    world = ExportWorld()
    world.online()
    for seq, requests in enumerate((1.7e308, 1.6e308)):
        beat(world, seq, requests=requests)
    assert world.scrape()[REQUESTS] == 1.6e308


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),  # session
            st.integers(0, 5),  # seq
            st.booleans(),  # retained
            st.booleans(),  # with the counter
        ),
        max_size=40,
    )
)
def test_no_order_of_heartbeats_makes_a_counter_go_back(heard: list[tuple[int, int, bool, bool]]) -> None:
    """Each session counts 10 a heartbeat from 0; whatever comes when, the sum grows, and never beyond what was sent."""
    world = ExportWorld()
    highest = 0.0
    for session, seq, retained, counted in heard:
        name = f"S{session}"
        if not retained:
            world.online(name)
        more: dict[str, Any] = {"logs": {"info": 10 * seq}, "metrics": {"requests_total": 10 * seq}} if counted else {}
        world.heartbeat(seq, name, retained=retained, **more)
        now = world.scrape()
        for counter in (INFO, REQUESTS):
            if counter in now:
                assert now[counter] <= 10 * 5 * len(heard)
        if INFO in now:
            assert now[INFO] >= highest
            highest = now[INFO]
