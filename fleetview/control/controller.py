"""The controller of one tenant: wires connection, journal, leadership and measurements together; nothing else does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic, time
from typing import TYPE_CHECKING

from fleetview.control.journal import Journal, JournalError
from fleetview.control.leadership import Leadership
from fleetview.control.logs import KEPT_EVERY_S
from fleetview.control.measuring import Measuring
from fleetview.control.outbox import REFUSALS, Outbox
from fleetview.control.running import Asked, Running
from fleetview.core.fleet import Fleet
from fleetview.core.rollout.commands import OrderRefusedError, parse_order, parse_start, parse_watch
from fleetview.core.rollout.events import MeasurementFailed
from fleetview.feeds.states import LinkState, Up
from fleetview.feeds.watch import FleetFeed
from fleetview_agent.endpoint import LinkError, WillMessage
from fleetview_agent.wire import Channel, Controller, RolloutCommand, Topics, encode, new_session

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from fleetview.config import Context
    from fleetview.core.device import Device
    from fleetview.core.received import Received
    from fleetview.feeds.mqtt import ReceivedFleet
    from fleetview.feeds.prometheus import Prometheus

_log = logging.getLogger(__name__)

ROUND_S = 1.0
NEWS_S = 0.2
"""A round begins so soon after something happened."""
QUIET_S = 0.5
"""Without a retained message for so long, all that was retained has come."""
SETTLED_WITHIN_S = 60.0
SHOWN_EVERY_S = 30.0
"""What everybody may see is published again, though nothing changed: who looks knows by its age that somebody is there."""

Tell = Callable[[str], object]


class DeposedError(Exception):
    """Another controller leads, with a higher epoch."""


class ControllerRun:
    """A controller, from its start to its end."""

    def __init__(
        self,
        context: Context,
        tenant: str,
        journal: Journal,
        *,
        prometheus: Prometheus | None = None,
        insists: bool = False,
        tell: Tell = lambda _: None,
    ) -> None:
        """Raises JournalError. `insists`: lead even if another controller seems to."""
        self.fleet = Fleet()
        self.tenant = tenant
        self._topics = Topics(context.root)
        self._journal = journal
        self._insists = insists
        self._tell = tell
        own_id = journal.meta("controller") or new_session(time())
        journal.keep("controller", own_id)
        self.leadership = Leadership(own_id, int(journal.meta("epoch") or 0))
        self.running = Running(journal, self.fleet, self._topics, tenant)
        self.measuring = Measuring(prometheus, context.device_labels, time, self.running.logs)
        self._since = datetime.now(UTC)
        self._news = asyncio.Event()
        self._outbox = Outbox(journal, self._publish, tell)
        self._measurements: set[asyncio.Task[None]] = set()
        self._was_up = False
        self._looking: asyncio.Task[None] | None = None
        self._shown_mono_s = monotonic()
        self.feed = FleetFeed(
            context,
            self.fleet,
            on_state=self._link_changed,
            on_applied=self._applied,
            on_fleet=self._heard,
            also=(self._topics.filter(Channel.ROLLOUT_COMMAND, tenant),),
            will=WillMessage(self._topics.controller(tenant), b""),
        )

    async def run(self) -> None:
        """Stands by until nobody else leads, then leads until cancelled.

        Raises JournalError; DeposedError; LinkError when the broker does not let this user lead.
        """
        await self._with_link(self._lead_when_possible())

    async def once(self) -> int:
        """Leads for one round, and until all of it is published. Returns the rollouts that are not over."""
        await self._with_link(self._one_round())
        return sum(run.holds for run in self.running.runs.values())

    async def _with_link(self, work: Awaitable[None]) -> None:
        link = asyncio.create_task(self.feed.connection.run(), name="connection")
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait({link, task}, return_when=asyncio.FIRST_COMPLETED)
            for each in (task, link):
                if each.done():
                    each.result()
        finally:
            if self.leadership.role == "leading":
                try:
                    self.running.end()
                except JournalError as err:  # the end goes on: what was decided is kept already
                    self._tell(f"{err}; what was counted of logs in the last {KEPT_EVERY_S:.0f} s is lost")
                with suppress(LinkError, TimeoutError):
                    async with asyncio.timeout(2):
                        await self._publish(self._topics.controller(self.tenant), b"")
            tasks = [link, task, *self._measurements, *filter(None, [self._looking])]
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # -- leading

    async def _take_lead(self) -> None:
        while True:
            await self._wait_for_lead()
            try:
                await self._begin_to_lead()
            except LinkError as err:  # the link is down again: as if nothing had been
                self.leadership.role = "waiting"
                if err.failure.kind in REFUSALS:
                    raise self._may_not_lead(err) from None
            else:
                return
            await asyncio.sleep(ROUND_S)

    def _may_not_lead(self, err: LinkError) -> LinkError:
        topic = self._topics.controller(self.tenant)
        words = f"the broker does not take what says who leads tenant {self.tenant} ({err.failure.words})"
        return LinkError.of(err.failure.kind, f"{words}: let this user write {topic}, or name another one")

    async def _wait_for_lead(self) -> None:
        stands_by: str | None = None
        while True:
            await self.feed.connection.up()
            if await self.feed.connection.settled(QUIET_S, SETTLED_WITHIN_S):
                if self.leadership.may_lead(monotonic(), insists=self._insists):
                    return
                if stands_by != self.leadership.other:
                    stands_by = self.leadership.other
                    self._tell(
                        f"controller {stands_by} leads tenant {self.tenant}; standing by (--take-over leads in its place)"
                    )
            await asyncio.sleep(ROUND_S)

    async def _begin_to_lead(self) -> None:
        # Also above what devices were told before this journal was begun: they obey nothing older.
        told = (device.desired.epoch or 0 for device in self._own_devices() if device.desired is not None)
        self.leadership.epoch = max(self.leadership.epoch, *told, 0)
        before = int(self._journal.meta("epoch") or 0)
        epoch = self.leadership.lead()
        self._journal.keep("epoch", str(epoch))
        await self._say_who_leads()
        self.running.take_up(before, epoch)
        self.running.lead(epoch)
        self._tell(
            f"leads tenant {self.tenant} with epoch {epoch}: {len(self.running.runs)} rollouts in {self._journal.path}"
        )

    def _own_devices(self) -> Iterator[Device]:
        return (device for address, device in self.fleet.devices.items() if address.tenant == self.tenant)

    async def _lead_when_possible(self) -> None:
        await self._take_lead()
        run = self._outbox.run(self.feed.connection.up, lambda: self.leadership.role == "leading")
        publishing = asyncio.create_task(run, name="outbox")
        try:
            while True:
                if publishing.done():
                    publishing.result()
                await self._round()
                with suppress(TimeoutError):
                    async with asyncio.timeout(ROUND_S):
                        await self._news.wait()
                        await asyncio.sleep(NEWS_S)
        finally:
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)

    async def _one_round(self) -> None:
        await self._take_lead()
        await self._round()
        while await self._outbox.some():
            pass

    async def _say_who_leads(self) -> None:
        leadership = self.leadership
        said = Controller(id=leadership.id, epoch=leadership.epoch, since=self._since)
        await self._publish(self._topics.controller(self.tenant), encode(said))
        leadership.beat_s = monotonic()

    async def _round(self) -> None:
        if self.leadership.role != "leading":
            msg = f"controller {self.leadership.other} leads tenant {self.tenant} now, with epoch {self.leadership.epoch}"
            raise DeposedError(msg)
        self._news.clear()
        now_mono_s, now_s = monotonic(), time()
        self.fleet.advance(now_mono_s, now_s)
        self.running.changed(self.fleet.drain())
        if now_mono_s - self._shown_mono_s >= SHOWN_EVERY_S:
            self._shown_mono_s = now_mono_s
            self.running.show_again()
            self.measuring.forget_others(self.fleet.devices, self.running.going_on())
        asked = self.running.round(now_s)
        self._outbox.look()
        for each in asked:
            self._measure(each)
        for rollout in self.running.just_begun():
            self.measuring.remember_before(rollout)
        if self.leadership.is_due(now_mono_s) and isinstance(self.feed.connection.state, Up):
            with suppress(LinkError):
                await self._say_who_leads()

    def _measure(self, asked: Asked) -> None:
        async def measure() -> None:
            measure = asked.measure
            try:
                answer = await self.measuring.take(asked.rollout, measure)
            except Exception as err:  # noqa: BLE001  # a defect must not look like evidence that is still to come
                _log.exception("a measurement ended in a defect")
                answer = MeasurementFailed(measure.gate, measure.wave, measure.evaluation, f"a defect: {err!r}"[:200])
            self.running.measured(asked.rollout.id, answer)
            self._news.set()

        task = asyncio.create_task(measure(), name=f"measure {asked.measure.gate}")
        self._measurements.add(task)
        task.add_done_callback(self._measurements.discard)

    # -- publishing

    async def _publish(self, topic: str, payload: bytes) -> None:
        await self.feed.connection.publish(topic, payload, retain=True)

    # -- what comes

    def _applied(self, received: Received) -> None:
        if received.address.tenant == self.tenant:
            self.measuring.take_in(received)
            self.running.received(received)

    def _heard(self, received: ReceivedFleet) -> None:
        if received.topic.tenant != self.tenant:
            return
        name, body = received.topic.rollout_id, received.body
        match received.topic.channel:
            case Channel.CONTROLLER if body is None or isinstance(body, Controller):
                self.leadership.heard(body, received.mono_s)
                self._outbox.look()
                self._news.set()
            case Channel.ROLLOUT_COMMAND if name is not None and not received.retained:
                if isinstance(body, RolloutCommand):
                    self._take_order(name, body)
                elif body is not None:
                    self._tell(f"a command for rollout {name} is no command: {body}")

    def _take_order(self, name: str, command: RolloutCommand) -> None:
        if self.leadership.role != "leading":
            return
        try:
            match command.verb:
                case "start":
                    problem = self.running.start(name, parse_start(command), time())
                case "watch":
                    problem = self.running.seen(name, parse_watch(command))
                case _:
                    problem = self.running.order(name, parse_order(command))
        except OrderRefusedError as err:
            problem = str(err)
            self.running.refuse(name, str((command.model_extra or {}).get("id", ""))[:64], problem)
        if problem is not None:
            self._tell(f"{command.verb} of rollout {name} refused: {problem}")
        self._news.set()

    def _link_changed(self, state: LinkState) -> None:
        was_up, self._was_up = self._was_up, isinstance(state, Up)
        if self.leadership.role != "leading":
            return
        if self._looking is not None:
            self._looking.cancel()
        if isinstance(state, Up):
            self._looking = asyncio.create_task(self._look_again(), name="look again")
        elif was_up:
            self.running.link_lost()
        self._news.set()

    async def _look_again(self) -> None:
        """When all that is retained has come again, rollouts go on; while it has not, they see nothing."""
        while not await self.feed.connection.settled(QUIET_S, SETTLED_WITHIN_S):
            self._tell("the broker is still sending what it has retained: rollouts stand still")
        self.running.link_restored()
        self.leadership.beat_s = 0.0
        self._outbox.look()
        self._news.set()
