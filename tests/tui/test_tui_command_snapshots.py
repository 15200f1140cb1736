"""Asking devices for something, as a person sees it: what is asked, in numbers first, and what comes of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from textual.pilot import Pilot

from fleetview.feeds.states import Up
from fleetview.tui.app import FleetApp, Setup
from fleetview.tui.command_desk import CommandSetup
from fleetview.tui.glyphs import UNICODE
from tui.stage import FakeFeed, FakeSender, Told, address
from tui.test_tui_snapshots import SnapCompare, after

MODULES = [{"name": "rule_engine", "state": "failed"}, {"name": "telemetry_collector", "state": "running"}]


@pytest.fixture(autouse=True)
def _colours_of_every_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "TEXTUAL_THEME", "TEXTUAL_COLOR_SYSTEM", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)


def stage() -> tuple[FleetApp, FakeSender]:
    told = Told()
    for number in range(1, 10):
        who = address(f"gw-{number:04d}", f"plant-{1 + number % 3}")
        told.birth(who)
        told.heartbeat(who, modules=MODULES)
    told.state(address("gw-0009"), "offline", at=told.time(), reason="maintenance")
    sender = FakeSender(told)
    setup = Setup(
        "plant",
        "broker.example:8883",
        UNICODE,
        "textual-dark",
        commands=CommandSetup(sender.connect, options=" --context plant"),
    )
    return FleetApp(told.fleet, FakeFeed(Up(told.now.mono_s - 65, "5")), setup, clock=lambda: told.now), sender


RESTART = ("asterisk", "x", "down", "enter", "enter", *"stuck", "enter")


@pytest.mark.parametrize(
    ("keys", "size"),
    [(("asterisk", "x"), (80, 24)), (RESTART, (80, 24)), (RESTART, (120, 36))],
    ids=["verbs", "form", "form-120x36"],
)
def test_asking(snap_compare: SnapCompare, keys: tuple[str, ...], size: tuple[int, int]) -> None:
    assert snap_compare(stage()[0], run_before=after(*keys), terminal_size=size)


@pytest.mark.parametrize("size", [(80, 24), (120, 36)], ids=["80x24", "120x36"])
def test_outcomes(snap_compare: SnapCompare, size: tuple[int, int]) -> None:
    app, sender = stage()
    assert snap_compare(app, run_before=answered(sender), terminal_size=size)


def answered(sender: FakeSender) -> Callable[[Pilot[int]], Awaitable[None]]:
    """One device of every outcome."""

    async def run(pilot: Pilot[int]) -> None:
        await after(*RESTART, "enter")(pilot)
        told = sender.told
        told.wait(1.4)
        for number, status in ((1, "succeeded"), (2, "succeeded"), (3, "accepted"), (4, "failed"), (5, "unknown_verb")):
            site = f"plant-{1 + number % 3}"
            words = {
                "succeeded": "module rule_engine is running",
                "accepted": "module rule_engine is being restarted",
                "failed": "module rule_engine is in backoff: exit status 1 (KeyError: 'limit'); it is tried again in 8 s",
                "unknown_verb": "this agent does not know 'restart_module'; it knows ping",
            }[status]
            sender.answer(f"gw-{number:04d}", status, words, site=site)  # type: ignore[arg-type]
        told.wait(60)
        sender.advance()
        sender.answer("gw-0006", "expired", "expired at 10:31:00.000Z, and here it is 10:31:02.114Z")
        order = next(iter(sender.book.orders.values()))
        waiting = order.requests[address("gw-0007", "plant-2")]
        sender.book._move(order, waiting, type(waiting.outcome).SENT)
        waiting.due_mono = told.now.mono_s + 17
        await after("down", "down", "down")(pilot)

    return run
