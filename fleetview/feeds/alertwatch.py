"""What a context's Prometheus and Alertmanager tell, round by round, and the silences that are changed from here."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from time import time
from typing import TYPE_CHECKING, NamedTuple

from fleetview.core.alertbook import AlertBook, Server, holding, is_switch, switch_trouble
from fleetview.core.alerts import AlertState, Places, concerns
from fleetview.core.servers import Verdict
from fleetview.feeds.alerts import AlertSources, AlertsSeen
from fleetview.feeds.web import AskError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fleetview.config import Context, Scope
    from fleetview.core.alerts import AlertGroup, Source
    from fleetview.core.silences import Matcher, Silence
    from fleetview.feeds.alertmanager import Alertmanager
    from fleetview.feeds.prometheus import Prometheus


class Affected(NamedTuple):
    """What a silence would keep quiet now."""

    alerts: int
    devices: int


class Felt(NamedTuple):
    """What is known between two rounds."""

    book: AlertBook
    """The same one as before, unless a server came or went."""
    is_back: bool
    """Somebody answers again and is worth asking."""


class AlertWatch:
    """Asks, and remembers what was told. Make it where the event loop runs."""

    def __init__(self, sources: AlertSources, places: Places, scope: Scope) -> None:
        self._sources, self._places, self._scope = sources, places, scope
        self._silences: dict[str, Silence] = {}
        self._switches: frozenset[str] = frozenset()
        self.wants_groups = False
        """Whether Alertmanager is asked for its groups too: they hold all alerts once more."""
        self._groups: tuple[AlertGroup, ...] | None = None

    @classmethod
    def of(cls, context: Context, prometheus: Prometheus | None = None) -> AlertWatch:
        """With a Prometheus that is there already. Raises TlsFileError for a file that cannot be used."""
        return cls(AlertSources.of(context, prometheus), context.places, context.scope)

    async def refresh(self) -> AlertBook:
        """What there is now. Does not raise: how a server that did not answer stands is in the book."""
        seen, _, _ = await asyncio.gather(self._sources.refresh(), self._read_silences(), self._read_groups())
        servers, silences = tuple(self._servers(seen.received_mono_s)), dict(self._silences)
        book = await asyncio.to_thread(self._book, seen, servers, silences)
        self._switches = book.switches
        return book

    async def feel(self, book: AlertBook) -> Felt:
        """What it costs nothing to know between two rounds: whether the servers are there. Does not raise."""
        sources = (self._sources.prometheus, self._sources.alertmanager)
        back = await asyncio.gather(*(server.feel() for server in sources if server is not None))
        times = {one.source: one.answered_mono_s for one in book.servers if one.answered_mono_s is not None}
        servers = tuple(self._servers(times))
        if [one.standing for one in servers] != [one.standing for one in book.servers]:
            switch = book.switch if all(one.answers for one in servers) else None
            book = await asyncio.to_thread(replace, book, servers=servers, switch=switch)
        return Felt(book, any(back))

    def _book(self, seen: AlertsSeen, servers: tuple[Server, ...], silences: dict[str, Silence]) -> AlertBook:
        trouble = switch_trouble(seen.alerts, self._switches, servers, time())
        firing = {one.name for one in seen.alerts if is_switch(one) and one.state is AlertState.FIRING}
        tenant, site = self._scope
        return AlertBook(
            tuple(one for one in seen.alerts if concerns(one.place(self._places), tenant, site)),
            silences,
            seen.notes,
            servers,
            self._places,
            trouble,
            self._switches | firing,
            seen.rules,
            self._groups,
        )

    async def _read_silences(self) -> None:
        if self._sources.alertmanager is not None:
            try:
                found = await self._sources.alertmanager.silences()
            except AskError:
                return  # it is said with the alerts, and what was known stays
            self._silences = holding(found.silences)

    async def _read_groups(self) -> None:
        if not self.wants_groups:
            self._groups = None
        elif self._sources.alertmanager is not None:
            with suppress(AskError):  # likewise
                found = map(self._in_scope, await self._sources.alertmanager.groups())
                self._groups = tuple(group for group in found if group.alerts)

    def _in_scope(self, group: AlertGroup) -> AlertGroup:
        tenant, site = self._scope
        alerts = (one for one in group.alerts if concerns(one.place(self._places), tenant, site))
        return group._replace(alerts=tuple(alerts))

    def _servers(self, times: Mapping[Source, float]) -> Iterable[Server]:
        if (server := self._sources.prometheus) is not None:
            asked = server.asking.per_minute()
            yield Server("prometheus", server.web.where, server.standing, times.get("prometheus"), asked)
        if (other := self._sources.alertmanager) is not None:
            asked = other.asking.per_minute()
            yield Server("alertmanager", other.web.where, other.standing, times.get("alertmanager"), asked)

    async def affected(self, matchers: Iterable[Matcher]) -> Affected:
        """What a silence with these matchers would keep quiet now. Raises AskError, as all of the following."""
        found = (await self._alertmanager.alerts(matchers)).alerts
        return Affected(len(found), len({place for one in found if (place := one.place(self._places)).device is not None}))

    async def silence(self, matchers: Iterable[Matcher], lasting_s: float, author: str, comment: str) -> str:
        """Sets a silence from now on, and returns its id."""
        server = self._alertmanager
        # By its clock, for ours may be off by more than the silence is to last.
        now = time() + (server.standing.clock_skew_s or 0.0)
        return await server.set_silence(matchers, now, now + lasting_s, author, comment)

    async def extend(self, silence: Silence, by_s: float, author: str) -> str:
        """Lets a silence end later, and returns its id."""
        return await self._alertmanager.extend(silence, silence.ends_unix_s + by_s, author)

    async def expire(self, silence: Silence) -> None:
        """Ends a silence now."""
        await self._alertmanager.expire(silence.id)

    def retry_now(self) -> None:
        """Ask a server that is being left alone at once."""
        for server in (self._sources.prometheus, self._sources.alertmanager):
            if server is not None:
                server.asking.retry_now()

    @property
    def _alertmanager(self) -> Alertmanager:
        if self._sources.alertmanager is None:
            raise AskError(
                Verdict(None, "no Alertmanager is configured: --alertmanager URL, or alertmanager = in the context")
            )
        return self._sources.alertmanager

    def close(self) -> None:
        """Give the connections back."""
        self._sources.close()
