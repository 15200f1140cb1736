"""Devices that do as they are told, over one link: they take what is desired, report each step, and run it then."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fleetview_agent.mqtt import BrokerUrl, open_session
from fleetview_agent.wire import Address, Channel, Topics, format_time

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fleetview_agent.mqtt import Session

BEAT_S = 0.5
TENANT = "acme"


@dataclass
class Follower:
    """One device."""

    address: Address
    labels: dict[str, str] = field(default_factory=dict)
    release: str = "1.4.2"
    gen: int = 0
    seq: int = 0
    requests: int = 0
    errors: int = 0
    errors_of: dict[str, float] = field(default_factory=dict)
    """The part of its requests that fail, by release."""
    silent: bool = False
    offers: list[tuple[int, int]] = field(default_factory=list)
    """(gen, epoch) of each offer that was delivered live, in order."""
    fails: str | None = None
    """Why it rolls back what it is offered."""
    logs_of: dict[str, str] = field(default_factory=dict)
    """What it logs as an ERROR with each heartbeat, by release; `{seq}` counts."""


class Followers:
    """All of them."""

    def __init__(self, session: Session, devices: list[Follower]) -> None:
        self.devices = {device.address: device for device in devices}
        self._session = session
        self._topics = Topics()

    async def _say(self, who: Follower, channel: Channel, **fields: Any) -> None:
        payload = json.dumps({"v": 1, "session": "01JDA8", **fields}).encode()
        await self._session.publish(self._topics.device(who.address, channel), payload, qos=1, retain=True)

    async def be_born(self) -> None:
        for device in self.devices.values():
            await self._say(
                device, Channel.BIRTH, device=device.address.device, heartbeat_interval_s=1, labels=device.labels
            )
            await self._say(device, Channel.STATE, state="online")

    async def beat(self) -> None:
        while True:
            for device in [each for each in self.devices.values() if not each.silent]:
                device.requests += 100
                device.errors += round(100 * device.errors_of.get(device.release, 0.0))
                await self._say(
                    device,
                    Channel.HEARTBEAT,
                    seq=device.seq,
                    timestamp=format_time(datetime.now(UTC)),
                    health="ok",
                    resources={"cpu": 0.2},
                    metrics={"requests_total": device.requests, "request_errors_total": device.errors},
                    release=device.release,
                    gen=device.gen,
                )
                if device.release in device.logs_of:
                    await self._log(device, device.logs_of[device.release].format(seq=device.seq))
                device.seq += 1
            await asyncio.sleep(BEAT_S)

    async def _log(self, who: Follower, message: str) -> None:
        record = {"timestamp": format_time(datetime.now(UTC)), "service": "app", "level": "ERROR", "message": message}
        batch = {"v": 1, "session": "01JDA8", "stream": "s1", "first_seq": who.seq, "records": [record]}
        await self._session.publish(self._topics.device(who.address, Channel.LOG), json.dumps(batch).encode(), qos=1)

    async def take(self, address: Address, payload: bytes, *, retained: bool) -> None:
        device = self.devices.get(address)
        if device is None or not payload:
            return
        desired = json.loads(payload)
        if not retained:
            device.offers.append((desired["gen"], desired["epoch"]))
        if desired["gen"] <= device.gen or device.silent:
            return
        device.gen = desired["gen"]
        before, wanted = device.release, desired["release"]["version"]
        for status in ("downloading", "applying"):
            await self._report(device, version=wanted, previous=before, status=status)
        if device.fails is not None and wanted != before:
            await self._report(device, version=wanted, previous=before, status="rolled_back", reason=device.fails)
            return
        device.release = wanted
        await self._report(device, version=wanted, previous=before, status="committed")

    async def _report(self, device: Follower, **release: Any) -> None:
        await self._say(device, Channel.REPORTED, gen=device.gen, release=release)


@asynccontextmanager
async def following(url: str, devices: list[Follower]) -> AsyncIterator[Followers]:
    """The devices, alive and following what is desired."""
    topics, tasks = Topics(), set[asyncio.Task[None]]()
    found: list[Followers] = []

    def received(topic: str | bytes, payload: bytes, retained: bool) -> None:
        address = topics.parse(str(topic)).address  # type: ignore[union-attr]
        task = asyncio.ensure_future(found[0].take(address, payload, retained=retained))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async with open_session(BrokerUrl.parse(url), client_id="followers", on_message=received) as session:
        followers = Followers(session, devices)
        found.append(followers)
        await followers.be_born()
        await session.subscribe([(topics.filter(Channel.DESIRED, TENANT), 1)])
        beating = asyncio.create_task(followers.beat())
        try:
            yield followers
        finally:
            beating.cancel()
            with suppress(asyncio.CancelledError):
                await beating


def fleet_of(count: int, **fields: Any) -> list[Follower]:
    return [Follower(Address(TENANT, f"plant-{number % 2 + 1}", f"gw-{number}"), **fields) for number in range(count)]
