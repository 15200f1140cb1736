"""What is reported: one document of several parts, told in order to a real broker; and the twin beside another changer."""

from __future__ import annotations

import asyncio
import json
import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from support.agents import watching
from support.powercut import Device, device_folder
from support.wait import until

from fleetview_agent.endpoint import BrokerUrl
from fleetview_agent.link import Destination, Link
from fleetview_agent.reported import MOST_WAITING, NoUpdater, ReportedState, publish
from fleetview_agent.wire import (
    Address,
    Birth,
    Channel,
    ConfigOffer,
    ConfigReport,
    Desired,
    PreflightReport,
    ReleaseOffer,
    ReleaseReport,
    Topics,
    encode,
)

if TYPE_CHECKING:
    from pathlib import Path

    from support.broker import Broker

WHO = Address("acme", "plant", "gw-1")
AT = datetime(2026, 11, 22, tzinfo=UTC)


def reported_state() -> ReportedState:
    return ReportedState("s", now=lambda: AT)


def link_to(broker: Broker) -> Link:
    birth = Birth(session="s", device="gw-1", heartbeat_interval_s=30)
    return Link(Destination(BrokerUrl.parse(broker.url), None, Topics(), WHO), birth, rng=random.Random(1))


def test_the_parts_make_one_document_and_no_change_is_no_news() -> None:
    state = reported_state()
    config = ConfigReport(version=1, sha256="a", status="applied", reason=None, last_good=1)
    state.set_config(config, 4)
    state.set_release(ReleaseReport(version="1", previous=None, status="committed", progress=1.0, reason=None))
    state.set_preflight(PreflightReport(ok=3))
    assert json.loads(encode(state.message())) == {
        "v": 1,
        "session": "s",
        "gen": 4,
        "at": "2026-11-22T00:00:00.000Z",
        "config": {"version": 1, "sha256": "a", "status": "applied", "reason": None, "last_good": 1},
        "release": {"version": "1", "previous": None, "status": "committed", "progress": 1.0, "reason": None},
        "preflight": {"ok": 3},
    }
    while state.next_waiting() is not None:
        pass
    state.set_config(config.model_copy(), 4)
    state.set_preflight(PreflightReport(ok=3))
    assert state.next_waiting() is None


def test_progress_takes_the_place_of_the_progress_before_and_nothing_grows_without_end() -> None:
    state = reported_state()
    for per_cent in range(100):
        state.set_release(ReleaseReport(version="1", status="downloading", progress=per_cent / 100))
    message = state.next_waiting()
    assert message is not None
    assert message.release is not None
    assert message.release.progress == 0.99
    assert state.next_waiting() is None
    for gen in range(2 * MOST_WAITING):
        state.set_config(None, gen)
    assert sum(1 for _ in iter(state.next_waiting, None)) == MOST_WAITING


def test_without_an_updater_a_release_fails_in_words() -> None:
    state = reported_state()
    NoUpdater(state).offered(ReleaseOffer(version="2.0"), 1)
    assert state.release == ReleaseReport(version="2.0", status="failed", progress=0.0, reason="this agent has no updater")


async def test_every_state_is_told_in_order_and_the_last_again_on_each_connection(broker: Broker) -> None:
    state, link = reported_state(), link_to(broker)
    state.set_config(None, 1)
    running = [
        asyncio.create_task(link.run()),
        asyncio.create_task(publish(state, link, Topics().device(WHO, Channel.REPORTED))),
    ]
    async with watching(broker.url) as watch:
        await until(lambda: watch.reported)
        for gen in range(2, 20):
            state.set_config(None, gen)
        await until(lambda: watch.reported[-1].gen == 19)
        assert [told.gen for told in watch.reported if told.gen] == list(range(1, 20))
    broker.stop()
    await until(lambda: link.state.word != "up")
    for gen in range(20, 30):
        state.set_config(None, gen)
    broker.start()
    async with watching(broker.url) as watch:
        await until(lambda: watch.reported and link.connections == 2)
        assert {told.gen for told in watch.reported} == {29}, "what nobody could hear is not told late"
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def test_nothing_is_tried_while_somebody_else_changes_the_device(tmp_path: Path) -> None:
    device = Device(device_folder(tmp_path, "state"))
    twin = device.twin
    running = asyncio.create_task(twin.run())

    def wants(gen: int, document: dict[str, object]) -> None:
        twin.received(encode(Desired(gen=gen, config=ConfigOffer(version=gen, document=document))))

    wants(1, {"labels": {"is": "good"}})
    assert device.report()["status"] == "applying"
    async with twin.alone():
        assert device.report()["status"] == "applied", "it had waited for this"
        wants(2, {"labels": {"is": "better"}})
        assert (device.report()["status"], device.report()["reason"]) == (
            "pending",
            "waits for another change of the device",
        )
        twin.reload()
        assert device.config.labels == {"is": "good"}
    assert device.config.labels == {"is": "better"}
    await until(lambda: device.report()["status"] == "applied")
    async with twin.alone():
        wants(3, {"labels": {"is": "third"}})
        wants(4, {"labels": {"is": "fourth"}})
    assert device.config.labels == {"is": "fourth"}
    running.cancel()
