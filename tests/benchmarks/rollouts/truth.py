"""A fleet of which the truth is known: what each device would do with either release, drawn from one seed.

Errors are a Poisson process for each device, drawn as far as somebody looks; so every policy that runs on a fleet of the same
seed sees devices of the same kind, and a run costs milliseconds.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from dataclasses import dataclass
from math import exp, inf
from typing import Literal

BLOCK_S = 300.0
"""A baseline's noise changes so often."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One kind of fleet and release."""

    name: str
    is_good: bool
    regression: float = 0.0
    """Added to the error rate by the new release, 0..1."""
    base: float = 0.002
    per_minute: float = 60.0
    """Requests of a device."""
    noise: float = 0.0
    """Sigma of the lognormal factor that all devices share, anew every five minutes."""
    spread: float = 0.0
    """Sigma of the lognormal factor of each device."""
    hot: bool = False
    """One device of the first wave fails 30 % of its requests, with either release."""
    brick: float = 0.0
    """Share of devices that the new release kills, 2 to 10 minutes after they had taken it."""
    prometheus_dies_s: float = inf
    flaky: float = 0.0
    """Share of devices on which any update fails."""
    offline: float = 0.0
    """Share of devices that are not there."""


@dataclass(slots=True)
class _Device:
    rate_per_s: float
    """Of errors, before the shared noise."""
    apply_s: float
    online: bool
    fails: bool
    brick_after_s: float
    new_rate_per_s: float
    errors: list[float]
    until_s: float = 0.0
    changed_s: float = inf
    dead_s: float = inf


class Fleet:
    """The devices, by number. Number 0 is the hot one, if there is one."""

    def __init__(self, cell: Cell, size: int, seed: int) -> None:
        self.cell, self.size = cell, size
        self.random = random.Random(seed)
        self._noise: list[float] = []
        self.devices = [self._device(number) for number in range(size)]

    def _device(self, number: int) -> _Device:
        cell, draw = self.cell, self.random
        factor = exp(draw.gauss(0.0, cell.spread) - cell.spread**2 / 2) if cell.spread else 1.0
        rate = 0.3 if cell.hot and number == 0 else min(0.5, cell.base * factor)
        per_s = cell.per_minute / 60
        return _Device(
            rate_per_s=rate * per_s,
            new_rate_per_s=min(1.0, rate + cell.regression) * per_s,
            apply_s=draw.uniform(30.0, 150.0),
            online=draw.random() >= cell.offline,
            fails=draw.random() < cell.flaky,
            brick_after_s=draw.uniform(120.0, 600.0) if draw.random() < cell.brick else inf,
            errors=[],
        )

    def change(self, number: int, at_s: float) -> None:
        """The device runs the new release from now on."""
        device = self.devices[number]
        self._draw(device, at_s)
        device.changed_s, device.rate_per_s = at_s, device.new_rate_per_s
        device.dead_s = at_s + device.brick_after_s

    def counts(self, number: int, start_s: float, end_s: float) -> tuple[float, float] | None:
        """Errors and requests of a device in a window; None for one that died or was never there."""
        device = self.devices[number]
        if not device.online or device.dead_s < end_s:
            return None
        if device.until_s < end_s:
            self._draw(device, end_s)
        bad = bisect_left(device.errors, end_s) - bisect_left(device.errors, start_s)
        events = self.cell.per_minute / 60 * (end_s - start_s)
        return min(float(bad), events), events

    def prometheus(self, at_s: float) -> Literal["up", "down"]:
        """Whether it answers."""
        return "down" if at_s >= self.cell.prometheus_dies_s else "up"

    def _draw(self, device: _Device, until_s: float) -> None:
        """Draw the errors up to a moment."""
        gap = self.random.expovariate
        while device.until_s < until_s:
            block = int(device.until_s // BLOCK_S)
            end_s = min(until_s, (block + 1) * BLOCK_S)
            rate = min(device.rate_per_s * self._factor(block), self.cell.per_minute / 60)
            at_s = device.until_s
            while rate > 0:
                at_s += gap(rate)
                if at_s >= end_s:
                    break
                device.errors.append(at_s)
            device.until_s = end_s

    def _factor(self, block: int) -> float:
        sigma = self.cell.noise
        while len(self._noise) <= block:
            self._noise.append(exp(self.random.gauss(0.0, sigma) - sigma**2 / 2) if sigma else 1.0)
        return self._noise[block]


@dataclass(frozen=True, slots=True)
class Run:
    """How one rollout went."""

    exposed: float
    """Share of the fleet that got the change, until it stopped or was through."""
    end: Literal["stopped", "asks", "through", "stuck"]
    """Stopped by a verdict; stands still until a person decides; through; waits for ever."""
    took_s: float
