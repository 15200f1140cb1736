"""Carries orders to devices at a bounded rate, takes what they answer, and sends again to who was not there.

Made only where commands may be sent: a read-only context has none, and its connection cannot publish.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from time import monotonic, time
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from fleetview.core.commandbook import CommandBook, Order, Request
from fleetview.core.commandplan import MAX_BUNDLES
from fleetview.core.device import Connectivity
from fleetview.feeds.lanes import Lanes
from fleetview.feeds.states import Backoff, Refused
from fleetview_agent.endpoint import FailureKind, LinkError
from fleetview_agent.wire import Address, Channel, Command, CommandResult, LogBatch, Topics, encode, new_session
from fleetview_agent.wire.bundles import Pieces

if TYPE_CHECKING:
    from fleetview.audit import Audit
    from fleetview.core.received import Received
    from fleetview.feeds.watch import FleetFeed

RATE_PER_S = 50.0
"""Commands a second: a thousand devices in 20 s, and no broker or log server falls over from what they all write then."""
LOOK_S = 0.25
_IN_FLIGHT = 20
_REFUSALS = frozenset({FailureKind.AUTHORISATION, FailureKind.REFUSED})


class Bundle(NamedTuple):
    """The diagnostics of one device, whole."""

    order: Order
    address: Address
    data: bytes
    """JSON."""


class CommandSender:
    """The commands of one operator over one connection. `run` is the task that sends them."""

    def __init__(
        self,
        feed: FleetFeed,
        topics: Topics,
        *,
        by: str,
        audit: Audit | None = None,
        rate_per_s: float = RATE_PER_S,
        on_problem: Callable[[str], object] = lambda _: None,
        on_bundle: Callable[[Bundle], object] = lambda _: None,
    ) -> None:
        """Why there is no audit record, or no bundle, is told to `on_problem`, in words."""
        self.book = CommandBook()
        self.by = by
        self._feed = feed
        self._topics = topics
        self._audit = audit
        self._rate_per_s = rate_per_s
        self._on_problem = on_problem
        self._on_bundle = on_bundle
        self._lanes = Lanes(in_flight=1)
        self._queue: asyncio.Queue[tuple[Order, Request]] = asyncio.Queue()
        self._queued: set[Request] = set()
        self._slots = asyncio.Semaphore(_IN_FLIGHT)
        self._sending: set[asyncio.Task[None]] = set()
        self._unended: dict[str, Order] = {}
        """Orders whose end stands in no record yet."""
        self._links = 0
        self._pieces: dict[tuple[str, Address], Pieces] = {}
        self._news = asyncio.Event()

    async def order(
        self, verb: str, args: Mapping[str, Any], addresses: Iterable[Address], *, reason: str, expires_s: float
    ) -> Order:
        """Record an order, and begin to send it. Raises BookFullError."""
        order = self.book.begin(
            new_session(time()), verb, args, addresses, by=self.by, reason=reason, expires_s=expires_s, unix_s=time()
        )
        if verb == "diagnostics":
            self._collect(order)
        await self._record(lambda audit: audit.began(order, datetime.now(UTC)))
        self._unended[order.id] = order
        for request in order.requests.values():
            self._enqueue(order, request)
        return order

    def received(self, received: Received) -> None:
        """Take in one message of a device: results of commands, and pieces of bundles."""
        if received.channel is Channel.COMMAND_RESULT:
            if isinstance(received.body, CommandResult) and received.command_id is not None and not received.retained:
                self.book.take(received.address, received.command_id, received.body, received.mono_s)
                self._news.set()
        elif self._pieces and received.channel is Channel.LOG and isinstance(received.body, LogBatch):
            self._take_pieces(received.address, received.body)

    async def run(self) -> NoReturn:
        """Sends, until cancelled."""
        self._links = self._feed.connection.counts.links
        pump = asyncio.create_task(self._pump(), name="commands")
        try:
            while True:
                self._look()
                await self._record_ends()
                await asyncio.wait({pump}, timeout=LOOK_S)
                if pump.done():
                    pump.result()  # a defect
        finally:
            pump.cancel()
            for task in self._sending:
                task.cancel()
            await asyncio.wait({pump, *self._sending})

    async def close(self) -> None:
        """Record what is known of orders that are still open: nobody will wait for them any more."""
        for order in self._unended.values():
            await self._record_end(order)
        self._unended.clear()

    async def news(self, within_s: float) -> None:
        """Returns when something may have come of a command, or after so long."""
        try:
            async with asyncio.timeout(within_s):
                await self._news.wait()
        except TimeoutError:
            return
        self._news.clear()

    def pieces_of(self, order: Order, address: Address) -> Pieces | None:
        """The pieces of a bundle that is not whole yet; None when none is awaited."""
        return self._pieces.get((order.id, address))

    # -- sending

    def _enqueue(self, order: Order, request: Request) -> None:
        if request not in self._queued:
            self._queued.add(request)
            self._queue.put_nowait((order, request))

    async def _pump(self) -> NoReturn:
        while True:
            order, request = await self._queue.get()
            await self._link(order)
            if not request.outcome.open:
                self._queued.discard(request)
                continue
            await self._slots.acquire()
            task = asyncio.create_task(self._send(order, request), name="command")
            self._sending.add(task)
            task.add_done_callback(self._sent)
            await asyncio.sleep(1 / self._rate_per_s)

    async def _link(self, order: Order) -> None:
        """Wait for the link as long as a command lives; then none of the order that has not gone yet will."""
        connection = self._feed.connection
        try:
            async with asyncio.timeout(order.expires_s):
                await connection.up()
        except TimeoutError:
            state = connection.state
            words = state.failure.words if isinstance(state, Backoff | Refused) else "the broker does not answer"
            self.book.give_up(order, words)
            self._news.set()

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._slots.release()
        self._news.set()

    async def _send(self, order: Order, request: Request) -> None:
        self.book.sent(order, request.address, monotonic(), time(), self._session_of(request.address))
        self._queued.discard(request)
        command = Command(
            verb=order.verb,
            args=dict(order.args),
            expires_at=datetime.fromtimestamp(request.expires_unix, UTC),
            by=order.by,
        )
        topic = self._topics.device(request.address, Channel.COMMAND, order.id)
        try:
            await self._feed.connection.publish(topic, encode(command))
        except LinkError as err:
            # When the link broke, the broker may have it or not; with the next link it is sent again.
            if err.failure.kind in _REFUSALS:
                self.book.not_sent(order, request.address, err.failure.words)
                # Mosquitto 2.0 ends the connection of who publishes what it may not: a thousand more would be as many ends.
                self.book.give_up(order, f"not tried any more: {err.failure.words}")

    def _session_of(self, address: Address) -> str | None:
        device = self._feed.fleet.devices.get(address)
        there = device is not None and device.confirmed and device.connectivity is Connectivity.ONLINE
        return device.session if there and device is not None else None

    def _look(self) -> None:
        if self.book.advance(monotonic()):
            self._news.set()
        links = self._feed.connection.counts.links
        anew, self._links = 0 < self._links < links, links
        for order, request in self.book.again(self._session_of, all_sent=anew):
            self._enqueue(order, request)

    # -- the record of what was done

    async def _record_ends(self) -> None:
        for order in [order for order in self._unended.values() if not order.open]:
            del self._unended[order.id]
            await self._record_end(order)

    async def _record_end(self, order: Order) -> None:
        await self._record(lambda audit: audit.ended(order, datetime.now(UTC)))

    async def _record(self, write: Callable[[Audit], None]) -> None:
        """In a thread, for disks are slow. A full disk keeps nobody from acting, but it is told."""
        audit = self._audit
        if audit is None:
            return
        try:
            await self._lanes.run(lambda: write(audit))
        except OSError as err:
            self._on_problem(f"no audit record was written: {err}")

    # -- bundles of diagnostics

    def _collect(self, order: Order) -> None:
        for address in order.requests:
            if len(self._pieces) >= MAX_BUNDLES:
                self._pieces.pop(next(iter(self._pieces)))
            self._pieces[order.id, address] = Pieces(order.id)

    def _take_pieces(self, address: Address, batch: LogBatch) -> None:
        for record in batch.records:
            command_id = record.get("id") if record.get("event") == "diagnostics" else None
            pieces = self._pieces.get((command_id, address)) if isinstance(command_id, str) else None
            if pieces is not None and pieces.take(record) and pieces.complete:
                order = self.book.orders.get(str(command_id))
                del self._pieces[str(command_id), address]
                if order is not None:
                    self._complete(order, address, pieces)

    def _complete(self, order: Order, address: Address, pieces: Pieces) -> None:
        try:
            data = pieces.bundle()
        except ValueError as err:
            self._on_problem(f"the diagnostics of {address} are of no use: {err}")
            return
        self._on_bundle(Bundle(order, address, data))
        self._news.set()
