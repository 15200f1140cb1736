"""`fleetview rollout`: plans, starts, shows and steers rollouts; what changes the world says first what it means."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic, time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fleetview.cli.asked import NO, UNREACHABLE, one_line, print_json
from fleetview.cli.options import with_connection
from fleetview.cli.snapshot import LONGEST_S, QUIET_S, listening
from fleetview.cli.text import fitted, narrate
from fleetview.config import ConfigError, resolve
from fleetview.core.numbers import counted
from fleetview.who import operator
from fleetview_agent.wire.errors import WireError
from fleetview_agent.wire.topics import Address, Topics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fleetview.config import Context, Flags
    from fleetview.core.rollout.board import Shown
    from fleetview.core.rollout.plan import Plan
    from fleetview.core.rollout.snapshot import ShownAnswer
    from fleetview.feeds.rollouts import RolloutDesk
    from fleetview.feeds.watch import FleetFeed
    from fleetview_agent.wire.messages import RolloutVerb

app = typer.Typer(help="Guarded rollouts: plan, start, list, show, watch, and steer.", no_args_is_help=True)

PlanFile = Annotated[Path, typer.Argument(metavar="FILE", help="The plan, YAML or TOML.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="The rollout's id, or the beginning of it.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; for the record.")]
_ENDED_WELL = frozenset({"succeeded", "succeeded_with_stragglers"})


def plan(
    flags: Flags,
    file: PlanFile,
    *,
    why: Annotated[str | None, typer.Option("--why", metavar="ADDRESS", help="Why this device is in its wave.")] = None,
    as_json: AsJson = False,
) -> int:
    """Check a plan, and say what it would do: which devices per wave and site, who is offline, how long it takes."""
    found = _read(file)
    context = resolve(flags)
    address = None if why is None else _address(why)

    async def show() -> int:
        from fleetview.cli.rollout_text import preview_json, preview_lines  # noqa: PLC0415 (no other command pays for it)
        from fleetview.core.rollout.candidates import Selection  # noqa: PLC0415 (likewise)
        from fleetview.core.rollout.preview import preview  # noqa: PLC0415 (likewise)
        from fleetview.core.rollout.preview import why as explained  # noqa: PLC0415 (likewise)

        async with _seen(context) as feed:
            candidates = list(Selection(found).candidates(feed.fleet.devices.values()))
        if address is not None:
            print(explained(found, candidates, address))
            return 0
        radius = preview(found, candidates)
        if as_json:
            print_json(preview_json(found, radius))
        else:
            print("\n".join(preview_lines(found, radius)))
        return 0 if radius.devices else NO

    return asyncio.run(show())


def start(flags: Flags, file: PlanFile, *, reason: Reason = "", yes: Yes = False) -> int:
    """Start the rollout of a plan, after saying what it would do."""
    found = _read(file)
    context = resolve(flags)
    if refused := _read_only(context):
        return refused

    async def begin() -> int:
        from fleetview.cli.rollout_text import preview_lines  # noqa: PLC0415 (no other command pays for it)
        from fleetview.core.rollout.candidates import Selection  # noqa: PLC0415 (likewise)
        from fleetview.core.rollout.preview import preview  # noqa: PLC0415 (likewise)

        async with _desk(context) as (feed, desk):
            radius = preview(found, Selection(found).candidates(feed.fleet.devices.values()))
            for line in preview_lines(found, radius):
                print(line, file=sys.stderr)
            if not radius.devices:
                narrate("it means no device: nothing is started")
                return NO
            if not await _agreed(yes):
                return NO
            return _told(await desk.start(found, reason), f"rollout {found.name}")

    return _run(begin())


def list_(flags: Flags, *, as_json: AsJson = False) -> int:
    """Print all rollouts, those that are not over first."""
    context = resolve(flags)

    async def show() -> int:
        from fleetview.cli.rollout_text import list_lines  # noqa: PLC0415 (no other command pays for it)

        async with _desk(context) as (_, desk):
            found = desk.board.in_order()
            if as_json:
                for shown in found:
                    print_json(shown.public.model_dump(mode="json") | {"tenant": shown.key.tenant})
            else:
                for line in list_lines(found, desk.board, time()):
                    print(fitted(line, sys.stdout))
                narrate(counted(len(found), "rollout"))
        return 0

    return asyncio.run(show())


def show(flags: Flags, id: Id, *, as_json: AsJson = False) -> int:  # noqa: A002 (the argument's name)
    """Print one rollout: its waves, its gates with what they rest on, what it waits for."""
    context = resolve(flags)

    async def print_it() -> int:
        from fleetview.cli.rollout_text import show_lines  # noqa: PLC0415 (no other command pays for it)

        async with _desk(context) as (_, desk):
            shown = _one(desk, id)
            if shown is None:
                return NO
            if as_json:
                print_json(shown.public.model_dump(mode="json") | {"tenant": shown.key.tenant})
            else:
                print("\n".join(show_lines(shown, desk.board, time())))
        return 0

    return asyncio.run(print_it())


def watch(flags: Flags, id: Id) -> int:  # noqa: A002 (the argument's name)
    """Follow one rollout until it is over. On a terminal it is drawn in place; into a pipe, a line for each change."""
    context = resolve(flags)

    async def follow() -> int:
        from fleetview.cli.rollout_watch import follow_rollout  # noqa: PLC0415 (only for those who watch)

        async with _desk(context) as (_, desk):
            shown = _one(desk, id)
            if shown is None:
                return NO
            status = await follow_rollout(desk, shown.key, steers=not context.read_only)
            return 0 if status in _ENDED_WELL else NO

    return _run(follow())


def pause(flags: Flags, id: Id, *, reason: Reason = "", yes: Yes = False) -> int:  # noqa: A002
    """No new offers; what is underway goes on."""
    return _steer(flags, id, "pause", reason, yes=yes)


def resume(
    flags: Flags,
    id: Id,  # noqa: A002
    *,
    removes: Annotated[
        list[str] | None, typer.Option("--removes", metavar="PAUSE", help="Which reason to stand still, such as approval.")
    ] = None,
    reason: Reason = "",
    yes: Yes = False,
) -> int:
    """Judge the same wave again; also approves, where that is waited for."""
    return _steer(flags, id, "resume", reason, yes=yes, reasons=tuple(removes or ()))


def retry(flags: Flags, id: Id, *, reason: Reason = "", yes: Yes = False) -> int:  # noqa: A002
    """Offer it again to the devices that failed."""
    return _steer(flags, id, "retry", reason, yes=yes)


def skip(
    flags: Flags,
    id: Id,  # noqa: A002
    *,
    gate: Annotated[str | None, typer.Option("--gate", metavar="NAME", help="Only this one.")] = None,
    confirm: Annotated[str | None, typer.Option("--confirm", metavar="ID", help="The rollout's id once more.")] = None,
    reason: Reason = "",
) -> int:
    """Pass gates without proof: needs a reason, and the rollout's id typed once more."""
    if not reason.strip():
        raise ConfigError(["--reason: say why the gate is passed without proof"])
    return _steer(flags, id, "skip", reason, yes=confirm is not None, gate=gate, confirm=confirm)


