"""Which devices a command is for: addresses, one device's name, or a filter. A name that no device has means nobody.

In a filter a bare word is looked for anywhere, and `gw-1` means `gw-10` to `gw-19`, too. Not so where something is changed.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fleetview.core.device import Device
from fleetview.core.query import compile_devices
from fleetview_agent.wire import Address, WireError

_SUGGESTIONS = 3


class TargetError(ValueError):
    """There is no device to send to, in words."""


@dataclass(frozen=True, slots=True)
class Targets:
    """Who is meant."""

    addresses: tuple[Address, ...] = ()
    name: str | None = None
    """Of one device."""
    means: Callable[[Device], object] | None = None
    """A filter."""

    def chosen(self, devices: Mapping[Address, Device]) -> list[Device]:
        """The devices, in order of their addresses. Raises TargetError: there is none, or not one that is named."""
        if self.addresses:
            missing = [address for address in self.addresses if address not in devices]
            if missing:
                raise TargetError(_unknown(str(missing[0]), devices))
            return [devices[address] for address in sorted(set(self.addresses))]
        if self.name is not None:
            found = [device for address, device in devices.items() if address.device == self.name]
            if len(found) > 1:
                names = ", ".join(sorted(str(device.address) for device in found))
                msg = f"{self.name} is not unique: {names}"
                raise TargetError(msg)
            if not found:
                raise TargetError(_unknown(self.name, devices))
            return found
        found = [device for device in devices.values() if self.means is None or self.means(device)]
        if not found:
            msg = f"no device matches; {len(devices):,} are known"
            raise TargetError(msg)
        return sorted(found, key=lambda device: device.address)


def parse_targets(words: Sequence[str], now: Callable[[], tuple[float, float]] | None = None) -> Targets:
    """Who these words mean. `now` is for filters that ask for ages. Raises QueryError."""
    try:
        return Targets(addresses=tuple(Address.parse(word) for word in words))
    except WireError:
        text = " ".join(words).strip()
    try:
        Address.of("any", "any", text)
    except WireError:
        return Targets(means=compile_devices(text, now))
    return Targets(name=text)


def _unknown(text: str, devices: Mapping[Address, Device]) -> str:
    names = map(str, devices) if "/" in text else (address.device for address in devices)
    near = difflib.get_close_matches(text, list(dict.fromkeys(names)), n=_SUGGESTIONS, cutoff=0.5)
    hint = f"; did you mean {' or '.join(near)}?" if near else f"; {len(devices):,} devices are known"
    return f"no device {text} is known{hint}"
