"""What the commands that ask Prometheus and Alertmanager share: running the question, and what becomes of a failure."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fleetview.cli.text import narrate
from fleetview.config import ConfigError
from fleetview.core.servers import ANSWERS
from fleetview.core.text import clean

if TYPE_CHECKING:
    from fleetview.access import Access
    from fleetview.config import Context
    from fleetview.core.fleet import Fleet
    from fleetview.feeds.web import AskError

NO = 1
UNREACHABLE = 3


def run(question: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """The question's exit code; a server that could not be asked is 3, one that says no to the question 1."""
    from fleetview.feeds.web import AskError  # noqa: PLC0415 (only for those who ask)

    try:
        return asyncio.run(question())
    except AskError as err:
        narrate(str(err))
        return code_of(err)


def code_of(err: AskError) -> int:
    """The exit code of a failure."""
    health = err.verdict.health
    return NO if health is None or health in ANSWERS else UNREACHABLE


def alertmanager_of(context: Context) -> Access:
    """Raises ConfigError when there is none."""
    if context.alertmanager_access is None:
        raise ConfigError(["no Alertmanager is configured: --alertmanager URL, or alertmanager = in the context"])
    return context.alertmanager_access


def check_alert_servers(context: Context) -> None:
    """Raises ConfigError when nobody could tell of alerts."""
    if context.prometheus_access is None and context.alertmanager_access is None:
        raise ConfigError(["neither Prometheus nor Alertmanager is configured: --prometheus URL or --alertmanager URL"])


async def note_alerts(context: Context, fleet: Fleet) -> int:
    """Asks once for the alerts, and notes them at their devices. The exit code: 3 when one who is asked did not answer."""
    from fleetview.core.alertbook import marking  # noqa: PLC0415 (only for those who ask)
    from fleetview.feeds.alertwatch import AlertWatch  # noqa: PLC0415 (likewise)

    watch = AlertWatch.of(context)
    try:
        book = await watch.refresh()
    finally:
        watch.close()
    for _ in marking(fleet, book):
        pass
    silent = [server for server in book.servers if not server.answers]
    for server in silent:
        narrate(f"not all alerts are known: {server.standing.words}")
    return UNREACHABLE if silent else 0


def as_text(unix_s: float | None) -> str | None:
    """A time for a program."""
    return (
        None if unix_s is None else datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    )


def as_number(value: float | None) -> float | str | None:
    """A value for a program. JSON has no NaN and no infinities: they are Prometheus' words for them."""
    if value is None or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def print_json(item: dict[str, Any]) -> None:
    """One object, one line; escaped, so that no terminal obeys what stands in it."""
    print(json.dumps(item))


def one_line(text: str) -> str:
    """A text of others as one harmless line."""
    return clean(" ".join(text.split()))
