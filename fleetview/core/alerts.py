"""Alerts of Prometheus and of Alertmanager as one list: which device they are about, and what keeps them quiet.

Prometheus knows the value now, the threshold and what is still pending; Alertmanager knows what is silenced and inhibited,
and who is told. Both tell the same alert with other labels: Prometheus adds its external labels on the way.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from fleetview.core.text import clean
from fleetview_agent.wire.errors import WireError
from fleetview_agent.wire.topics import Address

MAX_ALERTS = 10_000
"""Of one source; each is about 2 KB."""

MAX_RULES = 10_000
_RULE_STATES = ("firing", "pending", "inactive")

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
# The end of a rule's expression: a comparison with a number. What is more involved has no threshold to show.
_THRESHOLD = re.compile(
    r"(==|!=|<=|>=|<|>)\s*(?:bool\s+)?([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|[-+]?inf)\s*\)?\s*\Z", re.IGNORECASE
)
_SETS = re.compile(r"""("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)|[(){}\[\]]|\b(?:and|or|unless)\b""", re.IGNORECASE)


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


def threshold_of(query: str) -> str | None:
    """`> 0.9` for an expression that ends with it, or whose left side does before `and` or `unless`: its value is kept."""
    found = _THRESHOLD.search(_kept_side(query))
    return None if found is None else f"{found[1]} {found[2]}"


def _kept_side(query: str, brackets: int = 3) -> str:
    """What an expression has its value from; nothing where `or` leaves that open."""
    query, depth = query.strip(), 0
    whole = query.startswith("(")
    for found in _SETS.finditer(query):
        text = found[0].lower()
        if text in {"(", "{", "["}:
            depth += 1
        elif text in {")", "}", "]"}:
            depth -= 1
            whole = whole and (depth > 0 or found.end() == len(query))
        elif not depth and found[1] is None:
            return "" if text == "or" else query[: found.start()]
    return _kept_side(query[1:-1], brackets - 1) if whole and not depth and brackets else query


def read_rules(data: Any) -> Alerts:  # noqa: ANN401 (JSON of a server)
    """The `data` of Prometheus' `/api/v1/rules`."""
    alerts: list[Alert] = []
    problems: list[str] = []
    rules: list[Rule] = []
    dropped = malformed = 0
    for group in _list(_get(data, "groups")):
        for rule in _list(_get(group, "rules")):
            if _get(rule, "type") not in {"alerting", None}:
                continue
            if _get(rule, "health") == "err":
                said = clean(str(_get(rule, "lastError") or "no reason"))[:200]
                problems.append(f"rule {clean(str(_get(rule, 'name')))[:80]} cannot be evaluated: {said}")
            query = str(_get(rule, "query") or "")
            threshold = threshold_of(query)
            about = _rule(group, rule)
            if len(rules) < MAX_RULES:
                rules.append(about)
            for item in _list(_get(rule, "alerts")):
                if len(alerts) >= MAX_ALERTS:
                    dropped += 1
                elif (alert := _of_prometheus(item, query, threshold, about)) is None:
                    malformed += 1
                else:
                    alerts.append(alert)
    return Alerts(tuple(alerts), dropped, malformed, tuple(problems[:20]), tuple(sorted(rules, key=_rule_order)))


def read_alertmanager(items: Any) -> Alerts:  # noqa: ANN401 (JSON of a server)
    """The body of Alertmanager's `/api/v2/alerts`."""
    found = _list(items)
    alerts = [_of_alertmanager(item) for item in found[:MAX_ALERTS]]
    good = tuple(alert for alert in alerts if alert is not None)
    return Alerts(good, max(0, len(found) - MAX_ALERTS), len(alerts) - len(good))


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
        url=theirs.url or ours.url,
        sources=(*ours.sources, *theirs.sources),
    )


def _order(alert: Alert) -> tuple[int, int, float, str, str]:
    since = math.inf if alert.since_unix_s is None else -alert.since_unix_s
    return severity_rank(alert.severity), _STATE_RANK[alert.state], since, alert.name, str(sorted(alert.labels.items()))


def _rule(group: Any, rule: Any) -> Rule:  # noqa: ANN401
    try:
        for_s = float(_get(rule, "duration") or 0)
    except (TypeError, ValueError):
        for_s = 0.0
    health, error = str(_get(rule, "health") or "unknown"), str(_get(rule, "lastError") or "")
    name, query = str(_get(rule, "name") or "?"), str(_get(rule, "query") or "")
    severity = str(_get(_get(rule, "labels"), "severity") or "").lower()
    state = str(_get(rule, "state") or "unknown")
    return Rule(name, str(_get(group, "name") or ""), query, severity, state, health, error, for_s)


def _rule_order(rule: Rule) -> tuple[bool, int, int, str, str]:
    state = _RULE_STATES.index(rule.state) if rule.state in _RULE_STATES else len(_RULE_STATES)
    return rule.health != "err", state, severity_rank(rule.severity), rule.group, rule.name


def _of_prometheus(item: Any, query: str, threshold: str | None, rule: Rule) -> Alert | None:  # noqa: ANN401
    labels = _texts(_get(item, "labels"))
    state = _get(item, "state")
    if labels is None or state not in {"firing", "pending"}:
        return None
    try:
        value = float(_get(item, "value"))
    except (TypeError, ValueError):
        value = None
    return Alert(
        labels,
        AlertState(state),
        unix_s(_get(item, "activeAt")),
        _texts(_get(item, "annotations")) or {},
        value,
        threshold,
        query,
        ("prometheus",),
        rule=rule,
    )


def _of_alertmanager(item: Any) -> Alert | None:  # noqa: ANN401
    labels, status = _texts(_get(item, "labels")), _get(item, "status")
    if labels is None:
        return None
    silenced = tuple(map(str, _list(_get(status, "silencedBy"))))
    inhibited = tuple(map(str, _list(_get(status, "inhibitedBy"))))
    state = AlertState.SILENCED if silenced else AlertState.INHIBITED if inhibited else AlertState.FIRING
    told = _get(item, "fingerprint")
    return Alert(
        labels,
        state,
        unix_s(_get(item, "startsAt")),
        _texts(_get(item, "annotations")) or {},
        sources=("alertmanager",),
        silenced_by=silenced,
        inhibited_by=inhibited,
        receivers=tuple(str(_get(entry, "name")) for entry in _list(_get(item, "receivers"))),
        url=str(_get(item, "generatorURL")) if _get(item, "generatorURL") else None,
        told=str(told) if told else None,
    )


def unix_s(text: object) -> float | None:
    """An RFC 3339 time, with Go's nanoseconds; None for none, and for Go's year 1, which means none."""
    if not isinstance(text, str):
        return None
    try:
        at = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
    except ValueError:
        return None
    return at.timestamp() if at.tzinfo is not None and at.year > 1 else None


def _get(item: Any, key: str) -> Any:  # noqa: ANN401
    return item.get(key) if isinstance(item, dict) else None


def _list(item: Any) -> list[Any]:  # noqa: ANN401
    return item if isinstance(item, list) else []


def _texts(item: Any) -> dict[str, str] | None:  # noqa: ANN401
    return {str(name): str(text) for name, text in item.items()} if isinstance(item, dict) else None
