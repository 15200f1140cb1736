"""`fleetview silence`: keeps alerts quiet for a while, with a name and a reason; lists, extends and ends that."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from time import time
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from fleetview.cli.asked import NO, alertmanager_of, as_text, one_line, print_json, run
from fleetview.cli.options import with_connection
from fleetview.cli.text import aligned, fitted, narrate
from fleetview.config import ConfigError, resolve
from fleetview.core.ages import age
from fleetview.core.alerts import Place
from fleetview.core.numbers import counted
from fleetview.core.silences import MAX_MATCHERS, SilenceState, matchers_for, parse_duration, parse_matcher
from fleetview.who import user
from fleetview_agent.wire.errors import WireError
from fleetview_agent.wire.topics import Address

if TYPE_CHECKING:
    from fleetview.config import Context, Flags
    from fleetview.core.silences import Matcher, Silence
    from fleetview.feeds.alertmanager import Alertmanager

T = TypeVar("T")

app = typer.Typer(help="Keep alerts quiet for a while: add, list, extend, expire.", no_args_is_help=True)

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Author = Annotated[str | None, typer.Option("--author", metavar="NAME", help="Who does it; without it, your login.")]
Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of silences, or their beginnings.")]
_HEADER = ("STATE", "ID", "ENDS IN", "AUTHOR", "MATCHERS", "COMMENT")
_SHORTEST_ID = 4


def add(
    flags: Flags,
    matchers: Annotated[
        list[str] | None, typer.Argument(metavar="MATCHER...", help='Such as: alertname=DiskFull site=~"plant-.*"')
    ] = None,
    *,
    device: Annotated[str | None, typer.Option("--device", metavar="ADDRESS", help="Every alert of one device.")] = None,
    lasting: Annotated[str, typer.Option("--for", metavar="DURATION", help="Such as 30m, 2h or 1d12h.")],
    comment: Annotated[str, typer.Option("--comment", metavar="TEXT", help="Why; whoever misses the alert will read it.")],
    author: Author = None,
    yes: Yes = False,
) -> int:
    """Keep the alerts quiet that all the matchers mean, and print the silence's id."""
    context = resolve(flags)
    means = _means(context, matchers or [], device)
    seconds = _understood(parse_duration, lasting, "--for")
    if not comment.strip():
        raise ConfigError(["--comment: say why, in a few words"])
    by = _author(author)
    if refused := _read_only(context):
        return refused

    async def question() -> int:
        server = _alertmanager(context)
        affected = await server.alerts(means)
        devices = {place for alert in affected.alerts if (place := alert.place(context.places)).device is not None}
        narrate(f"keeps quiet for {age(seconds)}: {' '.join(map(_shown, means))}")
        what = f"{counted(len(affected.alerts), 'alert')} on {counted(len(devices), 'device')}"
        narrate(f"{what} now, and all that come; {by}: {one_line(comment)}")
        if not _agreed(yes):
            return NO
        # By its clock, for ours may be off by more than the silence is to last.
        now = time() + (server.standing.clock_skew_s or 0.0)
        print(await server.set_silence(means, now, now + seconds, by, comment.strip()))
        return 0

    return run(question)


