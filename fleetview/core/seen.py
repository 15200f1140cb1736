"""Values that were seen, by the field that holds them: what is offered while a filter is typed.

Bounded: of a large fleet only so many devices are looked at, and what was found serves for some seconds of typing.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from fleetview.core.payloads import unpack
from fleetview.core.query.json_path import leaves
from fleetview.core.query.tree import Name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fleetview.core.device import Device
    from fleetview.core.fleet import Fleet
    from fleetview.core.logbook import Entry

MAX_DEVICES = 2_000
"""Looked at one by one: 10 ms."""
MAX_RECORDS = 5_000
MAX_OPENED = 200
"""Records and heartbeats of which the JSON is looked into, for other fields: a few milliseconds."""
MAX_OPENED_BYTES = 8 * 1024
MAX_VALUES = 1_000
"""Of one field: nobody chooses among more."""
MAX_FIELDS = 200
FRESH_S = 5.0

Values = dict[str, list[str]]


class Seen:
    """What was seen of late. Whoever asks gives the moment."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._devices: tuple[float, Values] | None = None
        self._logs: tuple[float, Values] | None = None

    def in_devices(self, mono_s: float) -> Values:
        """Values of the devices' fields, and of `label.NAME`."""
        if self._devices is None or mono_s - self._devices[0] >= FRESH_S:
            found = device_values(self._fleet.devices.values())
            roster = self._fleet.roster
            for name, values in (
                ("site", (site.name for site in self._fleet.sites)),
                ("tenant", roster.tenants),
                ("release", roster.releases),
            ):  # of all devices: these are kept anyway
                if some := sorted(set(islice(values, MAX_VALUES))):
                    found[name] = some
            self._devices = (mono_s, found)
        return self._devices[1]

    def in_logs(self, mono_s: float) -> Values:
        """Values of the log records' fields."""
        if self._logs is None or mono_s - self._logs[0] >= FRESH_S:
            places = self.in_devices(mono_s)
            book = self._fleet.logbook
            found = record_values(book.newer_than(book.last_number - MAX_RECORDS))
            self._logs = (mono_s, {**{name: places[name] for name in _PLACES if name in places}, **found})
        return self._logs[1]


_PLACES = ("site", "tenant", "device", "address")


def device_values(devices: Iterable[Device]) -> Values:
    """Values of fields in the first devices; names of fields are those of the filter language.

    Of the first of them also of any field of their heartbeat's JSON, by `.path`.
    """
    found: dict[str, dict[str, None]] = {}
    for number, device in enumerate(islice(devices, MAX_DEVICES)):
        if number < MAX_OPENED and device.heartbeat_packed is not None:
            with suppress(ValueError):
                _add_leaves(found, from_json(unpack(device.heartbeat_packed)))
        tenant, site, name = device.address
        _add(found, "site", site)
        _add(found, "tenant", tenant)
        _add(found, "device", name)
        _add(found, "address", f"{tenant}/{site}/{name}")
        if device.release:
            _add(found, "release", device.release)
        if device.rollout:
            _add(found, "rollout", device.rollout)
        for reason in device.reasons:
            _add(found, "reason", reason)
        for module, _ in device.module_states:
            _add(found, "module", module)
        for name in device.alerts.names if device.alerts is not None else ():
            _add(found, "alert", name)
        for severity in device.alerts.severities if device.alerts is not None else ():
            _add(found, "severity", severity)
        for key, value in (device.labels or {}).items():
            _add(found, f"label.{key}", value)
    return _sorted(found)


def record_values(records: Sequence[Entry]) -> Values:
    """Values of fields in log records; of the last of them of any field of their JSON, by `.path`."""
    found: dict[str, dict[str, None]] = {}
    for record in records:
        if record.service:
            _add(found, "service", record.service)
    for record in islice(reversed(records), MAX_OPENED):
        if len(record.raw) <= MAX_OPENED_BYTES:
            with suppress(ValueError):  # nested deeper than the parser goes
                _add_leaves(found, record.extra())
    return _sorted(found)


def _add_leaves(found: dict[str, dict[str, None]], record: Mapping[str, Any]) -> None:
    for path, value in leaves(record):
        _add(found, str(Name("", path)), value)


def _add(found: dict[str, dict[str, None]], field: str, value: str) -> None:
    values = found.get(field)
    if values is None:
        if len(found) >= MAX_FIELDS:
            return
        values = found[field] = {}
    if len(values) < MAX_VALUES:
        values[value] = None


def _sorted(found: dict[str, dict[str, None]]) -> Values:
    return {name: sorted(values) for name, values in found.items()}
