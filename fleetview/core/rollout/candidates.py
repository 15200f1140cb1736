"""What the fleet says of a device, as a rollout needs it: whether it is meant, what it can go back to, how it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

from fleetview.core.device import Device
from fleetview.core.query import compile_devices
from fleetview.core.rollout.devices import obstacle_of, presence_of
from fleetview.core.rollout.events import Candidate, DeviceObserved
from fleetview.core.rollout.plan import Plan
from fleetview.core.rollout.target import ReleaseTarget, Target, target_of
from fleetview_agent.wire import Desired

NO_VALUE = "-"


def gen_of(device: Device) -> int:
    """The highest generation that is known of a device."""
    desired, reported = device.desired, device.reported
    return max(desired.gen if desired is not None else 0, reported.gen if reported is not None else 0)


def previous_of(device: Device) -> Target | None:
    """What it can go back to: what it was to run until now, and the release that it says it runs."""
    return _previous(_Told(device.desired, device.release))


class _Told:
    """What a device was told, and runs; equal to another that says the same."""

    __slots__ = ("_hash", "desired", "key", "runs")

    def __init__(self, desired: Desired | None, runs: str | None) -> None:
        self.desired, self.runs = desired, runs
        config, release = (None, None) if desired is None else (desired.config, desired.release)
        self.key = (
            # repr says as much as JSON does, in a third of the time: ten thousand of them are asked for in one round.
            None if config is None else (config.version, repr(config.document)),
            None if release is None else tuple(release.__dict__.values()),
            runs,
        )
        self._hash = hash(self.key)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Told) and self.key == other.key


@lru_cache(maxsize=4096)
def _previous(said: _Told) -> Target | None:
    """One object for all devices that go back to the same: making one, and its hash, takes 30 us; they are many."""
    runs = said.runs
    told = None if said.desired is None else target_of(said.desired)
    before = told.release if told is not None else None
    if before is None and runs:
        before = ReleaseTarget(version=runs)
    old = told.config if told is not None else None
    return None if old is None and before is None else Target(config=old, release=before)


def observed(device: Device) -> DeviceObserved:
    """How it is now."""
    return DeviceObserved(device.address, presence_of(device), obstacle_of(device), gen_of(device), previous_of(device))


class Selection:
    """The devices that a plan means."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._means: Callable[[Device], bool] = compile_devices(plan.select).test
        self._pins: Callable[[Device], bool] | None = compile_devices(plan.canaries).test if plan.canaries else None

    def means(self, device: Device) -> bool:
        """Whether a device is one of them."""
        return device.address.tenant == self._plan.tenant and self._means(device)

    def candidate(self, device: Device) -> Candidate:
        """A device that is one of them, as it is now."""
        return Candidate(
            address=device.address,
            group=tuple(_value(device, name) for name in self._plan.group_by),
            pinned=self._pins is not None and self._pins(device),
            presence=presence_of(device),
            obstacle=obstacle_of(device),
            gen=gen_of(device),
            previous=previous_of(device),
        )

    def candidates(self, devices: Iterable[Device]) -> Iterator[Candidate]:
        """All of these that the plan means."""
        return (self.candidate(device) for device in devices if self.means(device))


def _value(device: Device, name: str) -> str:
    match name:
        case "site":
            return device.address.site
        case "release":
            return device.release or NO_VALUE
    return (device.labels or {}).get(name.removeprefix("label."), NO_VALUE)
