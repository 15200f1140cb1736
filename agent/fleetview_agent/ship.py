"""Ships what the spool holds: in batches, several on the way at once, acknowledged in order.

A batch that was not acknowledged when the link broke is sent again with the same numbers, by which readers tell duplicates.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence

from pydantic_core import from_json

from fleetview_agent.endpoint import LinkError
from fleetview_agent.journal import Intake
from fleetview_agent.link import Link
from fleetview_agent.mqtt import Session
from fleetview_agent.spool import Batch, Record, Spool
from fleetview_agent.wire import MAX_BATCH_BYTES, MAX_BATCH_RECORDS, LogBatch, WireError, encode_log

_log = logging.getLogger(__name__)

MAX_IN_FLIGHT = 4
"""Batches. One at a time would be bound by round trips: 500 records a round trip."""
LINGER_S = 0.3
"""How long a record waits for others to share a batch with."""
COMPRESS_ABOVE_BYTES = 1024
"""Below, gzip saves less than its own header and dictionary cost."""
_ENVELOPE_BYTES = 512
_NOTICED_S = 0.2
"""After which a link that is gone is known to be."""
_RETRY_S = 5.0
_MAX_RETRY_S = 60.0


class Shipper:
    """Carries records from a spool to the log topic of a device."""

    def __init__(self, spool: Spool, link: Link, topic: str) -> None:
        self._spool = spool
        self._link = link
        self._topic = topic
        self._arrived = asyncio.Event()
        self._progress = asyncio.Event()
        self._hurry = asyncio.Event()
        self.problem: str | None = None
        """Why the broker does not take logs, in words."""

    def notify(self) -> None:
        """Say that there is something to ship."""
        self._arrived.set()

    async def run(self) -> None:
        """Ship, for ever."""
        retry_s = _RETRY_S
        while True:
            session = await self._link.up()
            try:
                await self._ship(session)
            except LinkError as err:
                failure = err.failure
            finally:
                self._spool.rewind()
            if await self._next_session(session, _NOTICED_S):
                retry_s = _RETRY_S
                continue
            # The link still stands: so the broker does not take what is published there.
            self._refused(failure.words)
            await self._next_session(session, retry_s)
            retry_s = min(2 * retry_s, _MAX_RETRY_S)

    def _refused(self, words: str) -> None:
        problem = f"logs cannot be shipped: {words}"
        if problem != self.problem:
            _log.error(problem)
        self.problem = problem

    async def _next_session(self, session: Session, timeout_s: float) -> bool:
        """Whether the link is down or another one, after waiting for that."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._link.up(other_than=session)
        except TimeoutError:
            return not self._link.is_up(session)
        return True

    async def drained(self) -> None:
        """Ship what there is without waiting for more, and return when the broker has it all."""
        self._hurry.set()
        self._arrived.set()
        while self._spool.depth().records:
            self._progress.clear()
            await self._progress.wait()

    async def _ship(self, session: Session) -> None:
        in_flight: deque[tuple[Batch, asyncio.Task[None]]] = deque()
        arrived: asyncio.Task[bool] | None = None
        try:
            while True:
                self._arrived.clear()
                self._launch(session, in_flight)
                waiting: set[asyncio.Task[None] | asyncio.Task[bool]] = {task for _, task in in_flight if not task.done()}
                if len(in_flight) < MAX_IN_FLIGHT:
                    arrived = arrived or asyncio.create_task(self._more(), name="more records")
                    waiting.add(arrived)
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                if arrived is not None and arrived.done():
                    arrived = None
                self._settle(in_flight)
        finally:
            tasks = [task for _, task in in_flight] + ([arrived] if arrived is not None else [])
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _more(self) -> bool:
        await self._arrived.wait()
        if not self._hurry.is_set():
            try:
                async with asyncio.timeout(LINGER_S):
                    await self._hurry.wait()
            except TimeoutError:
                return True
        return True

    def _launch(self, session: Session, in_flight: deque[tuple[Batch, asyncio.Task[None]]]) -> None:
        while len(in_flight) < MAX_IN_FLIGHT:
            batch = self._spool.batch(MAX_BATCH_RECORDS, MAX_BATCH_BYTES - _ENVELOPE_BYTES)
            if batch is None:
                return
            in_flight.append((batch, asyncio.create_task(self._publish(session, batch), name="ship")))

    async def _publish(self, session: Session, batch: Batch) -> None:
        records = [from_json(record) for record in batch.records]
        message = LogBatch.model_construct(stream=self._spool.stream, first_seq=batch.first_seq, records=records)
        try:
            payload = encode_log(message, compress=batch.size_bytes > COMPRESS_ABOVE_BYTES)
        except WireError as err:
            # Cannot happen by construction. If it does, these records must not block all that come after them.
            extra = {"first_seq": batch.first_seq, "count": len(batch.records)}
            _log.error("log records cannot be shipped and are left out: %s", err, extra=extra)
            return
        await session.publish(self._topic, payload, qos=1)

    def _settle(self, in_flight: deque[tuple[Batch, asyncio.Task[None]]]) -> None:
        """Acknowledge, in order, what arrived. Raises LinkError when something did not."""
        while in_flight and in_flight[0][1].done():
            in_flight[0][1].result()
            batch, _ = in_flight.popleft()
            self._spool.ack(batch.last_seq)
            self.problem = None
            self._progress.set()
        for _, task in in_flight:
            if task.done():
                task.result()


class NotifyingIntake(Intake):
    """An intake that wakes the shipper."""

    shipper: Shipper | None = None

    def take(self, records: Sequence[Record]) -> int:
        last = super().take(records)
        if self.shipper is not None:
            self.shipper.notify()
        return last