def abort(flags: Flags, id: Id, *, reason: Reason = "", yes: Yes = False) -> int:  # noqa: A002
    """Stop offering, withdraw offers not yet accepted, leave devices as they are."""
    return _steer(flags, id, "abort", reason, yes=yes)


def rollback(flags: Flags, id: Id, *, reason: Reason = "", yes: Yes = False) -> int:  # noqa: A002
    """Bring the devices back to what they ran before."""
    return _steer(flags, id, "rollback", reason, yes=yes)


for _command, _name in (
    (plan, "plan"), (start, "start"), (list_, "list"), (show, "show"), (watch, "watch"), (pause, "pause"),
    (resume, "resume"), (retry, "retry"), (skip, "skip"), (abort, "abort"), (rollback, "rollback"),
):  # fmt: skip
    app.command(_name)(with_connection(_command))


def _read(file: Path) -> Plan:
    from fleetview.core.rollout.planfile import PlanError, parse_plan  # noqa: PLC0415 (for those who have a plan)

    try:
        return parse_plan(file.read_text(encoding="utf-8"), file.name)
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError([f"{file} cannot be read: {err}"]) from None
    except PlanError as err:
        raise ConfigError(list(err.problems)) from None


def _address(text: str) -> Address:
    try:
        return Address.parse(text)
    except WireError as err:
        raise ConfigError([f"--why: {err}"]) from None


