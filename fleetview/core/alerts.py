"""Alerts of Prometheus and of Alertmanager as one list: which device they are about, and what keeps them quiet.

Prometheus knows the value now, the threshold and what is still pending; Alertmanager knows what is silenced and inhibited,
and who is told. Both tell the same alert with other labels: Prometheus adds its external labels on the way.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal, NamedTuple

from fleetview_agent.wire.errors import WireError
from fleetview_agent.wire.topics import Address

Source = Literal["prometheus", "alertmanager"]


class AlertState(StrEnum):
    """In which state an alert is; the order is that of the screen."""

    FIRING = "firing"
    PENDING = "pending"
    """Its condition holds, but not yet for as long as its rule wants."""
    INHIBITED = "inhibited"
    """Another alert says enough."""
    SILENCED = "silenced"


_STATE_RANK = {state: rank for rank, state in enumerate(AlertState)}
_SEVERITIES: tuple[frozenset[str], ...] = (
    frozenset({"critical", "crit", "page", "emergency", "emerg", "fatal", "disaster", "p1", "sev1"}),
    frozenset({"error", "err", "high", "major", "p2", "sev2"}),
    frozenset({"warning", "warn", "minor", "medium", "ticket", "p3", "sev3"}),
    frozenset(),  # a word that we do not know, and no word
    frozenset({"info", "informational", "notice", "low", "p4", "sev4"}),
    frozenset({"none", "debug", "watchdog", "deadman"}),
)
_UNKNOWN_RANK = 3


@dataclass(frozen=True, slots=True)
class Places:
    """Which labels of an alert say where it belongs."""

    tenant: str = "tenant"
    site: str = "site"
    device: str = "device"
    """Holds a device id or a whole address."""


class Place(NamedTuple):
    """Where an alert belongs, as far as it says so."""

    tenant: str | None
    site: str | None
    device: str | None

    def __str__(self) -> str:
        return "/".join(part or "?" for part in self) if self.device else "/".join(p for p in self if p) or "-"


@dataclass(frozen=True, slots=True)
class Rule:
    """An alerting rule, as Prometheus tells it. Its texts are as received."""

    name: str
    group: str
    query: str
    severity: str
    state: str
    """The worst of its alerts': `firing`, `pending`, `inactive`; `unknown` before it was evaluated."""
    health: str
    """`ok`, `err` or `unknown`."""
    error: str
    for_s: float
    """How long its condition must hold."""
    evaluated_unix_s: float | None = None
    """When it was last, by the server's clock."""
    took_s: float | None = None
    """How long that took."""
    adds: tuple[str, ...] = ()
    """The names of labels that it gives to its alerts: their series do not have them."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert, from one source or both. All its texts are as received: hostile until cleaned."""

    labels: Mapping[str, str]
    state: AlertState
    since_unix_s: float | None
    annotations: Mapping[str, str] = field(default_factory=dict)
    value: float | None = None
    """What its rule's expression came to when it was last evaluated."""
    threshold: str | None = None
    """Such as `> 0.9`, when the rule's expression ends with one."""
    query: str | None = None
    sources: tuple[Source, ...] = ()
    silenced_by: tuple[str, ...] = ()
    """Ids of silences."""
    inhibited_by: tuple[str, ...] = ()
    """Fingerprints of alerts."""
    receivers: tuple[str, ...] = ()
    url: str | None = None
    """Where its rule can be looked at."""
    own: Mapping[str, str] = field(default_factory=dict, compare=False)
    """The labels that the series has which it is about; empty when Prometheus does not tell of it."""
    told: str | None = None
    """The fingerprint that Alertmanager gave it."""
    rule: Rule | None = field(default=None, compare=False)
    """What Prometheus says of its rule."""

    @property
    def name(self) -> str:
        """How its rule is called."""
        return self.labels.get("alertname", "?")

    @property
    def severity(self) -> str:
        """As it is labelled, in lower case; empty when it is not."""
        return self.labels.get("severity", "").lower()

    @property
    def fingerprint(self) -> str:
        """By which Alertmanager and other alerts refer to it."""
        return self.told or fingerprint(self.labels)

    @property
    def runbook(self) -> str | None:
        """Where it is written what to do."""
        return self.annotations.get("runbook_url") or self.annotations.get("runbook")

    @property
    def summary(self) -> str:
        """What is the matter, in its author's words."""
        known = self.annotations
        return known.get("summary") or known.get("description") or known.get("message") or ""

    def place(self, places: Places) -> Place:
        """Where it belongs."""
        tenant, site, device = (self.labels.get(name) or None for name in (places.tenant, places.site, places.device))
        if device is not None and "/" in device:
            try:
                address = Address.parse(device)
            except WireError:
                return Place(tenant, site, device)
            return Place(address.tenant, address.site, address.device)
        return Place(tenant, site, device)


