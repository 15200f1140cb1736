"""How far rollouts have devices on the fleet screen, and their waves marked in time on charts and in logs."""

from __future__ import annotations

from support.rollouts import FakeRollouts, World, baking, tell

from fleetview.remembered import Remembered
from fleetview.tui.fleet_rows import Now
from fleetview.tui.rollouts import RolloutSetup
from fleetview_agent.wire import Address, Channel
from tui.stage import Told, dashboard


def told_of(rollout: World) -> Told:
    """A fleet that has the rollout's devices, and whose clock is the rollout's."""
    told = Told(now=Now(50_000.0, rollout.now_s))
    for address in rollout.agents:
        told.birth(address)
        told.heartbeat(address)
    return told


def first(rollout: World) -> Address:
    """A device of the first wave."""
    return next(address for address, device in rollout.rollout.devices.items() if device.wave == 0)


async def test_the_fleet_screen_shows_and_filters_stages() -> None:
    feed, rollout = FakeRollouts(), baking(20, waves=["20%", "100%"])
    tell(feed.board, rollout)
    remembered = Remembered()
    remembered.put("columns", ["stage", "why"])
    async with dashboard(told_of(rollout), rollouts=RolloutSetup(feed), remembered=remembered) as stage:
        assert "STAGE" in stage.text
        assert "converged" in stage.rows[stage.row_of(first(rollout).device)]
        await stage.press("slash")
        await stage.type("stage:converged")
        await stage.press("enter")
        await stage.tick(1)
        shown = [row for row in stage.rows if "gw-" in row]
        assert len(shown) == rollout.stages()["converged"]


async def test_waves_are_marked_on_the_charts_of_a_device_of_the_rollout() -> None:
    feed, rollout = FakeRollouts(), baking(20, waves=["20%", "100%"])
    key = tell(feed.board, rollout)
    told, who = told_of(rollout), first(rollout)
    told.tell(who, Channel.DESIRED, {"gen": 1, "rollout": key.id, "release": {"version": "1.5.0"}})
    async with dashboard(told, size=(120, 60), rollouts=RolloutSetup(feed)) as stage:
        stage.app.open_device(told.fleet.devices[who])
        await stage.tick(1)
        await stage.press("m")
        await stage.tick(1)
        assert "wave 1 of telemetry-1.5.0 began" in stage.text
        assert "rollout telemetry-1.5.0: converged" in stage.text


async def test_waves_are_marked_below_the_histogram_of_a_log() -> None:
    feed, rollout = FakeRollouts(), baking(20, waves=["20%", "100%"])
    told, who = told_of(rollout), first(rollout)
    for age_s in range(0, 1200, 30):
        told.log(who, "link down", age_s=1200 - age_s)
    async with dashboard(told, size=(120, 40), rollouts=RolloutSetup(feed)) as stage:
        stage.app.open_logs(None)
        await stage.tick(1)
        assert "wave began" not in stage.text
        tell(feed.board, rollout)
        await stage.tick(1)
        assert "O wave began" in stage.text
        await stage.press("i")
        for _ in range(200):
            if "wave 1 of telemetry-1.5.0 began" in stage.text:
                break
            await stage.press("left")
        assert "wave 1 of telemetry-1.5.0 began" in stage.text
