"""`fleetview alerts`: what fires or is about to, from Prometheus and Alertmanager, worst first."""

from __future__ import annotations

import sys
from time import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fleetview.cli.asked import as_number, as_text, check_alert_servers, code_of, one_line, print_json, run
from fleetview.cli.text import aligned, fitted, narrate, wants_colour
from fleetview.config import resolve
from fleetview.core.ages import age
from fleetview.core.alerts import Alert, AlertState, concerns, severity_rank

if TYPE_CHECKING:
    from fleetview.config import Context, Flags
    from fleetview.core.alerts import Places

_HEADER = ("SEVERITY", "STATE", "SINCE", "ALERT", "WHERE", "VALUE", "SUMMARY")
_RIGHT = frozenset({2, 5})
_PAINT = {0: "31", 1: "31", 2: "33"}
_QUIET = "2"


def alerts(
    flags: Flags, *, as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False
) -> int:
    """Print every alert that fires or is pending, silenced and inhibited ones too."""
    context = resolve(flags)
    check_alert_servers(context)
    return run(lambda: _alerts(context, as_json=as_json))


async def _alerts(context: Context, *, as_json: bool) -> int:
    from fleetview.feeds.alerts import AlertSources  # noqa: PLC0415 (only for those who ask)

    seen = await AlertSources.of(context).refresh()
    scope, places = context.scope, context.places
    chosen = [alert for alert in seen.alerts if concerns(alert.place(places), scope.tenant, scope.site)]
    if as_json:
        for alert in chosen:
            print_json(_as_json(alert, places))
    else:
        _print_table(chosen, places)
    for note in seen.notes:
        narrate(note)
    for failure in seen.failures:
        narrate(str(failure))
    if not as_json and seen.received_mono_s:
        narrate(_count(chosen, len(seen.alerts) - len(chosen)))
    return max(map(code_of, seen.failures), default=0)


def _count(chosen: list[Alert], hidden: int) -> str:
    counts = [(state.value, sum(alert.state is state for alert in chosen)) for state in AlertState]
    words = ", ".join(f"{count} {word}" for word, count in counts if count) or "no alert"
    return words + (f"; {hidden} more are outside the scope" if hidden else "")


def _print_table(chosen: list[Alert], places: Places) -> None:
    if not chosen:
        return
    colour, now = wants_colour(sys.stdout), time()
    lines = aligned([_HEADER, *(_row(alert, places, now) for alert in chosen)], _RIGHT)
    print(fitted(lines[0], sys.stdout))
    for alert, line in zip(chosen, lines[1:], strict=True):
        code = (
            _PAINT.get(severity_rank(alert.severity)) if alert.state in {AlertState.FIRING, AlertState.PENDING} else _QUIET
        )
        shown = fitted(line, sys.stdout)
        print(f"\x1b[{code}m{shown}\x1b[0m" if colour and code else shown)


def _row(alert: Alert, places: Places, now: float) -> tuple[str, ...]:
    since = "?" if alert.since_unix_s is None else age(now - alert.since_unix_s)
    value = "-" if alert.value is None else _number(alert.value)
    return (
        one_line(alert.severity) or "-",
        alert.state.value,
        since,
        one_line(alert.name),
        one_line(str(alert.place(places))),
        value if alert.threshold is None else f"{value} {alert.threshold}",
        one_line(alert.summary),
    )


def _number(value: float) -> str:
    found = as_number(value)
    return found if isinstance(found, str) else f"{value:.4g}"


def _as_json(alert: Alert, places: Places) -> dict[str, Any]:
    place = alert.place(places)
    return {
        "name": alert.name,
        "severity": alert.severity or None,
        "state": alert.state.value,
        "since": as_text(alert.since_unix_s),
        "tenant": place.tenant,
        "site": place.site,
        "device": place.device,
        "value": as_number(alert.value),
        "threshold": alert.threshold,
        "summary": alert.summary or None,
        "runbook": alert.runbook,
        "silenced_by": list(alert.silenced_by),
        "inhibited_by": list(alert.inhibited_by),
        "receivers": list(alert.receivers),
        "sources": list(alert.sources),
        "url": alert.url,
        "fingerprint": alert.fingerprint,
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
    }
