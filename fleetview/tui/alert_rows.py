"""Alerts, silences and the servers that tell of them as lines of spans. Pure."""

from __future__ import annotations

import math
from typing import NamedTuple

from fleetview.core.ages import rough_age
from fleetview.core.alertbook import AlertBook
from fleetview.core.alerts import Alert, AlertGroup, AlertState, Places, Rule, severity_rank
from fleetview.core.silences import Silence, SilenceState
from fleetview.core.trouble import Trouble
from fleetview.tui.columns import Now
from fleetview.tui.glyphs import Glyphs, severity_look
from fleetview.tui.spans import Line, Span, StyleName, fit, visible

GUTTER = 2
_WIDE, _WIDER = 100, 140
_RULE_LOOK: dict[str, tuple[Trouble, StyleName]] = {
    "pending": (Trouble.STALE, "stale"),
    "inactive": (Trouble.OK, "dim"),
}

NOT_CONFIGURED = (
    "Neither Prometheus nor Alertmanager is configured for this context, so no alerts are known.",
    "",
    "In the file that `fleetview config path` names:",
    "",
    "    [contexts.NAME]",
    '    prometheus = "https://prom.example/prometheus"',
    '    alertmanager = "https://alerts.example"',
    "",
    "or for once: fleetview --prometheus URL --alertmanager URL   (FLEETVIEW_PROMETHEUS, FLEETVIEW_ALERTMANAGER)",
)


def not_configured(advice: str | None) -> tuple[str, ...]:
    """What stands in the place of alerts where there is nobody to ask; with an easy way to mend that, only this."""
    if advice is None:
        return NOT_CONFIGURED
    return ("There is neither a Prometheus nor an Alertmanager here, so no alerts are known.", "", advice)


class Widths(NamedTuple):
    """Cells of the columns; 0 for one that there is no room for."""

    state: int
    severity: int
    name: int
    where: int
    since: int
    value: int
    rest: int


def widths(width: int) -> Widths:
    """Columns for a width."""
    if width >= _WIDER:
        fixed = (11, 9, 28, 28, 7, 18)
    elif width >= _WIDE:
        fixed = (11, 8, 24, 18, 7, 15)
    else:
        fixed = (11, 8, 20, 12, 7, 0)
    left = width - GUTTER - 1 - sum(size + 1 for size in fixed if size)
    return Widths(*fixed, max(0, left))


def alert_head(width: int) -> Line:
    """The titles."""
    sizes = widths(width)
    cells = zip(("STATE", "SEVERITY", "ALERT", "WHERE", "SINCE", "VALUE", "WHAT"), sizes, strict=True)
    return (Span(" " * GUTTER + " ".join(fit(text, size) for text, size in cells if size), "head"),)


def alert_row(
    alert: Alert, book: AlertBook, now: Now, width: int, glyphs: Glyphs, *, selected: bool = False, whole: bool = True
) -> Line:
    """One alert. With `whole`, where it is is an address, else the device alone."""
    sizes = widths(width)
    state = state_span(alert, glyphs)
    place = alert.place(book.places)
    known = whole and None not in place and sizes.where > _WIDE // 4
    where = str(place) if known else (place.device or place.site or place.tenant or "-")
    since = "?" if alert.since_unix_s is None else rough_age(now.unix_s - alert.since_unix_s)
    cells = [
        (Span(state.text, state.style), sizes.state),
        (Span(alert.severity or "-", state.style), sizes.severity),
        (Span(alert.name, "plain" if state.style == "dim" else "bold"), sizes.name),
        (Span(where, "plain"), sizes.where),
        (Span(since, "dim"), sizes.since),
        (Span(value_words(alert), "dim"), sizes.value),
        (Span(quiet_words(alert, book, now) or without_place(alert.summary, str(place)), "dim"), sizes.rest),
    ]
    spans = [Span(f"{glyphs.selected if selected else ' '} ", "accent")]
    spans += [Span(fit(span.text, size) + " ", span.style) for span, size in cells if size]
    return tuple(spans)


def without_place(summary: str, place: str) -> str:
    """A summary on one line; without the place that it begins with, for that has a column of its own.

    >>> without_place("acme/plant-7/gw-1: no heartbeats", "acme/plant-7/gw-1")
    'no heartbeats'
    """
    words = " ".join(summary.split())
    rest = words.removeprefix(place)
    said = rest.lstrip(" :,-")
    return said if said and rest[0] in " :," and rest != words else words


def state_span(alert: Alert, glyphs: Glyphs) -> Span:
    """`✗ firing`: of those that fire the glyph and the colour say how severe, beside the word for it."""
    match alert.state:
        case AlertState.FIRING:
            trouble, style = severity_look(severity_rank(alert.severity))
            return Span(f"{glyphs.trouble[trouble]} {alert.state.value}", style)
        case AlertState.PENDING:
            return Span(f"{glyphs.trouble[Trouble.STALE]} {alert.state.value}", "stale")
        case AlertState.INHIBITED:
            return Span(f"{glyphs.trouble[Trouble.UNSEEN]} {alert.state.value}", "dim")
        case AlertState.SILENCED:
            return Span(f"{glyphs.trouble[Trouble.SLEEPING]} {alert.state.value}", "dim")


def value_words(alert: Alert) -> str:
    """`0.97 > 0.9`."""
    value = "-" if alert.value is None else _number(alert.value)
    return value if alert.threshold is None or alert.value is None else f"{value} {alert.threshold}"


