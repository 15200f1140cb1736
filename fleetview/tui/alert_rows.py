"""Alerts, silences and the servers that tell of them as lines of spans. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import NamedTuple

from fleetview.core.ages import age, rough_age
from fleetview.core.alertbook import AlertBook, Server, is_switch
from fleetview.core.alerts import Alert, AlertState, Rule, severity_rank
from fleetview.core.servers import ALERTMANAGER, EARLY, PROMETHEUS, Health
from fleetview.core.silences import Silence, SilenceState
from fleetview.core.trouble import Trouble
from fleetview.tui.columns import Now
from fleetview.tui.glyphs import Glyphs
from fleetview.tui.spans import EMPTY, Line, Span, StyleName, fit, line_width, visible, wrap
from fleetview_agent.wire import Address

GUTTER = 2
_WIDE, _WIDER = 100, 140
_RULE_LOOK: dict[str, tuple[Trouble, StyleName]] = {
    "firing": (Trouble.DEGRADED, "degraded"),
    "pending": (Trouble.STALE, "stale"),
    "inactive": (Trouble.OK, "dim"),
}
_SERVICES = {"prometheus": PROMETHEUS, "alertmanager": ALERTMANAGER}
_ON_A_PAGE = 4
_MOST_WORDS = 2
"""Lines of what is wrong with a server."""
_BAD, _ODD = 1, 3
"""Ranks of severities up to which they are drawn as critical, and as degraded."""

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
        (Span(quiet_words(alert, book, now) or " ".join(alert.summary.split()), "dim"), sizes.rest),
    ]
    spans = [Span(f"{glyphs.selected if selected else ' '} ", "accent")]
    spans += [Span(fit(span.text, size) + " ", span.style) for span, size in cells if size]
    return tuple(spans)


def state_span(alert: Alert, glyphs: Glyphs) -> Span:
    """`✗ firing`: of those that fire the glyph and the colour say how severe, beside the word for it."""
    match alert.state:
        case AlertState.FIRING:
            rank = severity_rank(alert.severity)
            trouble = Trouble.CRITICAL if rank <= _BAD else Trouble.DEGRADED if rank <= _ODD else Trouble.OK
            style: StyleName = "critical" if rank <= _BAD else "degraded" if rank <= _ODD else "plain"
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
    return (
        Span(
            fit(f"{' ' * GUTTER}{'STATE':<11} {'SEVERITY':<9} {'RULE':<26} {'GROUP':<14} {'FOR':<7} EXPRESSION", width),
            "head",
        ),
    )


def rule_row(rule: Rule, glyphs: Glyphs) -> Line:
    """One rule; of one that cannot be evaluated, why."""
    broken = rule.health == "err"
    state = rule_span(rule, glyphs)
    patience = rough_age(rule.for_s) if rule.for_s else "-"
    return (
        Span(f"{' ' * GUTTER}{fit(state.text, 11)} {fit(rule.severity or '-', 9)} ", state.style),
        Span(f"{fit(rule.name, 26)} "),
        Span(f"{fit(rule.group, 14)} {fit(patience, 7)} ", "dim"),
        Span(visible(rule.error) if broken else visible(" ".join(rule.query.split())), "plain" if broken else "dim"),
    )


def rule_span(rule: Rule, glyphs: Glyphs) -> Span:
    """`✗ broken`, `▲ firing`, `● inactive`."""
    if rule.health == "err":
        return Span(f"{glyphs.bad} broken", "error")
    trouble, style = _RULE_LOOK.get(rule.state, (Trouble.UNSEEN, "dim"))
    return Span(f"{glyphs.trouble[trouble]} {rule.state}", style)


def rule_document(rule: Rule, width: int) -> list[Line]:
    """All that is known of a rule."""
    facts = (
        ("group", rule.group),
        ("severity", rule.severity or "none"),
        ("health", rule.health),
        ("error", rule.error),
        ("patience", f"its condition must hold for {age(rule.for_s)}" if rule.for_s else "none"),
    )
    lines = [line for name, text in facts if text for line in _field(name, text, width)]
    return [*lines, EMPTY, (Span("expression", "head"),), *wrap(rule.query, width - 2)]


# -- who tells, and how well


def server_lines(server: Server, now: Now, width: int, glyphs: Glyphs) -> list[Line]:
    """`prometheus ● up, answered 20s ago`; or what is wrong, how old what it told is, and why, in its own lines."""
    service = _SERVICES[server.source]
    standing = server.standing
    glyph, style = _standing(server, glyphs)
    early = standing.health in EARLY
    since = "" if early or server.answers else f" for {age(now.mono_s - standing.since_mono_s)}"
    if server.answered_mono_s is None:
        told = "" if early else "; it has told nothing yet"
    elif server.answers:
        told = f", answered {rough_age(now.mono_s - server.answered_mono_s)}{_ago(now.mono_s - server.answered_mono_s)}"
    else:
        told = f"; what it told is {age(now.mono_s - server.answered_mono_s)} old"
    state = (
        Span(f" {server.source} ", "dim"),
        Span(f"{glyph} {standing.word(service)}", style),
        Span(f"{since}{told}", "dim" if server.answers else "plain"),
        Span(f"   {server.per_minute:,} queries/min" if server.per_minute else "", "dim"),
    )
    return [state, *((Span("   "), *line) for line in islice(wrap(standing.words, width - 4, "dim"), _MOST_WORDS))]


def _ago(seconds: float) -> str:
    return "" if rough_age(seconds) == "now" else " ago"


def _standing(server: Server, glyphs: Glyphs) -> tuple[str, StyleName]:
    if server.standing.health in EARLY:
        return glyphs.trouble[Trouble.UNSEEN], "dim"
    if server.standing.health is Health.UP:
        return glyphs.dot, "ok"
    return (glyphs.warning, "degraded") if server.answers else (glyphs.bad, "error")


def counts(alerts: Sequence[Alert]) -> str:
    """`2 firing, 1 pending`."""
    found = [(state.value, sum(alert.state is state and not is_switch(alert) for alert in alerts)) for state in AlertState]
    return ", ".join(f"{count:,} {word}" for word, count in found if count) or "none"


def glances(book: AlertBook | None, broken: str | None, now: Now, glyphs: Glyphs) -> tuple[Line, ...]:
    """What the first line says of alerts, the longest first; each begins behind a bar."""
    bar = Span(f" {glyphs.bar} ", "rule")
    if broken is not None:
        return ((bar, Span(f"alerts {glyphs.bad} not asked for", "error")),)
    if book is None:
        return ()
    whole: list[Span] = []
    failing: list[Span] = []
    for server in book.servers:
        glyph, style = _standing(server, glyphs)
        asked = server.answered_mono_s
        aged = "-" if asked is None else rough_age(now.mono_s - asked)
        health = server.standing.health
        word = aged if health is Health.UP else server.standing.word(_SERVICES[server.source])
        word += f" {aged}" if health not in EARLY | {Health.UP} else ""
        spans = [bar, Span(f"{server.source} ", "dim"), Span(f"{glyph} {word}", style)]
        whole += spans
        failing += spans if not server.answers and health not in EARLY else []
    if whole and all(server.standing.health in EARLY for server in book.servers):
        return (tuple(whole), ())  # nobody knows of alerts yet, and nobody should
    loud = book.loud
    if book.is_old(now.mono_s):
        answered = [one.answered_mono_s for one in book.servers if one.answered_mono_s is not None]
        old = f", {rough_age(now.mono_s - min(answered))} old" if len(answered) == len(book.servers) else ", not all known"
    else:
        old = ""
    worst = min((severity_rank(alert.severity) for alert in loud), default=99)
    style = "dim" if not loud else "critical" if worst <= _BAD else "degraded" if worst <= _ODD else "plain"
    told = f"{len(loud):,} firing" if loud or not old else "?"
    alerts = [bar, Span("alerts ", "dim"), Span(f"{told}{old}", style)]
    doubt = "?" if old and loud else ""  # as behind a state: it is what was told last
    short = (bar, Span("alerts ", "dim"), Span(f"{told}{doubt}", style))
    return ((*whole, *alerts), (*failing, *alerts), tuple(alerts), short)


def alert_lines(book: AlertBook | None, address: Address, now: Now, width: int, glyphs: Glyphs) -> tuple[Line, ...]:
    """The alerts of one device on its page, the worst few of them."""
    found = [] if book is None else [alert for alert in book.of(address) if not is_switch(alert)]
    if book is None or not found:
        return ()
    lines: list[Line] = []
    old = " (old: who told this is silent)" if book.is_old(now.mono_s) else ""
    for index, alert in enumerate(found[:_ON_A_PAGE]):
        state = state_span(alert, glyphs)
        since = "" if alert.since_unix_s is None else f" for {rough_age(now.unix_s - alert.since_unix_s)}"
        words = quiet_words(alert, book, now) or " ".join(alert.summary.split()) or value_words(alert)
        lead = (Span(" alerts " if not index else " " * 8, "dim"), state, Span(visible(f" {alert.name}")))
        rest = visible(f"{since}{old}  {words}")
        lines.append((*lead, Span(fit(rest, max(0, width - line_width(lead) - 1)), "dim")))
    if len(found) > _ON_A_PAGE:
        lines.append((Span(f"        and {len(found) - _ON_A_PAGE:,} more (a shows all)", "dim"),))
    return tuple(lines)


# -- the whole of one


def alert_document(alert: Alert, book: AlertBook, now: Now, width: int) -> list[Line]:
    """Everything that is known of an alert."""
    return list(_document(alert, book, now, width))


def _document(alert: Alert, book: AlertBook, now: Now, width: int) -> Iterator[Line]:
    since = alert.since_unix_s
    facts = [
        ("what", alert.summary),
        ("since", "nobody says" if since is None else f"{_time(since)}, for {age(now.unix_s - since)}"),
        ("value now", value_words(alert)),
        ("where", str(alert.place(book.places))),
        ("runbook", alert.runbook or "none is given"),
        ("told by", ", ".join(alert.sources)),
        ("goes to", ", ".join(alert.receivers)),
        ("rule at", alert.url or ""),
    ]
    for name, text in facts:
        if text:
            yield from _field(name, text, width)
    if alert.query is not None:
        yield EMPTY
        yield (Span("expression", "head"),)
        yield from wrap(alert.query, width - 2)
        if (rule := alert.rule) is not None:
            yield from _field("group", rule.group, width)
            yield from _field("rule", f"evaluated well ({rule.health})" if rule.health == "ok" else rule.health, width)
            if rule.error:
                yield from _field("error", rule.error, width)
            yield from _field("patience", f"its condition must hold for {age(rule.for_s)}" if rule.for_s else "none", width)
    else:
        yield EMPTY
        yield (Span("Prometheus does not tell of this alert: expression, value and threshold are not known", "dim"),)
    for silence in book.silences_of(alert):
        yield EMPTY
        yield (Span("silenced", "head"),)
        yield from _field("until", f"{_time(silence.ends_unix_s)}, for {age(silence.ends_unix_s - now.unix_s)} more", width)
        yield from _field("by", f"{silence.author}: {silence.comment}", width)
        yield from _field("matchers", ", ".join(map(str, silence.matchers)), width)
        yield from _field("id", silence.id, width)
    for one in book.inhibitors_of(alert):
        yield EMPTY
        yield from _field("inhibited", f"by {one.name} ({one.severity or 'no severity'}) at {one.place(book.places)}", width)
    for title, texts in (("labels", alert.labels), ("annotations", alert.annotations)):
        yield EMPTY
        yield (Span(title, "head"),)
        for name in sorted(texts):
            yield from _field(name, texts[name], width)


def _field(name: str, text: str, width: int) -> Iterator[Line]:
    lead = Span(f"{fit(name, max(12, min(20, len(name))))} ", "dim")
    for line in wrap(text, width - len(lead.text) - 1):
        yield (lead, *line)
        lead = Span(" " * len(lead.text))


def _time(unix_s: float) -> str:
    return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%d %H:%M:%S} UTC"
