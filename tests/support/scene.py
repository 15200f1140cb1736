"""The demo's fleet at a fixed moment: the same devices, words and figures in every run, for tests of what is drawn.

What the simulation says goes through the wire codec into a `Fleet`, as it would from a broker; only the clock is frozen.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from fleetview.core.fleet import Fleet
from fleetview.core.received import Received
from fleetview.demo.choices import DEFAULT_DEVICES, DEFAULT_SEED, Scenario
from fleetview.demo.outbox import Publication
from fleetview.demo.simulation import Simulation
from fleetview.tui.fleet_rows import Now
from fleetview_agent.wire import Message, WireError, decode

STARTED_UNIX_S = datetime(2026, 11, 22, 10, 29, tzinfo=UTC).timestamp()
"""The wall clock at second 0 of a scene."""
STARTED_MONO_S = 100_000.0
"""The monotonic clock at second 0 of a scene: high enough for devices that were silent for a day."""
_TICK_S = 0.25
"""Between two looks at the timers, as the dashboard does it."""


class Scene:
    """The demo's fleet on a clock that stands until `play`."""

    def __init__(
        self,
        *,
        devices: int = DEFAULT_DEVICES,
        seed: int = DEFAULT_SEED,
        scenario: Scenario = Scenario.BAD_NIGHT,
        started_unix_s: float = STARTED_UNIX_S,
    ) -> None:
        self._simulation = Simulation(seed=seed, devices=devices, start_unix_s=started_unix_s, scenario=scenario)
        self._started_unix_s = started_unix_s
        self._ticks = 0
        self.fleet = Fleet()
        self.fleet.link_up(STARTED_MONO_S)
        self._apply(self._simulation.retained(), retained=True)

    @property
    def now(self) -> Now:
        """The moment that it is in this scene."""
        return self._moment(self._ticks * _TICK_S)

    def play(self, seconds: float) -> None:
        """Let so much time pass, in whole ticks."""
        for _ in range(round(seconds / _TICK_S)):
            self._ticks += 1
            self._apply(self._simulation.until(self._ticks * _TICK_S))
            self.fleet.advance(*self.now)

    def _moment(self, at_s: float) -> Now:
        return Now(STARTED_MONO_S + at_s, self._started_unix_s + at_s)

    def _apply(self, publications: Iterable[Publication], *, retained: bool = False) -> None:
        for sent in publications:
            payload = sent.payload()
            self.fleet.apply(
                Received(sent.address, sent.channel, _decoded(sent, payload), payload, retained, *self._moment(sent.at_s))
            )


def _decoded(sent: Publication, payload: bytes) -> Message | WireError | None:
    try:
        return decode(sent.channel, payload) if payload else None
    except WireError as err:
        return err


def demo_scene(
    seconds: float,
    *,
    devices: int = DEFAULT_DEVICES,
    seed: int = DEFAULT_SEED,
    scenario: Scenario = Scenario.BAD_NIGHT,
    started_unix_s: float = STARTED_UNIX_S,
) -> tuple[Fleet, Now]:
    """The fleet `seconds` after the demo's start, and the moment that it is then."""
    scene = Scene(devices=devices, seed=seed, scenario=scenario, started_unix_s=started_unix_s)
    scene.play(seconds)
    return scene.fleet, scene.now
