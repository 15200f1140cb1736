"""What is desired against what is reported; and what a birth, modules and releases leave on the timeline."""

from __future__ import annotations

from typing import Any

import pytest

from core.driver import World
from fleetview_agent.wire import Channel

D: dict[str, Any] = {"version": 12, "sha256": "aa"}
R: dict[str, Any] = {"version": "1.5.0"}


@pytest.mark.parametrize(
    ("desired", "reported", "axis"),
    [
        (None, None, "unmanaged"),
        (None, {"gen": 7}, "unmanaged"),
        ({"gen": 7}, None, "pending"),
        ({"gen": 7, "config": D}, {"gen": 6, "config": {**D, "status": "applied"}}, "pending"),
        ({"gen": 7, "config": D}, {"gen": 6, "config": {**D, "status": "rejected"}}, "pending"),
        ({"gen": 7, "config": D}, {"gen": 7, "config": {**D, "status": "applied"}}, "in_sync"),
        ({"gen": 7, "config": D}, {"gen": 8, "config": {**D, "status": "applied"}}, "in_sync"),
        ({"gen": 7, "config": D}, {"gen": 7, "config": D}, "in_sync"),
        ({"gen": 7, "config": D}, {"gen": 7, "config": {"version": 12, "sha256": "bb", "status": "applied"}}, "drifted"),
        ({"gen": 7, "config": {**D, "sha256": "AA"}}, {"gen": 7, "config": {**D, "status": "applied"}}, "in_sync"),
        ({"gen": 7, "config": {"version": 12}}, {"gen": 7, "config": {"version": 11, "status": "applied"}}, "drifted"),
        ({"gen": 7, "config": {"version": 12}}, {"gen": 7, "config": {"sha256": "bb", "status": "applied"}}, "in_sync"),
        *(
            ({"gen": 7, "config": D}, {"gen": 7, "config": {**D, "status": status}}, axis)
            for status, axis in (
                ("pending", "pending"), ("applying", "applying"), ("rejected", "rejected"), ("rolled_back", "rolled_back")
            )
        ),
        *(
            ({"gen": 7, "release": R}, {"gen": 7, "release": {**R, "status": status}}, axis)
            for status, axis in (
                ("queued", "pending"), ("downloading", "applying"), ("verifying", "applying"), ("staged", "applying"),
                ("applying", "applying"), ("checking", "applying"), ("committed", "in_sync"), ("failed", "failed"),
                ("rolled_back", "rolled_back"),
            )
        ),
        ({"gen": 7, "release": R}, {"gen": 7, "release": {"version": "1.4.2", "status": "committed"}}, "drifted"),
        (
            {"gen": 7, "config": D, "release": R},
            {"gen": 7, "config": {**D, "status": "applied"}, "release": {**R, "status": "failed"}},
            "failed",
        ),
        *(
            (
                {"gen": 7, "config": D, "release": R},
                {"gen": 7, "config": {**D, "status": status}, "release": {"version": "1.4.2", "status": "committed"}},
                axis,
            )
            for status, axis in (
                ("pending", "pending"), ("applying", "applying"), ("rejected", "rejected"), ("applied", "drifted")
            )
        ),
        (
            {"gen": 7, "config": D, "release": R},
            {"gen": 7, "config": {**D, "status": "rejected"}, "release": {**R, "status": "checking"}},
            "rejected",
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("reported_first", [False, True])
def test_desired_against_reported(
    world: World, desired: dict[str, Any] | None, reported: dict[str, Any] | None, axis: str, reported_first: bool
) -> None:
    world.birth()
    sends = [(Channel.DESIRED, desired), (Channel.REPORTED, None if reported is None else {"session": "S1", **reported})]
    for channel, fields in reversed(sends) if reported_first else sends:
        if fields is not None:
            world.send(channel, fields, retained=True)
    assert world.device.config.value == axis


def test_an_offer_that_is_withdrawn_leaves_the_device_unmanaged(world: World) -> None:
    world.send(Channel.DESIRED, {"gen": 7, "rollout": "r"})
    assert (world.device.config.value, world.device.rollout) == ("pending", "r")
    world.send_bytes(Channel.DESIRED, b"")
    assert (world.device.config.value, world.device.rollout) == ("unmanaged", None)


def test_an_older_generation_is_no_news(world: World) -> None:
    world.send(Channel.DESIRED, {"gen": 7, "rollout": "new"})
    world.send(Channel.DESIRED, {"gen": 6, "rollout": "old"})
    assert world.device.rollout == "new"


def test_a_report_of_an_older_session_is_no_news(world: World) -> None:
    world.birth("S2")
    world.send(Channel.REPORTED, {"session": "S2", "gen": 7, "config": {"version": 12}})
    world.send(Channel.REPORTED, {"session": "S1", "gen": 6, "config": {"version": 11}})
    assert world.device.reported is not None
    assert world.device.reported.gen == 7


@pytest.mark.parametrize(
    ("labels", "lifecycle"),
    [
        ({}, "enrolled"),
        ({"lifecycle": "maintenance"}, "maintenance"),
        ({"lifecycle": "quarantined"}, "quarantined"),
        ({"lifecycle": "retired"}, "enrolled"),
    ],
)
def test_lifecycle_is_told_by_the_birth(world: World, labels: dict[str, str], lifecycle: str) -> None:
    world.heartbeat(0)
    assert world.device.lifecycle == "discovered"
    world.birth(labels=labels)
    assert world.device.lifecycle == lifecycle


def _timeline(world: World) -> list[str]:
    return [event.text for event in world.device.events or ()]


def test_the_timeline_tells_what_changed_while_somebody_watched(world: World) -> None:
    modules = [{"name": "rule_engine", "state": "running"}, {"name": "old", "state": "running"}]
    world.heartbeat(4, retained=True, modules=modules, release="1.4.1")
    assert _timeline(world) == [], "what a reader learns when it comes has not just happened"
    world.birth()
    world.heartbeat(0, modules=modules, release="1.4.1", config=11)
    now = [{"name": "rule_engine", "state": "backoff"}, {"name": "new", "state": "starting"}]
    world.heartbeat(
        1, modules=now, release="1.4.2", config=12, health="degraded", reasons=["module rule_engine is in backoff"]
    )
    world.state("offline", reason="update")
    assert _timeline(world)[-7:] == [
        "ok -> degraded: module rule_engine is in backoff",
        "rule_engine running -> backoff",
        "new new -> starting",
        "old gone",
        "release 1.4.1 -> 1.4.2",
        "config 11 -> 12",
        "online -> offline: update",
    ]


def test_a_goodbye_that_is_heard_live_is_on_the_timeline_though_the_device_was_not_heard_before(world: World) -> None:
    world.birth(retained=True)
    world.state("online", retained=True)
    world.heartbeat(4, retained=True)
    world.state("offline", reason="stopped by SIGTERM")
    assert _timeline(world) == ["online -> offline: stopped by SIGTERM"]


def test_the_timeline_is_bounded(world: World) -> None:
    world.birth()
    for seq in range(500):
        world.heartbeat(seq, release=f"1.{seq}.0")
    assert len(_timeline(world)) == 64
    assert _timeline(world)[-1] == "release 1.498.0 -> 1.499.0"


def test_what_a_rollout_asks_for_is_told_as_one(world: World) -> None:
    world.send(Channel.DESIRED, {"gen": 7})
    world.send(Channel.DESIRED, {"gen": 8, "rollout": "telemetry-1.5.0"})
    world.send(Channel.DESIRED, {"gen": 9})
    told = [(event.kind, event.text) for event in world.device.events or ()]
    assert told == [("rollout", "rollout telemetry-1.5.0: generation 8 desired"), ("config", "generation 9 desired")]
