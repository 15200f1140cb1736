from __future__ import annotations

from typing import Any

import pytest

from core.driver import World
from fleetview.core.twin import twin_reasons, twin_rows
from fleetview_agent.wire import Channel

SHA = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("reported", "config", "release"),
    [
        ({}, "-", "-"),
        ({"config": {"version": 12, "sha256": SHA, "status": "applied", "last_good": 12}}, "12 applied 01234567", "-"),
        ({"config": {"version": 13, "sha256": SHA, "status": "rejected", "last_good": 12}}, "13 rejected 01234567, last good 12", "-"),
        ({"config": {"version": 13, "status": "applying"}}, "13 applying", "-"),
        ({"config": {}}, "-", "-"),
        ({"release": {"version": "1.5", "status": "downloading", "progress": 0.4}}, "-", "1.5 downloading 40%"),
        ({"release": {"version": "1.5", "status": "committed", "progress": 1.0}}, "-", "1.5 committed"),
        ({"release": {"status": "failed"}}, "-", "failed"),
    ],
)  # fmt: skip
def test_what_is_reported_in_words(world: World, reported: dict[str, Any], config: str, release: str) -> None:
    world.birth()
    world.send(Channel.REPORTED, {"session": "S1", "gen": 7, **reported})
    assert [row.reported for row in twin_rows(world.device)] == ["7", config, release]
    assert [row.desired for row in twin_rows(world.device)] == ["-", "-", "-"]


def test_what_is_desired_in_words_beside_a_heartbeat_alone(world: World) -> None:
    world.birth()
    world.heartbeat(0, config=11, release="1.4")
    world.send(Channel.DESIRED, {"gen": 8, "config": {"version": 12, "sha256": SHA}, "release": {"version": "1.5"}})
    assert [tuple(row) for row in twin_rows(world.device)] == [
        ("generation", "8", "-"), ("config", "12 01234567", "11"), ("release", "1.5", "1.4")
    ]  # fmt: skip
    assert not list(twin_reasons(world.device))
    world.send(
        Channel.REPORTED, {"session": "S1", "gen": 8, "config": {"reason": "a cycle"}, "release": {"reason": "no key"}}
    )
    assert list(twin_reasons(world.device)) == ["a cycle", "no key"]