def _read_only(context: Context) -> int:
    if context.read_only:
        narrate(f"{context.title} is read-only ({context.origins['read_only']}): rollouts are not steered from here")
        return NO
    return 0


@asynccontextmanager
async def _seen(context: Context) -> AsyncIterator[FleetFeed]:
    """A feed that has seen what is retained."""
    async with listening(context) as feed:
        await _settle(feed)
        yield feed


@asynccontextmanager
async def _desk(context: Context) -> AsyncIterator[tuple[FleetFeed, RolloutDesk]]:
    """The rollouts there are, and a way to steer them."""
    from fleetview.feeds.rollouts import RolloutDesk  # noqa: PLC0415 (80 ms for those who only want help)

    desk = RolloutDesk(Topics(context.root), operator())
    async with listening(context, on_fleet=desk.received) as feed:
        desk.connection = feed.connection
        await _settle(feed)
        yield feed, desk


async def _settle(feed: FleetFeed) -> None:
    if not await feed.connection.settled(QUIET_S, LONGEST_S):
        narrate(f"the broker was still sending what it has retained after {LONGEST_S:g} s: some of it may be missing")
    feed.fleet.advance(monotonic(), time())


def _one(desk: RolloutDesk, text: str) -> Shown | None:
    found = desk.board.named(text)
    if len(found) == 1:
        return found[0]
    if found:
        narrate(f"{text} is the beginning of {', '.join(str(shown.key) for shown in found[:5])}: say which")
    else:
        known = ", ".join(shown.key.id for shown in desk.board.in_order()[:5]) or "none"
        narrate(f"there is no rollout {text}; known: {known}")
    return None


async def _agreed(yes: bool) -> bool:
    if yes:
        return True
    if not sys.stdin.isatty():
        raise ConfigError(["there is no terminal to ask on: look at what it would do, then give --yes"])
    from fleetview.feeds.lanes import Lanes  # noqa: PLC0415 (only for those who are asked)

    return bool(await Lanes().run(lambda: typer.confirm("Do it?", err=True)))


def _steer(flags: Flags, name: str, verb: RolloutVerb, reason: str, *, yes: bool, **fields: Any) -> int:  # noqa: ANN401
    context = resolve(flags)
    if refused := _read_only(context):
        return refused

    async def steer() -> int:
        async with _desk(context) as (_, desk):
            shown = _one(desk, name)
            if shown is None:
                return NO
            consequence = shown.public.verbs.get(verb)
            if consequence is None:
                can = ", ".join(shown.public.verbs) or "nothing"
                narrate(f"rollout {shown.key.id} is {shown.public.status.value}: {verb} would do nothing; it takes {can}")
                return NO
            narrate(f"{verb} {shown.key.id}: {one_line(consequence)}")
            if verb == "skip" and fields.get("confirm") is None:
                if not sys.stdin.isatty():
                    raise ConfigError(["--confirm: the rollout's id, typed once more"])
                fields["confirm"] = typer.prompt("The rollout's id, to confirm", err=True)
            elif not await _agreed(yes):
                return NO
            answer = await desk.order(shown.key, verb, reason, revision=shown.public.revision, **fields)
            return _told(answer, f"{verb} {shown.key.id}")

    return _run(steer())


def _told(answer: ShownAnswer, what: str) -> int:
    narrate(f"{what}: {'taken' if answer.taken else 'refused'}: {one_line(answer.text)}")
    return 0 if answer.taken else NO


def _run(work: Any) -> int:  # noqa: ANN401 (a coroutine)
    from fleetview.feeds.rollouts import NoAnswerError  # noqa: PLC0415 (for those who steer)

    try:
        return int(asyncio.run(work))
    except NoAnswerError as err:
        narrate(str(err))
        return UNREACHABLE
