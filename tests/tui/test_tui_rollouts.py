"""The rollout screens: what they show in each state, and that an order says first what it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.rollouts import FakeRollouts, World, baking, failed, tell, world
from textual.widgets import Input

from fleetview.core.rollout.state import Stage
from fleetview.tui.fleet_rows import Now
from fleetview.tui.glyphs import ASCII, UNICODE
from fleetview.tui.rollout_rows import bar
from fleetview.tui.rollouts import RolloutSetup
from fleetview.tui.screens.rollouts import RolloutScreen, RolloutsScreen
from fleetview.tui.spans import line_width
from tui.stage import Told, dashboard

if TYPE_CHECKING:
    from tui.stage import Stage as Dashboard


def told_at(rollout: World) -> Told:
    """A fleet whose clock is the rollout's."""
    return Told(now=Now(50_000.0, rollout.now_s))


async def opened(stage: Dashboard) -> None:
    stage.app.open_rollouts()
    await stage.pilot.pause()
    await stage.press("enter")
    await stage.tick(1)
    assert isinstance(stage.app.screen, RolloutScreen)


async def test_the_list_shows_those_that_are_not_over_first() -> None:
    feed, done = FakeRollouts(), baking(name="second-1.5.0")
    done.order("abort")
    done.run_for(600)
    tell(feed.board, done)
    running = baking()
    tell(feed.board, running)
    async with dashboard(told_at(running), rollouts=RolloutSetup(feed)) as stage:
        await stage.press("colon")
        await stage.type("rollouts")
        await stage.press("enter")
        assert isinstance(stage.app.screen, RolloutsScreen)
        assert "1 open, 1 over" in stage.text
        assert stage.order("telemetry-1.5.0", "second-1.5.0") == ["telemetry-1.5.0", "second-1.5.0"]


async def test_without_rollouts_it_says_how_to_begin_one() -> None:
    async with dashboard(Told(), size=(80, 24)) as stage:
        stage.app.open_rollouts()
        await stage.pilot.pause()
        assert "fleetview rollout plan FILE" in stage.text
        assert "begins it" in stage.text  # to its end, also in few columns


async def test_a_failed_gate_is_explained() -> None:
    feed, rollout = FakeRollouts(), failed()
    key = tell(feed.board, rollout)
    async with dashboard(told_at(rollout), size=(160, 48), rollouts=RolloutSetup(feed)) as stage:
        await opened(stage)
        assert "paused: gate_failed" in stage.text
        assert "gate error-rate  ✗ fail  4.1 %, above 0.5 %" in stage.text
        assert "bound 0.5 %" in stage.text
        assert "100 % covered" in stage.text
        assert "turns with" in stage.text
        assert "12 devices" in stage.rows[stage.row_of("▼ wave 1")]
        assert feed.watched == [key]


async def test_a_wave_unfolds_to_its_devices() -> None:
    feed, rollout = FakeRollouts(), baking()
    tell(feed.board, rollout)
    async with dashboard(told_at(rollout), size=(120, 48), rollouts=RolloutSetup(feed)) as stage:
        await opened(stage)
        assert "gw-" in stage.text, "the current wave is unfolded"
        while "wave 1 " not in stage.rows[stage.app.screen.query_one("RolloutPage").cursor + 3]:  # type: ignore[attr-defined]
            await stage.press("down")
        await stage.press("enter")
        assert "gw-" not in stage.text


@pytest.mark.parametrize(("key", "verb"), [("p", "pause"), ("b", "rollback"), ("x", "abort")])
async def test_an_order_says_first_what_it_does(key: str, verb: str) -> None:
    feed, rollout = FakeRollouts(), baking()
    told = tell(feed.board, rollout)
    consequence = feed.board.rollouts[told].public.verbs[verb]
    async with dashboard(told_at(rollout), size=(160, 48), rollouts=RolloutSetup(feed)) as stage:
        await opened(stage)
        await stage.press(key)
        stage.app.screen.query_one("#form-reason", Input).value = "ticket 4711"
        await stage.press("enter")
        await stage.see(consequence[:60])
        await stage.see(f"fleetview rollout {verb} telemetry-1.5.0")
        assert feed.orders == []
        await stage.press("enter")
        await stage.see("taken: as you say")
        assert feed.orders == [(told, verb, "ticket 4711", {"revision": rollout.rollout.head.revision})]


async def test_a_gate_is_passed_only_with_a_reason_and_the_id_typed() -> None:
    feed, rollout = FakeRollouts(), failed()
    tell(feed.board, rollout)
    async with dashboard(told_at(rollout), size=(160, 48), rollouts=RolloutSetup(feed)) as stage:
        await opened(stage)
        await stage.press("K", "enter")
        await stage.see("reason: say why")
        stage.app.screen.query_one("#form-reason", Input).value = "known"
        await stage.press("enter")
        await stage.see("type telemetry-1.5.0")
        stage.app.screen.query_one("#form-confirm", Input).value = "telemetry-1.5.0"
        await stage.press("enter")
        await stage.see("without proof")
        await stage.press("enter")
        await stage.see("taken")
        assert feed.orders[0][1] == "skip"
        assert feed.orders[0][3]["confirm"] == "telemetry-1.5.0"


async def test_a_read_only_context_has_no_such_keys() -> None:
    feed, rollout = FakeRollouts(), baking()
    tell(feed.board, rollout)
    async with dashboard(told_at(rollout), rollouts=RolloutSetup(feed, read_only="it is read-only")) as stage:
        await opened(stage)
        await stage.press("p")
        assert isinstance(stage.app.screen, RolloutScreen)
        assert "pause" not in stage.rows[-1]
        assert feed.watched == []


async def test_without_a_controller_it_says_that_nothing_advances() -> None:
    feed, rollout = FakeRollouts(), baking()
    tell(feed.board, rollout, led=False)
    async with dashboard(told_at(rollout), rollouts=RolloutSetup(feed)) as stage:
        await opened(stage)
        assert "nobody runs the rollouts of default: nothing advances" in stage.text


@pytest.mark.parametrize("width", [1, 7, 80])
@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_a_bar_is_as_wide_as_it_is_told_and_hides_no_failure(width: int, glyphs: object) -> None:
    counts = {Stage.WAITING: 9_000, Stage.CONVERGED: 999, Stage.FAILED: 1}
    found = bar(counts, 10_000, width, glyphs)  # type: ignore[arg-type]
    assert line_width(found) == width
    assert any(span.style == "critical" for span in found)


async def test_ten_thousand_devices_are_drawn_as_quickly() -> None:
    feed, rollout = FakeRollouts(), world(2_000)
    rollout.run_for(400)
    tell(feed.board, rollout)
    async with dashboard(told_at(rollout), rollouts=RolloutSetup(feed)) as stage:
        await opened(stage)
        assert "with nothing to say of them" in stage.text or "gw-" in stage.text
