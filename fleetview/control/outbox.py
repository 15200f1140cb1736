"""Publishes what the journal has for the broker: of each topic the latest only, and no topic keeps the others waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

from fleetview.control.journal import Journal, Waiting
from fleetview_agent.endpoint import FailureKind, LinkError

_AT_ONCE = 64
"""Messages under way."""
_REFUSED_RETRY_S = (30.0, 60.0, 120.0, 300.0)
"""What the broker does not take is tried again after so long."""
REFUSALS = frozenset({FailureKind.AUTHORISATION, FailureKind.REFUSED})
"""The broker does not take a message; the link is as it was."""

Publish = Callable[[str, bytes], Awaitable[None]]


class Outbox:
    """The messages of one controller that are to be published, retained."""

    def __init__(self, journal: Journal, publish: Publish, tell: Callable[[str], object]) -> None:
        self._journal = journal
        self._publish = publish
        self._tell = tell
        self._refused: dict[str, tuple[int, float]] = {}
        """Topics that the broker refused: how often, and when each is tried again, on the monotonic clock."""
        self._posted = asyncio.Event()

    def look(self) -> None:
        """There may be more."""
        self._posted.set()

    async def run(self, up: Callable[[], Awaitable[None]], leads: Callable[[], bool]) -> None:
        """Publishes until cancelled, or until this controller does not lead any more."""
        while leads():
            await up()
            self._posted.clear()
            try:
                found = await self.some()
            except LinkError:
                continue  # the link is down: it is waited for
            if not found:
                await self._more()

    async def _more(self) -> None:
        soonest_s = min((at_s for _, at_s in self._refused.values()), default=None)
        try:
            async with asyncio.timeout(None if soonest_s is None else max(0.1, soonest_s - monotonic())):
                await self._posted.wait()
        except TimeoutError:
            return

    async def some(self) -> bool:
        """Publishes some of what is waiting; whether there was anything to try. Raises LinkError when the link is down."""
        waiting = self._due()
        found = await asyncio.gather(
            *(self._publish(each.post.topic, each.post.payload) for each in waiting), return_exceptions=True
        )
        done = [each for each, outcome in zip(waiting, found, strict=True) if outcome is None]
        for each in done:
            self._refused.pop(each.post.topic, None)
        if done:
            self._journal.published(each.id for each in done)
        for each, outcome in zip(waiting, found, strict=True):
            if isinstance(outcome, LinkError) and outcome.failure.kind in REFUSALS:
                self._set_aside(each.post.topic, outcome)
            elif outcome is not None:
                raise outcome
        return bool(waiting)

    def _due(self) -> list[Waiting]:
        now_s, after, due = monotonic(), 0, list[Waiting]()
        while len(due) < _AT_ONCE and (some := self._journal.waiting(_AT_ONCE, after)):
            after = some[-1].id
            due += [each for each in some if self._refused.get(each.post.topic, (0, 0.0))[1] <= now_s]
        return due[:_AT_ONCE]

    def _set_aside(self, topic: str, err: LinkError) -> None:
        times = self._refused.get(topic, (0, 0.0))[0] + 1
        self._refused[topic] = (times, monotonic() + _REFUSED_RETRY_S[min(times, len(_REFUSED_RETRY_S)) - 1])
        if times == 1:
            self._tell(f"the broker does not take what is for {topic}: {err.failure.words}; tried again, the others go on")
