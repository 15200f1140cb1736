"""`fleetview check`: whether everything can be reached, whether we are let in, and whether this terminal is able."""

from __future__ import annotations

import asyncio
import json
import locale
import os
import shutil
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fleetview.cli.snapshot import LONGEST_S, QUIET_S, listening
from fleetview.cli.text import wants_colour
from fleetview.config import masked, resolve
from fleetview.core.ages import age
from fleetview.core.numbers import counted
from fleetview.core.servers import ALERTMANAGER, PROMETHEUS, Health
from fleetview.feeds.states import Up
from fleetview_agent.endpoint import LinkError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fleetview.config import Context, Flags
    from fleetview.core.servers import Standing
    from fleetview.feeds.watch import FleetFeed

_COLUMNS, _LINES = 80, 24
_PAINT = {"ok": "32", "warning": "33", "error": "31"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the answer."""

    subject: str
    level: Literal["ok", "warning", "error"]
    words: str
    """What was found and, unless it is ok, how to mend it."""


def check(
    flags: Flags, *, as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False
) -> int:
    """Check that everything can be reached, that we are let in, and that this terminal is able."""
    context = resolve(flags)
    failed = False
    for finding in _findings(context):
        failed = failed or finding.level == "error"
        if as_json:
            print(json.dumps(asdict(finding)), flush=True)
        else:
            print(f"{_level(finding)}  {finding.subject:<12}  {finding.words}", flush=True)
    return int(failed)


def _level(finding: Finding) -> str:
    text = f"{finding.level:<7}"
    return f"\x1b[{_PAINT[finding.level]}m{text}\x1b[0m" if wants_colour(sys.stdout) else text


def _findings(context: Context) -> Iterator[Finding]:
    yield _configuration(context)
    yield from _secrecy(context)
    for found in asyncio.run(_servers(context)):
        yield from found
    yield _history(context)
    yield from _terminal()


def _configuration(context: Context) -> Finding:
    name = "no context of a file" if context.name is None else f"context {context.name!r}"
    return Finding("config", "ok", f"{name}, broker {context.broker} ({context.origins['broker']})")


def _secrecy(context: Context) -> Iterator[Finding]:
    if context.unused_files:
        names = " and ".join(context.unused_files)
        yield Finding("tls", "warning", f"{names} not used: {context.broker} is not encrypted, write mqtts:// to use TLS")
    if context.broker.password is not None and not context.broker.encrypted and not context.broker.is_local:
        yield Finding(
            "tls", "warning", f"the password for {context.broker.endpoint} goes over the network in clear: use mqtts://"
        )


async def _servers(context: Context) -> Sequence[list[Finding]]:
    """All at once, for each takes seconds when nobody is there."""
    return await asyncio.gather(_broker(context), _prometheus(context), _alertmanager(context))


async def _broker(context: Context) -> list[Finding]:
    try:
        async with listening(context, logs=True) as feed:
            complete = await feed.connection.settled(QUIET_S, LONGEST_S)
            return list(_seen(context, feed, complete=complete))
    except LinkError as err:
        return [Finding("broker", "error", err.failure.words)]


def _seen(context: Context, feed: FleetFeed, *, complete: bool) -> Iterator[Finding]:
    state = feed.connection.state
    if not isinstance(state, Up):
        yield Finding("broker", "error", "the link came up and ended again: look at the broker's log")
        return
    tls = "TLS" if context.broker.encrypted else "not encrypted"
    yield Finding("broker", "ok", f"connected to {context.broker.endpoint}, MQTT {state.protocol}, {tls}")
    for name, reason in state.refused_filters:
        yield Finding(
            "subscription", "error", f"{name} was not granted ({reason}): let this user read it in the broker's ACL"
        )
    if not state.refused_filters:
        yield Finding("subscription", "ok", f"all {len(feed.connection.filters)} granted")
    yield _roster(context, feed, complete=complete)


def _roster(context: Context, feed: FleetFeed, *, complete: bool) -> Finding:
    found = len(feed.fleet.devices)
    where = f"below {context.root}" + ("" if context.scope.tenant is None else f" in {context.scope}")
    if not found:
        # Mosquitto grants every subscription and then delivers nothing, so this is all that an ACL can be seen by.
        words = f"no device {where}: is root and scope right, may this user read it, and does any agent run?"
        return Finding("roster", "warning", words)
    if feed.fleet.malformed or feed.connection.counts.unknown_topics:
        bad = counted(feed.fleet.malformed + feed.connection.counts.unknown_topics, "message")
        return Finding("roster", "warning", f"{counted(found, 'device')} {where}; {bad} not as the contract has it")
    more = "" if complete else f", and more were still coming after {LONGEST_S:g} s"
    return Finding("roster", "ok", f"{counted(found, 'device')} {where}{more}")


async def _prometheus(context: Context) -> list[Finding]:
    if context.prometheus_access is None:
        return [Finding("prometheus", "ok", "not configured")]
    from fleetview.feeds.prometheus import Prometheus  # noqa: PLC0415 (only for those who have one)
    from fleetview.feeds.web import AskError  # noqa: PLC0415

    server = Prometheus(context.prometheus_access)
    try:
        flavour = await server.about()
        targets = await server.instant("count(up)")
    except AskError as err:
        return [Finding("prometheus", "error", f"{server.standing.word(PROMETHEUS)}: {err}")]
    count = int(targets.series[0].last) if targets.series else 0
    words = f"{flavour} at {server.web.where} {_is(server.standing)}, with {count} scrape targets; {server.asking.load()}"
    return list(_standing("prometheus", words, server.standing))


async def _alertmanager(context: Context) -> list[Finding]:
    if context.alertmanager_access is None:
        return [Finding("alertmanager", "ok", "not configured")]
    from fleetview.feeds.alertmanager import Alertmanager  # noqa: PLC0415
    from fleetview.feeds.web import AskError  # noqa: PLC0415

    server = Alertmanager(context.alertmanager_access)
    try:
        version = await server.version()
    except AskError as err:
        return [Finding("alertmanager", "error", f"{server.standing.word(ALERTMANAGER)}: {err}")]
    words = f"Alertmanager {version} at {server.web.where} {_is(server.standing)}"
    return list(_standing("alertmanager", words, server.standing))


def _is(standing: Standing) -> str:
    return f"is {standing.health.value}" + (f" ({standing.words})" if standing.words else "")


def _standing(subject: str, words: str, standing: Standing) -> Iterator[Finding]:
    """A server that answers: whether all of it, and by which clock."""
    if standing.warnings and standing.health is not Health.PARTIAL:  # else they stand in its words
        words += f"; it warns: {'; '.join(standing.warnings)}"
    good = standing.health is Health.UP and not standing.warnings
    yield Finding(subject, "ok" if good else "warning", words)
    if standing.clock_skew_s is not None:
        side = "ahead of" if standing.clock_skew_s > 0 else "behind"
        off = (
            f"its clock is {age(abs(standing.clock_skew_s))} {side} ours: one of them needs NTP, and ages are wrong by that"
        )
        yield Finding(subject, "warning", off)


def _history(context: Context) -> Finding:
    if context.history is None:
        return Finding("history", "ok", "not configured")
    return Finding("history", "warning", f"{masked(context.history)} is not asked: this version has no history yet")


def _terminal() -> Iterator[Finding]:
    if not sys.stdout.isatty():
        yield Finding("terminal", "ok", "not looked at: the output is not a terminal")
        return
    term = os.environ.get("TERM", "")
    if term in {"", "dumb"}:
        yield Finding(
            "terminal", "error", f"TERM is {term!r}, which cannot place a cursor: set it, for instance to xterm-256color"
        )
        return
    columns, lines = shutil.get_terminal_size()
    size = f"{columns}x{lines}"
    if columns < _COLUMNS or lines < _LINES:
        yield Finding("terminal", "warning", f"{size} is small: {_COLUMNS}x{_LINES} is needed to see everything")
    encoding = sys.stdout.encoding or locale.getpreferredencoding(do_setlocale=False)
    if encoding.lower().replace("-", "") != "utf8":
        yield Finding("terminal", "warning", f"encoding {encoding}: ASCII is drawn; for more set LANG to a UTF-8 locale")
    yield Finding("terminal", "ok", f"{term}, {size}, {encoding}, {_colours(term)}")


def _colours(term: str) -> str:
    if os.environ.get("NO_COLOR"):
        return "no colours (NO_COLOR)"
    if os.environ.get("COLORTERM", "") in {"truecolor", "24bit"}:
        return "16 million colours"
    return "256 colours" if "256color" in term else "16 colours"
