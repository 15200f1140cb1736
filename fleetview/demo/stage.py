"""Puts the demo on stage and takes it down again: broker, player, agents, servers, in that order and back."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from typing import NamedTuple

from fleetview.demo.agents import AGENTS, agent_name, make_app_log, start_agent
from fleetview.demo.broker import RunningBroker, running_broker
from fleetview.demo.children import Child
from fleetview.demo.choices import DEFAULT_DEVICES, DEFAULT_SEED, BrokerKind, Scenario
from fleetview.demo.modules import PLAYED
from fleetview.demo.monitoring import Servers, monitoring

HISTORY_PLAYED = "what went before is at the broker"
"""What the player says as soon as a dashboard may connect without taking the past for the present."""
_HISTORY_WITHIN_S = 3.0
_POLL_S = 0.01
_PLAYER_GRACE_S = 1.0
_NICE = 2
_CONTROLLER_DELAY_S = 1.4
"""Behind the dashboard's first screen."""


class Trouble(NamedTuple):
    """Something on stage ended by itself."""

    words: str
    is_fatal: bool
    """The demo is nothing without it."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A demo that runs."""

    broker: RunningBroker
    player: Child
    agents: list[Child]
    director: Child
    """Runs the controller."""
    servers: Servers = field(default_factory=Servers)
    """Prometheus and what belongs to it, where it was asked for."""

    def await_history(self) -> None:
        """Returns when what went before is at the broker; or when that takes too long, for nobody shall wait for it."""
        deadline = time.monotonic() + _HISTORY_WITHIN_S
        while HISTORY_PLAYED not in self.player.output():
            if self.player.status() is not None or time.monotonic() > deadline:
                return
            time.sleep(_POLL_S)

    def troubles(self) -> Iterator[Trouble]:
        """What ended that should not have."""
        needed = (self.broker.child, self.player)
        for child in (*needed, *self.agents, self.director, *self.servers.children):
            if (status := child.status()) is not None:
                last = child.output().strip().splitlines()[-1:] or ["it said nothing"]
                words = f"the demo's {child.name} has ended with status {status}: {last[0]}"
                yield Trouble(words, is_fatal=child in needed)


@contextmanager
def on_stage(
    *,
    devices: int = DEFAULT_DEVICES,
    scenario: Scenario = Scenario.BAD_NIGHT,
    seed: int = DEFAULT_SEED,
    kind: BrokerKind | None = None,
    agents: int = AGENTS,
    with_prometheus: bool = False,
) -> Iterator[Stage]:
    """The whole demo for the length of the context. Returns as soon as the broker answers; the fleet follows.

    Prometheus and Alertmanager come too where they are asked for and installed.

    Raises DemoBrokerError when there is no broker.
    """
    with ExitStack() as stack:
        broker = stack.enter_context(running_broker(kind))
        children = [stack.enter_context(Child.prepare(agent_name(number))) for number in range(1, agents + 1)]
        app_logs = [make_app_log(child) for child in children]
        player = stack.enter_context(Child.prepare("simulated-fleet"))
        command = [sys.executable, "-m", "fleetview.demo.player", "--broker", broker.url]
        command += ["--devices", str(devices), "--scenario", scenario, "--seed", str(seed)]
        for app_log in app_logs:
            command += ["--app-log", str(app_log)]
        player.start(command, grace_s=_PLAYER_GRACE_S, nice=_NICE)
        director = stack.enter_context(Child.prepare("controller"))
        directing = [sys.executable, "-m", "fleetview.demo.director", "--broker", broker.url, "--scenario", scenario]
        director.start(
            [*directing, "--folder", director.folder], grace_s=_PLAYER_GRACE_S, delay_s=_CONTROLLER_DELAY_S, nice=_NICE
        )
        for child, app_log, played in zip(children, app_logs, cycle(PLAYED), strict=False):
            start_agent(child, app_log, broker.url, played, well=scenario is Scenario.CALM or scenario.rolls_out)
        servers = stack.enter_context(monitoring(broker.url, devices)) if with_prometheus else Servers()
        try:
            yield Stage(broker, player, children, director, servers)
        finally:
            for child in (director, player, *children, *servers.children):
                child.release()  # all at once, or their times to end would add up
