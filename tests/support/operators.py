"""Commands as operators send them to a real agent, and what comes of them."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from fleetview.audit import Audit
from fleetview.config import Context
from fleetview.core.fleet import Fleet
from fleetview.feeds.commands import CommandSender
from fleetview.feeds.watch import FleetFeed
from fleetview_agent.endpoint import BrokerUrl
from fleetview_agent.wire import Topics
from support.agents import agent_process, watching
from support.wait import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from support.agents import Watch
    from support.broker import Broker

ADDRESS = "fleet/v1/default/default/gw-1"


def command(verb: str, *, in_s: float = 60, **args: Any) -> bytes:
    expires_at = (datetime.now(UTC) + timedelta(seconds=in_s)).isoformat()
    return json.dumps({"v": 1, "verb": verb, "args": args, "expires_at": expires_at, "by": "ana@laptop"}).encode()


def results(watch: Watch, command_id: str) -> list[tuple[str, str]]:
    return [
        (body["status"], body["message"])
        for topic, payload, _ in watch.messages
        if topic == f"{ADDRESS}/command/{command_id}/result"
        for body in [json.loads(payload)]
    ]


@asynccontextmanager
async def commanded(tmp_path: Path, broker: Broker, **keys: object) -> AsyncIterator[Watch]:
    async with watching(broker.url) as watch:
        with agent_process(tmp_path, broker_url=broker.url, heartbeat_interval=3600, **keys):
            await until(lambda: watch.heartbeats)
            yield watch


async def send(watch: Watch, command_id: str, payload: bytes, *, retain: bool = False) -> None:
    await watch.session.publish(f"{ADDRESS}/command/{command_id}", payload, qos=1, retain=retain)


@asynccontextmanager
async def sending(broker: Broker, tmp_path: Path, **more: Any) -> AsyncIterator[CommandSender]:
    """A sender on a link of its own."""
    context = Context(name="plant", broker=BrokerUrl.parse(broker.url), tls=None, **more)
    feed = FleetFeed(context, Fleet(), logs=True)
    sender = CommandSender(feed, Topics(), by="ana@laptop", audit=Audit(tmp_path / "audit", "plant"))
    feed.on_applied = sender.received
    tasks = [asyncio.create_task(feed.connection.run()), asyncio.create_task(sender.run())]
    try:
        yield sender
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await sender.close()
