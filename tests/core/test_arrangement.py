"""The rows of the table against a plain sort of a plain filter, however the work is cut into slices."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.driver import World
from fleetview.core import arrangement
from fleetview.core.arrangement import Arrangement, Group, Row, Wish
from fleetview.core.device import Device, Trouble
from fleetview.core.outages import Site
from fleetview.core.query import QueryError, compile_devices
from fleetview.core.sorting import grouping, sorting
from fleetview_agent.wire import Address, Channel


@pytest.fixture(autouse=True)
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrangement, "_CHUNK", 3)
    monkeypatch.setattr(arrangement, "_FIRST_RUN", 2)
    monkeypatch.setattr(arrangement, "_LONGEST_RUN", 4)


def now() -> tuple[float, float]:
    return (2000.0, 1_795_002_000.0)


def finish(table: Arrangement) -> list[Row]:
    while table.working:
        table.step(lambda: True)
    return table.rows


def shown(rows: list[Row]) -> list[str]:
    return [
        row.address.device if isinstance(row, Device) else row.value if isinstance(row, Group) else str(row) for row in rows
    ]


SAYS = st.fixed_dictionaries(
    {
        "site": st.sampled_from(["north", "south", "west"]),
        "device": st.integers(0, 15),
        "health": st.sampled_from(["ok", "degraded", "critical"]),
        "release": st.sampled_from([None, "1.9", "1.10", "nightly"]),
        "cpu": st.sampled_from([None, 0.1, 0.5, 0.95]),
        "gone": st.booleans(),
    }
)
WISHES = st.builds(
    Wish,
    predicate=st.sampled_from([None, compile_devices("cpu>0.4"), compile_devices("site:north or health:critical")]),
    sort=st.sampled_from(["severity", "device", "site", "release", "cpu", "health", "state", "module", "label.ring"]),
    descending=st.booleans(),
    group_by=st.sampled_from([None, "site", "release", "health", "state", "label.ring"]),
    faults_only=st.booleans(),
)
STEPS = st.lists(st.one_of(SAYS, WISHES, st.sampled_from(["step", "begin"])), max_size=40)


def tell(world: World, says: dict[str, Any]) -> None:
    address = Address("acme", says["site"], f"gw-{says['device']:02}")
    if says["gone"]:
        world.send_bytes(Channel.BIRTH, b"", address=address)
        return
    resources = None if says["cpu"] is None else {"cpu": says["cpu"]}
    world.birth(address=address, labels={"ring": "canary"} if says["device"] % 3 else {})
    world.state("online", address=address)
    world.heartbeat(1, address=address, health=says["health"], reasons=["x"], release=says["release"], resources=resources)


def expected(world: World, wish: Wish, unfolded: set[Site | str]) -> list[str]:
    devices = [
        device
        for device in world.fleet.devices.values()
        if (wish.predicate is None or wish.predicate(device)) and (not wish.faults_only or device.trouble.needs_attention)
    ]
    keys_of = sorting(wish.sort, now)
    devices.sort(key=lambda device: device.address)

    def key(device: Device) -> Any:
        return keys_of([device])[0]

    told = sorted((device for device in devices if key(device) is not None), key=key, reverse=wish.descending)
    ordered = told + [device for device in devices if key(device) is None]
    if wish.group_by is None:
        return [device.address.device for device in ordered]
    value_of = grouping(wish.group_by, now, world.fleet.roster)
    groups: dict[str, list[Device]] = {}
    for device in ordered:
        groups.setdefault(value_of(device) or "(none)", []).append(device)

    def place(item: tuple[str, list[Device]]) -> tuple[int, int, str]:
        value, members = item
        worst = min(device.trouble for device in members)
        return (
            (worst, -sum(device.trouble is worst for device in members), value) if wish.sort == "severity" else (0, 0, value)
        )

    found: list[str] = []
    for value, members in sorted(groups.items(), key=place):
        found.append(value)
        found += [device.address.device for device in members] if value in unfolded else []
    return found


@given(STEPS, st.sets(st.sampled_from(["north", "1.9", "ok", "canary", "(none)"])))
def test_the_rows_are_those_of_a_plain_sort(steps: list[Any], unfolded: set[str]) -> None:
    world = World()
    table = Arrangement(world.fleet, now)
    table.unfolded |= unfolded
    for step in steps:
        if isinstance(step, Wish):
            table.ask(step)
        elif step == "step":
            table.step(lambda: True)
        elif step == "begin":
            table.begin()
        else:
            tell(world, step)
            table.note(world.fleet.drain())
    if table.stale:
        table.begin()
    rows = finish(table)
    assert shown(rows) == expected(world, table.wish, set(table.unfolded))
    assert table.shown == sum(1 for _ in table.devices())


@given(st.lists(SAYS, min_size=1, max_size=12), WISHES, SAYS)
def test_what_makes_the_rows_wrong_is_noticed(before: list[Any], wish: Wish, then: Any) -> None:
    world = World()
    for says in before:
        tell(world, says)
    world.fleet.drain()
    table = Arrangement(world.fleet, now)
    table.ask(wish)
    finish(table)
    tell(world, then)
    table.note(world.fleet.drain())
    if not table.stale:
        assert shown(table.rows) == expected(world, wish, set())


def test_a_device_that_was_there_from_the_start_stands_once() -> None:
    world = World()
    for number in range(3):
        tell(world, {"site": "north", "device": number, "health": "ok", "release": None, "cpu": None, "gone": False})
    table = Arrangement(world.fleet, now)
    table.begin()
    finish(table)
    table.note(world.fleet.drain())
    assert table.stale
    table.begin()
    assert shown(finish(table)) == ["gw-00", "gw-01", "gw-02"]


@pytest.fixture
def fleet() -> World:
    world = World()
    for number in range(20):
        tell(
            world,
            {
                "site": "north" if number % 2 else "south",
                "device": number,
                "health": "ok",
                "release": "1.0",
                "cpu": None,
                "gone": False,
            },
        )
    return world


def test_a_slice_is_no_longer_than_it_is_given_time_for(fleet: World) -> None:
    table = Arrangement(fleet.fleet, now)
    table.ask(Wish())
    asked = 0

    def enough() -> bool:
        nonlocal asked
        asked += 1
        return asked % 2 == 0

    assert not table.step(enough)
    assert asked == 2
    assert table.rows == [], "what was shown stays until the new rows are whole"
    assert len(finish(table)) == 20


def test_work_that_is_given_up_forgets_no_device(fleet: World) -> None:
    table = Arrangement(fleet.fleet, now)
    table.ask(Wish())
    table.step(lambda: True)
    table.ask(Wish(sort="device", descending=True))
    assert shown(finish(table))[:2] == ["gw-19", "gw-18"]


def test_a_folded_device_stands_where_that_stands_which_hides_it(fleet: World) -> None:
    table = Arrangement(fleet.fleet, now)
    table.ask(Wish(group_by="site"))
    rows = finish(table)
    assert shown(rows) == ["north", "south"]
    device = fleet.fleet.devices[Address("acme", "south", "gw-04")]
    assert table.place_of(device) == 1
    table.toggle(rows[1])
    assert table.place_of(device) == 4
    assert isinstance(table.rows[1], Group)
    assert table.rows[1].counts == {Trouble.OK: 10}
    table.fold_all(folded=False)
    assert len(table.rows) == 22
    table.fold_all(folded=True)
    assert len(table.rows) == 2


def test_a_group_keeps_its_place_when_it_is_counted_anew(fleet: World) -> None:
    table = Arrangement(fleet.fleet, now)
    table.ask(Wish(group_by="site"))
    before = finish(table)[1]
    table.begin()
    finish(table)
    assert table.rows[1] is not before
    assert table.place_of(before) == 1


def test_what_is_no_field_is_refused_and_changes_nothing(fleet: World) -> None:
    table = Arrangement(fleet.fleet, now)
    table.ask(Wish(sort="site"))
    finish(table)
    with pytest.raises(QueryError, match="releese"):
        table.ask(Wish(group_by="releese"))
    assert table.wish.sort == "site"