class Alerts(NamedTuple):
    """What one source tells."""

    alerts: tuple[Alert, ...]
    dropped: int = 0
    """Beyond MAX_ALERTS."""
    malformed: int = 0
    problems: tuple[str, ...] = ()
    """Rules that cannot be evaluated: their alerts are not known."""
    rules: tuple[Rule, ...] = ()
    """All of them, what cannot be evaluated first, then what fires."""


class AlertGroup(NamedTuple):
    """What Alertmanager tells in one message."""

    receiver: str
    """To whom."""
    labels: Mapping[str, str]
    """What they have in common, as its route groups them."""
    alerts: tuple[Alert, ...]


def concerns(place: Place, tenant: str | None, site: str | None) -> bool:
    """Whether an alert may be about a tenant or site. One that does not say where it belongs may be."""
    return (tenant is None or place.tenant in {None, tenant}) and (site is None or place.site in {None, site})


def severity_rank(severity: str) -> int:
    """The smaller, the worse. A word that is not known stands between warning and info."""
    return next((rank for rank, words in enumerate(_SEVERITIES) if severity in words), _UNKNOWN_RANK)


def fingerprint(labels: Mapping[str, str]) -> str:
    """The one that Prometheus and Alertmanager give to these labels: FNV-1a, 64 bit, over the sorted names and values.

    Source: prometheus/common, model/signature.go.
    """
    total = 0xCBF29CE484222325
    for name in sorted(labels):
        for byte in (*name.encode(errors="replace"), 255, *labels[name].encode(errors="replace"), 255):
            total = (total ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{total:016x}"


def merge(prometheus: Iterable[Alert], alertmanager: Iterable[Alert]) -> list[Alert]:
    """One list, worst first: what both tell is one alert, with the labels that Alertmanager knows it by."""
    ours = list(prometheus)
    by_labels: dict[str, dict[frozenset[str], dict[frozenset[tuple[str, str]], list[int]]]] = defaultdict(dict)
    for index, alert in enumerate(ours):
        names, items = frozenset(alert.labels), frozenset(alert.labels.items())
        by_labels[alert.name].setdefault(names, {}).setdefault(items, []).append(index)
    merged: list[Alert] = []
    taken: set[int] = set()
    for theirs in alertmanager:
        known = by_labels.get(theirs.name, {})
        # With the same labels first, then with fewer: external labels are added on the way, never taken away.
        found: list[int] = []
        for names in sorted((names for names in known if names <= theirs.labels.keys()), key=len, reverse=True):
            found = known[names].get(frozenset((name, theirs.labels[name]) for name in names), [])
            if found:
                break
        merged.append(_joined(ours[found[0]], theirs) if found else theirs)
        taken.update(found)
    merged += [alert for index, alert in enumerate(ours) if index not in taken]
    return sorted(merged, key=_order)


def _joined(ours: Alert, theirs: Alert) -> Alert:
    since = [at for at in (ours.since_unix_s, theirs.since_unix_s) if at is not None]
    return replace(
        theirs,
        # Since the condition holds, which was before the rule had been patient for long enough to fire.
        since_unix_s=min(since) if since else None,
        annotations={**ours.annotations, **theirs.annotations},
        value=ours.value,
        threshold=ours.threshold,
        query=ours.query,
        rule=ours.rule,
        own=ours.own,
        url=theirs.url or ours.url,
        sources=(*ours.sources, *theirs.sources),
    )


def _order(alert: Alert) -> tuple[int, int, float, str, str]:
    since = math.inf if alert.since_unix_s is None else -alert.since_unix_s
    return severity_rank(alert.severity), _STATE_RANK[alert.state], since, alert.name, str(sorted(alert.labels.items()))