def list_(
    flags: Flags,
    *,
    expired: Annotated[bool, typer.Option("--expired", help="Those that are over, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> int:
    """Print the silences that hold or will, the one that ends first on top."""
    context = resolve(flags)

    async def question() -> int:
        server = _alertmanager(context)
        found = await server.silences()
        chosen = [one for one in found.silences if expired or one.state is not SilenceState.EXPIRED]
        if as_json:
            for one in chosen:
                print_json(_as_json(one))
        elif chosen:
            now = time() + (server.standing.clock_skew_s or 0.0)
            for line in aligned([_HEADER, *(_row(one, now) for one in chosen)]):
                print(fitted(line, sys.stdout))
        if found.malformed or found.dropped:
            narrate(f"{found.malformed} silences could not be read, {found.dropped} more are not shown")
        if not as_json:
            narrate(f"{len(chosen)} of {len(found.silences)} silences")
        return 0

    return run(question)


def expire(flags: Flags, ids: Ids, *, yes: Yes = False) -> int:
    """End silences now: their alerts are told again."""

    def says(one: Silence) -> str:
        return f"ends {one.id}, {one_line(one.author)}: {one_line(one.comment)}; {' '.join(map(_shown, one.matchers))}"

    return _changed(resolve(flags), ids, says, lambda server, one: server.expire(one.id), yes=yes)


def extend(
    flags: Flags,
    ids: Ids,
    *,
    by: Annotated[str, typer.Option("--by", metavar="DURATION", help="How much longer, such as 2h.")],
    author: Author = None,
    yes: Yes = False,
) -> int:
    """Let silences end later, and print their ids."""
    context = resolve(flags)
    seconds, who = _understood(parse_duration, by, "--by"), _author(author)

    def says(one: Silence) -> str:
        return f"{one.id} ends {age(seconds)} later, at {as_text(one.ends_unix_s + seconds)}; {one_line(one.comment)}"

    return _changed(context, ids, says, lambda server, one: server.extend(one, one.ends_unix_s + seconds, who), yes=yes)


app.command("add")(with_connection(add))
app.command("list")(with_connection(list_))
app.command("expire")(with_connection(expire))
app.command("extend")(with_connection(extend))


def _changed(
    context: Context,
    ids: list[str],
    says: Callable[[Silence], str],
    change: Callable[[Alertmanager, Silence], Awaitable[str | None]],
    *,
    yes: bool,
) -> int:
    """Does it to each of these silences, once it was said and agreed to, and prints the ids that come of it."""
    if refused := _read_only(context):
        return refused

    async def question() -> int:
        server = _alertmanager(context)
        chosen = await _chosen(server, ids)
        if chosen is None:
            return NO
        for one in chosen:
            narrate(says(one))
        if not _agreed(yes):
            return NO
        for one in chosen:
            if (new := await change(server, one)) is not None:
                print(new)
        return 0

    return run(question)


def _alertmanager(context: Context) -> Alertmanager:
    from fleetview.feeds.alertmanager import Alertmanager  # noqa: PLC0415 (only for those who ask)

    return Alertmanager(alertmanager_of(context))


def _read_only(context: Context) -> int:
    if not context.read_only:
        return 0
    narrate(f"{context.title} is read-only ({context.origins['read_only']}): silences are not changed from here")
    return NO


def _means(context: Context, texts: list[str], device: str | None) -> tuple[Matcher, ...]:
    found = [_understood(parse_matcher, text, "matcher") for text in texts]
    if device is not None:
        try:
            address = Address.parse(device)
        except WireError as err:
            raise ConfigError([f"--device: {err}"]) from None
        found += matchers_for(Place(*address), context.places)
    if not found:
        raise ConfigError(["say which alerts: matchers such as alertname=DiskFull, or --device TENANT/SITE/DEVICE"])
    if len(found) > MAX_MATCHERS:
        raise ConfigError([f"{len(found)} matchers are more than {MAX_MATCHERS}"])
    return tuple(found)


def _understood(parse: Callable[[str], T], text: str, what: str) -> T:
    try:
        return parse(text)
    except ValueError as err:
        raise ConfigError([f"{what}: {err}"]) from None


def _author(given: str | None) -> str:
    name = given if given is not None else user()
    if not name.strip():
        raise ConfigError(["--author: say who does it"])
    return name.strip()


def _agreed(yes: bool) -> bool:
    """A person is asked; a script has said what it wants."""
    return yes or not sys.stdin.isatty() or typer.confirm("Do it?", err=True)


async def _chosen(server: Alertmanager, ids: list[str]) -> list[Silence] | None:
    """The silences that hold or will, by id or its beginning; None when one is not there, which is said."""
    holding = [one for one in (await server.silences()).silences if one.state is not SilenceState.EXPIRED]
    chosen: dict[str, Silence] = {}
    for text in ids:
        found = [one for one in holding if one.id == text or (len(text) >= _SHORTEST_ID and one.id.startswith(text))]
        if len(found) != 1:
            narrate(
                f"{one_line(text)!r}: {'no silence holds' if not found else f'{len(found)} silences begin'} with this id"
            )
            return None
        chosen[found[0].id] = found[0]
    return list(chosen.values())


def _shown(matcher: Matcher) -> str:
    return one_line(str(matcher))


def _row(one: Silence, now: float) -> tuple[str, ...]:
    over = one.state is SilenceState.EXPIRED
    ends = "over" if over else age(one.ends_unix_s - now)
    return one.state.value, one.id, ends, one_line(one.author), " ".join(map(_shown, one.matchers)), one_line(one.comment)


def _as_json(one: Silence) -> dict[str, Any]:
    return {
        "id": one.id,
        "state": one.state.value,
        "starts": as_text(one.starts_unix_s),
        "ends": as_text(one.ends_unix_s),
        "author": one.author,
        "comment": one.comment,
        "matchers": [str(matcher) for matcher in one.matchers],
    }
