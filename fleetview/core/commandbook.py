"""The commands that operators have sent from here: to which devices, and what has become of each. Decisions only.

    waiting ──▶ sent ──▶ accepted ──▶ succeeded, failed
       │          ├──▶ succeeded, failed, expired, unknown_verb      what the device answers
       ▼          ▼
    not_sent   no_answer      when its time is up; an answer that comes later still counts, and is called late

What a device has said last of all is never taken back: answers that come twice, as after a command was sent again, are
counted and change nothing.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from fleetview_agent.wire import Address, CommandResult

ACCEPTED_S = 120.0
"""For an accepted command to come to its end, whatever its expiry: agents give a module 60 s to run, a result as long."""
MAX_REQUESTS = 20_000
MAX_ORDERS = 100
MAX_SENDS = 5
"""Of one command to one device."""
MAX_MESSAGE_CHARS = 1_000


class Outcome(StrEnum):
    """How far a command to one device has got."""

    WAITING = "waiting"
    """Its turn to be sent has not come."""
    NOT_SENT = "not_sent"
    SENT = "sent"
    ACCEPTED = "accepted"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    EXPIRED = "expired"
    UNKNOWN_VERB = "unknown_verb"
    NO_ANSWER = "no_answer"

    @property
    def words(self) -> str:
        """As a person reads it."""
        return self.value.replace("_", " ")

    @property
    def open(self) -> bool:
        """Whether something is still to come of it by itself."""
        return self in _OPEN

    @property
    def final(self) -> bool:
        """Whether the device has said its last word."""
        return self in _FINAL


_OPEN = frozenset({Outcome.WAITING, Outcome.SENT, Outcome.ACCEPTED})
_FINAL = frozenset({Outcome.SUCCEEDED, Outcome.FAILED, Outcome.EXPIRED, Outcome.UNKNOWN_VERB})
_SPEAKS_OF = frozenset({Outcome.SENT, Outcome.ACCEPTED})


class BookFullError(Exception):
    """More commands are open than may be."""


@dataclass(slots=True, eq=False)
class Request:
    """One command to one device. Written by CommandBook only."""

    address: Address
    outcome: Outcome = Outcome.WAITING
    message: str = ""
    """The device's, as received: hostile until cleaned. Or why it was not sent."""
    sent_mono: float | None = None
    due_mono: float = math.inf
    """When it counts as unanswered."""
    expires_unix: float = math.inf
    answered_mono: float | None = None
    late: bool = False
    """The answer came after its time was up."""
    repeats: int = 0
    """Answers that said nothing new."""
    sends: int = 0
    session: str | None = None
    """Of the device when it was sent last; None when it was not there."""

    def left_s(self, mono_s: float) -> float | None:
        """How long it is still waited for; None when it is not."""
        return max(0.0, self.due_mono - mono_s) if self.outcome in _SPEAKS_OF else None

    @property
    def took_s(self) -> float | None:
        """From sending to the last answer."""
        return None if self.sent_mono is None or self.answered_mono is None else self.answered_mono - self.sent_mono


@dataclass(slots=True, eq=False)
class Order:
    """What an operator asked of some devices at once: one id, one command each. Written by CommandBook only."""

    id: str
    verb: str
    args: Mapping[str, Any]
    by: str
    reason: str
    expires_s: float
    """From the moment at which each is sent."""
    began_unix: float
    requests: Mapping[Address, Request]
    counts: Counter[Outcome] = field(default_factory=Counter)
    """How many are how far."""

    @property
    def open(self) -> int:
        """How many are still waited for."""
        return sum(self.counts[outcome] for outcome in _OPEN)

    @property
    def unsuccessful(self) -> int:
        """How many have come to an end that is no success."""
        return len(self.requests) - self.open - self.counts[Outcome.SUCCEEDED]

    @property
    def words(self) -> str:
        """`27 succeeded, 2 failed, 2 no answer`, successes first."""
        outcomes = (Outcome.SUCCEEDED, *(outcome for outcome in Outcome if outcome is not Outcome.SUCCEEDED))
        return ", ".join(f"{self.counts[outcome]:,} {outcome.words}" for outcome in outcomes if self.counts[outcome])


