"""The alerts of a context, from Prometheus, Alertmanager or both: what one of them last told stays while it is silent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from fleetview.core.alerts import Alert, Alerts, Rule, Source, merge
from fleetview.feeds.alertmanager import Alertmanager
from fleetview.feeds.prometheus import Prometheus
from fleetview.feeds.web import AskError

if TYPE_CHECKING:
    from fleetview.config import Context


class _Kept(NamedTuple):
    alerts: Alerts
    received_mono_s: float


@dataclass(frozen=True, slots=True)
class AlertsSeen:
    """All alerts, and how much of the truth they are."""

    alerts: tuple[Alert, ...]
    """Worst first; what both sources tell is one alert."""
    notes: tuple[str, ...]
    """What is missing although all sources answered."""
    failures: tuple[AskError, ...]
    """Sources that did not answer now."""
    received_mono_s: dict[Source, float]
    """When each source last answered; one that never did is not in it."""
    rules: tuple[Rule, ...] = ()
    """Of Prometheus."""


class AlertSources:
    """Asks what a context has of both. Make it where the event loop runs."""

    def __init__(self, prometheus: Prometheus | None, alertmanager: Alertmanager | None) -> None:
        self.prometheus = prometheus
        self.alertmanager = alertmanager
        self._kept: dict[Source, _Kept] = {}

    @classmethod
    def of(cls, context: Context, prometheus: Prometheus | None = None) -> AlertSources:
        """With a Prometheus that is there already, for it is asked for more than alerts. Raises TlsFileError."""
        access, alertmanager = context.prometheus_access, context.alertmanager_access
        if prometheus is None and access is not None:
            prometheus = Prometheus(access)
        return cls(prometheus, None if alertmanager is None else Alertmanager(alertmanager))

    async def refresh(self) -> AlertsSeen:
        """What there is now. Does not raise: a source that failed is in `failures`, with what it last told kept."""
        asked: dict[Source, Callable[[], Awaitable[Alerts]]] = {}
        if self.prometheus is not None:
            asked["prometheus"] = self.prometheus.alerts
        if self.alertmanager is not None:
            asked["alertmanager"] = self.alertmanager.alerts
        answers = await asyncio.gather(*(ask() for ask in asked.values()), return_exceptions=True)
        failures = []
        for source, answer in zip(asked, answers, strict=True):
            if isinstance(answer, Alerts):
                self._kept[source] = _Kept(answer, monotonic())
            elif isinstance(answer, AskError):
                failures.append(answer)
            else:
                raise answer
        return await self._seen(tuple(failures))

    async def _seen(self, failures: tuple[AskError, ...]) -> AlertsSeen:
        none = Alerts(())
        ours, theirs = (
            self._kept[source].alerts if source in self._kept else none for source in ("prometheus", "alertmanager")
        )
        # Pure, on what nobody changes; in a thread, for ten thousand alerts take 0.2 s.
        merged = await asyncio.to_thread(merge, ours.alerts, theirs.alerts)
        return AlertsSeen(
            tuple(merged),
            (*_notes("Prometheus", ours), *_notes("Alertmanager", theirs), *self._warnings()),
            failures,
            {source: kept.received_mono_s for source, kept in self._kept.items()},
            ours.rules,
        )

    def _warnings(self) -> list[str]:
        """Thanos says so when it has not heard every ruler."""
        if self.prometheus is None:
            return []
        return [f"Prometheus warns: {warning}" for warning in self.prometheus.standing.warnings]

    def close(self) -> None:
        """Gives the connections back."""
        for server in (self.prometheus, self.alertmanager):
            if server is not None:
                server.web.close()


def _notes(name: str, alerts: Alerts) -> list[str]:
    found = [f"{name}: {problem}" for problem in alerts.problems]
    if alerts.dropped:
        found.append(f"{alerts.dropped} more alerts of {name} are not shown")
    if alerts.malformed:
        found.append(f"{alerts.malformed} alerts of {name} could not be read")
    return found
