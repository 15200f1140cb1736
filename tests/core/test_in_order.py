"""Records of many devices in order of time, as far as a moment's wait allows."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from core.driver import STARTED_UNIX, World
from fleetview.core.in_order import MAX_HELD, InOrder
from fleetview.core.logbook import Entry
from fleetview_agent.wire import Address

NOW_MS = (STARTED_UNIX + 1000) * 1000


def entries(*ages_ms: int) -> list[Entry]:
    world = World()
    for number, age_ms in enumerate(ages_ms):
        world.log(0, 1, stream=None, timestamp=(NOW_MS - age_ms) / 1000, address=Address("acme", "p", f"gw-{number}"))
    return list(world.fleet.logbook)


def test_what_is_older_overtakes_within_the_wait() -> None:
    one, other, late = entries(0, 300, 9000)
    order = InOrder(500)
    order.add([one, other])
    assert order.ready(NOW_MS + 100) == []
    assert order.ready(NOW_MS + 250) == [other]
    order.add([late])
    assert order.ready(NOW_MS + 499) == [late], "late enough not to wait"
    assert order.ready(NOW_MS + 500) == [one]


def test_nothing_waits_for_a_clock_that_is_ahead_or_was_set_back() -> None:
    order = InOrder(500)
    order.add(entries(-3_600_000))
    assert order.ready(NOW_MS - 1) != []


@given(st.lists(st.integers(0, 2000), max_size=20), st.integers(0, 3000))
def test_everything_comes_out_once(ages: list[int], later: int) -> None:
    order = InOrder()
    given = entries(*ages)
    order.add(given)
    ready = order.ready(NOW_MS + later)
    found = ready + order.rest()
    assert sorted(entry.number for entry in found) == [entry.number for entry in given]
    assert all(one.time_ms <= other.time_ms for one, other in pairwise(found))
    assert order.rest() == []


def test_what_waits_is_bounded() -> None:
    order = InOrder(10**9)
    (entry,) = entries(0)
    order.add(entry for _ in range(MAX_HELD + 10))
    assert len(order.ready(NOW_MS)) == 10
