"""The labels of a device's series: its address, its release, and what was asked for of its birth, bounded in number."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from fleetview.export.families import escaped

if TYPE_CHECKING:
    from fleetview.core.device import Device

RELEASE = "release"
MAX_LABELS = 10
MAX_VALUES = 500
"""Of one label, of one tenant's devices that live now; those beyond it share a value."""
OTHER = "other"
"""The value of those beyond the bound."""

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_TAKEN = frozenset(
    {"tenant", "site", "device", RELEASE, "module", "state", "level", "reason", "le", "quantile", "job", "instance"}
)


class LabelError(ValueError):
    """Labels that cannot be, in words."""


class LabelPlan:
    """Which labels series have beside `tenant`, `site` and `device`."""

    def __init__(self, names: str = "") -> None:
        """From names as written, `ring,region`; `-release` takes the release away. Raises LabelError."""
        self.release = True
        self.names: dict[str, str] = {}
        """The label of a series by the label of a birth: Prometheus knows neither dots nor dashes in it."""
        for name in filter(None, (word.strip() for word in names.split(","))):
            if name in {RELEASE, f"-{RELEASE}"}:
                self.release = name == RELEASE
                continue
            label = re.sub(r"[.-]", "_", name)
            if _LABEL.fullmatch(label) is None or label.startswith("__"):
                msg = f"{name!r} cannot be a label: letters, digits and '_' expected, the first no digit"
                raise LabelError(msg)
            if label in _TAKEN or label in self.names.values():
                msg = f"label {name!r}: {label!r} is taken already"
                raise LabelError(msg)
            self.names[name] = label
        if len(self.names) > MAX_LABELS:
            msg = f"{len(self.names)} labels, {MAX_LABELS} are allowed: each one makes every series longer"
            raise LabelError(msg)


Held = tuple[tuple[str, str], ...]
"""Labels and values that a device holds within the bound."""


class Labels:
    """The text of labels, and the values that devices hold."""

    def __init__(self, plan: LabelPlan, max_values: int = MAX_VALUES) -> None:
        self.plan = plan
        self.dropped: Counter[str] = Counter()
        """Values that became `other`, by tenant."""
        self._max_values = max_values
        self._held: dict[tuple[str, str], Counter[str]] = {}

    def text(self, device: Device) -> tuple[str, Held]:
        """What stands behind a series' own labels, closed and with a space; and what the device holds from now on."""
        tenant, site, name = device.address
        parts = [f'tenant="{tenant}",site="{site}",device="{name}"']
        held = []
        for label, value in self._values(device):
            taken = self._take(tenant, label, value)
            parts.append(f'{label}="{escaped(taken)}"')
            if taken == value:
                held.append((label, value))
        return ",".join(parts) + "} ", tuple(held)

    def let_go(self, tenant: str, held: Held) -> None:
        """A device has these values no longer."""
        for label, value in held:
            counter = self._held[tenant, label]
            counter[value] -= 1
            if not counter[value]:
                del counter[value]
            if not counter:
                del self._held[tenant, label]

    def _values(self, device: Device) -> list[tuple[str, str]]:
        found = [] if device.release is None or not self.plan.release else [(RELEASE, device.release)]
        told = device.labels or {}
        return found + [(label, told[name]) for name, label in self.plan.names.items() if name in told]

    def _take(self, tenant: str, label: str, value: str) -> str:
        counter = self._held.setdefault((tenant, label), Counter())
        if value not in counter and len(counter) >= self._max_values:
            self.dropped[tenant] += 1
            return OTHER
        counter[value] += 1
        return value
