"""Which faults happen when. Times before 0 are history: their outcome is retained at the broker when the demo begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import NamedTuple

from fleetview.demo import faults
from fleetview.demo.choices import Scenario
from fleetview.demo.devices import Device
from fleetview.demo.faults import Story
from fleetview.demo.inventory import NEXT_RELEASE

PRELUDE_S = 1800.0
"""How much history there is before second 0."""
_HOUR_S = 3600.0
_SITE_DARK_S = 330.0
_SITE_FALLS_WITHIN_S = 7.0
"""From the first to the last device of a site that goes dark."""
_LARGE_FLEET = 120
"""From this size on, more than one device has each fault."""


class Cue(NamedTuple):
    """A story and when it begins. The devices in it are not free for another while it lasts."""

    at_s: float
    story: Story
    devices: Sequence[Device]


class Casting:
    """Chooses devices by the seed, none twice, and none from a site that a scenario keeps for something larger."""

    def __init__(self, devices: Sequence[Device], rng: Random) -> None:
        self._rng = rng
        self._sites: dict[str, list[Device]] = {}
        for device in devices:
            self._sites.setdefault(device.address.site, []).append(device)
        self._free = list(devices)
        rng.shuffle(self._free)

    def largest_site(self) -> list[Device]:
        """All devices of the largest site. From now on they are kept for what happens there."""
        site = max(self._sites.values(), key=len)
        if len(self._sites) > 1:
            kept = set(map(id, site))
            self._free = [device for device in self._free if id(device) not in kept]
        return site

    def some(self, count: int = 1, *, release: str | None = None) -> list[Device]:
        """That many devices, or as many as there are left; of this release, where there is one."""
        fitting = [device for device in self._free if release is None or device.release == release][:count]
        fitting = fitting or self._free[:count]
        chosen = set(map(id, fitting))
        self._free = [device for device in self._free if id(device) not in chosen]
        return fitting

    def neighbours(self, count: int) -> list[Device]:
        """That many free devices of one site, or fewer."""
        by_site: dict[str, list[Device]] = {}
        for device in self._free:
            by_site.setdefault(device.address.site, []).append(device)
        if not by_site:
            return []
        found = max(by_site.values(), key=len)[:count]
        chosen = set(map(id, found))
        self._free = [device for device in self._free if id(device) not in chosen]
        return found


def _calm(cast: Casting, scale: int) -> Iterator[Cue]:
    for device in cast.some(scale):
        yield Cue(-_HOUR_S / 2, faults.sleeping(device, 6 * _HOUR_S), [device])
    for device in cast.some(scale):
        yield Cue(-_HOUR_S / 3, faults.config_pending(device), [device])


def _site_goes_dark(site: Sequence[Device], at_s: float, rng: Random) -> Iterator[Cue]:
    for device in site:
        after_s = rng.uniform(0, _SITE_FALLS_WITHIN_S)
        away_s = _SITE_DARK_S - after_s + rng.uniform(0, 25)
        yield Cue(at_s, faults.one_goes_dark(device, after_s, away_s), [device])


def _site_outage(cast: Casting, scale: int, rng: Random) -> Iterator[Cue]:
    yield from _site_goes_dark(cast.largest_site(), 20.0, rng)
    yield from _calm(cast, scale)


_OLD_TROUBLE: tuple[tuple[float, Callable[[Device], Story]], ...] = (
    (-600, faults.module_crash_loop),
    (-260, lambda device: faults.link_drop(device, 2 * _HOUR_S)),
    (-900, faults.spool_full),
    (-40, faults.flapping),
    (-PRELUDE_S, lambda device: faults.clock_wrong(device, 37.0)),
    (-1200, faults.config_rejected),
    (-PRELUDE_S, lambda device: faults.maintenance(device, "maintenance: fan exchange, ana")),
    (-PRELUDE_S, lambda device: faults.certificate_runs_out(device, 6.0)),
    (-300, faults.slow_and_lossy_link),
    (-PRELUDE_S, lambda device: faults.clock_wrong(device, -8.0, drift=-0.004)),
    (-PRELUDE_S, faults.never_seen),
    (-30, faults.broken_payloads),
)
"""What the night has brought before the engineer opens the dashboard. In the order of importance, for small fleets."""


def _old_trouble(cast: Casting, scale: int) -> Iterator[Cue]:
    for at_s, fault in _OLD_TROUBLE:
        for device in cast.some(scale):
            yield Cue(at_s, fault(device), [device])


def _new_trouble(cast: Casting, scale: int, rng: Random) -> Iterator[Cue]:
    """What goes wrong while one watches, in the first two minutes."""
    for device in cast.some(scale, release=NEXT_RELEASE):
        yield Cue(3, faults.module_crash_loop(device), [device])
    for device in cast.some(scale):
        yield Cue(10, faults.link_drop(device, 95.0), [device])
    for device in cast.some(scale):
        yield Cue(18, faults.overheats(device), [device])
    neighbours = cast.neighbours(3 * scale)
    yield Cue(26, faults.site_login_outage(neighbours, rng), neighbours)
    for device in cast.some(scale):
        yield Cue(34, faults.disk_fills(device), [device])
    for device in cast.some(scale, release=NEXT_RELEASE):
        yield Cue(42, faults.requests_fail(device, 0.041), [device])
    for device in cast.some(scale):
        yield Cue(50, faults.release_rolls_back(device), [device])


def _bad_night(cast: Casting, scale: int, rng: Random) -> Iterator[Cue]:
    yield from _site_goes_dark(cast.largest_site(), 60.0, rng)
    yield from _old_trouble(cast, scale)
    yield from _new_trouble(cast, scale, rng)
    yield from _calm(cast, scale)


def _stragglers(cast: Casting, devices: int) -> Iterator[Cue]:
    """A fifth of the fleet is away when the rollout comes: some return while it goes on, some long after."""
    away = cast.some(max(2, devices // 5))
    for place, device in enumerate(away):
        for_s = 2 * _HOUR_S if place % 3 == 0 else 120.0 + 40.0 * place
        yield Cue(-60, faults.link_drop(device, for_s), [device])


def direct(scenario: Scenario, devices: Sequence[Device], rng: Random) -> list[Cue]:
    """What happens in this scenario, in no particular order."""
    cast = Casting(devices, rng)
    scale = max(1, len(devices) // _LARGE_FLEET)
    match scenario:
        case Scenario.SITE_OUTAGE:
            return list(_site_outage(cast, scale, rng))
        case Scenario.BAD_NIGHT:
            return list(_bad_night(cast, scale, rng))
        case Scenario.STRAGGLERS:
            return list(_stragglers(cast, len(devices)))
        case _:
            return list(_calm(cast, scale))


_CALM_PAUSE_S = (240.0, 600.0)
_PAUSES_S = {Scenario.SITE_OUTAGE: (120.0, 300.0), Scenario.BAD_NIGHT: (25.0, 70.0)}


def pause_s(scenario: Scenario, rng: Random) -> float:
    """How long nothing new goes wrong, after the scripted part."""
    return rng.uniform(*_PAUSES_S.get(scenario, _CALM_PAUSE_S))


def passing_trouble(device: Device, rng: Random) -> Story:
    """Something that goes wrong and mends itself, so that a demo that is left running stays alive."""
    module = rng.choice(device.plan.modules)
    return rng.choice(
        (
            lambda: faults.module_crash_and_recovery(device, module),
            lambda: faults.link_drop(device, rng.uniform(8, 20)),
            lambda: faults.link_drop(device, rng.uniform(60, 180)),
        )
    )()
