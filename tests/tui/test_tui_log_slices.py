"""A long log is looked at in slices: nobody waits for it, loses their place, or sees anything painted for it."""

from __future__ import annotations

import pytest

from fleetview.tui.spans import Line
from tui.stage import Stage, Told, dashboard
from tui.test_tui_cost import counted
from tui.test_tui_log_keys import HELD, ONE, TWO, entered, opened, records, told_logs, under_cursor


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of each slice is over at once, and the next comes when a test says so."""
    ticks = iter(range(10**9))
    monkeypatch.setattr("fleetview.tui.widgets.log_list.perf_counter", lambda: next(ticks))
    monkeypatch.setattr("fleetview.tui.widgets.log_list.PAUSE_S", 3600.0)


def told_many() -> Told:
    told = Told()
    for index in range(20):
        told.wait(1)
        told.log(ONE, *(f"message {index:02}.{part:02}" for part in range(50)))
    return told


async def finish(stage: Stage) -> None:
    shown = records(stage)
    while not shown.view.complete:
        shown.advance()
        await stage.pilot.pause()


@pytest.mark.usefixtures("by_hand")
async def test_old_records_are_looked_at_in_slices_and_move_nobody() -> None:
    async with dashboard(told_many(), size=(100, 24)) as stage:
        await opened(stage)
        assert not records(stage).view.complete
        assert "% looked at" in stage.text
        assert "message 19.49" in stage.text, "the newest are there at once"
        await stage.press("up", "up", "up")
        chosen, row = under_cursor(stage), stage.row_of("message 19.46")
        assert chosen == "message 19.46"
        await finish(stage)
        await stage.tick(1)
        assert "1,000 shown" in stage.text
        assert "looked at" not in stage.text
        assert under_cursor(stage) == chosen
        assert stage.row_of("message 19.46") == row
        await stage.press("home")
        assert under_cursor(stage) == "message 00.00"
        assert "message 00.00" in stage.text


@pytest.mark.usefixtures("by_hand")
async def test_what_was_not_looked_at_yet_is_found_when_it_is() -> None:
    async with dashboard(told_many(), size=(100, 24)) as stage:
        await opened(stage)
        await entered(stage, "t", "-17s")
        await finish(stage)
        assert under_cursor(stage) == "message 02.00"
        assert "message 02.00" in stage.text


@pytest.mark.usefixtures("by_hand")
async def test_following_old_records_above_the_screen_paint_nothing() -> None:
    async with dashboard(told_many(), size=(100, 24)) as stage:
        await opened(stage)
        records(stage).advance()
        await stage.pilot.pause()
        with counted() as counts:
            await finish(stage)
        assert counts.of("LogList") == []
        assert "LogList" not in counts.whole
        assert under_cursor(stage) == "message 19.49"


async def test_what_comes_below_what_is_read_asks_for_no_row() -> None:
    told = told_logs(100)
    async with dashboard(told, size=(100, 24)) as stage:
        await opened(stage)
        await stage.press("home")
        drawn: list[int] = []
        shown = records(stage)
        row = shown.row

        def counting(index: int, width: int) -> Line:
            drawn.append(index)
            return row(index, width)

        shown.row = counting  # type: ignore[method-assign]
        told.log(TWO, "far below")
        told.wait(HELD)
        shown.advance()
        assert shown.row_count() == 101
        assert drawn == []
        told.log(TWO, "in sight", age_s=96.5)
        told.wait(HELD)
        shown.advance()
        await stage.pilot.pause()
        assert len(drawn) >= shown.page
        assert "in sight" in stage.text
