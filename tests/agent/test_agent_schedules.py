"""When schedules of functions fire: every so often, or by the time of day, wherever the clock is set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetview_agent.functions.schedule import Schedule, cron_problem
from fleetview_agent.modules.spec import Triggers

if TYPE_CHECKING:
    pass


# Schedules


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_every_so_often_and_what_was_missed_once() -> None:
    schedule = Schedule(Triggers(every_s=10), 100.0)
    now = at("2026-11-25T00:00:00")
    assert schedule.wait_s(100.0, now) == 10
    assert list(schedule.due(109.9, now)) == []
    assert list(schedule.due(110.0, now)) == ["every_s"]
    assert list(schedule.due(110.0, now)) == []
    assert list(schedule.due(175.0, now)) == ["every_s"]
    assert schedule.wait_s(175.0, now) == 5


def test_cron_by_the_time_of_day_wherever_the_clock_is_set() -> None:
    schedule = Schedule(Triggers(cron="0 6 * * *"), 0.0)

    def due(text: str) -> list[str]:
        return list(schedule.due(0.0, at(text)))

    assert due("2026-11-25T05:59:30") == []
    assert schedule.wait_s(0.0, at("2026-11-25T05:59:50")) == 10
    assert due("2026-11-25T06:00:01") == ["cron"]
    assert due("2026-11-25T06:00:02") == []
    assert due("2026-11-25T23:00:00") == []
    assert due("2026-11-28T12:00:00") == ["cron"], "three were missed: one for all"
    assert due("2026-11-20T01:00:00") == [], "set back"
    assert due("2026-11-20T06:00:30") == ["cron"]


@given(st.lists(st.integers(-7200, 7200), max_size=30))
def test_a_schedule_never_fires_twice_for_one_time_while_the_clock_only_goes_on(steps: list[int]) -> None:
    schedule, now, fired = Schedule(Triggers(cron="*/15 * * * *"), 0.0), at("2026-11-25T00:00:01"), list[datetime]()
    list(schedule.due(0.0, now))
    for step in steps:
        now += timedelta(seconds=abs(step))
        before = now
        if list(schedule.due(0.0, now)):
            fired.append(before.replace(minute=before.minute // 15 * 15, second=0))
    assert len(fired) == len(set(fired))


@pytest.mark.parametrize("cron", ["", "x", "* * * *", "61 * * * *", "0 0 30 2 *", "@daily"])
def test_what_is_no_cron_expression(cron: str) -> None:
    assert "cron expression" in (cron_problem(cron) or "")


# The configuration
