"""What others than the link itself hear on it."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from support.agents import watching
from support.wait import until

from fleetview_agent.hearers import Hearers, TopicHearers
from fleetview_agent.link import Destination, Link, Up
from fleetview_agent.mqtt import BrokerUrl
from fleetview_agent.wire import Address, Birth, Topics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from support.broker import Broker


@asynccontextmanager
async def linked(broker: Broker) -> AsyncIterator[Link]:
    to = Destination(BrokerUrl.parse(broker.url), None, Topics(), Address("default", "default", "gw-1"))
    link = Link(to, Birth(session="s", device="gw-1", heartbeat_interval_s=1), rng=random.Random(1))
    task = asyncio.create_task(link.run())
    try:
        yield link
        link.stop("the test is over")
        await asyncio.wait({task}, timeout=20)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_who_listens_late_hears_at_once_and_after_the_broker_came_back(broker: Broker) -> None:
    heard: list[tuple[str, bytes]] = []
    async with linked(broker) as link:
        await until(lambda: isinstance(link.state, Up))
        stop = link.listen("plant/+/order", lambda topic, payload: heard.append((topic, payload)))
        async with watching(broker.url) as watch:
            await watch.session.publish("plant/1/order", b"retained", qos=1, retain=True)

            async def say_until_heard(payload: bytes) -> None:
                while ("plant/1/order", payload) not in heard:
                    await watch.session.publish("plant/1/order", payload, qos=1)
                    await watch.session.publish("plant/1/other", payload, qos=1)
                    await asyncio.sleep(0.02)

            async with asyncio.timeout(20):
                await say_until_heard(b"one")
        broker.stop()
        await until(lambda: not isinstance(link.state, Up))
        broker.start()
        await until(lambda: isinstance(link.state, Up), 40)
        async with watching(broker.url) as watch:
            async with asyncio.timeout(20):
                await say_until_heard(b"two")
            stop()
            count = len(heard)
            await watch.session.publish("plant/1/order", b"three", qos=1)
            await watch.session.caught_up()
    assert len(heard) == count
    assert {topic for topic, _ in heard} == {"plant/1/order"}


def test_hearers_hear_until_they_stop() -> None:
    hearers: Hearers[[int]] = Hearers()
    first, second = list[int](), list[int]()
    stop = hearers.add(first.append)
    hearers.add(second.append)
    hearers.tell(1)
    stop()
    hearers.tell(2)
    assert (first, second) == ([1], [1, 2])


def test_messages_go_to_those_whose_topics_mean_them() -> None:
    heard: list[str] = []
    topics = TopicHearers()
    assert topics.is_new("a/+")
    topics.add("a/+", lambda topic, _: heard.append(f"+ {topic}"))
    topics.add("a/#", lambda topic, _: heard.append(f"# {topic}"))
    assert not topics.is_new("a/+")
    assert topics.topics == ("a/+", "a/#")
    for topic in ("a/b", "a/b/c", "b"):
        topics.tell(topic, b"")
    assert heard == ["+ a/b", "# a/b", "# a/b/c"]
