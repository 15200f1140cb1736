"""What every question to a web server goes through: a lane, a budget, a deadline, a second try, the server's standing."""

from __future__ import annotations

import asyncio
import email.utils
import math
import random
from collections import deque
from dataclasses import dataclass
from time import monotonic, time
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from fleetview.core.servers import ANSWERS, SKEW_SHOWN_S, SLOW_S, Health, Standing, Verdict
from fleetview.feeds.backoff import REFUSED_RETRY_S, backoff_s
from fleetview.feeds.lanes import BusyError, Lanes
from fleetview.feeds.web import AskError, Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from fleetview.feeds.web import Web

T = TypeVar("T")

TIMEOUT_S = 4.0
"""Of one question, waiting and second try included: a dead server is to be shown as dead within five seconds."""
_GRACE_S = 0.5
"""A thread ends by its own deadline; this is for one that does not, such as behind headers that trickle."""
MAX_PER_MINUTE = 240
_MINUTE_S = 60.0
_LEAST_S = 0.05
"""With less time left nothing is asked."""
_PAUSE_S = (0.1, 0.4)
"""Before the second try, drawn at random."""
PULSE_S = 2.0
"""How often, and for how long, a server is felt for that nobody asks: two of these are below five seconds."""
_STARTING_EVERY_S = 0.5
_FELT_FOR = frozenset({Health.UP, Health.PARTIAL, Health.STARTING, Health.UNREACHABLE})
"""Who is slow may be slow; who does not let us in, or is something else, is a matter for people."""


class Told(NamedTuple, Generic[T]):
    """What a thread brings back."""

    value: T
    reply: Reply
    partial: bool = False
    warnings: tuple[str, ...] = ()


@dataclass(slots=True)
class AskCounts:
    """Since the program began."""

    queries: int = 0
    """HTTP requests made, second tries included."""
    answers: int = 0
    failures: int = 0
    second_tries: int = 0
    held_back: int = 0
    """Questions that were not asked: over the budget, too many waiting, or the server is being left alone."""
    bytes: int = 0
    """Of answers."""


