"""What a device reports of its preflight: kept small, read again, and gone when it reports none any more."""

from __future__ import annotations

import pytest

from core.driver import World
from fleetview.core.snapshot import device_detail
from fleetview_agent.wire import Channel, PreflightReport

FOUND = {
    "at": "2026-11-22T11:00:00.000Z",
    "ok": 19,
    "errors": 1,
    "findings": [{"subject": "tcp", "level": "error", "words": "nobody there", "more": 1}],
}


def test_it_is_kept_and_goes(world: World) -> None:
    world.birth()
    assert world.device.preflight() is None
    world.send(Channel.REPORTED, {"session": "S1", "gen": 0, "preflight": FOUND})
    found = world.device.preflight()
    assert found is not None
    assert (found.ok, found.errors, found.findings[0].words) == (19, 1, "nobody there")
    assert world.device.reported is not None
    assert world.device.reported.preflight is None
    reported = device_detail(world.fleet, world.device, world.mono_s, world.unix_s)["reported"]
    assert reported["preflight"] == FOUND
    assert world.device.config.value == "unmanaged"
    world.send(Channel.REPORTED, {"session": "S1", "gen": 0})
    assert world.device.preflight() is None
    assert "preflight" not in device_detail(world.fleet, world.device, world.mono_s, world.unix_s)["reported"]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (PreflightReport(ok=20), "all 20 ok"),
        (PreflightReport(ok=20, skipped=2), "all 20 ok, 2 skipped"),
        (PreflightReport(ok=18, warnings=2), "2 warnings, 18 ok"),
        (PreflightReport(ok=1, errors=1, warnings=1, skipped=1), "1 error, 1 warning, 1 ok, 1 skipped"),
    ],
)
def test_words(found: PreflightReport, words: str) -> None:
    assert found.summary() == words
