"""`fleetview command`: asks devices for something, after saying in numbers what that means, and prints what comes of it."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic, time
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from fleetview.audit import Audit
from fleetview.cli.asked import NO, UNREACHABLE, one_line, print_json
from fleetview.cli.snapshot import LONGEST_S, QUIET_S, listening
from fleetview.cli.text import narrate
from fleetview.config import ConfigError, Scope, resolve
from fleetview.core.ages import age
from fleetview.core.commandbook import BookFullError, Outcome, Request
from fleetview.core.commandplan import (
    MAX_BUNDLES,
    PlanError,
    checked_args,
    consequence,
    expires,
    verb_named,
)
from fleetview.core.commandtargets import TargetError, Targets, parse_targets
from fleetview.core.numbers import counted
from fleetview.feeds.bundles import file_name, write_bundle
from fleetview.paths import state_dir
from fleetview.who import operator
from fleetview_agent.wire.topics import Topics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fleetview.config import Context, Flags
    from fleetview.core.commandbook import Order
    from fleetview.core.commandplan import Verb
    from fleetview.core.device import Device
    from fleetview.feeds.commands import Bundle, CommandSender
    from fleetview.feeds.watch import FleetFeed

_LATE_PIECES_S = 30.0
"""For pieces of a bundle whose device has said that it sent them."""


class _Ask:
    """What the command line asks for, understood."""

    def __init__(
        self, verb: Verb, args: dict[str, Any], targets: Targets, expires_s: float, *, reason: str, output: Path | None
    ) -> None:
        self.verb = verb
        self.args = args
        self.targets = targets
        self.expires_s = expires_s
        self.reason = reason
        self.output = output
        self.written: dict[str, Path] = {}


class Asked(NamedTuple):
    """What stands on the command line."""

    verb: str
    target: list[str]
    arg: list[str]
    expires_in: str
    reason: str | None
    output: Path | None


def ask(flags: Flags, asked: Asked, *, yes: bool, as_json: bool, rate: float) -> int:
    """Ask devices for something, and print what becomes of it. Returns the exit code."""
    verb, target, arg, expires_in, reason, output = asked
    wish = _understood(verb, arg, target, expires_in, reason=reason, output=output)
    context = resolve(flags)
    if context.read_only:
        narrate(f"{context.title} is read-only ({context.origins['read_only']}): nothing is asked of devices from here")
        return NO
    if not yes and not sys.stdin.isatty():
        raise ConfigError(["there is no terminal to ask on: look at what it would do with --yes left out, then give --yes"])
    return asyncio.run(_carry_out(_narrowed(context, wish.targets), wish, yes=yes, as_json=as_json, rate=rate))


def _understood(
    verb: str, arg: list[str], target: list[str], expires_in: str, *, reason: str | None, output: Path | None
) -> _Ask:
    given: dict[str, str] = {}
    for text in arg:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise ConfigError([f"--arg: KEY=VALUE expected, not {text!r}"])
        given[name.strip()] = value
    try:
        found = verb_named(verb)
        args, expires_s = checked_args(found, given), expires(expires_in)
    except PlanError as err:
        raise ConfigError([str(err)]) from None
    if output is not None and found.name != "diagnostics":
        raise ConfigError([f"--output: {found.name} has nothing to write; only diagnostics has"])
    if output is not None and output.exists() and not output.is_dir():
        raise ConfigError([f"--output: {output} is there already; choose another name, or a folder"])
    return _Ask(
        found,
        args,
        parse_targets(target, lambda: (monotonic(), time())),
        expires_s,
        reason=(reason or "").strip(),
        output=output,
    )


def _narrowed(context: Context, targets: Targets) -> Context:
    """Watch no more of the fleet than holds the devices that are named."""
    if not targets.addresses:
        return context
    sites = {(address.tenant, address.site) for address in targets.addresses}
    tenants = {tenant for tenant, _ in sites}
    if context.scope.site is not None or len(tenants) > 1 or context.scope.tenant not in {None, *tenants}:
        return context
    (tenant,) = tenants
    return replace(context, scope=Scope(tenant, next(iter(sites))[1] if len(sites) == 1 else None))


async def _carry_out(context: Context, ask: _Ask, *, yes: bool, as_json: bool, rate: float) -> int:
    wants_logs = ask.output is not None
    async with listening(context, logs=wants_logs) as feed:
        if not await feed.connection.settled(QUIET_S, LONGEST_S):
            narrate(f"the broker was still sending what it has retained after {LONGEST_S:g} s: devices may be missing")
        feed.fleet.advance(monotonic(), time())
        try:
            devices = ask.targets.chosen(feed.fleet.devices)
        except TargetError as err:
            name = ask.targets.name
            narrate(f"{err}" + (f"; for all that hold it, write device:*{name}*" if name else ""))
            return NO
        _check_number(ask, devices)
        narrate(consequence(devices, ask.verb, ask.args, ask.expires_s))
        if not yes and not await _agreed(ask):
            return NO
        async with _sending(context, feed, ask, rate) as sender:
            try:
                order = await sender.order(
                    ask.verb.name,
                    ask.args,
                    [device.address for device in devices],
                    reason=ask.reason,
                    expires_s=ask.expires_s,
                )
            except BookFullError as err:
                narrate(str(err))
                return NO
            return await _follow(sender, order, ask, as_json=as_json)


def _check_number(ask: _Ask, devices: list[Device]) -> None:
    if ask.verb.name == "diagnostics" and len(devices) > MAX_BUNDLES:
        raise ConfigError([f"diagnostics of {len(devices):,} devices are too many at once; {MAX_BUNDLES} are the most"])
    if ask.output is not None and len(devices) > 1 and not ask.output.is_dir():
        raise ConfigError([f"--output: {len(devices)} devices are meant; give a folder that is there, not {ask.output}"])


async def _agreed(ask: _Ask) -> bool:
    """Ask the person, in a thread: the link needs us meanwhile."""
    from fleetview.feeds.lanes import Lanes  # noqa: PLC0415 (only for those who are asked)

    lanes = Lanes()
    if ask.verb.changes and not ask.reason:
        ask.reason = str(await lanes.run(lambda: typer.prompt("Why", err=True))).strip()
    return await lanes.run(lambda: typer.confirm("Do it?", err=True))


@asynccontextmanager
async def _sending(context: Context, feed: FleetFeed, ask: _Ask, rate: float) -> AsyncIterator[CommandSender]:
    from fleetview.feeds.commands import CommandSender  # noqa: PLC0415 (only for those who ask)

    sender = CommandSender(
        feed,
        Topics(context.root),
        by=operator(),
        audit=Audit(state_dir(), f"{context.title} ({context.broker.endpoint})"),
        rate_per_s=rate,
        on_problem=narrate,
        on_bundle=lambda bundle: _write(ask, bundle),
    )
    feed.on_applied = sender.received
    running = asyncio.create_task(sender.run(), name="sender")
    try:
        yield sender
    finally:
        running.cancel()
        await asyncio.wait({running})
        await sender.close()


def _write(ask: _Ask, bundle: Bundle) -> None:
    if ask.output is None:
        return
    path = ask.output / file_name(bundle) if ask.output.is_dir() else ask.output
    try:
        write_bundle(path, bundle)
    except (OSError, ValueError) as err:
        narrate(f"the diagnostics of {bundle.address} could not be written to {path}: {err}")
        return
    ask.written[str(bundle.address)] = path


async def _follow(sender: CommandSender, order: Order, ask: _Ask, *, as_json: bool) -> int:
    """Print each outcome as it comes. The exit code."""
    waiting = dict(order.requests)
    status = _StatusLine(order)
    while waiting:
        for request in [request for request in waiting.values() if not request.outcome.open]:
            del waiting[request.address]
            status.clear()
            _print(request, order, as_json=as_json)
        status.show(monotonic())
        if waiting:
            await sender.news(0.2)
    status.clear()
    complete = await _bundles(sender, order, ask)
    narrate(order.words)
    if not any(request.sends for request in order.requests.values()):
        narrate(next(iter(order.requests.values())).message)
        return UNREACHABLE
    return 0 if order.unsuccessful == 0 and complete else NO


async def _bundles(sender: CommandSender, order: Order, ask: _Ask) -> bool:
    """Wait for the pieces that are still on their way, and say where each bundle is; whether none is missing."""
    if ask.output is None:
        return True
    sent = [request.address for request in order.requests.values() if request.outcome is Outcome.SUCCEEDED]
    deadline = monotonic() + _LATE_PIECES_S
    while any(sender.pieces_of(order, address) for address in sent) and monotonic() < deadline:
        await sender.news(0.2)
    for address in sent:
        pieces, path = sender.pieces_of(order, address), ask.written.get(str(address))
        if path is not None:
            narrate(f"the diagnostics of {address} are in {path}")
        elif pieces is not None:
            there = f"{pieces.arrived} of {pieces.expected or 'unknown'} pieces have come"
            narrate(f"the diagnostics of {address} are not whole: {there}; they are kept on the device")
    return all(str(address) in ask.written for address in sent)


def _print(request: Request, order: Order, *, as_json: bool) -> None:
    took = None if request.took_s is None else round(request.took_s, 3)
    if as_json:
        print_json(
            {
                "id": order.id,
                "verb": order.verb,
                "address": str(request.address),
                "outcome": request.outcome.value,
                "message": request.message,
                "took_s": took,
            }
        )
    else:
        words = one_line(request.message)
        after = "" if took is None else f"  ({took:.1f} s)"
        print(f"{request.outcome.words:<12}  {request.address}{'  ' if words else ''}{words}{after}")
    sys.stdout.flush()


class _StatusLine:
    """How many are still waited for, on a terminal, below what was printed."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._shown = False
        self._on = sys.stderr.isatty()

    def show(self, mono_s: float) -> None:
        """What is waited for, and how long at most."""
        if not self._on or not self._order.open:
            return
        left = [found for request in self._order.requests.values() if (found := request.left_s(mono_s)) is not None]
        until = f", {age(max(left))} left" if left else ""
        sys.stderr.write(f"\r\x1b[Kwaiting for {counted(self._order.open, 'device')}{until}")
        sys.stderr.flush()
        self._shown = True

    def clear(self) -> None:
        """Take it away."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._shown = False
