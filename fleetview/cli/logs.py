"""`fleetview logs`: what the devices say, as it arrives."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from datetime import UTC, datetime
from time import time
from typing import TYPE_CHECKING, Annotated

import typer

from fleetview.cli.devices import Filter
from fleetview.cli.snapshot import listening
from fleetview.cli.text import narrate, painted, wants_colour
from fleetview.config import ConfigError, resolve
from fleetview.core.query import compile_logs
from fleetview.core.text import clean
from fleetview.core.trouble import Trouble
from fleetview.feeds.states import Backoff, Refused
from fleetview_agent.wire import Level

if TYPE_CHECKING:
    from collections.abc import Callable

    from fleetview.config import Context, Flags
    from fleetview.core.logbook import Entry
    from fleetview.feeds.states import LinkState
    from fleetview.feeds.watch import FleetFeed

_LISTEN_S = 5.0
_LOOK_EVERY_S = 0.1
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_COLOURS = {Level.ERROR: Trouble.CRITICAL, Level.WARN: Trouble.DEGRADED, Level.DEBUG: Trouble.OFFLINE}


def logs(
    flags: Flags,
    filter: Filter = None,  # noqa: A002 (the argument's name)
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until interrupted.")] = False,
    since: Annotated[str | None, typer.Option(metavar="AGE", help="Only records younger than this, such as 15m.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
    settle: Annotated[float, typer.Option(min=0, metavar="S", help="Without --follow: listen so long.")] = _LISTEN_S,
) -> int:
    """Print log records as they arrive. Records are not retained: what was said before is not here."""
    means = compile_logs(" ".join(filter or ()))
    oldest_ms = 0 if since is None else int((time() - _seconds(since)) * 1000)
    write = _as_json if as_json else _as_text

    def show(entry: Entry) -> None:
        if entry.time_ms >= oldest_ms and means(entry):
            write(entry)

    asyncio.run(_listen(resolve(flags), show, None if follow else settle))
    return 0


async def _listen(context: Context, show: Callable[[Entry], None], seconds: float | None) -> None:
    async with listening(context, logs=True) as feed:
        loop = asyncio.get_running_loop()
        until = None if seconds is None else loop.time() + seconds
        watch = _LinkWatch()
        shown = 0
        while True:
            over = until is not None and loop.time() >= until
            shown = _print_new(feed, show, shown)
            watch.look(feed.connection.state)
            if over:
                return
            await asyncio.sleep(_LOOK_EVERY_S)


def _print_new(feed: FleetFeed, show: Callable[[Entry], None], shown: int) -> int:
    new = feed.fleet.logbook.newer_than(shown)
    for entry in new:
        show(entry)
    if new:
        sys.stdout.flush()
    return new[-1].number if new else shown


class _LinkWatch:
    """Says once that the link is gone, and once that it is back."""

    def __init__(self) -> None:
        self._down = False

    def look(self, state: LinkState) -> None:
        if isinstance(state, (Backoff, Refused)):
            if not self._down:
                narrate(f"{state.failure.words}; trying again")
            self._down = True
        elif self._down and not hasattr(state, "attempt"):
            narrate("the link is back; what was said meanwhile is missing here")
            self._down = False


def _seconds(text: str) -> float:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ConfigError([f"--since: {text!r} is not an age such as 30s, 15m, 2h or 1d"])
    return float(match[1]) * _SECONDS[match[2]]


def _as_text(entry: Entry) -> None:
    colour = wants_colour(sys.stdout)
    if entry.hole is not None:
        print(f"--- {entry.hole.size} records of {entry.address} missing ---")
    mark = "~" if entry.time_is_receipt else " "
    line = f"{_time(entry.time_ms)}{mark} {entry.level.text:<5} {entry.address} {clean(entry.service) or '-'}  "
    print(painted(line + clean(entry.message), _COLOURS.get(entry.level, Trouble.OK), colour=colour))


def _as_json(entry: Entry) -> None:
    print(
        json.dumps(
            {
                "address": str(entry.address),
                "timestamp": _time(entry.time_ms),
                "timestamp_is_receipt": entry.time_is_receipt,
                "level": entry.level.text,
                "service": entry.service,
                "trace_id": entry.trace_id,
                "message": entry.message,
                "received_at": _time(entry.received_ms),
                "stream": entry.stream,
                "seq": entry.seq,
                "missing_before": 0 if entry.hole is None else entry.hole.size,
                "record": entry.fields(),
            }
        )
    )


def _time(ms: int) -> str:
    moment = datetime.fromtimestamp(ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
