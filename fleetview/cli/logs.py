"""`fleetview logs`: what the devices say, as it arrives."""

from __future__ import annotations

import asyncio
import select
import sys
from io import TextIOWrapper
from time import time
from typing import TYPE_CHECKING, Annotated

import typer

from fleetview.cli.devices import Filter
from fleetview.cli.snapshot import listening
from fleetview.cli.text import narrate, painted, wants_colour
from fleetview.config import ConfigError, resolve
from fleetview.core.in_order import InOrder
from fleetview.core.log_json import record_json, rfc3339
from fleetview.core.query.gaps import compile_with_gaps
from fleetview.core.text import clean
from fleetview.core.times import parse_when
from fleetview.core.trouble import Trouble
from fleetview.feeds.states import Backoff, Refused
from fleetview_agent.wire import Level

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from fleetview.config import Context, Flags
    from fleetview.core.logbook import Entry
    from fleetview.core.query.gaps import LogFilter
    from fleetview.core.streams import Hole
    from fleetview.feeds.states import LinkState

_LISTEN_S = 5.0
_LOOK_EVERY_S = 0.1
_COLOURS = {Level.ERROR: Trouble.CRITICAL, Level.WARN: Trouble.DEGRADED, Level.DEBUG: Trouble.OFFLINE}


def logs(
    flags: Flags,
    filter: Filter = None,  # noqa: A002 (the argument's name)
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until interrupted.")] = False,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only records from then on: 15m (ago), 14:05, 2026-11-22.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
    settle: Annotated[float, typer.Option(min=0, metavar="S", help="Without --follow: listen so long.")] = _LISTEN_S,
) -> int:
    """Print log records as they arrive, in order of time. Records are not retained: what was said before is not here."""
    means = compile_with_gaps(" ".join(filter or ()))
    oldest_ms = 0 if since is None else _moment(since)
    printer = _Printer(means, oldest_ms, as_json=as_json)
    asyncio.run(_listen(resolve(flags), printer, None if follow else settle))
    return 0


async def _listen(context: Context, printer: _Printer, seconds: float | None) -> None:
    async with listening(context, logs=True) as feed:
        loop = asyncio.get_running_loop()
        until = None if seconds is None else loop.time() + seconds
        watch = _LinkWatch()
        waiting = InOrder()
        taken = 0
        while True:
            over = until is not None and loop.time() >= until
            new = feed.fleet.logbook.newer_than(taken)
            taken = new[-1].number if new else taken
            waiting.add(new)
            printer.write(waiting.rest() if over else waiting.ready(int(time() * 1000)))
            watch.look(feed.connection.state)
            if over or _nobody_reads(sys.stdout):
                return
            await asyncio.sleep(_LOOK_EVERY_S)


def _nobody_reads(stream: TextIO) -> bool:
    """Whether a pipe's other end is closed: `| head -1` is to end now, and not when the fleet speaks next."""
    if not hasattr(select, "poll"):
        return False
    poll = select.poll()
    try:
        poll.register(stream.fileno(), 0)
        return any(found & (select.POLLERR | select.POLLNVAL) for _, found in poll.poll(0))
    except (OSError, ValueError):  # no file behind it
        return False


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


def _moment(text: str) -> int:
    try:
        return parse_when(text, int(time() * 1000))
    except ValueError as err:
        raise ConfigError([f"--since: {err}"]) from None


class _Printer:
    """Writes the records that are meant, some at a time, and flushes once for all of them."""

    def __init__(self, means: LogFilter, oldest_ms: int, *, as_json: bool) -> None:
        self._means = means
        self._oldest_ms = oldest_ms
        self._as_json = as_json
        self._colour = wants_colour(sys.stdout)
        self._ascii_only = "utf" not in sys.stdout.encoding.lower()
        if self._ascii_only and isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")

    def write(self, entries: list[Entry]) -> None:
        """Write what is meant of these records, and what is missing between them."""
        lines = [line for entry in entries if entry.time_ms >= self._oldest_ms for line in self._lines(entry)]
        if lines:
            sys.stdout.write("\n".join((*lines, "")))
            sys.stdout.flush()

    def _lines(self, entry: Entry) -> Iterator[str]:
        meant = self._means(entry)
        if self._as_json:
            if meant:
                yield record_json(entry, ascii_only=self._ascii_only)
            return
        if entry.hole is not None and (meant or self._means.gap_test(entry)):
            yield painted(_gap(entry, entry.hole), Trouble.DEGRADED, colour=self._colour)
        if meant:
            mark = "~" if entry.time_is_receipt else " "
            line = f"{rfc3339(entry.time_ms)}{mark} {entry.level.text:<5} {entry.address} {clean(entry.service) or '-'}  "
            yield painted(line + clean(entry.message), _COLOURS.get(entry.level, Trouble.OK), colour=self._colour)


def _gap(entry: Entry, hole: Hole) -> str:
    why = hole.reason.replace("_", " ") if hole.owned and hole.reason else "" if hole.owned else "nobody owned up to it"
    records = "record" if hole.size == 1 else "records"
    return f"--- {hole.size:,} {records} of {entry.address} missing{clean(f' ({why})') if why else ''} ---"
