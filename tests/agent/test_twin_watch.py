"""Whether a device is well with a new configuration, compared with how it was before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fleetview_agent.twin.watch import GRACE_S, Bad, Good, Sample, Watch, look
from fleetview_agent.wire import ModuleInfo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fleetview_agent.wire import Health

WINDOW_S = 60.0


def sample(*reasons: str, health: Health | None = None, **states: Any) -> Sample:
    modules = [
        ModuleInfo(name=name, state=state, reason="why" if state != "running" else None) for name, state in states.items()
    ]
    return Sample(health or ("degraded" if reasons else "ok"), reasons, modules)


def watched(
    before: Sample, samples: Sequence[Sample], touched: Sequence[str] = (), step_s: float = 1.0
) -> tuple[float, Good | Bad]:
    """When it ended, and how; the last sample goes on."""
    watch = Watch(before, touched, 0.0, WINDOW_S)
    now_s = 0.0
    while True:
        found = look(watch, samples[min(int(now_s / step_s), len(samples) - 1)], now_s)
        if not isinstance(found, Watch):
            return now_s, found
        watch, now_s = found, now_s + step_s


RUNS = sample(m="running")


def test_a_device_that_stays_well_is_well_when_the_window_is_over() -> None:
    assert watched(RUNS, [RUNS]) == (WINDOW_S, Good())


@pytest.mark.parametrize(
    ("before", "after", "touched"),
    [
        (sample("disk at 91% (limit 90%)"), sample("disk at 92% (limit 90%)"), []),
        (sample(m="failed"), sample(m="failed"), []),
        (sample(m="backoff"), sample(m="failed"), []),
        (sample(m="waiting"), sample(m="waiting"), []),
        (sample("disk at 99%", health="critical"), sample("disk at 99%", health="critical"), []),
        (sample(m="running"), sample(m="stopped"), ["m"]),
        (sample(m="failed"), sample(m="running"), ["m"]),
    ],
)
def test_what_was_so_before_is_not_held_against_it(before: Sample, after: Sample, touched: list[str]) -> None:
    assert watched(before, [after], touched) == (WINDOW_S, Good())


@pytest.mark.parametrize(
    ("before", "after", "touched", "at_s", "words"),
    [
        (RUNS, sample(m="failed"), [], 0, "module m failed: why"),
        (sample(m="failed"), sample(m="failed"), ["m"], 0, "module m failed: why"),
        (sample(), sample(new="failed"), ["new"], 0, "module new failed: why"),
        (RUNS, sample(m="backoff"), [], GRACE_S, "module m is in backoff: why"),
        (RUNS, sample(m="starting"), [], WINDOW_S, "module m is still starting after 60 s: why"),
        (sample(m="waiting"), sample(m="waiting"), ["m"], WINDOW_S, "module m is still waiting after 60 s: why"),
        (RUNS, sample("disk at 92% (limit 90%)", m="running"), [], GRACE_S, "disk at 92% (limit 90%)"),
        (RUNS, sample("disk at 98%", health="critical", m="running"), [], 0, "health became critical: disk at 98%"),
        (sample("disk at 91%"), sample("disk at 92%", "memory at 96%"), [], GRACE_S, "memory at 96%"),
    ],
)
def test_what_is_worse_than_before_ends_it(
    before: Sample, after: Sample, touched: list[str], at_s: float, words: str
) -> None:
    assert watched(before, [after], touched) == (at_s, Bad(words))


def test_a_module_may_fail_once_but_not_twice() -> None:
    once = [sample(m="starting"), sample(m="backoff"), sample(m="starting"), RUNS]
    assert watched(RUNS, once, ["m"]) == (WINDOW_S, Good())
    twice = [*once, sample(m="backoff")]
    assert watched(RUNS, twice, ["m"]) == (4, Bad("module m is in backoff for the 2nd time: why"))


def test_what_passes_is_forgiven() -> None:
    dip = sample("memory at 96% (limit 95%)", m="running")
    assert watched(RUNS, [dip] * 5 + [RUNS] * 5 + [dip] * 5 + [RUNS]) == (WINDOW_S, Good())
    assert watched(RUNS, [RUNS] * 58 + [dip]) == (WINDOW_S, Bad("memory at 96% (limit 95%)"))


def test_in_a_short_window_there_is_less_grace() -> None:
    watch = Watch(RUNS, [], 0.0, 4.0)
    first = look(watch, sample(m="backoff"), 1.0)
    assert isinstance(first, Watch)
    assert isinstance(look(first, sample(m="backoff"), 3.0), Bad)
