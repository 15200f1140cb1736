"""Rollouts over a connection: what is told of them, and orders to who runs them."""

from __future__ import annotations

import asyncio
from time import monotonic, time
from typing import TYPE_CHECKING, Any

from fleetview.core.rollout.board import Board, Key
from fleetview.core.rollout.commands import Order, Start, order_message, start_message
from fleetview_agent.endpoint import FailureKind, LinkError
from fleetview_agent.wire import RolloutCommand, Topics, encode, format_time, new_session

if TYPE_CHECKING:
    from datetime import datetime

    from fleetview.core.rollout.plan import Plan
    from fleetview.core.rollout.snapshot import ShownAnswer
    from fleetview.feeds.mqtt import Connection, ReceivedFleet
    from fleetview_agent.wire.messages import RolloutVerb

ORDER_LIVES_S = 30.0
ANSWER_WITHIN_S = 10.0
WATCH_EVERY_S = 60.0
"""Who looks at a rollout says so that often."""


class NoAnswerError(Exception):
    """Nobody answered an order in time: whether it was taken is not known."""


class RolloutDesk:
    """The rollouts that one operator sees and steers."""

    def __init__(self, topics: Topics, by: str) -> None:
        self.board = Board()
        self.by = by
        self.connection: Connection | None = None
        """Over which orders go; None for who only looks."""
        self._topics = topics
        self._news = asyncio.Event()

    def received(self, received: ReceivedFleet) -> None:
        """Take one message of a control plane."""
        self.board.take(received.topic, received.body, received.mono_s, retained=received.retained)
        self._news.set()

    async def news(self, within_s: float) -> None:
        """Returns when something is told, or after so long."""
        try:
            async with asyncio.timeout(within_s):
                await self._news.wait()
        except TimeoutError:
            return
        self._news.clear()

    async def start(self, plan: Plan, reason: str) -> ShownAnswer:
        """Begin a rollout. Raises LinkError; NoAnswerError."""
        start = Start(new_session(time()), self.by, reason, time() + ORDER_LIVES_S, plan)
        return await self._send(Key(plan.tenant, plan.name), start_message(start), start.id)

    async def order(self, key: Key, verb: RolloutVerb, reason: str, **fields: Any) -> ShownAnswer:  # noqa: ANN401
        """Give an order; `fields` are those of Order. Raises LinkError; NoAnswerError."""
        order = Order(new_session(time()), verb, self.by, reason, time() + ORDER_LIVES_S, **fields)
        return await self._send(key, order_message(order), order.id)

    async def watch(self, key: Key, until: datetime) -> None:
        """Tell who runs a rollout that somebody looks at it. Raises LinkError."""
        said = RolloutCommand.model_validate(
            {"verb": "watch", "id": new_session(time()), "by": self.by, "expires_at": format_time(until)}
        )
        await self._publish(key, said)

    async def _publish(self, key: Key, command: RolloutCommand) -> None:
        if self.connection is None:
            raise LinkError.of(FailureKind.AUTHORISATION, "read-only: rollouts are not steered from here")
        await self.connection.publish(self._topics.rollout_command(*key), encode(command))

    async def _send(self, key: Key, command: RolloutCommand, order_id: str) -> ShownAnswer:
        await self._publish(key, command)
        deadline = monotonic() + ANSWER_WITHIN_S
        while (answer := self.board.answer(key, order_id)) is None:
            left_s = deadline - monotonic()
            if left_s <= 0:
                leader = self.board.leads(key.tenant)
                why = (
                    f"no controller runs for tenant {key.tenant}" if leader is None else f"controller {leader.id} is silent"
                )
                msg = f"{why}: no answer within {ANSWER_WITHIN_S:g} s; the order is void after {ORDER_LIVES_S:g} s"
                raise NoAnswerError(msg)
            await self.news(left_s)
        return answer
