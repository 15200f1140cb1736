"""`fleetview simulate`: the demo's fleet, against any broker."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from fleetview.demo.choices import DEFAULT_SEED, Scenario

if TYPE_CHECKING:
    from fleetview.demo.player import Player

_LARGEST = 100_000
_USAGE = 2
_UNREACHABLE = 3


def simulate(
    *,
    broker: Annotated[str, typer.Option(help="mqtt://[user[:password]@]host[:port], or mqtts://...", metavar="URL")],
    devices: Annotated[int, typer.Option(min=1, max=_LARGEST, help="How many devices.")],
    sites: Annotated[int | None, typer.Option(min=1, help="At how many sites. By default it follows the devices.")] = None,
    tenant: Annotated[str, typer.Option(help="Whose devices they are.")] = "acme",
    scenario: Annotated[Scenario, typer.Option(help="What the fleet goes through.")] = Scenario.BAD_NIGHT,
    seed: Annotated[int, typer.Option(help="The same seed plays the same fleet.")] = DEFAULT_SEED,
    interval: Annotated[float, typer.Option(min=0.5, max=86_400, help="Seconds between heartbeats of a device.")] = 10.0,
    seconds: Annotated[float | None, typer.Option(min=0, help="End after so long. By default at Ctrl-C.")] = None,
    forget: Annotated[
        bool, typer.Option("--forget", help="At the end, take the fleet's retained messages off the broker.")
    ] = False,
    root: Annotated[str | None, typer.Option(help="First part of all topics. By default fleet/v1.")] = None,
    cafile: Annotated[Path | None, typer.Option(help="Authority that signed the broker's certificate.")] = None,
    cert: Annotated[Path | None, typer.Option(help="Client certificate.")] = None,
    key: Annotated[Path | None, typer.Option(help="Its key.")] = None,
) -> None:
    """Play a simulated fleet onto a broker."""
    # Late: no other command needs them, and they cost each command 0.2 s.
    from fleetview.demo.player import Player  # noqa: PLC0415
    from fleetview.demo.simulation import Simulation  # noqa: PLC0415
    from fleetview_agent.endpoint import BrokerUrl, LinkError, TlsFileError, TlsFiles  # noqa: PLC0415
    from fleetview_agent.wire import DEFAULT_ROOT, Topics  # noqa: PLC0415

    try:
        url = BrokerUrl.parse(broker)
        files = {"--cafile": cafile, "--cert": cert, "--key": key}
        if (given := [name for name, value in files.items() if value is not None]) and not url.encrypted:
            _fail(f"{', '.join(given)}: {url} is not encrypted; write mqtts:// to use certificates", _USAGE)
        simulation = Simulation(
            seed=seed,
            devices=devices,
            sites=sites,
            tenant=tenant,
            scenario=scenario,
            interval_s=interval,
            start_unix_s=time.time(),
        )
        tls = TlsFiles(cafile, cert, key) if url.encrypted else None
        player = Player(simulation, url, tls=tls, topics=Topics(root or DEFAULT_ROOT), narrate=_narrate)
    except ValueError as err:
        _fail(str(err), _USAGE)
    _narrate(f"devices: {devices}, sites: {simulation.sites}, scenario {scenario}, seed {seed}, onto {url}; Ctrl-C ends it")
    try:
        asyncio.run(_play(player, seconds, forget=forget))
    except TlsFileError as err:
        _fail(str(err), _USAGE)
    except LinkError as err:
        _fail(err.failure.words, _UNREACHABLE)
    _narrate(f"ended; {player.played:,} messages played")


def _narrate(words: str) -> None:
    print(f"fleetview simulate: {words}", file=sys.stderr, flush=True)


def _fail(words: str, status: int) -> NoReturn:
    _narrate(words)
    raise typer.Exit(status)


async def _play(player: Player, seconds: float | None, *, forget: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    if seconds is not None:
        loop.call_later(seconds, stop.set)
    await player.play(stop)
    if forget:
        await player.forget()
    else:
        await player.say_goodbye("simulation ended")
