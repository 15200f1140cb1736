"""A server that dies, hangs or comes back while nobody asks it anything; and one that was started together with us."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
from support.programs import free_port
from support.servers import answering
from support.wait import until

from fleetview.access import Access
from fleetview.config import EVERYTHING
from fleetview.core.alerts import Places
from fleetview.core.servers import Health
from fleetview.feeds import asking
from fleetview.feeds.alerts import AlertSources
from fleetview.feeds.alertwatch import AlertWatch
from fleetview.feeds.prometheus import Prometheus
from fleetview.feeds.web import AskError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.servers import Asked, Fake

OK = {"status": "success", "data": {"resultType": "vector", "result": []}}
RULES = {"status": "success", "data": {"groups": []}}


class Clock:
    def __init__(self) -> None:
        self.mono_s = 1000.0

    def __call__(self) -> float:
        return self.mono_s


class Fickle:
    """A server that a test has hang, fail, or say more."""

    def __init__(self) -> None:
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.status = 200
        self.more: dict[str, Any] = {}
        self.fake: Fake

    def reply(self, asked: Asked) -> tuple[int, Any, dict[str, str]]:
        self.goes_on.wait(20)
        if self.status != 200:
            return self.status, b"bad gateway", {}
        if "buildinfo" in asked.path:
            return 404, b"404 page not found", {}  # it answers, and that is all that is felt for
        return 200, (RULES if "rules" in asked.path else OK) | self.more, {}


@pytest.fixture
def fickle(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fickle]:
    monkeypatch.setattr(asking, "PULSE_S", 0.3)
    made = Fickle()
    with answering(made.reply) as made.fake:
        yield made
        made.goes_on.set()


async def test_one_that_hangs_is_known_without_a_question_and_known_to_be_back(fickle: Fickle) -> None:
    clock = Clock()
    server = Prometheus(Access(fickle.fake.url), clock=clock, draw=lambda _low, high: high)
    assert not await server.feel(), "nobody has asked it yet: it is not felt for"
    assert fickle.fake.asked == []
    await server.instant("up")
    assert not await server.feel(), "it has answered just now"
    assert len(fickle.fake.asked) == 1
    clock.mono_s += 1
    assert not await server.feel()
    assert (server.standing.health, server.asking.counts.queries) == (Health.UP, 2)
    clock.mono_s += 1
    fickle.goes_on.clear()
    assert not await server.feel()
    assert server.standing.health is Health.UNREACHABLE
    assert "did not answer within 0.3 s" in server.standing.words
    fickle.goes_on.set()
    asked = len(fickle.fake.asked)
    assert not await server.feel(), "it is left alone for a while, as after a question"
    assert len(fickle.fake.asked) == asked
    clock.mono_s += 2
    await until(lambda: server.asking._pulses.in_flight == 0)
    assert await server.feel(), "it is worth asking"
    await server.instant("up")
    assert server.standing.word(server.web.service) == "up"


async def test_nobody_is_felt_for_while_a_question_is_under_way(fickle: Fickle) -> None:
    clock = Clock()
    server = Prometheus(Access(fickle.fake.url), clock=clock)
    await server.instant("up")
    clock.mono_s += 5
    fickle.goes_on.clear()
    question = asyncio.create_task(server.instant("up"))
    await until(lambda: len(fickle.fake.asked) == 2)
    assert not await server.feel()
    assert (len(fickle.fake.asked), server.standing.health) == (2, Health.UP)
    fickle.goes_on.set()
    await question


async def test_what_is_felt_takes_nothing_away_from_what_was_told(fickle: Fickle) -> None:
    clock = Clock()
    server = Prometheus(Access(fickle.fake.url), clock=clock)
    fickle.more = {"isPartial": True, "warnings": ["store gone"]}
    await server.instant("up")
    clock.mono_s += 5
    assert not await server.feel()
    assert (len(fickle.fake.asked), server.standing.health, server.standing.warnings) == (2, Health.PARTIAL, ("store gone",))
    clock.mono_s += 5
    fickle.status = 502
    assert not await server.feel()
    assert server.standing.health is Health.FAILING


async def test_what_is_felt_counts_and_stays_within_the_budget(fickle: Fickle) -> None:
    clock = Clock()
    server = Prometheus(Access(fickle.fake.url), clock=clock, max_per_minute=3)
    await server.instant("up")
    for _ in range(5):
        clock.mono_s += 1
        await server.feel()
    assert (len(fickle.fake.asked), server.per_minute()) == (3, 3)


async def test_one_that_was_started_with_us_is_starting_until_it_answers_or_takes_too_long(fickle: Fickle) -> None:
    clock = Clock()
    fickle.status = 503
    server = Prometheus(Access(fickle.fake.url, starting_s=30.0), clock=clock)
    with pytest.raises(AskError) as caught:
        await server.instant("up")
    assert caught.value.verdict.health is Health.STARTING
    assert (server.standing.health, server.standing.words) == (
        Health.STARTING,
        f"Prometheus at {fickle.fake.url} is starting",
    )
    fickle.status = 200
    clock.mono_s += 1
    assert await server.feel()
    await server.instant("up")
    fickle.status = 503
    clock.mono_s += 1
    with pytest.raises(AskError):
        await server.instant("up")
    assert server.standing.health is Health.FAILING, "it has answered before"

    nobody = Prometheus(Access(f"http://127.0.0.1:{free_port()}", starting_s=30.0), clock=clock)
    for waited_s, health in ((0.0, Health.STARTING), (29.0, Health.STARTING), (2.0, Health.UNREACHABLE)):
        clock.mono_s += waited_s
        with pytest.raises(AskError):
            await nobody.instant("up")
        assert nobody.standing.health is health


async def test_the_alerts_are_told_of_a_server_that_went_between_two_rounds(fickle: Fickle) -> None:
    clock = Clock()
    server = Prometheus(Access(fickle.fake.url), clock=clock, draw=lambda _low, high: high)
    watch = AlertWatch(AlertSources(server, None), Places(), EVERYTHING)
    book = await watch.refresh()
    clock.mono_s += 1
    felt = await watch.feel(book)
    assert (felt.book is book, felt.is_back) == (True, False)
    fickle.goes_on.clear()
    clock.mono_s += 1
    felt = await watch.feel(book)
    assert felt.book.servers[0].standing.health is Health.UNREACHABLE
    assert felt.book.servers[0].answered_mono_s == book.servers[0].answered_mono_s
    fickle.goes_on.set()
    clock.mono_s += 2
    await until(lambda: server.asking._pulses.in_flight == 0)
    assert (await watch.feel(felt.book)).is_back
    watch.close()


def test_a_server_that_goes_is_known_within_five_seconds() -> None:
    assert asking.PULSE_S + asking.PULSE_S + asking._GRACE_S < 5
