"""Who tells of alerts, how well, and what that comes to in the first line of every screen. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from fleetview.core.ages import age, rough_age
from fleetview.core.alertbook import AlertBook, Server, is_switch
from fleetview.core.alerts import Alert, AlertState, severity_rank
from fleetview.core.servers import ALERTMANAGER, EARLY, PROMETHEUS, Health
from fleetview.core.trouble import Trouble
from fleetview.tui.columns import Now
from fleetview.tui.glyphs import Glyphs, severity_look
from fleetview.tui.spans import Line, Span, StyleName, wrap

_SERVICES = {"prometheus": PROMETHEUS, "alertmanager": ALERTMANAGER}
_MOST_WORDS = 2
"""Lines of what is wrong with a server."""


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
    style = "dim" if not loud else severity_look(worst)[1]
    told = f"{len(loud):,} firing" if loud or not old else "?"
    alerts = [bar, Span("alerts ", "dim"), Span(f"{told}{old}", style)]
    doubt = "?" if old and loud else ""  # as behind a state: it is what was told last
    short = (bar, Span("alerts ", "dim"), Span(f"{told}{doubt}", style))
    return ((*whole, *alerts), (*failing, *alerts), tuple(alerts), short)
