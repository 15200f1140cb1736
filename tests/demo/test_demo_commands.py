"""Simulated devices answer commands as real agents do: each once, and only who is there."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from support.operators import sending
from support.wait import until

from fleetview.core.commandbook import Outcome
from fleetview.demo.choices import Scenario
from fleetview.demo.player import Player
from fleetview.demo.simulation import Simulation
from fleetview_agent.mqtt import BrokerUrl
from fleetview_agent.wire import Channel, CommandResult, LogBatch, format_time
from fleetview_agent.wire.bundles import Pieces

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from support.broker import Broker

    from fleetview.demo.devices import Device


def simulation() -> Simulation:
    return Simulation(seed=3, devices=12, scenario=Scenario.CALM, start_unix_s=time.time(), interval_s=1.0)


def payload(played: Simulation, verb: str, in_s: float = 60, **args: Any) -> bytes:
    from datetime import UTC, datetime

    expires_at = format_time(datetime.fromtimestamp(played.start_unix_s + in_s, UTC))
    return json.dumps({"v": 1, "verb": verb, "args": args, "expires_at": expires_at, "by": "ana"}).encode()


def asked(played: Simulation, device: Device, data: bytes, until_s: float = 10.0) -> list[tuple[str, str]]:
    played.hear(device.address, "c1", data)
    return [
        (sent.body.status, sent.body.message or "")
        for sent in played.until(until_s)
        if isinstance(sent.body, CommandResult) and (sent.address, sent.command_id) == (device.address, "c1")
    ]


def there(played: Simulation) -> Device:
    return next(device for device in played.devices if device.connected and not device.busy)


def test_a_module_is_restarted_and_the_command_is_done_once() -> None:
    played = simulation()
    device = there(played)
    name = next(iter(device.modules))
    device.set_module(name, "failed", reason="exit status 1")
    data = payload(played, "restart_module", name=name)
    first = asked(played, device, data)
    assert first == [("accepted", f"module {name} is being restarted"), ("succeeded", f"module {name} is running")]
    assert asked(played, device, data, 20.0) == first[1:]
    assert device.modules[name].restarts == 1


def test_what_cannot_be_is_answered_so() -> None:
    played = simulation()
    device = there(played)
    ((status, words),) = asked(played, device, payload(played, "ping", in_s=-60))
    assert (status, words.startswith("expired at ")) == ("expired", True)
    wrong: list[tuple[str, dict[str, Any], str]] = [
        ("reboot", {}, "unknown_verb"),
        ("restart_module", {"name": "x"}, "failed"),
        ("set_log_level", {"level": "LOUD"}, "failed"),
    ]
    for number, (verb, args, expected) in enumerate(wrong):
        played.hear(device.address, f"d{number}", payload(played, verb, **args))
        (body,) = (sent.body for sent in played.until(10.0) if isinstance(sent.body, CommandResult))
        assert body.status == expected


def test_who_is_not_there_says_nothing() -> None:
    played = simulation()
    device = there(played)
    device.lose_link()
    assert asked(played, device, payload(played, "ping")) == []
    device.regain_link()
    assert [status for status, _ in asked(played, device, payload(played, "ping"), 11.0)] == ["succeeded"]


def test_the_log_level_reverts_by_itself() -> None:
    played = simulation()
    device = there(played)
    played.hear(device.address, "c1", payload(played, "set_log_level", level="DEBUG", for_s=12))
    records = [
        record
        for sent in played.until(30.0)
        if isinstance(sent.body, LogBatch) and sent.address == device.address
        for record in sent.body.records
        if record["service"] == "fleetview-agent"
    ]
    texts = [record["message"] for record in records]
    assert texts.count("heartbeat handed to the link") == 3
    assert texts.index("log level is INFO again") > texts.index("heartbeat handed to the link")


def test_diagnostics_come_in_pieces() -> None:
    played = simulation()
    device = there(played)
    played.hear(device.address, "c1", payload(played, "diagnostics"))
    pieces = Pieces("c1")
    for sent in played.until(10.0):
        if sent.channel is Channel.LOG and isinstance(sent.body, LogBatch) and sent.address == device.address:
            for record in sent.body.records:
                pieces.take(record)
    assert json.loads(pieces.bundle())["device"] == str(device.address)


@asynccontextmanager
async def playing(broker: Broker, played: Simulation) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(Player(played, BrokerUrl.parse(broker.url)).play(stop))
    try:
        yield
    finally:
        stop.set()
        await task


async def test_a_fleet_is_asked_over_a_real_broker(tmp_path: Path, broker: Broker) -> None:
    played = simulation()
    async with sending(broker, tmp_path) as sender, playing(broker, played):
        devices = [device.address for device in played.devices if device.connected]
        await until(lambda: all(address in sender._feed.fleet.devices for address in devices))
        order = await sender.order("ping", {}, devices, reason="", expires_s=60)
        await until(lambda: order.open == 0)
        assert order.counts[Outcome.SUCCEEDED] == len(devices)
