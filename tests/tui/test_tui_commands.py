"""Devices are asked from the screen: in numbers first, with a reason, on the second Enter; and each outcome is shown."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from textual.screen import Screen

from fleetview.core.commandbook import Order, Outcome
from fleetview.feeds.commands import Bundle
from fleetview.tui.command_desk import CommandSetup
from fleetview.tui.screens.commands import CommandsScreen
from fleetview.tui.screens.device import DeviceScreen
from fleetview.tui.screens.fleet import FleetScreen
from fleetview_agent.wire.bundles import Pieces, cut_bundle
from tui.stage import FakeSender, Stage, Told, address, dashboard

MODULES = [{"name": "rule_engine", "state": "failed"}, {"name": "uplink", "state": "running"}]
REFUSED = "plant is read-only (--read-only): nothing is asked of devices from here"


def fleet() -> Told:
    told = Told()
    for number, site in enumerate(("plant-1", "plant-1", "plant-2"), start=1):
        who = address(f"gw-{number}", site)
        told.birth(who)
        told.heartbeat(who, modules=MODULES)
    told.state(address("gw-3", "plant-2"), "offline", at=told.time(), reason="maintenance")
    return told


@asynccontextmanager
async def commanding(**more: Any) -> AsyncIterator[tuple[Stage, FakeSender]]:
    told = fleet()
    sender = FakeSender(told)
    setup = CommandSetup(sender.connect, more.pop("keep", None), options=" --context plant")
    async with dashboard(told, commands=setup, **more) as stage:
        yield stage, sender


def last(sender: FakeSender) -> Order:
    return list(sender.book.orders.values())[-1]


def shows(stage: Stage, screen: type[Screen[Any]]) -> bool:
    return isinstance(stage.app.screen, screen)


async def to_device(stage: Stage, name: str = "gw-1") -> None:
    stage.app.open_device(stage.told.fleet.devices[address(name)])
    await stage.tick()
    assert shows(stage, DeviceScreen)


async def test_a_module_is_restarted_from_the_device() -> None:
    async with commanding() as (stage, sender):
        await to_device(stage)
        await stage.press("R")
        await stage.see("restart which module")
        assert stage.row_of("rule_engine") < stage.row_of("uplink")
        await stage.press("enter")
        await stage.see("restart module rule_engine")
        await stage.press("enter")
        await stage.see("reason: say why")
        await stage.type("stuck")
        await stage.press("enter")
        await stage.see("restarts module rule_engine on acme/plant-1/gw-1")
        await stage.see("--arg name=rule_engine --reason stuck")
        assert not sender.book.orders
        await stage.press("enter")
        await stage.see("1m 00s left")
        order = last(sender)
        assert (order.verb, order.args, order.reason) == ("restart_module", {"name": "rule_engine"}, "stuck")
        assert shows(stage, CommandsScreen)
        await stage.tick(7)
        assert "53s left" in stage.text
        sender.answer("gw-1", "accepted", "module rule_engine is being restarted")
        await stage.see("is being restarted")
        assert "accepted" in stage.rows[stage.row_of("is being restarted")]
        await stage.tick(1)
        sender.answer("gw-1", "succeeded", "module rule_engine is running")
        await stage.see("rule_engine is running")
        assert "● succeeded" in stage.rows[stage.row_of("rule_engine is running")]
        assert "8.0s" in stage.rows[stage.row_of("rule_engine is running")]
        await stage.press("escape")
        assert shows(stage, DeviceScreen)


async def test_a_selection_is_asked_together_in_numbers() -> None:
    async with commanding() as (stage, sender):
        await stage.press("asterisk", "x")
        await stage.see("ask 3 devices at 2 sites")
        await stage.press("enter")
        await stage.see("pings the agent on 3 devices at 2 sites, 1 of them offline;")
        await stage.see("fleetview command --context plant ping 'device:*'")
        await stage.press("enter")
        await stage.see("3 sent")
        sender.answer("gw-1", "succeeded", "up for 3 s")
        sender.answer("gw-2", "failed", "no \x1b[31m such \u202e thing")
        await stage.tick(61)
        sender.advance()
        await stage.see("✗ 1 failed  ○ 1 no answer  ● 1 succeeded")
        assert stage.row_of("gw-1") < stage.row_of("gw-2") < stage.row_of("gw-3")
        assert "no ␛[31m such <202E> thing" in stage.text
        await stage.press("f")
        await stage.see("only those that did not do it")
        assert "up for 3 s" not in stage.text
        sender.answer("gw-3", "expired", "expired at 10:31", site="plant-2")
        await stage.see("late: expired at 10:31")
        await stage.press("a")
        await stage.see("on 2 devices at 2 sites, 1 of them offline")
        await stage.press("enter")
        await stage.see("2 of 2")
        assert list(last(sender).requests) == [address("gw-2"), address("gw-3", "plant-2")]
        await stage.press("left")
        await stage.see("1 of 2")
        await stage.press("n")
        await stage.see("2 of 2")
        await stage.press("y")
        await stage.see("copied the outcomes of 2 devices")


async def test_a_filter_that_is_all_that_is_selected_stands_in_the_command() -> None:
    async with commanding() as (stage, _):
        await stage.press("slash")
        await stage.type("site:*1")
        await stage.press("enter", "asterisk", "x", "enter")
        await stage.see("fleetview command --context plant ping 'site:*1'")


async def test_the_log_level_wants_a_level_and_how_long() -> None:
    async with commanding() as (stage, sender):
        await to_device(stage)
        await stage.press("v")
        await stage.see("set log level")
        await stage.type("why")
        await stage.press("enter")
        await stage.see("sets the agent's log level to DEBUG for 15m 00s on acme/plant-1/gw-1")
        await stage.press("up", "up")
        await stage.type("x")
        assert "sets the agent's" not in stage.text
        await stage.press("enter")
        await stage.see("level: one of DEBUG, INFO, WARN, ERROR expected, not 'DEBUGx'")
        await stage.press("backspace", "enter")
        await stage.see("sets the agent's log level")
        await stage.press("enter")
        await stage.see("1m 00s left")
        assert last(sender).args == {"level": "DEBUG", "for_s": 900.0}


async def test_diagnostics_say_how_far_they_are_and_where_they_lie() -> None:
    kept: list[Bundle] = []

    def keep(bundle: Bundle) -> Path:
        kept.append(bundle)
        return Path("/state/diagnostics/gw-1.json")

    async with commanding(keep=keep, size=(160, 36)) as (stage, sender):
        await to_device(stage)
        await stage.press("D")
        await stage.see("gathers diagnostics on acme/plant-1/gw-1")
        await stage.press("enter")
        await stage.see("1m 00s left")
        sender.answer("gw-1", "succeeded", "9 bytes sent as 2 log records")
        pieces = sender.pieces[address("gw-1")] = Pieces("c1")
        pieces.take(next(iter(cut_bundle(bytes(40_000), "c1"))))
        await stage.see("9 bytes sent as 2 log records; 1 of 2 pieces have come")
        del sender.pieces[address("gw-1")]
        sender.on_bundle(Bundle(last(sender), address("gw-1"), b"{}"))
        while not kept:
            await stage.pilot.pause(0.01)
        await stage.tick(1)
        await stage.see("; in /state/diagnostics/gw-1.json")


async def test_commands_that_are_typed() -> None:
    async with commanding() as (stage, sender):
        await stage.press("colon")
        await stage.type("restart uplink site:*1")
        await stage.press("enter")
        await stage.see("restart module uplink")
        await stage.type("no")
        await stage.press("enter")
        await stage.see("restarts module uplink on 2 devices at 1 site")
        await stage.see("restart_module 'site:*1' --arg name=uplink")
        await stage.press("escape", "colon")
        await stage.type("ping gw-9")
        await stage.press("enter")
        await stage.see("no device gw-9 is known; did you mean")
        await stage.press("escape", "L", "colon")
        await stage.type("ping")
        await stage.press("enter")
        await stage.see("say which devices: ping needs a filter here")
        await stage.press("escape", "colon")
        await stage.type("ping gw-2")
        await stage.press("enter")
        await stage.see("pings the agent on acme/plant-1/gw-2")
        await stage.press("enter")
        await stage.see("1 sent")
        assert list(last(sender).requests) == [address("gw-2")]
        await stage.press("escape", "colon")
        await stage.type("commands")
        await stage.press("enter")
        assert shows(stage, CommandsScreen)


async def test_an_end_that_nobody_looks_at_is_told() -> None:
    async with commanding() as (stage, sender):
        await stage.press("x", "enter")
        await stage.see("pings the agent")
        await stage.press("enter")
        await stage.see("1 sent")
        await stage.press("escape")
        assert shows(stage, FleetScreen)
        (only,) = last(sender).requests
        sender.answer(only.device, "failed", "no", site=only.site)
        await stage.see("ping: 1 failed")
        await stage.press("C")
        await stage.see("✗ failed")
        await stage.press("enter")
        assert shows(stage, DeviceScreen)
    assert sender.closed
    assert last(sender).counts[Outcome.FAILED] == 1


async def test_where_only_reading_is_allowed_there_are_no_such_keys() -> None:
    async with dashboard(fleet(), commands=CommandSetup(refused=REFUSED)) as stage:
        await stage.press("asterisk", "x", "C")
        assert shows(stage, FleetScreen)
        await to_device(stage)
        await stage.press("c", "x", "p", "R", "v", "D", "C")
        assert shows(stage, DeviceScreen)
        await stage.press("question_mark")
        assert "Restart one of its modules" not in stage.text
        assert "log level of the agent" not in stage.text


async def test_where_only_reading_is_allowed_commands_are_refused_and_not_offered() -> None:
    async with dashboard(fleet(), commands=CommandSetup(refused=REFUSED)) as stage:
        await stage.press("colon")
        await stage.type("p")
        assert "ping" not in stage.text
        await stage.type("ing gw-1")
        await stage.press("enter")
        await stage.see(REFUSED)


async def test_a_command_that_nobody_was_sent_yet() -> None:
    async with commanding() as (stage, _):
        await stage.press("C")
        await stage.see("nothing was asked of devices from here yet")
        await stage.press("a", "y", "f", "left", "enter", "escape", "escape")
        assert shows(stage, FleetScreen)