class Asking:
    """The questions to one server. Its state is changed on the event loop only."""

    def __init__(
        self,
        web: Web,
        *,
        lanes: Lanes | None = None,
        timeout_s: float = TIMEOUT_S,
        max_per_minute: int = MAX_PER_MINUTE,
        clock: Callable[[], float] = monotonic,
        draw: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.web = web
        self.counts = AskCounts()
        self.standing = Standing(Health.UNASKED, "", clock())
        self.lanes = lanes or Lanes()
        self.max_per_minute = max_per_minute
        self._timeout_s, self._clock, self._draw = timeout_s, clock, draw
        self._asked: deque[float] = deque(maxlen=max_per_minute)
        self._failures = 0
        self._failed_mono_s = -math.inf
        self._not_before_mono_s = 0.0
        self._under_way = 0
        self._heard_mono_s = -math.inf
        self._pulses = Lanes(in_flight=1, waiting=1)
        self._starting_until_mono_s = clock() + web.access.starting_s

    def per_minute(self) -> int:
        """Requests made within the last minute; never more than `max_per_minute`."""
        since = self._clock() - _MINUTE_S
        while self._asked and self._asked[0] <= since:
            self._asked.popleft()
        return len(self._asked)

    def load(self) -> str:
        """How much it is asked, in words."""
        held = f", {self.counts.held_back} held back" if self.counts.held_back else ""
        return f"{self.per_minute()} of at most {self.max_per_minute} queries a minute{held}"

    def retry_now(self) -> None:
        """Ends the time in which the server is left alone, because somebody pressed a key."""
        self._not_before_mono_s = 0.0

    async def ask(self, call: Callable[[float], Told[T]], *, twice: bool = True) -> T:
        """What the call, in a thread, makes of an answer; it is told its time. Raises AskError.

        `twice=False` is for what must not happen twice.
        """
        wait_s = self._not_before_mono_s - self._clock()
        if wait_s > 0:
            self.counts.held_back += 1
            raise AskError(Verdict(self.standing.health, f"{self.standing.words}; asked again in {wait_s:.0f} s"))
        began = self._clock()
        deadline = began + self._timeout_s
        self._under_way += 1
        try:
            async with asyncio.timeout(self._timeout_s + _GRACE_S):
                told = await self._tries(call, deadline, tries=2 if twice else 1)
        except TimeoutError:
            raise AskError(self._failed(self._silent(), began)) from None
        except AskError as err:
            raise AskError(self._failed(err.verdict, began)) from None
        finally:
            self._under_way -= 1
        self._answered(told)
        return told.value

    async def feel(self, path: str) -> bool:
        """Whether a server answers again, with anything, that did not before: then it may be asked.

        Feels only for one that nobody asks, and takes no breath from those who wait: so that one that dies or hangs between
        two questions is known soon. Does not raise; `standing` says what came of it.
        """
        now = self._clock()
        idle = not self._under_way and now >= self._not_before_mono_s and now - self._heard_mono_s >= PULSE_S / 2
        if self.standing.health not in _FELT_FOR or not idle or self.per_minute() >= self.max_per_minute:
            return False
        self._asked.append(now)
        self.counts.queries += 1
        try:
            async with asyncio.timeout(PULSE_S + _GRACE_S):
                await self._pulses.run(lambda: self._touch(path))
        except TimeoutError:
            self._felt_nothing(Verdict(Health.UNREACHABLE, self._silent_words(PULSE_S)), now)
        except AskError as err:
            self._felt_nothing(err.verdict, now)
        except BusyError:  # the last one still hangs
            return False
        else:
            self._heard_mono_s = self._clock()
            if self.standing.health not in ANSWERS:
                self._not_before_mono_s = 0.0
                return True
        return False

    def _felt_nothing(self, verdict: Verdict, began: float) -> None:
        if self._heard_mono_s <= began:  # or a question was answered meanwhile
            self._failed(verdict, began)

    def _touch(self, path: str) -> None:
        reply = self.web.exchange("GET", self.web.where + path, within_s=PULSE_S)
        try:
            self.web.accepted(reply)
        except AskError as err:
            if err.verdict.health is Health.FAILING:  # such as a proxy that has lost who stands behind it
                raise

    async def _tries(self, call: Callable[[float], Told[T]], deadline: float, *, tries: int) -> Told[T]:
        while True:
            tries -= 1
            try:
                return await self._once(call, deadline)
            except AskError as err:
                pause_s = self._draw(*_PAUSE_S)
                if not (tries and err.verdict.again and self._clock() + pause_s < deadline):
                    raise
                self.counts.second_tries += 1
                await asyncio.sleep(pause_s)

    async def _once(self, call: Callable[[float], Told[T]], deadline: float) -> Told[T]:
        def in_thread() -> Told[T]:
            return call(deadline - self._clock())

        try:
            return await self.lanes.run(in_thread, before=lambda: self._set_out(deadline))
        except BusyError:
            self.counts.held_back += 1
            words = f"{self.lanes.waiting} questions to {self.web.service.name} are waiting already"
            raise AskError(Verdict(None, words)) from None

    def _set_out(self, deadline: float) -> None:
        """Counts a request, unless it is not to be made. Raises AskError."""
        now = self._clock()
        # Behind others that got no answer: the server need not be troubled to know.
        if now < self._not_before_mono_s:
            self.counts.held_back += 1
            raise AskError(Verdict(self.standing.health, self.standing.words))
        if now > deadline - _LEAST_S:
            self.counts.held_back += 1
            raise AskError(self._silent())
        if self.per_minute() >= self.max_per_minute:
            self.counts.held_back += 1
            words = f"{self.max_per_minute} questions were asked within a minute, and no more are: look at fewer things"
            raise AskError(Verdict(None, words))
        self._asked.append(now)
        self.counts.queries += 1

    def _silent(self) -> Verdict:
        return Verdict(Health.UNREACHABLE, self._silent_words(self._timeout_s))

    def _silent_words(self, within_s: float) -> str:
        return f"{self.web.service.name} at {self.web.where} did not answer within {within_s:g} s"

    def _answered(self, told: Told[T]) -> None:
        self.counts.answers += 1
        self.counts.bytes += len(told.reply.content)
        self._heard_mono_s = self._clock()
        self._failures = 0
        self._not_before_mono_s = 0.0
        skew_s = _skew(told.reply, time())
        if told.partial:
            health, words = Health.PARTIAL, "; ".join(("the answer is partial", *told.warnings))
        elif told.reply.took_s > SLOW_S:
            health, words = Health.SLOW, f"the last answer took {told.reply.took_s:.1f} s"
        else:
            health, words = Health.UP, ""
        self._stand(health, words, told.warnings, skew_s)

    def _failed(self, verdict: Verdict, began: float) -> Verdict:
        """The verdict, or a milder one while the server may still be starting."""
        self.counts.failures += 1
        if verdict.health is None or verdict.health in ANSWERS:
            return verdict
        if self._may_be_starting(verdict):
            words = f"{self.web.service.name} at {self.web.where} is starting"
            self._not_before_mono_s = self._clock() + _STARTING_EVERY_S
            self._stand(Health.STARTING, words, (), None)
            return Verdict(Health.STARTING, words)
        if began <= self._failed_mono_s:
            return verdict  # asked before we knew: many questions under way are one failure
        self._failed_mono_s = self._clock()
        self._failures += 1
        by_people = verdict.health in {Health.REFUSED, Health.OTHER}
        wait_s = REFUSED_RETRY_S if by_people else backoff_s(self._failures, draw=self._draw)
        self._not_before_mono_s = self._clock() + wait_s
        self._stand(verdict.health, verdict.words, (), self.standing.clock_skew_s)
        return verdict

    def _may_be_starting(self, verdict: Verdict) -> bool:
        early = not self.counts.answers and self._clock() < self._starting_until_mono_s
        return early and verdict.health in {Health.UNREACHABLE, Health.FAILING, Health.STARTING}

    def _stand(self, health: Health, words: str, warnings: tuple[str, ...], skew_s: float | None) -> None:
        since = self.standing.since_mono_s if health is self.standing.health else self._clock()
        self.standing = Standing(health, words, since, warnings, skew_s)


def _skew(reply: Reply, unix_s: float) -> float | None:
    """How far the server's clock is ahead, when that is more than the date of an HTTP answer can be off by."""
    try:
        theirs_s = email.utils.parsedate_to_datetime(reply.headers.get("date", "")).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    ahead_s = theirs_s - (unix_s - reply.took_s / 2)
    return ahead_s if abs(ahead_s) > SKEW_SHOWN_S else None
