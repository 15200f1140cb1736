"""The rollout screens in their states, as a person sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.rollouts import FakeRollouts, Status, World, baking, failed, plan_of, tell, world

from fleetview.feeds.states import Up
from fleetview.tui.app import FleetApp, Setup
from fleetview.tui.glyphs import UNICODE
from fleetview.tui.rollouts import RolloutSetup
from tui.stage import FakeFeed
from tui.test_tui_rollouts import told_at
from tui.test_tui_snapshots import SnapCompare, _colours_of_every_machine, after

__all__ = ["_colours_of_every_machine"]

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from textual.pilot import Pilot

SIZES = ((80, 24), (160, 48))


def rolling_back() -> World:
    rollout = baking(waves=["50%", "100%"], rollback_per_minute=6)
    rollout.order("rollback", reason="ticket 4711")
    rollout.run_for(60)
    return rollout


def awaiting_approval() -> World:
    rollout = world(60, plan_of(approval=True))
    rollout.run_for(60)
    return rollout


def stragglers() -> World:
    rollout = world(60, plan_of(waves=["100%"]))
    for agent in list(rollout.agents.values())[:3]:
        agent.presence = "away"
    rollout.run_until(lambda: rollout.status is Status.SUCCEEDED_WITH_STRAGGLERS)
    return rollout


STATES = {
    "paused by a gate": failed,
    "baking": baking,
    "rolling back": rolling_back,
    "awaiting approval": awaiting_approval,
    "with stragglers": stragglers,
}


def picture(*rollouts: World) -> FleetApp:
    """The dashboard with these rollouts."""
    feed = FakeRollouts()
    for rollout in rollouts:
        tell(feed.board, rollout)
    told = told_at(rollouts[-1] if rollouts else world(1))
    setup = Setup("plant", "broker.example:8883", UNICODE, None, rollouts=RolloutSetup(feed))
    return FleetApp(told.fleet, FakeFeed(Up(told.now.mono_s - 65, "5")), setup, clock=lambda: told.now)


def opened(*keys: str) -> Callable[[Pilot[int]], Awaitable[None]]:
    """Brings the list up, then presses keys, and waits until nothing changes any more."""

    async def run(pilot: Pilot[int]) -> None:
        assert isinstance(pilot.app, FleetApp)
        await after()(pilot)
        pilot.app.open_rollouts()
        await pilot.pause()
        await after(*keys)(pilot)
        assert type(pilot.app.screen).__name__ == ("RolloutScreen" if keys else "RolloutsScreen")

    return run


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "160x48"])
@pytest.mark.parametrize("state", STATES)
def test_one_rollout(snap_compare: SnapCompare, state: str, size: tuple[int, int]) -> None:
    assert snap_compare(picture(STATES[state]()), run_before=opened("enter"), terminal_size=size)


def test_one_rollout_without_colours(snap_compare: SnapCompare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert snap_compare(picture(failed()), run_before=opened("enter"), terminal_size=SIZES[0])


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "160x48"])
def test_the_list(snap_compare: SnapCompare, size: tuple[int, int]) -> None:
    over = baking(name="second-1.5.0")
    over.order("abort")
    over.run_for(600)
    assert snap_compare(picture(over, failed()), run_before=opened(), terminal_size=size)


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "160x48"])
def test_the_empty_list(snap_compare: SnapCompare, size: tuple[int, int]) -> None:
    assert snap_compare(picture(), run_before=opened(), terminal_size=size)
