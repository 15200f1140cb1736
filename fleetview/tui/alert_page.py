"""One alert or rule with all that is known of it, and the alerts on a device's page. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from fleetview.core.ages import age, rough_age
from fleetview.core.alertbook import AlertBook, is_switch
from fleetview.core.alerts import Alert, AlertGroup, Rule
from fleetview.core.charts import in_words
from fleetview.tui.alert_rows import quiet_words, state_span, value_words
from fleetview.tui.columns import Now
from fleetview.tui.glyphs import Glyphs
from fleetview.tui.spans import EMPTY, Line, Span, fit, line_width, visible, wrap
from fleetview_agent.wire import Address

_ON_A_PAGE = 4
_MOST_MEMBERS = 200


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


def group_document(group: AlertGroup, book: AlertBook, now: Now, width: int, glyphs: Glyphs) -> list[Line]:
    """The alerts of a group, worst first, and what they have in common."""
    lines = [line for name, text in sorted(group.labels.items()) for line in _field(name, text, width)]
    lines += [EMPTY, (Span("alerts", "head"),)]
    known = {alert.told: alert for alert in book.alerts if alert.told}
    for one in group.alerts[:_MOST_MEMBERS]:
        alert = known.get(one.told or "", one)  # with what Prometheus tells of it
        words = quiet_words(alert, book, now) or value_words(alert)
        text = f" {alert.name}  {alert.place(book.places)}  {words}"
        lines += [(state_span(alert, glyphs), *line) for line in list(wrap(text, width - 14))[:1]]
    if len(group.alerts) > _MOST_MEMBERS:
        lines.append((Span(f"and {len(group.alerts) - _MOST_MEMBERS:,} more", "dim"),))
    return lines


def rule_document(rule: Rule, now: Now, width: int) -> list[Line]:
    """All that is known of a rule."""
    facts = (
        ("group", rule.group),
        ("severity", rule.severity or "none"),
        *_rule_facts(rule, now),
    )
    lines = [line for name, text in facts if text for line in _field(name, text, width)]
    return [*lines, EMPTY, (Span("expression", "head"),), *wrap(rule.query, width - 2)]


def _rule_facts(rule: Rule, now: Now) -> tuple[tuple[str, str], ...]:
    at = rule.evaluated_unix_s
    took = "" if rule.took_s is None else f", which took {in_words(rule.took_s, 'seconds')}"
    health = "evaluated well (ok)" if rule.health == "ok" else rule.health
    return (
        ("rule", health),
        ("error", rule.error),
        ("evaluated", "never, as far as Prometheus says" if at is None else f"{age(now.unix_s - at)} ago{took}"),
        ("patience", f"its condition must hold for {age(rule.for_s)}" if rule.for_s else "none"),
    )


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
    yield from _expression(alert, now, width)
    yield from _quiet(alert, book, now, width)
    for title, texts in (("labels", alert.labels), ("annotations", alert.annotations)):
        yield EMPTY
        yield (Span(title, "head"),)
        for name in sorted(texts):
            yield from _field(name, texts[name], width)


def _expression(alert: Alert, now: Now, width: int) -> Iterator[Line]:
    if alert.query is not None:
        yield EMPTY
        yield (Span("expression", "head"),)
        yield from wrap(alert.query, width - 2)
        if (rule := alert.rule) is not None:
            yield from _field("group", rule.group, width)
            for name, text in _rule_facts(rule, now):
                if text:
                    yield from _field(name, text, width)
    else:
        yield EMPTY
        yield (Span("Prometheus does not tell of this alert: expression, value and threshold are not known", "dim"),)


def _quiet(alert: Alert, book: AlertBook, now: Now, width: int) -> Iterator[Line]:
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
    if others := book.inhibited_by(alert):
        yield EMPTY
        it = "1 other quiet (inhibits it)" if len(others) == 1 else f"{len(others):,} others quiet (inhibits them)"
        yield (Span(f"keeps {it}", "head"),)
        for one in others[:_MOST_MEMBERS]:
            yield from _field(one.name, str(one.place(book.places)), width)


def _field(name: str, text: str, width: int) -> Iterator[Line]:
    lead = Span(f"{fit(name, max(12, min(20, len(name))))} ", "dim")
    for line in wrap(text, width - len(lead.text) - 1):
        yield (lead, *line)
        lead = Span(" " * len(lead.text))


def _time(unix_s: float) -> str:
    return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%d %H:%M:%S} UTC"
