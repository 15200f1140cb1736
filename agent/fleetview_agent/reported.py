"""What a device reports of what it runs: one document that several write to, and who publishes it.

The twin writes `config` and `gen`, the updater `release`, the self-check `preflight`: each calls its method here whenever
its part changes, and need not know of the others or of the link. Every state that a part comes into is told, in order, as
long as there is a link; after one that was down only the last is.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from fleetview_agent.config import AgentConfig
from fleetview_agent.endpoint import LinkError
from fleetview_agent.link import Link
from fleetview_agent.wire import ConfigReport, PreflightReport, ReleaseOffer, ReleaseReport, Reported, encode

_log = logging.getLogger(__name__)

MOST_WAITING = 64
"""Messages; above that the oldest are not told."""
_RETRY_S = 5.0


class ReleaseTaker(Protocol):
    """Who makes a release run that is desired: the updater. The twin calls it on the event loop; none of this may block."""

    def flaw(self, config: AgentConfig) -> str | None:
        """Why a configuration cannot be together with the release that runs, in words."""

    def announced(self, offer: ReleaseOffer) -> None:
        """A new generation desires this release, and will be reported next: by then nothing of another is to be.

        It is offered or refused later, or withdrawn.
        """

    def offered(self, offer: ReleaseOffer, gen: int) -> None:
        """This release should run. Called once in a session for each generation, which may be one that is done already."""

    def refused(self, offer: ReleaseOffer, gen: int, reason: str) -> None:
        """This release is not to be begun: to be reported as `failed` for this reason."""

    def withdrawn(self) -> None:
        """Nothing is desired any more: what has not begun is not to begin; all else stays as it is."""


class ReportedState:
    """The document, part by part."""

    def __init__(self, session: str, *, now: Callable[[], datetime]) -> None:
        self._session = session
        self._now = now
        self._gen = 0
        self._config: ConfigReport | None = None
        self._release: ReleaseReport | None = None
        self._preflight: PreflightReport | None = None
        self._waiting: deque[Reported] = deque(maxlen=MOST_WAITING)
        self.changed = asyncio.Event()

    @property
    def gen(self) -> int:
        """The newest generation that was accepted or answered; 0 before the first."""
        return self._gen

    @property
    def release(self) -> ReleaseReport | None:
        """As last set."""
        return self._release

    def set_config(self, config: ConfigReport | None, gen: int) -> None:
        """The twin's part."""
        if (config, gen) != (self._config, self._gen):
            self._config, self._gen = config, gen
            self._tell()

    def set_release(self, release: ReleaseReport | None) -> None:
        """The updater's part."""
        if release != self._release:
            is_progress = _but_progress(release) == _but_progress(self._release)
            self._release = release
            self._tell(in_place=is_progress)

    def set_preflight(self, preflight: PreflightReport | None) -> None:
        """The self-check's part."""
        if preflight != self._preflight:
            self._preflight = preflight
            self._tell()

    def message(self) -> Reported:
        """The document as it is now."""
        parts = {"config": self._config, "release": self._release, "preflight": self._preflight}
        known = {name: part for name, part in parts.items() if part is not None}
        return Reported.model_validate({"session": self._session, "gen": self._gen, "at": self._now(), **known})

    def _tell(self, *, in_place: bool = False) -> None:
        if in_place and self._waiting:
            self._waiting.pop()  # nobody needs each per cent of a download that a slow link could not carry
        self._waiting.append(self.message())
        self.changed.set()

    def next_waiting(self) -> Reported | None:
        """The oldest document that was not taken from here yet."""
        return self._waiting.popleft() if self._waiting else None

    def forget_waiting(self) -> None:
        """Begin anew: for a new connection, to which `message` is told first."""
        self._waiting.clear()
        self.changed.clear()


class NoUpdater:
    """Takes the place of the updater where there is none: says so."""

    def __init__(self, reported: ReportedState) -> None:
        self._reported = reported

    def announced(self, offer: ReleaseOffer) -> None:
        pass

    def offered(self, offer: ReleaseOffer, gen: int) -> None:
        self.refused(offer, gen, "this agent has no updater")

    def flaw(self, config: AgentConfig) -> str | None:  # noqa: ARG002  (of the protocol)
        return None

    def refused(self, offer: ReleaseOffer, gen: int, reason: str) -> None:
        _log.warning("release %s is not installed: %s", offer.version, reason, extra={"gen": gen})
        self._reported.set_release(ReleaseReport(version=offer.version, status="failed", progress=0.0, reason=reason))

    def withdrawn(self) -> None:
        pass


def _but_progress(release: ReleaseReport | None) -> ReleaseReport | None:
    return None if release is None else release.model_copy(update={"progress": None})


async def publish(state: ReportedState, link: Link, topic: str) -> None:
    """Publish the document, retained: on each connection, and on each change. For ever."""
    session = await link.up()
    while True:
        state.forget_waiting()
        message: Reported | None = state.message()
        try:
            while True:
                while message is not None:
                    await session.publish(topic, encode(message), qos=1, retain=True)
                    message = state.next_waiting()
                state.changed.clear()
                await state.changed.wait()
                message = state.next_waiting()
        except LinkError as err:
            _log.debug("what this device runs could not be reported: %s", err.failure.words)
        try:
            async with asyncio.timeout(_RETRY_S):  # the link may still stand, and the broker refuse this topic
                session = await link.up(other_than=session)
        except TimeoutError:
            session = await link.up()
