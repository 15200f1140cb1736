"""Rollouts as a controller would tell of them, and a controller that answers as tests say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from core.rollout.world import NEW, World, plan_of, world

from fleetview.core.rollout.board import Board, Key
from fleetview.core.rollout.snapshot import ShownAnswer, message_of, snapshot
from fleetview.core.rollout.state import Stage, Status
from fleetview_agent.wire import Channel, Controller, FleetTopic, decode, encode

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["NEW", "FakeRollouts", "Stage", "Status", "World", "baking", "failed", "plan_of", "tell", "world"]


def tell(board: Board, rollout: World, *, mono_s: float = 0.0, led: bool = True) -> Key:
    """Put what everybody may see of a rollout on a board, over the wire's bytes."""
    key = Key(rollout.plan.tenant, rollout.rollout.id)
    payload = encode(message_of(snapshot(rollout.rollout)), compress=True)
    body = decode(Channel.ROLLOUT, payload)
    board.take(FleetTopic(key.tenant, Channel.ROLLOUT, key.id), body, mono_s, retained=False)
    if led:
        leader = Controller(id="01JDCONTROL", epoch=7)
        board.take(FleetTopic(key.tenant, Channel.CONTROLLER), leader, mono_s, retained=False)
    return key


def baking(devices: int = 60, **plan: Any) -> World:
    """A rollout whose first wave bakes."""
    found = world(devices, plan_of(**plan))
    found.run_until(lambda: found.rollout.head.phase.value == "baking")
    found.run_for(120)
    return found


def failed(devices: int = 60, **plan: Any) -> World:
    """A rollout that stands still, because the new release raises errors."""
    gates = [{"name": "error-rate", "measure": "error_rate", "max": "0.5%", "on_fail": "pause"}]
    found = world(devices, plan_of(gates=gates, waves=["20%", "100%"], **plan))
    found.new_rate = 0.041
    found.run_until(lambda: found.status is Status.PAUSED)
    return found


@dataclass
class FakeRollouts:
    """Who tells of rollouts, and takes orders."""

    board: Board = field(default_factory=Board)
    taken: bool = True
    orders: list[tuple[Any, ...]] = field(default_factory=list)
    watched: list[Key] = field(default_factory=list)

    @property
    def changes(self) -> int:
        return self.board.changes

    async def order(self, key: Key, verb: str, reason: str, **fields: Any) -> ShownAnswer:
        self.orders.append((key, verb, reason, fields))
        return ShownAnswer(order="o", taken=self.taken, text="as you say" if self.taken else "look again, then decide")

    async def watch(self, key: Key, until: datetime) -> None:
        assert until is not None
        self.watched.append(key)
