"""How busy a simulated device is at a moment: a pure function of its character and the time, smooth in both.

The shape is the sum of the hours of a plant (two shifts and a quiet night) and a few slow sine waves that are each device's
own. Memory, temperature and latency follow the processor, because that is what they do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

_DAY_S = 86_400.0
_SHIFTS = (
    0.18, 0.15, 0.14, 0.15, 0.22, 0.45, 0.75, 0.90, 0.96, 1.00, 0.98, 0.90,
    0.80, 0.90, 0.97, 0.95, 0.88, 0.80, 0.72, 0.66, 0.60, 0.48, 0.34, 0.24,
)  # fmt: skip
"""Load of a plant by the hour, as a fraction of its busiest."""
_IDLE_C = 31.0
_PER_CPU_C = 30.0
_AFTERNOON_C = 4.0


def plant_load(unix_s: float, *, shift_s: float = 0.0) -> float:
    """Load of a plant as a fraction of its busiest hour; `shift_s` moves its working day."""
    hour = (unix_s + shift_s) % _DAY_S / 3600
    before = int(hour)
    share = hour - before
    return _SHIFTS[before] * (1 - share) + _SHIFTS[(before + 1) % 24] * share


@dataclass(frozen=True, slots=True)
class Character:
    """What makes one device differ from the next."""

    cpu_idle: float
    cpu_busy: float
    """Added at full load of the plant."""
    memory_base: float
    disk_base: float
    disk_per_day: float
    requests_per_s: float
    """At full load."""
    rtt_ms: float
    p95_s: float
    ambient_c: float
    shift_s: float
    waves: tuple[tuple[float, float], ...]
    """Period in seconds and phase of what is this device's own."""

    @classmethod
    def draw(cls, rng: Random, *, shift_s: float, distance_ms: float) -> Character:
        """A character by chance; `distance_ms` is the round trip that the site's uplink costs everybody there."""
        return cls(
            cpu_idle=rng.uniform(0.03, 0.12),
            cpu_busy=rng.uniform(0.12, 0.42),
            memory_base=rng.uniform(0.32, 0.62),
            disk_base=rng.uniform(0.24, 0.74),
            disk_per_day=rng.uniform(0.0005, 0.004),
            requests_per_s=rng.uniform(0.5, 14.0),
            rtt_ms=distance_ms + rng.uniform(2, 18),
            p95_s=rng.uniform(0.018, 0.070),
            ambient_c=rng.uniform(-4, 6),
            shift_s=shift_s,
            waves=tuple((period * rng.uniform(0.7, 1.4), rng.uniform(0, math.tau)) for period in (45.0, 170.0, 900.0)),
        )

    def wave(self, unix_s: float) -> float:
        """What is this device's own, between -1 and 1."""
        return sum(math.sin(unix_s / period * math.tau + phase) for period, phase in self.waves) / len(self.waves)

    def load(self, unix_s: float) -> float:
        """Fraction of its busiest; never below a twentieth."""
        return max(0.05, plant_load(unix_s, shift_s=self.shift_s) + 0.18 * self.wave(unix_s))

    def cpu(self, unix_s: float) -> float:
        """Fraction of the processor in use, troubles aside."""
        return self.cpu_idle + self.cpu_busy * self.load(unix_s)

    def memory(self, unix_s: float) -> float:
        """Fraction of the memory in use, troubles aside. Half as lively as the processor, and it forgets slowly."""
        return self.memory_base + 0.10 * self.load(unix_s - 120)

    def temperature_c(self, cpu: float, unix_s: float) -> float:
        """Of a processor with this load; warmest in the afternoon."""
        afternoon = math.sin((unix_s % _DAY_S / _DAY_S - 0.375) * math.tau)
        return _IDLE_C + self.ambient_c + _PER_CPU_C * cpu + _AFTERNOON_C * afternoon
