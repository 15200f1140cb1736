"""The rollouts of a dashboard. What they are made of takes 70 ms to import, which the first picture does not wait for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from fleetview.core.rollout.board import Board, Key
    from fleetview.core.rollout.snapshot import ShownAnswer
    from fleetview.feeds.mqtt import Connection, ReceivedFleet
    from fleetview.feeds.rollouts import RolloutDesk
    from fleetview_agent.wire import Topics
    from fleetview_agent.wire.messages import RolloutVerb


class LateRollouts:
    """A RolloutDesk from the first word of a control plane on, or from when somebody looks."""

    def __init__(self, topics: Topics, by: str) -> None:
        self.connection: Connection | None = None
        """Over which orders go; None for who only looks."""
        self._topics = topics
        self._by = by
        self._made: RolloutDesk | None = None

    @property
    def _desk(self) -> RolloutDesk:
        if self._made is None:
            from fleetview.feeds.rollouts import RolloutDesk  # noqa: PLC0415 (see above)

            self._made = RolloutDesk(self._topics, self._by)
            self._made.connection = self.connection
        return self._made

    @property
    def board(self) -> Board:
        """What is known."""
        return self._desk.board

    @property
    def changes(self) -> int:
        """Counts up with whatever is told."""
        return 0 if self._made is None else self._made.board.changes

    def received(self, received: ReceivedFleet) -> None:
        """Take one message of a control plane."""
        self._desk.received(received)

    async def order(self, key: Key, verb: RolloutVerb, reason: str, **fields: Any) -> ShownAnswer:  # noqa: ANN401
        """Give an order. Raises LinkError; NoAnswerError."""
        return await self._desk.order(key, verb, reason, **fields)

    async def watch(self, key: Key, until: datetime) -> None:
        """Tell who runs a rollout that somebody looks at it. Raises LinkError."""
        await self._desk.watch(key, until)
