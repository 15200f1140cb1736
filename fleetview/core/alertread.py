"""Alerts, rules and groups as Prometheus and Alertmanager tell them in JSON. What is not as it should be is counted."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from fleetview.core.alerts import Alert, AlertGroup, Alerts, AlertState, Rule, severity_rank
from fleetview.core.comparisons import threshold_of
from fleetview.core.text import clean

MAX_ALERTS = 10_000
"""Of one source; each is about 2 KB."""
MAX_RULES = 10_000
MAX_GROUPS = 2_000
_RULE_STATES = ("firing", "pending", "inactive")


def read_rules(data: Any) -> Alerts:  # noqa: ANN401 (JSON of a server)
    """The `data` of Prometheus' `/api/v1/rules`."""
    alerts: list[Alert] = []
    problems: list[str] = []
    rules: list[Rule] = []
    dropped = malformed = 0
    for group in _list(_get(data, "groups")):
        for rule in _list(_get(group, "rules")):
            if _get(rule, "type") not in ("alerting", None):
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


def read_groups(items: Any) -> tuple[AlertGroup, ...]:  # noqa: ANN401 (JSON of a server)
    """The body of Alertmanager's `/api/v2/alerts/groups`, the largest group first."""
    found = [
        AlertGroup(
            str(_get(_get(item, "receiver"), "name") or "?"),
            _texts(_get(item, "labels")) or {},
            read_alertmanager(_get(item, "alerts")).alerts,
        )
        for item in _list(items)[:MAX_GROUPS]
    ]
    return tuple(sorted(found, key=lambda group: (-len(group.alerts), group.receiver, sorted(group.labels.items()))))


def _rule(group: Any, rule: Any) -> Rule:  # noqa: ANN401
    for_s, took_s = _float(_get(rule, "duration")), _float(_get(rule, "evaluationTime"))
    health, error = str(_get(rule, "health") or "unknown"), str(_get(rule, "lastError") or "")
    name, query = str(_get(rule, "name") or "?"), str(_get(rule, "query") or "")
    severity = str(_get(_get(rule, "labels"), "severity") or "").lower()
    state = str(_get(rule, "state") or "unknown")
    return Rule(
        name,
        str(_get(group, "name") or ""),
        query,
        severity,
        state,
        health,
        error,
        for_s or 0.0,
        unix_s(_get(rule, "lastEvaluation")),
        took_s,
        tuple(_texts(_get(rule, "labels")) or ()),
    )


def _rule_order(rule: Rule) -> tuple[bool, int, int, str, str]:
    state = _RULE_STATES.index(rule.state) if rule.state in _RULE_STATES else len(_RULE_STATES)
    return rule.health != "err", state, severity_rank(rule.severity), rule.group, rule.name


def _of_prometheus(item: Any, query: str, threshold: str | None, rule: Rule) -> Alert | None:  # noqa: ANN401
    labels = _texts(_get(item, "labels"))
    state = _get(item, "state")
    if labels is None or state not in ("firing", "pending"):  # no set: it may be anything, a list too
        return None
    return Alert(
        labels,
        AlertState(state),
        unix_s(_get(item, "activeAt")),
        _texts(_get(item, "annotations")) or {},
        _float(_get(item, "value")),
        threshold,
        query,
        ("prometheus",),
        rule=rule,
        own={name: text for name, text in labels.items() if name != "alertname" and name not in rule.adds},
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


def _float(item: Any) -> float | None:  # noqa: ANN401
    try:
        return float(item)
    except (TypeError, ValueError):
        return None


def _list(item: Any) -> list[Any]:  # noqa: ANN401
    return item if isinstance(item, list) else []


def _texts(item: Any) -> dict[str, str] | None:  # noqa: ANN401
    return {str(name): str(text) for name, text in item.items()} if isinstance(item, dict) else None
