"""Commands that were sent: whatever comes in whatever order, each device has one outcome, and its last word stands."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fleetview.core.commandbook import (
    ACCEPTED_S,
    MAX_MESSAGE_CHARS,
    MAX_SENDS,
    BookFullError,
    CommandBook,
    Order,
    Outcome,
    Request,
)
from fleetview_agent.wire import Address, CommandResult
from fleetview_agent.wire.messages import CommandStatus

UNIX_S = 1_000_000.0
EXPIRES_S = 60.0
STATUSES: tuple[CommandStatus, ...] = get_args(CommandStatus)


def address(number: int) -> Address:
    return Address("acme", "plant-1", f"gw-{number}")


def begun(book: CommandBook, order_id: str = "c1", devices: int = 1, **more: Any) -> Order:
    fields = {"by": "ana@laptop", "reason": "", "expires_s": EXPIRES_S, "unix_s": UNIX_S, **more}
    return book.begin(order_id, "ping", {}, map(address, range(devices)), **fields)


def result(status: CommandStatus, message: str = "") -> CommandResult:
    return CommandResult(status=status, message=message)


def sent(at_s: float = 0.0, session: str | None = "S1") -> tuple[CommandBook, Order, Request]:
    book = CommandBook()
    order = begun(book)
    book.sent(order, address(0), at_s, UNIX_S + at_s, session)
    return book, order, order.requests[address(0)]


def test_from_sending_to_the_answer() -> None:
    book, order, request = sent(at_s=10)
    assert (request.outcome, request.left_s(30), request.expires_unix) == (Outcome.SENT, 40, UNIX_S + 70)
    assert book.take(address(0), "c1", result("succeeded", "up for 3 s"), 12.5) == (order, request)
    assert (request.outcome, request.message, request.took_s, request.left_s(30)) == ("succeeded", "up for 3 s", 2.5, None)
    assert (order.open, order.unsuccessful, book.open) == (0, 0, 0)


def test_who_has_not_answered_by_its_expiry_has_not_and_a_late_answer_still_counts() -> None:
    book, order, request = sent()
    assert book.advance(59.9) == 0
    assert book.advance(60.0) == 1
    assert (request.outcome, order.unsuccessful, book.open) == (Outcome.NO_ANSWER, 1, 0)
    book.take(address(0), "c1", result("accepted"), 61)
    assert (request.outcome, request.late, book.open) == (Outcome.ACCEPTED, True, 1)
    book.take(address(0), "c1", result("succeeded"), 62)
    assert (request.outcome, request.late, order.unsuccessful) == (Outcome.SUCCEEDED, True, 0)


def test_what_was_accepted_has_its_own_time() -> None:
    book, _, request = sent()
    book.take(address(0), "c1", result("accepted", "module m is being restarted"), 50)
    assert book.advance(50 + ACCEPTED_S - 1) == 0
    assert request.left_s(50 + ACCEPTED_S - 1) == 1
    assert book.advance(50 + ACCEPTED_S) == 1
    assert request.outcome is Outcome.NO_ANSWER
    assert request.message == "accepted, and its end was not told: module m is being restarted"


@pytest.mark.parametrize("first", [status for status in STATUSES if status != "accepted"])
@pytest.mark.parametrize("second", STATUSES)
def test_the_last_word_of_a_device_stands(first: CommandStatus, second: CommandStatus) -> None:
    book, _, request = sent()
    book.take(address(0), "c1", result(first, "one"), 1)
    book.take(address(0), "c1", result(second, "two"), 2)
    book.advance(1e9)
    assert (request.outcome, request.message, request.repeats, request.answered_mono) == (first, "one", 1, 1)


def test_results_of_others_are_counted_and_change_nothing() -> None:
    book, _, request = sent()
    assert book.take(address(0), "c2", result("succeeded"), 1) is None
    assert book.take(address(9), "c1", result("succeeded"), 1) is None
    assert (book.foreign, request.outcome) == (2, Outcome.SENT)


def test_what_the_broker_refuses_was_not_sent_unless_the_device_says_otherwise() -> None:
    book, order, request = sent()
    book.not_sent(order, address(0), "not authorised")
    assert (request.outcome, request.message, order.unsuccessful) == (Outcome.NOT_SENT, "not authorised", 1)
    book.take(address(0), "c1", result("succeeded"), 1)
    book.not_sent(order, address(0), "not authorised")
    assert request.outcome is Outcome.SUCCEEDED


def test_it_is_sent_again_to_who_comes_back() -> None:
    book, order, request = sent(session=None)
    assert list(book.again(lambda _: None, all_sent=False)) == []
    assert list(book.again(lambda _: "S2", all_sent=False)) == [(order, request)]
    book.sent(order, address(0), 30, UNIX_S + 30, "S2")
    assert request.due_mono == 60, "the first sending counts: its expiry is in the payload"
    assert list(book.again(lambda _: "S2", all_sent=False)) == []
    assert list(book.again(lambda _: None, all_sent=True)) == [(order, request)]
    book.take(address(0), "c1", result("accepted"), 31)
    assert list(book.again(lambda _: "S3", all_sent=False)) == [], "it has it; and a new session knows nothing of it"
    assert list(book.again(lambda _: None, all_sent=True)) == [(order, request)], "the end may have been missed"
    while request.sends < MAX_SENDS:
        book.sent(order, address(0), 32, UNIX_S + 32, "S2")
    assert list(book.again(lambda _: "S4", all_sent=True)) == []


def test_a_device_is_asked_once_however_often_it_is_named() -> None:
    book = CommandBook()
    order = book.begin("c1", "ping", {}, [address(1), address(1)], by="", reason="", expires_s=1, unix_s=0)
    assert list(order.requests) == [address(1)]
    with pytest.raises(ValueError, match="used before"):
        begun(book)


def test_the_book_is_bounded_and_lets_go_of_what_is_settled() -> None:
    book = CommandBook(max_requests=10, max_orders=3)
    first = begun(book, "c1", 6)
    with pytest.raises(BookFullError, match="5 devices are too many: 6 commands are still open"):
        begun(book, "c2", 5)
    for number in range(6):
        book.take(address(number), "c1", result("succeeded"), 1)
    begun(book, "c2", 5)
    assert (list(book.orders), book.forgotten, first.open) == (["c2"], 1, 0)
    book.take(address(0), "c1", result("failed"), 2)
    assert book.foreign == 1
    for number in range(3, 5):
        begun(book, f"c{number}", 1)
    with pytest.raises(BookFullError):
        begun(book, "c5", 1)
    with pytest.raises(BookFullError):
        CommandBook(max_requests=3).begin("c", "ping", {}, map(address, range(4)), by="", reason="", expires_s=1, unix_s=0)


@given(st.lists(st.sampled_from(STATUSES), max_size=6), st.text(max_size=3000))
def test_messages_are_bounded(statuses: list[CommandStatus], message: str) -> None:
    book, _, request = sent()
    for status in statuses:
        book.take(address(0), "c1", result(status, message), 1)
    book.advance(1e9)
    assert len(request.message) <= MAX_MESSAGE_CHARS


class Commanding(RuleBasedStateMachine):
    """A book beside a list of all that happened: the outcome follows from the list, read by the words of the contract."""

    DEVICES = 3

    def __init__(self) -> None:
        super().__init__()
        self.book = CommandBook(max_requests=9, max_orders=3)
        self.now = 0.0
        self.number = 0
        self.orders: list[Order] = []
        self.told: dict[tuple[str, Address], list[CommandStatus]] = {}
        self.lasts: dict[tuple[str, Address], Outcome] = {}

    @rule(devices=st.integers(1, DEVICES))
    def begin(self, devices: int) -> None:
        self.number += 1
        try:
            order = begun(self.book, f"c{self.number}", devices)
        except BookFullError:
            assert self.book.open
            return
        self.orders.append(order)

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), session=st.sampled_from([None, "S1", "S2"]))
    def send(self, data: st.DataObject, session: str | None) -> None:
        order, request = self.pick(data)
        self.book.sent(order, request.address, self.now, UNIX_S + self.now, session)

    @precondition(lambda self: self.orders)
    @rule(data=st.data())
    def refuse(self, data: st.DataObject) -> None:
        order, request = self.pick(data)
        self.book.not_sent(order, request.address, "no")

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), status=st.sampled_from(STATUSES))
    def answer(self, data: st.DataObject, status: CommandStatus) -> None:
        order, request = self.pick(data)
        known = order.id in self.book.orders
        was, foreign = request.outcome, self.book.foreign
        found = self.book.take(request.address, order.id, result(status), self.now)
        assert (found is not None) == known == (self.book.foreign == foreign)
        if known and not was.final:
            assert request.outcome == status
            self.told.setdefault((order.id, request.address), []).append(status)

    @rule(seconds=st.sampled_from([0.0, 1.0, 30.0, 61.0, 121.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.book.advance(self.now)
        assert all(request.due_mono > self.now for order in self.orders for request in self.open_of(order))

    @rule(all_sent=st.booleans(), session=st.sampled_from([None, "S1", "S2"]))
    def look_for_more(self, all_sent: bool, session: str | None) -> None:
        for _, request in self.book.again(lambda _: session, all_sent=all_sent):
            assert request.outcome in {Outcome.SENT, Outcome.ACCEPTED}
            assert request.sends < MAX_SENDS

    def pick(self, data: st.DataObject) -> tuple[Order, Request]:
        order = data.draw(st.sampled_from(self.orders))
        return order, data.draw(st.sampled_from(list(order.requests.values())))

    def open_of(self, order: Order) -> list[Request]:
        return [request for request in order.requests.values() if request.outcome.open]

    @invariant()
    def counts_are_what_there_is(self) -> None:
        for order in self.orders:
            outcomes = [request.outcome for request in order.requests.values()]
            assert {outcome: number for outcome, number in order.counts.items() if number} == {
                outcome: outcomes.count(outcome) for outcome in set(outcomes)
            }
            assert order.open + order.unsuccessful + outcomes.count(Outcome.SUCCEEDED) == len(outcomes)
        held = [order for order in self.orders if order.id in self.book.orders]
        assert self.book.open == sum(order.open for order in held)
        assert sum(len(order.requests) for order in held) <= 9
        assert len(held) <= 3

    @invariant()
    def a_last_word_is_never_taken_back(self) -> None:
        for order in self.orders:
            for request in order.requests.values():
                key = (order.id, request.address)
                if key in self.lasts:
                    assert request.outcome is self.lasts[key]
                elif request.outcome.final:
                    self.lasts[key] = request.outcome
                    assert self.told[key][-1] == request.outcome


TestCommanding = Commanding.TestCase
