"""What heartbeats say of the devices of running rollouts, for the gates: where there is no Prometheus to ask.

Kept are the last samples of each device: counters as they stood, the session they count in, and CPU.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator

from fleetview.core.rollout.events import DeviceSample
from fleetview_agent.wire import Address, Heartbeat

MAX_SAMPLES = 128
"""Of a device, 32 bytes each: an hour at a heartbeat every 30 s; of 10,000 devices 41 MB."""
_REQUESTS, _ERRORS = "requests_total", "request_errors_total"
_NOTHING = float("nan")


class Heard:
    """The last samples of one device."""

    __slots__ = ("_bad", "_cpu", "_events", "_requests", "_session", "_times_s", "_was_bad")

    def __init__(self) -> None:
        self._session: str | None = None
        self._requests = self._was_bad = 0.0
        self._times_s, self._events, self._bad, self._cpu = (array("d") for _ in range(4))

    def take(self, body: Heartbeat, unix_s: float) -> None:
        """Note a live heartbeat."""
        requests, errors = body.metrics.get(_REQUESTS), body.metrics.get(_ERRORS)
        events = bad = _NOTHING
        if requests is not None and errors is not None:
            # Within a session they only count up; what a new one starts with is not known to have happened since.
            if body.session == self._session:
                events, bad = max(0.0, requests - self._requests), max(0.0, errors - self._was_bad)
            self._session, self._requests, self._was_bad = body.session, requests, errors
        cpu = body.resources.cpu if body.resources is not None and body.resources.cpu is not None else _NOTHING
        for values, value in zip(
            (self._times_s, self._events, self._bad, self._cpu), (unix_s, events, bad, cpu), strict=True
        ):
            values.append(value)
            if len(values) > MAX_SAMPLES:
                del values[0]

    def cpu(self, since_s: float, until_s: float) -> tuple[float, float] | None:
        """Mean and time of the last sample; None without one."""
        found = [
            (self._cpu[at], self._times_s[at]) for at in self._between(since_s, until_s) if self._cpu[at] == self._cpu[at]
        ]
        return (sum(value for value, _ in found) / len(found), found[-1][1]) if found else None

    def errors(self, since_s: float, until_s: float) -> tuple[float, float, float] | None:
        """Bad events, events, and the time of the last sample; None without one."""
        found = [at for at in self._between(since_s, until_s) if self._events[at] == self._events[at]]
        if not found:
            return None
        return sum(self._bad[at] for at in found), sum(self._events[at] for at in found), self._times_s[found[-1]]

    def _between(self, since_s: float, until_s: float) -> range:
        return range(bisect_left(self._times_s, since_s), bisect_left(self._times_s, until_s))


class Evidence:
    """The samples of all devices that take part in a rollout."""

    def __init__(self) -> None:
        self._heard: dict[Address, Heard] = {}

    def take(self, address: Address, body: Heartbeat, unix_s: float) -> None:
        """Note a live heartbeat."""
        heard = self._heard.get(address)
        if heard is None:
            heard = self._heard[address] = Heard()
        heard.take(body, unix_s)

    def keep_only(self, addresses: Iterable[Address]) -> None:
        """Forget all others."""
        wanted = set(addresses)
        for address in [address for address in self._heard if address not in wanted]:
            del self._heard[address]

    def samples(
        self, addresses: Iterable[Address], measure: str, since_s: float, until_s: float, now_s: float
    ) -> Iterator[DeviceSample]:
        """What is known of some devices between two moments, by `error_rate` or `cpu`; who has no sample is left out."""
        for address in addresses:
            heard = self._heard.get(address)
            if heard is None:
                continue
            if measure == "cpu":
                if (mean := heard.cpu(since_s, until_s)) is not None:
                    yield DeviceSample(address, mean[0], age_s=max(0.0, now_s - mean[1]))
            elif (counted := heard.errors(since_s, until_s)) is not None:
                bad, events, at_s = counted
                yield DeviceSample(address, bad, events, max(0.0, now_s - at_s))