class CommandBook:
    """The orders of one operator, newest last. Times are the reader's monotonic clock, unless they end in `_unix`."""

    def __init__(self, max_requests: int = MAX_REQUESTS, max_orders: int = MAX_ORDERS) -> None:
        self._max_requests = max_requests
        self._max_orders = max_orders
        self._orders: OrderedDict[str, Order] = OrderedDict()
        self._open: dict[tuple[str, Address], tuple[Order, Request]] = {}
        self._held = 0
        self.foreign = 0
        """Results of commands that others sent, or that were forgotten."""
        self.forgotten = 0
        """Orders that were let go of, for there is room for so many."""

    @property
    def orders(self) -> Mapping[str, Order]:
        """By their ids, newest last."""
        return self._orders

    @property
    def open(self) -> int:
        """Commands that are still waited for, of all orders."""
        return len(self._open)

    # -- what the operator does

    def begin(
        self,
        order_id: str,
        verb: str,
        args: Mapping[str, Any],
        addresses: Iterable[Address],
        *,
        by: str,
        reason: str,
        expires_s: float,
        unix_s: float,
    ) -> Order:
        """A new order, of which nothing is sent yet. Raises BookFullError, and ValueError for an id that was used."""
        requests = {address: Request(address) for address in dict.fromkeys(addresses)}
        if order_id in self._orders:
            msg = f"command id {order_id!r} was used before"
            raise ValueError(msg)
        self._make_room(len(requests))
        order = Order(order_id, verb, dict(args), by, reason, expires_s, unix_s, requests)
        order.counts[Outcome.WAITING] = len(requests)
        self._orders[order_id] = order
        self._held += len(requests)
        self._open.update(((order_id, address), (order, request)) for address, request in requests.items())
        return order

    def _make_room(self, number: int) -> None:
        settled = [order for order in self._orders.values() if not order.open]
        while self._held + number > self._max_requests or len(self._orders) >= self._max_orders:
            if not settled:
                msg = (
                    f"{number:,} devices are too many: {self.open:,} commands are still open,"
                    f" and {self._max_requests:,} of {self._max_orders:,} orders are the most"
                )
                raise BookFullError(msg)
            oldest = settled.pop(0)
            del self._orders[oldest.id]
            self._held -= len(oldest.requests)
            self.forgotten += 1

    def sent(self, order: Order, address: Address, mono_s: float, unix_s: float, session: str | None) -> None:
        """It is about to be handed to the broker; again, where it was already. `session` is the device's, if it is there."""
        request = order.requests[address]
        request.sends += 1
        request.session = session
        if request.outcome is Outcome.WAITING:
            request.sent_mono = mono_s
            request.due_mono = mono_s + order.expires_s
            request.expires_unix = unix_s + order.expires_s
            self._move(order, request, Outcome.SENT)

    def not_sent(self, order: Order, address: Address, words: str) -> None:
        """The broker does not take it. What has been answered meanwhile, or was taken before, stays as it is."""
        request = order.requests[address]
        if request.outcome is Outcome.WAITING or (request.outcome is Outcome.SENT and request.sends <= 1):
            request.message = words
            self._move(order, request, Outcome.NOT_SENT)

    def give_up(self, order: Order, words: str) -> None:
        """Nothing more of an order will be sent."""
        for request in order.requests.values():
            if request.outcome is Outcome.WAITING:
                request.message = words
                self._move(order, request, Outcome.NOT_SENT)

    # -- what devices and time do

    def take(self, address: Address, command_id: str, result: CommandResult, mono_s: float) -> tuple[Order, Request] | None:
        """Take in a result; None when it is of no command of this book."""
        order = self._orders.get(command_id)
        request = None if order is None else order.requests.get(address)
        if order is None or request is None:
            self.foreign += 1
            return None
        outcome = Outcome(result.status)
        if request.outcome.final or (request.outcome is Outcome.ACCEPTED and outcome is Outcome.ACCEPTED):
            request.repeats += 1
            return order, request
        request.late = request.late or request.outcome is Outcome.NO_ANSWER
        request.message = (result.message or "")[:MAX_MESSAGE_CHARS]
        request.answered_mono = mono_s
        if outcome is Outcome.ACCEPTED:
            request.due_mono = max(request.due_mono if request.due_mono < math.inf else mono_s, mono_s + ACCEPTED_S)
        self._move(order, request, outcome)
        return order, request

    def advance(self, mono_s: float) -> int:
        """Let time pass: who has not answered by now has not. How many those were."""
        over = [found for found in self._open.values() if found[1].due_mono <= mono_s]
        for order, request in over:
            if request.outcome is Outcome.ACCEPTED:
                request.message = f"accepted, and its end was not told: {request.message}"[:MAX_MESSAGE_CHARS]
            self._move(order, request, Outcome.NO_ANSWER)
        return len(over)

    def again(self, session_of: Callable[[Address], str | None], *, all_sent: bool) -> Iterator[tuple[Order, Request]]:
        """What is worth sending once more: a broker keeps no command for a device that is not there.

        That is what was sent when the device was not there, or in another session of it, once `session_of` knows that it
        is; with `all_sent`, after our own link was down, whatever has no last answer. The agent does a command once, however
        often it gets it, and repeats its answer.
        """
        for order, request in list(self._open.values()):
            if request.outcome not in _SPEAKS_OF or request.sends >= MAX_SENDS:
                continue
            session = session_of(request.address)
            back = request.outcome is Outcome.SENT and session is not None and session != request.session
            if all_sent or back:
                yield order, request

    def _move(self, order: Order, request: Request, outcome: Outcome) -> None:
        order.counts[request.outcome] -= 1
        order.counts[outcome] += 1
        request.outcome = outcome
        key = (order.id, request.address)
        if outcome.open:
            self._open[key] = (order, request)
        else:
            self._open.pop(key, None)
