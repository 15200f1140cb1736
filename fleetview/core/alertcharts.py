"""An alert or a rule as a picture: the course of what it compares, and the line beyond which that is bad. Text only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fleetview.core.alerts import Alert, Rule, severity_rank
from fleetview.core.comparisons import Comparison, comparison_of
from fleetview.core.panels import Panel
from fleetview.core.series import quoted

if TYPE_CHECKING:
    from fleetview.core.alerts import Places

_CRITICAL_RANK = 1


def alert_panel(alert: Alert, places: Places) -> Panel | None:
    """The course of an alert's own value; None when Prometheus does not tell of its expression."""
    if not alert.query:
        return None
    found = comparison_of(alert.query)
    course = alert.query if found is None else found.course
    named = {name: text for name, text in alert.own.items() if name in {places.tenant, places.site, places.device}}
    # By its place alone where that tells it apart: other labels, such as a release, change on the way.
    own = named if places.device in named else alert.own
    return _panel(alert.name, _narrowed(course, own), found, alert.severity)


def rule_panel(rule: Rule) -> Panel:
    """The courses of all that a rule looks at."""
    found = comparison_of(rule.query)
    return _panel(rule.name, rule.query if found is None else found.course, found, rule.severity)


def _panel(name: str, query: str, found: Comparison | None, severity: str) -> Panel:
    thresholds: dict[str, float] = {}
    title = f"alert {name}"
    if found is not None:
        bad = "critical" if severity_rank(severity) <= _CRITICAL_RANK else "degraded"
        thresholds[bad] = float(found.bound)
        title += f": fires when {found.operator} {found.bound}"
    below = found is not None and found.below
    return Panel(title, query, thresholds=thresholds, below=below, from_bounds=True)


def _narrowed(query: str, labels: Mapping[str, str]) -> str:
    """Only the series with these labels, whatever the expression is: a selector cannot be put into one that is not known."""
    if not labels:
        return query
    wanted = "vector(1)"
    for name, text in labels.items():
        # As a replacement, not as a pattern: `$` begins the name of a group there.
        wanted = f'label_replace({wanted}, "{name}", {quoted(text.replace("$", "$$"))}, "", "")'
    return f"({query}) and on ({', '.join(labels)}) {wanted}"