def _number(value: float) -> str:
    if math.isfinite(value):
        return f"{value:.4g}"
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def quiet_words(alert: Alert, book: AlertBook, now: Now) -> str:
    """What keeps it quiet; empty for one that is not."""
    if alert.state is AlertState.SILENCED:
        found = book.silences_of(alert)
        if not found:
            return "silenced, by a silence that is not known here"
        last = found[-1]
        return f"for {rough_age(last.ends_unix_s - now.unix_s)} more by {last.author}: {last.comment}"
    if alert.state is AlertState.INHIBITED:
        names = ", ".join(dict.fromkeys(one.name for one in book.inhibitors_of(alert)))
        return f"inhibited by {names or 'another alert'}"
    return ""


def silence_head(width: int) -> Line:
    """The titles of the list of silences."""
    return (
        Span(
            fit(f"{' ' * GUTTER}{'STATE':<10} {'ENDS IN':<8} {'QUIET':>5}  {'AUTHOR':<12} COMMENT AND MATCHERS", width),
            "head",
        ),
    )


def silence_row(silence: Silence, book: AlertBook, now: Now, glyphs: Glyphs) -> Line:
    """One silence, and how many alerts it keeps quiet now."""
    quiet = sum(silence.id in alert.silenced_by for alert in book.alerts)
    trouble = Trouble.SLEEPING if silence.state is SilenceState.ACTIVE else Trouble.STALE
    ends = rough_age(silence.ends_unix_s - now.unix_s)
    matchers = ", ".join(map(str, silence.matchers))
    return (
        Span(f"{' ' * GUTTER}{fit(f'{glyphs.trouble[trouble]} {silence.state.value}', 10)} {fit(ends, 8)} {quiet:>5}  "),
        Span(fit(silence.author, 12) + " ", "dim"),
        Span(f"{visible(silence.comment)}   "),
        Span(visible(matchers), "dim"),
    )


def rule_head(width: int) -> Line:
    """The titles of the list of rules."""
    group = f" {'GROUP':<14}" if width >= _WIDE else ""
    titles = f"{'STATE':<11} {'SEVERITY':<9} {'RULE':<26}{group} {'FOR':<7} {'LAST':<7} EXPRESSION"
    return (Span(fit(" " * GUTTER + titles, width), "head"),)


def rule_row(rule: Rule, now: Now, width: int, glyphs: Glyphs) -> Line:
    """One rule; of one that cannot be evaluated, why."""
    broken = rule.health == "err"
    state = rule_span(rule, glyphs)
    patience = rough_age(rule.for_s) if rule.for_s else "-"
    group = f"{fit(rule.group, 14)} " if width >= _WIDE else ""
    return (
        Span(f"{' ' * GUTTER}{fit(state.text, 11)} {fit(rule.severity or '-', 9)} ", state.style),
        Span(f"{fit(rule.name, 26)} "),
        Span(f"{group}{fit(patience, 7)} {fit(evaluated_words(rule, now), 7)} ", "dim"),
        Span(visible(rule.error) if broken else visible(" ".join(rule.query.split())), "plain" if broken else "dim"),
    )


def evaluated_words(rule: Rule, now: Now) -> str:
    """How long ago it was evaluated."""
    at = rule.evaluated_unix_s
    return "never" if at is None else rough_age(now.unix_s - at)


def rule_span(rule: Rule, glyphs: Glyphs) -> Span:
    """`✗ broken`, `▲ firing`, `● inactive`."""
    if rule.health == "err":
        return Span(f"{glyphs.bad} broken", "error")
    if rule.state == "firing":
        trouble, style = severity_look(severity_rank(rule.severity))
    else:
        trouble, style = _RULE_LOOK.get(rule.state, (Trouble.UNSEEN, "dim"))
    return Span(f"{glyphs.trouble[trouble]} {rule.state}", style)


def group_head(width: int) -> Line:
    """The titles of the list of groups."""
    return (Span(fit(f"{' ' * GUTTER}{'RECEIVER':<20} {'FIRING':>6} {'QUIET':>6}  TOLD TOGETHER", width), "head"),)


def group_words(group: AlertGroup) -> str:
    """By what a group is one, and the names of its alerts, once."""
    names = ", ".join(dict.fromkeys(alert.name for alert in group.alerts))
    labels = ", ".join(f"{name}={text}" for name, text in sorted(group.labels.items()) if name != "alertname")
    return f"{names}, {labels}" if labels else names


def group_row(group: AlertGroup, places: Places, glyphs: Glyphs) -> Line:
    """What Alertmanager tells in one message, and to whom."""
    firing = [alert for alert in group.alerts if alert.state is AlertState.FIRING]
    rank = min((severity_rank(alert.severity) for alert in firing), default=None)
    look: tuple[Trouble, StyleName] = (Trouble.SLEEPING, "dim") if rank is None else severity_look(rank)
    trouble, style = look
    devices = len({place.device for alert in group.alerts if (place := alert.place(places)).device is not None})
    on = f" on {devices:,} device{'s' * (devices != 1)}" if devices else ""
    quiet = len(group.alerts) - len(firing)
    return (
        Span(f"{' ' * GUTTER}{glyphs.trouble[trouble]} ", style),
        Span(fit(group.receiver, 18)),
        Span(f" {len(firing):>6,} {quiet:>6,}  ", style),
        Span(visible(group_words(group)) + on, "dim" if rank is None else "plain"),
    )
