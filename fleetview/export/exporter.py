"""Subscribes to a fleet, and serves it as metrics: wires feed, store and server together."""

from __future__ import annotations

import asyncio
import math
import os
import re
import zlib
from collections import Counter
from http import HTTPStatus
from time import monotonic, process_time, time
from typing import TYPE_CHECKING, NamedTuple

import psutil

from fleetview.core.fleet import Fleet
from fleetview.export import families
from fleetview.export.exposition import OPENMETRICS, TEXT, Exposition, Moment, Sample
from fleetview.export.labels import LabelPlan
from fleetview.export.store import Store
from fleetview.feeds.states import LinkState, Up
from fleetview.feeds.watch import FleetFeed
from fleetview_agent.http import Answer, Request, Server, plain
from fleetview_agent.wire import Address, Heartbeat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fleetview.config import Context
    from fleetview.core.received import Received

METRICS = "/metrics"
_TICK_S = 1.0


class Shard(NamedTuple):
    """One of several parts of the fleet, each for a process of its own. A device is always in the same one."""

    number: int = 0
    of: int = 1

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @classmethod
    def parse(cls, text: str) -> Shard:
        """The shard written as `0/2`. Raises ValueError."""
        number, _, of = text.partition("/")
        if re.fullmatch(r"[0-9]{1,4}/[0-9]{1,4}", text) is None or int(number) >= int(of):
            msg = f"{text!r} is not a shard: I/N expected, I from 0 to N - 1, such as 0/2 and 1/2"
            raise ValueError(msg)
        return cls(int(number), int(of))

    def has(self, address: Address) -> bool:
        """Whether a device belongs to it."""
        return self.of == 1 or zlib.crc32("/".join(address).encode()) % self.of == self.number


class Exporter:
    """A fleet, its numbers, and the server that shows them."""

    def __init__(
        self,
        context: Context,
        *,
        plan: LabelPlan | None = None,
        shard: Shard | None = None,
        on_state: Callable[[LinkState], object] | None = None,
    ) -> None:
        self.fleet = Fleet()
        self.store = Store(plan)
        self.shard = shard or Shard()
        self.feed = FleetFeed(
            context,
            self.fleet,
            logs=False,
            on_state=self._link_changed,
            on_applied=self._applied,
            wanted=None if self.shard.of == 1 else self.shard.has,
        )
        self.server = Server(self._answer)
        self._on_state = on_state
        self._blind_since_mono = monotonic()
        self._scrapes = 0
        self._scrape_s: float | None = None
        self._process = psutil.Process(os.getpid())

    async def run(self) -> None:
        """Follows the fleet until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.feed.connection.run(), name="connection")
            tasks.create_task(self._pass_time(), name="time")

    def _applied(self, received: Received) -> None:
        body = received.body
        if isinstance(body, Heartbeat):
            device = self.fleet.devices.get(received.address)
            if device is not None:
                self.store.take(device, body, received)

    def _link_changed(self, state: LinkState) -> None:
        if isinstance(state, Up):
            self._blind_since_mono = math.inf
        elif self._blind_since_mono == math.inf:
            self._blind_since_mono = monotonic()
        if self._on_state is not None:
            self._on_state(state)

    async def _pass_time(self) -> None:
        while True:
            self.advance(monotonic(), time())
            await asyncio.sleep(_TICK_S)

    def advance(self, mono_s: float, unix_s: float) -> None:
        """Let time pass, and forget the devices that were removed."""
        self.fleet.advance(mono_s, unix_s)
        for device in self.fleet.drain().removed:
            self.store.forget(device)

    # -- what is served

    def _answer(self, request: Request) -> Answer:
        path = request.path.rstrip("/") or "/"
        if path == METRICS:
            return self._scrape(request, None)
        if path.startswith(METRICS + "/"):
            tenant = path.removeprefix(METRICS + "/")
            if tenant in self.fleet.roster.tenants:
                return self._scrape(request, tenant)
            return plain(HTTPStatus.NOT_FOUND, "no device of this tenant is known")
        if path == "/-/healthy":
            return plain(HTTPStatus.OK, "the exporter runs")
        if path == "/-/ready":
            if self.fleet.watching and not self.feed.connection.filling:
                return plain(HTTPStatus.OK, "the fleet is seen")
            return plain(HTTPStatus.SERVICE_UNAVAILABLE, "the fleet is not seen yet")
        if path == "/":
            return plain(HTTPStatus.OK, f"{METRICS} has the whole fleet, {METRICS}/TENANT one tenant's devices")
        return plain(HTTPStatus.NOT_FOUND, f"there is {METRICS}, {METRICS}/TENANT, /-/healthy and /-/ready")

    def _scrape(self, request: Request, tenant: str | None) -> Answer:
        openmetrics = request.takes("accept", "application/openmetrics-text")
        return Answer(HTTPStatus.OK, OPENMETRICS if openmetrics else TEXT, self._timed(tenant, openmetrics=openmetrics))

    def _timed(self, tenant: str | None, *, openmetrics: bool) -> Iterator[str]:
        began = monotonic()
        self._scrapes += 1
        self.advance(began, time())
        exposition = Exposition(self.fleet, self.store, Moment(began, self._blind_since_mono), tenant=tenant)
        yield from exposition.pieces(self._samples(tenant), openmetrics=openmetrics)
        if tenant is None:
            self._scrape_s = monotonic() - began

    def _samples(self, tenant: str | None) -> Iterator[Sample]:
        """Figures by tenant; and where the whole fleet is asked for, those of the exporter itself."""
        for name, sample in self._samples_by_tenant():
            if tenant is None or name == tenant:
                yield sample
        if tenant is None:
            yield from self._own_samples()

    def _samples_by_tenant(self) -> Iterator[tuple[str, Sample]]:
        store = self.store
        for site, outage in self.fleet.outages.items():
            labels = f'tenant="{site.tenant}",site="{site.name}"'
            yield site.tenant, Sample(families.OUTAGE, labels, len(outage.devices))
        counts = (
            (families.DEVICES, self.fleet.roster.tenants),
            (families.SERIES, store.series),
            (families.HEARTBEATS, store.heartbeats),
            (families.LATE, store.late),
        )
        for family, by_tenant in counts:
            for name, count in by_tenant.items():
                yield name, Sample(family, f'tenant="{name}"', count)
        dropped = store.dropped + Counter({(name, "label"): count for name, count in store.labels.dropped.items()})
        for (name, reason), count in dropped.items():
            yield name, Sample(families.DROPPED, f'tenant="{name}",reason="{reason}"', count)

    def _own_samples(self) -> Iterator[Sample]:
        counts = self.feed.connection.counts
        yield Sample(families.BROKER_UP, "", float(self.fleet.watching))
        yield Sample(families.MESSAGES, "", self.fleet.messages)
        yield Sample(families.INVALID, "", self.fleet.malformed)
        yield Sample(families.REFUSED, "", self.fleet.refused_devices)
        yield Sample(families.UNKNOWN_TOPICS, "", counts.unknown_topics)
        yield Sample(families.LINKS, "", counts.links)
        yield Sample(families.SHARD, f'shard="{self.shard.number}",shards="{self.shard.of}"', 1)
        yield Sample(families.SCRAPES, "", self._scrapes)
        if self._scrape_s is not None:
            yield Sample(families.SCRAPE_SECONDS, "", self._scrape_s)
        yield Sample(families.CPU_SECONDS, "", process_time())
        yield Sample(families.RESIDENT, "", self._process.memory_info().rss)
