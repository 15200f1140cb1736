"""Which devices there are: by address, by site, counted by trouble; which sites are out; and what changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from operator import gt
from typing import NamedTuple, TypeVar

from fleetview.core.device import Device
from fleetview.core.outages import Outage, Site, find_outage
from fleetview.core.trouble import Trouble, trouble_of
from fleetview_agent.wire import Address

MAX_DEVICES = 250_000
"""A broker that anybody may write to must not be able to fill the memory. What is refused is counted."""
_MAX_SHARED = 10_000
_MAX_LABEL_NAMES = 100

T = TypeVar("T", bound=Hashable)
K = TypeVar("K", bound=Hashable)


class NameSizes(NamedTuple):
    """Characters of the longest names."""

    tenant: int = 0
    site: int = 0
    device: int = 0


@dataclass(slots=True)
class Changes:
    """What changed since the last `drain`."""

    touched: set[Device] = field(default_factory=set)
    """Devices of which something that is shown may have changed."""
    added: set[Device] = field(default_factory=set)
    removed: set[Device] = field(default_factory=set)
    shifted: set[Device] = field(default_factory=set)
    """Devices that are in another trouble than before."""
    outages: bool = False
    """A site outage began, changed or ended."""

    def __bool__(self) -> bool:
        return bool(self.touched or self.added or self.removed or self.outages)


class Roster:
    """The devices, and everything that is kept per site or in sum. Written by Fleet only."""

    def __init__(self, max_devices: int = MAX_DEVICES) -> None:
        self.devices: dict[Address, Device] = {}
        self.outages: dict[Site, Outage] = {}
        self.troubles: Counter[Trouble] = Counter()
        self.releases: Counter[str] = Counter()
        """Devices by the release they run; those that did not say are left out."""
        self.attention: Counter[Site] = Counter()
        """Devices by site of which somebody should look; sites without such a device are left out."""
        self.tenants: Counter[str] = Counter()
        self._longest = NameSizes()
        self.changes = Changes()
        self.refused = 0
        self._max_devices = max_devices
        self._sites: dict[Site, set[Device]] = {}
        self._silent: dict[Site, set[Device]] = {}
        self._unsettled: set[Site] = set()
        self.label_names: dict[str, None] = {}
        """The names of labels that were seen, the first hundred of them."""
        self._shared: dict[Hashable, Hashable] = {}
        self._labels: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}

    @property
    def sites(self) -> Mapping[Site, set[Device]]:
        """The devices of each site."""
        return self._sites

    @property
    def name_sizes(self) -> NameSizes:
        """Characters of the longest names there ever were: columns that shrink would make a table jump."""
        return self._longest

    @property
    def in_trouble(self) -> int:
        """Devices that somebody should look at."""
        return sum(count for trouble, count in self.troubles.items() if trouble.needs_attention)

    def add(self, address: Address) -> Device | None:
        """A new device; None when there are too many."""
        if len(self.devices) >= self._max_devices:
            self.refused += 1
            return None
        device = Device(address)
        self.devices[device.address] = device
        site = site_of(device)
        self._sites.setdefault(site, set()).add(device)
        device.trouble = trouble_of(device)
        self.troubles[device.trouble] += 1
        self.tenants[address.tenant] += 1
        if any(map(gt, map(len, address), self._longest)):
            self._longest = NameSizes(*map(max, map(len, address), self._longest))
        self._unsettled.add(site)
        self.changes.added.add(device)
        return device

    def remove(self, device: Device) -> None:
        """Forget a device."""
        site = site_of(device)
        del self.devices[device.address]
        members = self._sites[site]
        members.discard(device)
        self._silent.get(site, set()).discard(device)
        if not members:
            del self._sites[site]
            self._silent.pop(site, None)
        self.troubles[device.trouble] -= 1
        self._count(self.attention, site, -device.trouble.needs_attention)
        self._count(self.tenants, site.tenant, -1)
        if device.release is not None:
            self._count(self.releases, device.release, -1)
        self._unsettled.add(site)
        self.changes.added.discard(device)
        self.changes.touched.discard(device)
        self.changes.shifted.discard(device)
        self.changes.removed.add(device)

    @staticmethod
    def _count(counter: Counter[K], key: K, change: int) -> None:
        """Without keys that count nothing: a hostile fleet has ever new ones."""
        if change:
            counter[key] += change
            if counter[key] <= 0:
                del counter[key]

    def set_release(self, device: Device, release: str | None) -> None:
        """A device runs another release."""
        if device.release is not None:
            self._count(self.releases, device.release, -1)
        device.release = None if release is None else self.share(release)
        if device.release is not None:
            self.releases[device.release] += 1

    def recount(self, device: Device, *, was_silent: bool) -> None:
        """Bring the sums up to date after a device changed."""
        before, after = device.trouble, trouble_of(device)
        site = site_of(device)
        if after is not before:
            device.trouble = after
            self.troubles[before] -= 1
            self.troubles[after] += 1
            self._count(self.attention, site, after.needs_attention - before.needs_attention)
            self.changes.shifted.add(device)
        if device.silent or was_silent:
            silent = self._silent.setdefault(site, set())
            (silent.add if device.silent else silent.discard)(device)
            self._unsettled.add(site)

    def unsettle(self, device: Device) -> None:
        """Look again whether the device's site is out."""
        self._unsettled.add(site_of(device))

    def settle(self) -> None:
        """Look for outages where something changed."""
        for site in self._unsettled:
            self._settle_site(site)
        self._unsettled.clear()

    def _settle_site(self, site: Site) -> None:
        nobody: Iterable[Device] = frozenset()
        before = self.outages.get(site)
        found = find_outage(site, self._sites.get(site, set()), self._silent.get(site, set()))
        if found is None:
            self.outages.pop(site, None)
        else:
            self.outages[site] = found
        was = frozenset(before.devices if before else nobody)
        now = frozenset(found.devices if found else nobody)
        for device in was ^ now:
            device.in_outage = device in now
            if self.devices.get(device.address) is device:
                self.changes.touched.add(device)
        if before is not None or found is not None:
            self.changes.outages = True

    def share(self, value: T) -> T:
        """One copy of what many devices have in common: release, reasons, module states."""
        found = self._shared.get(value)
        if found is None:
            if len(self._shared) >= _MAX_SHARED:
                self._shared.clear()
            self._shared[value] = value
            return value
        return found  # type: ignore[return-value]

    def share_labels(self, labels: Mapping[str, str]) -> Mapping[str, str] | None:
        """One copy of the labels that many devices have in common; None for none."""
        if not labels:
            return None
        key = tuple(labels.items())
        found = self._labels.get(key)
        if found is None:
            if len(self._labels) >= _MAX_SHARED:
                self._labels.clear()
            found = self._labels[key] = dict(labels)
            for name in labels:
                if len(self.label_names) < _MAX_LABEL_NAMES:
                    self.label_names.setdefault(name)
        return found


def site_of(device: Device) -> Site:
    """The site that a device stands at."""
    return Site(device.address.tenant, device.address.site)
