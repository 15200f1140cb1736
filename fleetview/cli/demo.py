"""`fleetview demo`: a whole fleet on this machine, with something wrong in it, and nothing left of it afterwards."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from fleetview.access import Access
from fleetview.cli.options import Ascii, Link, NoMouse, Theme
from fleetview.config import Flags, resolve_display
from fleetview.demo.choices import DEFAULT_DEVICES, DEFAULT_SEED, BrokerKind, Scenario

if TYPE_CHECKING:
    from fleetview.config import Display
    from fleetview.demo.stage import Stage

_LOOK_EVERY_S = 0.5
_LARGEST = 20_000
_FAILED = 1
_UNREACHABLE = 3
_STARTS_WITHIN_S = 40.0
"""A Prometheus on a machine that has much to do."""
_WINDOW_S = 900
"""Of a fleet that is a minute old, an hour would be empty."""


def demo(
    *,
    devices: Annotated[int, typer.Option(min=1, max=_LARGEST, help="Simulated devices.")] = DEFAULT_DEVICES,
    scenario: Annotated[Scenario, typer.Option(help="What the fleet goes through.")] = Scenario.BAD_NIGHT,
    seed: Annotated[int, typer.Option(help="The same seed plays the same fleet.")] = DEFAULT_SEED,
    broker_only: Annotated[
        bool, typer.Option("--broker-only", help="No dashboard: print the broker's URL, and play until a signal.")
    ] = False,
    prometheus: Annotated[
        bool,
        typer.Option(help="Also start Prometheus and Alertmanager, where they are installed; the rules fire sooner there."),
    ] = True,
    theme: Theme = None,
    ascii: Ascii = None,  # noqa: A002  # its name
    link: Link = None,
    no_mouse: NoMouse = None,
    broker_program: Annotated[
        BrokerKind | None, typer.Option(help="The broker to start; without it, what there is.", hidden=True)
    ] = None,
) -> None:
    """Play a whole fleet: a broker, simulated devices, three real agents and, where it is installed, Prometheus."""
    from fleetview.demo.broker import DemoBrokerError  # noqa: PLC0415  # no other command needs it
    from fleetview.demo.stage import on_stage  # noqa: PLC0415

    display = resolve_display(Flags(theme=theme, ascii=ascii, link=link, no_mouse=no_mouse))
    try:
        with on_stage(
            devices=devices,
            scenario=scenario,
            seed=seed,
            kind=broker_program,
            with_prometheus=prometheus and not broker_only,
        ) as stage:
            status = _serve(stage, devices) if broker_only else _show(stage, display)
    except DemoBrokerError as err:
        print(f"fleetview demo: {err}", file=sys.stderr)
        raise typer.Exit(_UNREACHABLE) from None
    raise typer.Exit(status)


def _show(stage: Stage, display: Display) -> int:
    # Here: the fleet starts while these are imported. The feed only to that end; the dashboard would import it later.
    import fleetview.feeds.watch  # noqa: F401, PLC0415
    from fleetview.config import Context  # noqa: PLC0415
    from fleetview.core.charts import RANGES_S, Window  # noqa: PLC0415
    from fleetview.demo.programs import HOST  # noqa: PLC0415
    from fleetview.tui.run import run_dashboard  # noqa: PLC0415
    from fleetview_agent.endpoint import BrokerUrl  # noqa: PLC0415

    stage.await_history()

    # Made by hand: neither the user's contexts nor the environment may point the demo at something real. Keys and looks
    # are theirs, though: this is where they are tried.
    servers = stage.servers
    _no_proxy_for(HOST)
    context = Context(
        name="demo",
        broker=BrokerUrl.parse(stage.broker.url),
        tls=None,
        prometheus_access=_started(servers.prometheus),
        alertmanager_access=_started(servers.alertmanager),
        scrape_interval_s=servers.scrape_interval_s,
        display=display,
    )
    return run_dashboard(context, window=Window(RANGES_S.index(_WINDOW_S)), advice=servers.advice)


def _no_proxy_for(host: str) -> None:
    """A proxy that stands in the environment would be asked for this machine's own servers (requests 2.34)."""
    known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    os.environ["no_proxy"] = ",".join(filter(None, (known, host)))


def _started(url: str | None) -> Access | None:
    return None if url is None else Access(url, starting_s=_STARTS_WITHIN_S)


def _serve(stage: Stage, devices: int) -> int:
    """Prints the URL and waits for a signal, or for the end of what it cannot go on without."""
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    stage.await_history()
    print(stage.broker.url, flush=True)
    print(
        f"fleetview demo: {devices} simulated devices and {len(stage.agents)} agents on {stage.broker.kind};"
        f" watch them with `fleetview --broker {stage.broker.url}`, end with Ctrl-C",
        file=sys.stderr,
    )
    told: set[str] = set()
    while not stop.wait(_LOOK_EVERY_S):
        for trouble in stage.troubles():
            if trouble.words not in told:
                print(f"fleetview demo: {trouble.words}", file=sys.stderr)
                told.add(trouble.words)
            if trouble.is_fatal:
                return _FAILED
    return 0
