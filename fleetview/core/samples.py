"""The last hour of a device's figures, by the minute, from its heartbeats: what is shown where nobody records them.

Bounded: so many devices have an hour of their own, the first that were heard and whichever is looked at. The others have
none, and that is said.
"""

from __future__ import annotations

import math
from array import array
from enum import IntEnum
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fleetview.core.device import Device
    from fleetview_agent.wire import Heartbeat

MINUTES = 60
MAX_DEVICES = 2_000
"""Of 2.2 KB each: 4.4 MB."""
_MINUTE_S = 60


class Figure(IntEnum):
    """What is kept."""

    CPU = 0
    MEMORY = 1
    TEMPERATURE_C = 2
    ERROR_RATE = 3
    """Failed requests of all, between two heartbeats of one session; 0..1."""
    P95_S = 4
    ROUND_TRIP_MS = 5
    NETWORK_IN = 6
    """Bytes a second between two heartbeats of one session; so is the next."""
    NETWORK_OUT = 7


_BYTES = ("network_receive_bytes_total", "network_transmit_bytes_total")
_REQUESTS, _ERRORS, _P95 = "requests_total", "request_errors_total", "request_duration_p95_seconds"


class Hour:
    """One device's last hour: the largest of each minute."""

    __slots__ = ("_bytes", "_errors", "_minute", "_requests", "_session", "_taken_unix_s", "_values")

    def __init__(self) -> None:
        self._values = array("f", [math.nan]) * (MINUTES * len(Figure))
        self._minute = -1
        self._session: str | None = None
        self._requests = self._errors = self._taken_unix_s = 0.0
        self._bytes: tuple[float | None, ...] = (None, None)

    def take(self, body: Heartbeat, unix_s: float) -> None:
        """Note what a live heartbeat says."""
        self._turn_to(max(int(unix_s // _MINUTE_S), self._minute))  # a clock that was set back adds to the latest minute
        found = body.resources
        if found is not None:
            self._note(Figure.CPU, found.cpu)
            self._note(Figure.MEMORY, found.memory)
            self._note(Figure.TEMPERATURE_C, found.temperature_c)
        self._note(Figure.P95_S, body.metrics.get(_P95))
        self._note(Figure.ROUND_TRIP_MS, body.link.rtt_ms if body.link is not None else None)
        self._note_traffic(body, unix_s)
        self._note_errors(body)
        self._session = body.session

    def _note_traffic(self, body: Heartbeat, unix_s: float) -> None:
        said = tuple(body.metrics.get(name) for name in _BYTES)
        passed_s = unix_s - self._taken_unix_s
        if self._session == body.session and passed_s > 0:
            for figure, before, now in zip((Figure.NETWORK_IN, Figure.NETWORK_OUT), self._bytes, said, strict=True):
                if before is not None and now is not None and now >= before:
                    self._note(figure, (now - before) / passed_s)
        self._bytes, self._taken_unix_s = said, unix_s

    def _note_errors(self, body: Heartbeat) -> None:
        requests, errors = body.metrics.get(_REQUESTS), body.metrics.get(_ERRORS)
        if requests is None or errors is None:
            return
        asked, failed = requests - self._requests, errors - self._errors
        if self._session == body.session and asked > 0 and failed >= 0:
            self._note(Figure.ERROR_RATE, min(1.0, failed / asked))
        self._requests, self._errors = requests, errors

    def _turn_to(self, minute: int) -> None:
        for passed in range(max(self._minute + 1, minute - MINUTES + 1), minute + 1):
            place = passed % MINUTES * len(Figure)
            self._values[place : place + len(Figure)] = array("f", [math.nan]) * len(Figure)
        self._minute = minute

    def _note(self, figure: Figure, value: float | None) -> None:
        if value is None:
            return
        place = self._minute % MINUTES * len(Figure) + figure
        before = self._values[place]
        if not value <= before:  # also when there is none
            self._values[place] = value if abs(value) < _LARGEST else math.copysign(_LARGEST, value)

    def last(self, figure: Figure, unix_s: float, cells: int = MINUTES) -> list[float | None]:
        """The largest of each of `cells` equal parts of the last hour, oldest first; None where nothing was said."""
        now = max(int(unix_s // _MINUTE_S), self._minute)
        found: list[float | None] = [None] * cells
        for back in range(now - self._minute, MINUTES):
            value = self._values[(now - back) % MINUTES * len(Figure) + figure]
            if value == value:  # noqa: PLR0124  # NaN is not equal to itself
                cell = (MINUTES - 1 - back) * cells // MINUTES
                found[cell] = max(value, found[cell] if found[cell] is not None else value)  # type: ignore[type-var]
        return found

    def latest(self, figure: Figure) -> float | None:
        """What the last minute with a heartbeat says; None when it says nothing of this."""
        if self._minute < 0:
            return None
        value = self._values[self._minute % MINUTES * len(Figure) + figure]
        return None if math.isnan(value) else value


_LARGEST = 3e38
"""Single precision."""


class Samples:
    """The hours that are kept."""

    def __init__(self, max_devices: int = MAX_DEVICES) -> None:
        self._hours: dict[Device, Hour] = {}
        self._max_devices = max_devices

    def take(self, device: Device, body: Heartbeat, unix_s: float) -> None:
        """Note a live heartbeat, if the device has an hour or may have one."""
        hour = self._hours.get(device)
        if hour is None:
            if len(self._hours) >= self._max_devices:
                return
            hour = self._hours[device] = Hour()
        hour.take(body, unix_s)

    def watch(self, device: Device) -> Hour:
        """The hour of a device that somebody looks at: it gets one from now on, in the place of that of the oldest."""
        hour = self._hours.get(device)
        if hour is None:
            if len(self._hours) >= self._max_devices:
                del self._hours[next(iter(self._hours))]
            hour = self._hours[device] = Hour()
        return hour

    def hour(self, device: Device) -> Hour | None:
        """The hour of a device, if it has one."""
        return self._hours.get(device)

    def forget(self, device: Device) -> None:
        """The device is no more."""
        self._hours.pop(device, None)

    def median(self, devices: Iterable[Device], figure: Figure) -> float | None:
        """What is usual among some devices, by their latest minute; None when none of them tells."""
        hours = (self._hours.get(device) for device in devices)
        found = [value for hour in hours if hour is not None and (value := hour.latest(figure)) is not None]
        return median(found) if found else None
