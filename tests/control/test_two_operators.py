"""Two operators at one rollout on a real broker: approval, orders at once, who is there, and commands of yesterday."""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING

from support.followers import TENANT, fleet_of, following
from support.wait import until

from control.operators import NAME, Desk, controlling, desk_of, plan_of
from fleetview.core.rollout.commands import Order, order_message
from fleetview_agent.wire import Topics, encode, new_session

if TYPE_CHECKING:
    from pathlib import Path

    from support.broker import Broker

    from fleetview.core.rollout.snapshot import ShownAnswer


async def give(desk: Desk, order: Order) -> None:
    await desk._session.publish(Topics().rollout_command(TENANT, NAME), encode(order_message(order)))


def order_of(verb: str, by: str, *, expires_in_s: float = 60.0, **fields: object) -> Order:
    return Order(new_session(time()), verb, by, "ticket 4711", time() + expires_in_s, **fields)  # type: ignore[arg-type]


def answer(desk: Desk, order: Order) -> ShownAnswer | None:
    public = desk.rollouts.get(NAME)
    return None if public is None else next((each for each in public.answers if each.order == order.id), None)


async def answered(desk: Desk, order: Order) -> ShownAnswer:
    await until(lambda: answer(desk, order) is not None, within_s=30)
    found = answer(desk, order)
    assert found is not None
    return found


async def test_approval_waits_for_another_operator(broker: Broker, tmp_path: Path) -> None:
    async with (
        following(broker.url, fleet_of(2)) as followers,
        desk_of(broker) as ana,
        desk_of(broker, client_id="desk-2") as ben,
        controlling(broker, tmp_path / "j.db"),
    ):
        await until(lambda: ana.leaders)
        await ana.start(plan_of(approval=True, waves=["100%"]), by="ana")
        await until(lambda: ben.status == "awaiting_approval", within_s=30)
        own = order_of("resume", "ana", reasons=("approval",))
        await give(ana, own)
        refused = await answered(ana, own)
        assert (refused.taken, refused.text) == (False, "ana started it: somebody else has to approve it")
        assert not any(device.offers for device in followers.devices.values())
        other = order_of("resume", "ben", reasons=("approval",))
        await give(ben, other)
        assert (await answered(ana, other)).taken
        await until(lambda: ana.status == "succeeded", within_s=60)
        assert ana.rollouts[NAME].approved_by == "ben"
        assert "ben" in {operator.who for operator in ana.rollouts[NAME].operators}, "who is there is shown"


async def test_of_two_orders_at_once_the_second_is_refused_and_old_ones_change_nothing(
    broker: Broker, tmp_path: Path
) -> None:
    async with (
        following(broker.url, fleet_of(2)),
        desk_of(broker) as ana,
        desk_of(broker, client_id="desk-2") as ben,
        controlling(broker, tmp_path / "j.db"),
    ):
        await until(lambda: ana.leaders)
        await ana.start(plan_of(waves=[{"to": 1, "hold": "step"}, "100%"]))
        await until(lambda: ana.status == "paused" and ben.status == "paused", within_s=60)
        seen = ana.rollouts[NAME].revision
        late = order_of("resume", "cid", expires_in_s=-5.0)
        await give(ben, late)
        first = order_of("resume", "ana", revision=seen)
        second = order_of("rollback", "ben", revision=seen)
        await give(ana, first)
        await give(ana, second)  # on one connection, so that it is known which comes first
        assert (await answered(ana, first)).taken
        refused = await answered(ben, second)
        assert not refused.taken, "the second saw what is no more"
        assert "look again" in refused.text, refused.text
        stale = await answered(ben, late)
        assert (stale.taken, "expired" in stale.text) == (False, True), stale.text
        await until(lambda: ana.status in {"rolled_back", "succeeded"}, within_s=60)
        after, status = ana.rollouts[NAME].revision, ana.status
        for old in (first, second, late):
            await give(ben, old)  # replayed, as by a broker or by somebody who listened
        probe = order_of("pause", "dan")
        await give(ben, probe)
        assert not (await answered(ben, probe)).taken
        assert (ana.rollouts[NAME].revision, ana.status) == (after, status)
