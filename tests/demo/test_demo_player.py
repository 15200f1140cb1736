"""The player against a real mosquitto: the whole fleet arrives, and arrives again when the broker comes back empty."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from support.agents import Watch, watching
from support.broker import mosquitto
from support.fakes import fake_broker, hangs_up
from support.programs import free_port
from support.wait import until

from fleetview.demo.choices import Scenario
from fleetview.demo.player import Player
from fleetview.demo.simulation import Simulation
from fleetview.demo.stage import HISTORY_PLAYED
from fleetview_agent.mqtt import BrokerUrl, FailureKind, LinkError
from fleetview_agent.wire import Channel, DeviceTopic, Topics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from support.broker import Broker

DEVICES = 25


def simulation(scenario: Scenario = Scenario.BAD_NIGHT) -> Simulation:
    return Simulation(seed=1, devices=DEVICES, scenario=scenario, start_unix_s=time.time(), interval_s=1.0)


@asynccontextmanager
async def playing(player: Player, *, patient: bool = False) -> AsyncIterator[asyncio.Event]:
    stop = asyncio.Event()
    task = asyncio.create_task(player.play(stop, patient=patient))
    try:
        yield stop
    finally:
        stop.set()
        await task


def channels(watch: Watch, *, retained: bool) -> dict[str, set[str]]:
    """Devices by the channel that something arrived on."""
    found: dict[str, set[str]] = {}
    for topic, payload, flag in watch.messages:
        if payload and flag is retained:
            device, _, channel = topic.removeprefix("fleet/v1/acme/").partition("/")[2].partition("/")
            found.setdefault(channel, set()).add(device)
    return found


def whole_fleet(watch: Watch, *, retained: bool) -> bool:
    found = channels(watch, retained=retained)
    return len(found.get("desired", ())) == DEVICES and len(found.get("birth", ())) == DEVICES - 1


async def test_a_fleet_is_retained_and_alive(broker: Broker) -> None:
    told: list[str] = []
    player = Player(simulation(), BrokerUrl.parse(broker.url), narrate=told.append)
    async with watching(broker.url, client_id="early") as early, playing(player):
        await until(lambda: whole_fleet(early, retained=False))
        await until(lambda: max(beat.seq for beat in early.heartbeats) and len(early.heartbeats) > 3 * DEVICES)
        async with watching(broker.url, client_id="late") as late:
            await until(lambda: whole_fleet(late, retained=True))
            assert "log" not in channels(late, retained=True)
        await until(lambda: early.records)
        assert told == [HISTORY_PLAYED]


async def test_the_dead_are_played_before_the_living_and_their_state_has_the_last_word(broker: Broker) -> None:
    sim = simulation()
    gone = {str(device.address) for device in sim.devices if not device.connected}
    assert gone
    async with watching(broker.url) as watch, playing(Player(sim, BrokerUrl.parse(broker.url))):
        await until(lambda: whole_fleet(watch, retained=False))
        topics = Topics()
        first: list[tuple[str, Channel]] = []
        for topic, _, _ in watch.messages:
            parsed = topics.parse(topic)
            assert isinstance(parsed, DeviceTopic)
            first.append((str(parsed.address), parsed.channel))
        births = [address for address, channel in first if channel is Channel.BIRTH]
        dead = [address for address in births if address in gone]
        assert births[: len(dead)] == dead
        for address in dead:
            mine = [channel for whose, channel in first if whose == address]
            assert mine.index(Channel.STATE) > mine.index(Channel.HEARTBEAT) > mine.index(Channel.BIRTH)


async def test_a_broker_that_comes_back_empty_is_filled_again(broker: Broker) -> None:
    told: list[str] = []
    player = Player(simulation(), BrokerUrl.parse(broker.url), narrate=told.append)
    async with playing(player):
        await until(lambda: player.played > 5 * DEVICES)
        broker.kill()
        await until(lambda: any("trying again" in words for words in told))
        broker.start()
        async with watching(broker.url) as watch:
            await until(lambda: whole_fleet(watch, retained=False) or whole_fleet(watch, retained=True))


async def test_goodbye_says_offline_for_everybody(broker: Broker) -> None:
    player = Player(simulation(Scenario.CALM), BrokerUrl.parse(broker.url))
    async with watching(broker.url) as watch:
        async with playing(player):
            await until(lambda: len(watch.births) == DEVICES)
        await player.say_goodbye("the play is over")
        await until(lambda: [state.reason for state in watch.states].count("the play is over") >= DEVICES - 1)


async def test_forgetting_takes_everything_off_the_broker(broker: Broker) -> None:
    player = Player(simulation(), BrokerUrl.parse(broker.url))
    async with playing(player):
        await until(lambda: player.played > 5 * DEVICES)
    await player.forget()
    async with watching(broker.url) as watch:
        # What is still retained comes before what is published after the subscription.
        await watch.session.publish("fleet/v1/acme/plant-1/marker/state", b"x", qos=1)
        await until(lambda: watch.messages)
        assert [topic for topic, _, _ in watch.messages] == ["fleet/v1/acme/plant-1/marker/state"]


async def test_a_broker_that_is_not_there_is_an_error_at_first(tmp_path: Path) -> None:
    player = Player(simulation(), BrokerUrl.parse(f"mqtt://127.0.0.1:{free_port()}"))
    with pytest.raises(LinkError) as raised:
        await player.play(asyncio.Event())
    assert raised.value.failure.kind is FailureKind.REFUSED


async def test_the_patient_wait_for_a_broker(tmp_path: Path) -> None:
    told: list[str] = []
    with mosquitto(tmp_path) as broker:
        broker.stop()
        player = Player(simulation(), BrokerUrl.parse(broker.url), narrate=told.append)
        async with playing(player, patient=True):
            await until(lambda: told)
            broker.start()
            await until(lambda: player.played > DEVICES)


async def test_a_broker_that_does_not_let_it_write_ends_it(tmp_path: Path) -> None:
    acl = tmp_path / "acl"
    acl.write_text("topic read fleet/#\n")
    acl.chmod(0o600)
    with mosquitto(tmp_path, config_lines=[f"acl_file {acl}"]) as broker:
        with pytest.raises(LinkError) as raised:
            await Player(simulation(), BrokerUrl.parse(broker.url)).play(asyncio.Event())
        assert raised.value.failure.kind is FailureKind.AUTHORISATION
        assert "refused what was published to fleet/v1/acme/" in raised.value.failure.words


async def test_a_broker_that_hangs_up_is_no_end_of_the_program() -> None:
    with fake_broker(hangs_up) as fake, pytest.raises(LinkError):
        await Player(simulation(), BrokerUrl.parse(fake.url)).play(asyncio.Event())


async def test_a_wall_clock_that_jumps_takes_the_fleet_along(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    sim = simulation(Scenario.CALM)
    player = Player(sim, BrokerUrl.parse(broker.url))
    async with watching(broker.url) as watch, playing(player):
        await until(lambda: len(watch.births) == DEVICES)
        clock = time.time
        monkeypatch.setattr("fleetview.demo.player.time.time", lambda: clock() + 3600)
        ahead = clock() + 1800
        await until(lambda: any(beat.timestamp.timestamp() > ahead for beat in watch.heartbeats))
