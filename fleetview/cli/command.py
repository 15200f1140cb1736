"""`fleetview command`: what the command line takes. What it does, `commanding` knows: no other command pays for that."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fleetview.config import Flags


def command(
    flags: Flags,
    verb: Annotated[str, typer.Argument(metavar="VERB", help="ping, restart_module, set_log_level or diagnostics.")],
    target: Annotated[
        list[str],
        typer.Argument(metavar="FILTER_OR_ADDRESS...", help="Such as: site:plant-7 health:critical, or addresses."),
    ],
    *,
    arg: Annotated[
        list[str] | None,
        typer.Option("--arg", metavar="KEY=VALUE", help="Of the verb, such as name=rule_engine."),
    ] = None,
    expires_in: Annotated[
        str, typer.Option("--expires", metavar="DURATION", help="A device that gets it later does not do it.")
    ] = "60s",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    reason: Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why; for the audit record.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per device.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Where diagnostics go; a folder, for several devices."),
    ] = None,
    rate: Annotated[float, typer.Option(min=0.1, max=1000, metavar="N", help="Commands a second, at most.")] = 50.0,
) -> int:
    """Ask devices for something, and print what becomes of it."""
    from fleetview.cli.commanding import Asked, ask  # noqa: PLC0415 (see above)

    return ask(flags, Asked(verb, target, arg or [], expires_in, reason, output), yes=yes, as_json=as_json, rate=rate)
