"""An operator's desk and a controller, for the tests of both."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from time import time
from typing import TYPE_CHECKING, Any

from support.followers import TENANT

from fleetview.config import Context
from fleetview.control.controller import ControllerRun
from fleetview.control.journal import Journal
from fleetview.core.rollout.commands import Order, Start, order_message, start_message
from fleetview.core.rollout.plan import Plan
from fleetview.core.rollout.planfile import validate_plan
from fleetview.core.rollout.snapshot import PublicRollout, read_snapshot
from fleetview_agent.mqtt import BrokerUrl, open_session
from fleetview_agent.wire import Channel, Controller, FleetTopic, RolloutSnapshot, Topics, decode, encode, new_session

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from support.broker import Broker

    from fleetview_agent.mqtt import Session

NAME = "app-1.5.0"
QUICK: dict[str, Any] = {
    "name": NAME,
    "tenant": TENANT,
    "target": {"release": {"version": "1.5.0"}},
    "select": "site:*",
    "waves": [1, "50%", "100%"],
    "every": "1s",
    "gates": [],
    "evidence": {"bake": "1s", "converged": 1, "passes": 1, "events": 1, "scrape": "5s"},
}


def plan_of(**fields: Any) -> Plan:
    return validate_plan(QUICK | fields)


class Desk:
    """An operator's view: the public snapshots, and orders."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.rollouts: dict[str, PublicRollout] = {}
        self.leaders: list[Controller] = []
        self.is_leaderless = False
        self.seen: list[str] = []

    def received(self, topic: str | bytes, payload: bytes, _retained: bool) -> None:
        found = Topics().parse(str(topic))
        assert isinstance(found, FleetTopic)
        body = decode(found.channel, payload) if payload else None
        if found.channel is Channel.CONTROLLER:
            self.is_leaderless = body is None
        if isinstance(body, Controller):
            self.leaders.append(body)
        elif isinstance(body, RolloutSnapshot):
            public = read_snapshot(body)
            self.rollouts[public.id] = public
            self.seen.append(public.status.value)

    @property
    def status(self) -> str:
        return self.rollouts[NAME].status.value if NAME in self.rollouts else ""

    async def start(self, plan: Plan, by: str = "ana") -> str:
        start = Start(new_session(time()), by, "", time() + 60, plan)
        await self._session.publish(Topics().rollout_command(plan.tenant, plan.name), encode(start_message(start)))
        return start.id

    async def order(self, verb: Any, by: str = "ana", **fields: Any) -> None:
        order = Order(new_session(time()), verb, by, fields.pop("reason", ""), time() + 60, **fields)
        await self._session.publish(Topics().rollout_command(TENANT, NAME), encode(order_message(order)))


@asynccontextmanager
async def desk_of(broker: Broker, tenant: str = TENANT, client_id: str = "desk") -> AsyncIterator[Desk]:
    desks: list[Desk] = []
    async with open_session(
        BrokerUrl.parse(broker.url),
        client_id=client_id,
        on_message=lambda *given: desks[0].received(*given),  # noqa: PLW0108
    ) as session:
        desks.append(Desk(session))
        topics = Topics()
        await session.subscribe([(topics.filter(channel, tenant), 1) for channel in (Channel.CONTROLLER, Channel.ROLLOUT)])
        yield desks[0]


@asynccontextmanager
async def controlling(broker: Broker, path: Path, *, tenant: str = TENANT, **options: Any) -> AsyncIterator[ControllerRun]:
    context = Context(name="plant", broker=BrokerUrl.parse(broker.url), tls=None)
    journal = Journal(path)
    run = ControllerRun(context, tenant, journal, **options)
    task = asyncio.create_task(run.run())
    try:
        yield run
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await task
        journal.close()
