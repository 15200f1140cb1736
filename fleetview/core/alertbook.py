"""The alerts of a fleet at one moment: of which device each is, what keeps it quiet and how long, who may be deceived. Pure.

A source that is silent leaves what it last told; how old that is stands beside it, and is decided here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from fleetview.core.ages import rough_age
from fleetview.core.alerts import Alert, AlertGroup, AlertState, Place, Places, Rule, Source, concerns, severity_rank
from fleetview.core.device import NO_ALERTS, DeviceAlerts
from fleetview.core.series import re2_escaped
from fleetview.core.servers import ANSWERS, Standing
from fleetview.core.silences import Matcher, Silence, SilenceState
from fleetview_agent.wire.topics import Address

if TYPE_CHECKING:
    from fleetview.core.fleet import Fleet

LOUD = frozenset({AlertState.FIRING, AlertState.PENDING})
OLD_S = 150.0
"""What a source told that has not answered for so long is not current any more: two rounds on a slow link, and some."""
_CHUNK = 1024
_UNTOLD_S = 90.0
"""A switch that has fired for less need not be known to Alertmanager yet: Prometheus tells it every minute."""
_NAMES_OF_SWITCHES = ("watchdog", "deadman")


@dataclass(frozen=True, slots=True)
class Server:
    """A server that is asked, and when it last answered."""

    source: Source
    where: str
    """Its URL, without a password."""
    standing: Standing
    answered_mono_s: float | None = None
    per_minute: int = 0
    """Questions put to it within a minute."""

    @property
    def answers(self) -> bool:
        """Whether what it told is what it tells now."""
        return self.standing.health in ANSWERS


class Badge(NamedTuple):
    """What there is to say of a device's alerts in its row."""

    loud: int
    """Firing or pending."""
    quiet: int
    worst: int
    """The rank of the worst severity that is loud."""
    silenced_until_unix_s: float | None
    """When the first of the silences over it ends."""
    is_old: bool = False
    """Nobody has said so for a while."""

    def words(self, unix_s: float) -> str:
        """`2 alerts, 1 silenced 1h 20m left`."""
        parts = [f"{self.loud} alert{'s' * (self.loud != 1)}"] if self.loud else []
        if self.quiet:
            until = self.silenced_until_unix_s
            left = "" if until is None else f" {rough_age(until - unix_s)} left"
            parts.append(f"{self.quiet} {'quiet' if until is None else 'silenced'}{left}")
        return ", ".join(parts) + " (old)" * self.is_old

    def short(self, unix_s: float) -> str:
        """`2`, `2 and 1 quiet`, `silenced 1h 20m`: for a column of its own."""
        until = self.silenced_until_unix_s
        if self.loud or not self.quiet:
            text = str(self.loud) + f" and {self.quiet} quiet" * bool(self.quiet)
        else:
            text = f"{self.quiet} quiet" if until is None else f"silenced {rough_age(until - unix_s)}"
        return text + "?" * self.is_old


@dataclass(frozen=True)
class AlertBook:
    """What was told, in a scope."""

    alerts: tuple[Alert, ...] = ()
    """Worst first."""
    silences: Mapping[str, Silence] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    servers: tuple[Server, ...] = ()
    places: Places = field(default_factory=Places)
    switch: str | None = None
    """What is wrong with the dead man's switch, in words; None while it does its work, or nobody can tell."""
    switches: frozenset[str] = frozenset()
    """The names of the dead man's switches that have fired since the program began."""
    rules: tuple[Rule, ...] = ()
    """Of Prometheus, what cannot be evaluated first."""
    groups: tuple[AlertGroup, ...] | None = None
    """As Alertmanager tells of them, the largest first; None when it was not asked."""

    def __post_init__(self) -> None:
        found: dict[str, list[tuple[Place, Alert]]] = defaultdict(list)
        for alert in self.alerts:
            place = alert.place(self.places)
            if place.device is not None:
                found[place.device].append((place, alert))
        # Worked out once: this is asked for several times a second, and there may be ten thousand alerts.
        object.__setattr__(self, "_by_device", dict(found))
        object.__setattr__(self, "_by_told", {alert.told: alert for alert in self.alerts if alert.told})
        quieted: dict[str, list[Alert]] = defaultdict(list)
        for alert in self.alerts:
            for told in alert.inhibited_by:
                quieted[told].append(alert)
        object.__setattr__(self, "_quieted", dict(quieted))
        loud = tuple(one for one in self.alerts if one.state is AlertState.FIRING and not is_switch(one))
        object.__setattr__(self, "_loud", loud)

    def of(self, address: Address) -> tuple[Alert, ...]:
        """The alerts of one device. One that names no tenant or site may be of any with that name."""
        known: Mapping[str, Sequence[tuple[Place, Alert]]] = self._by_device  # type: ignore[attr-defined]
        entries = known.get(address.device, ())
        return tuple(alert for place, alert in entries if concerns(place, address.tenant, address.site))

    def devices(self) -> frozenset[str]:
        """The ids of the devices that there are alerts of."""
        return frozenset(self._by_device)  # type: ignore[attr-defined]

    def silences_of(self, alert: Alert) -> list[Silence]:
        """What keeps an alert silent, the one that ends last at the end."""
        found = [self.silences[one] for one in alert.silenced_by if one in self.silences]
        return sorted(found, key=lambda one: one.ends_unix_s)

    def inhibitors_of(self, alert: Alert) -> list[Alert]:
        """The alerts that say enough about it."""
        known: Mapping[str, Alert] = self._by_told  # type: ignore[attr-defined]
        return [known[one] for one in alert.inhibited_by if one in known]

    def inhibited_by(self, alert: Alert) -> Sequence[Alert]:
        """The alerts that it says enough about."""
        known: Mapping[str, Sequence[Alert]] = self._quieted  # type: ignore[attr-defined]
        return known.get(alert.told, ()) if alert.told is not None else ()

    @property
    def loud(self) -> tuple[Alert, ...]:
        """What fires and should be looked at: without what is pending or quiet, and without dead man's switches."""
        return self._loud  # type: ignore[attr-defined, no-any-return]

    def is_old(self, mono_s: float) -> bool:
        """Whether a server that is asked has not answered for a while."""
        return any(one.answered_mono_s is None or mono_s - one.answered_mono_s > OLD_S for one in self.servers)

    def badge(self, address: Address, mono_s: float) -> Badge | None:
        """What a device's row says; None when there is nothing to say."""
        alerts = [alert for alert in self.of(address) if not is_switch(alert)]
        if not alerts:
            return None
        loud = [alert for alert in alerts if alert.state in LOUD]
        ends = [found[-1].ends_unix_s for alert in alerts if (found := self.silences_of(alert))]
        return Badge(
            len(loud),
            len(alerts) - len(loud),
            min((severity_rank(alert.severity) for alert in loud), default=99),
            min(ends, default=None),
            self.is_old(mono_s),
        )


def device_alerts(alerts: Iterable[Alert]) -> DeviceAlerts:
    """The alerts of one device, as filters see them."""
    found = [alert for alert in alerts if not is_switch(alert)]
    loud = [alert for alert in found if alert.state in LOUD]
    names = (text for one in found for text in (one.name, one.state.value, f"{one.name}:{one.state.value}"))
    severities = dict.fromkeys(alert.severity for alert in loud if alert.severity)
    return DeviceAlerts(len(loud), tuple(dict.fromkeys(names)), tuple(severities))


def marking(fleet: Fleet, book: AlertBook) -> Iterator[None]:
    """Notes at each device what the book says of it, in steps of a millisecond or so: there may be 100,000."""
    if book.servers and all(server.answered_mono_s is None for server in book.servers):
        return  # nobody has told anything: that is not the same as no alerts
    known, devices = book.devices(), list(fleet.devices.values())
    for start in range(0, len(devices), _CHUNK):
        for device in devices[start : start + _CHUNK]:
            alerts = device_alerts(book.of(device.address)) if device.address.device in known else NO_ALERTS
            if alerts is not device.alerts:
                fleet.set_alerts(device, alerts)
        yield


def is_switch(alert: Alert) -> bool:
    """Whether it is a dead man's switch: an alert that always fires, so that its silence is the alarm."""
    name = "".join(char for char in alert.name.lower() if char.isalpha())
    return any(word in name for word in _NAMES_OF_SWITCHES) or alert.severity in {"watchdog", "deadman"}


def switch_trouble(alerts: Iterable[Alert], before: frozenset[str], servers: Sequence[Server], unix_s: float) -> str | None:
    """What is wrong with the dead man's switch, as far as the servers that answer can tell."""
    answering = {one.source for one in servers if one.answers}
    if answering != {one.source for one in servers}:
        return None  # who does not answer is said already; the switch must not be blamed for it
    firing = {one.name: one for one in alerts if is_switch(one)}
    if gone := sorted(before - firing.keys()):
        return f"the dead man's switch {gone[0]} fires no more: alerts may not come through"
    if {"prometheus", "alertmanager"} <= answering:
        for name, alert in sorted(firing.items()):
            young = alert.since_unix_s is not None and unix_s - alert.since_unix_s < _UNTOLD_S
            if alert.state is AlertState.FIRING and "alertmanager" not in alert.sources and not young:
                return f"the dead man's switch {name} fires, and Alertmanager does not know: nobody is told of alerts"
    for name, alert in sorted(firing.items()):
        if alert.state in {AlertState.SILENCED, AlertState.INHIBITED}:
            return f"the dead man's switch {name} is {alert.state.value}: nobody would notice that alerting died"
    return None


def holding(silences: Iterable[Silence]) -> dict[str, Silence]:
    """Those that hold or will, by id."""
    return {one.id: one for one in silences if one.state is not SilenceState.EXPIRED}


def holds(alert: Alert, text: str) -> bool:
    """Whether every word stands in an alert's state, labels or annotations; `-word` must not."""
    words = text.casefold().split()
    if not words:
        return True
    parts = (
        alert.state.value,
        alert.summary,
        *(f"{name}={value}" for name, value in alert.labels.items()),
        *alert.annotations.values(),
    )
    hay = "\n".join(parts).casefold()
    return all((word[1:] not in hay) if len(word) > 1 and word[0] == "-" else word in hay for word in words)


def matchers_of(alerts: Iterable[Alert], names: Places) -> tuple[Matcher, ...]:
    """What a silence for these alerts and for what is like them must say. A label that only some of them have is left out.

    Of several, a label stands for all the values it has among them: that may mean more than was chosen, and is counted.
    """
    return _matchers([alert.labels for alert in alerts], ("alertname", names.tenant, names.site, names.device))


def device_matchers(addresses: Iterable[Address], book: AlertBook, *, whole_sites: bool = False) -> tuple[Matcher, ...]:
    """What a silence for all alerts of these devices must say, or of all devices of their sites.

    A device is called as its alerts call it now, which may be by its whole address; one without alerts by its parts.
    """
    names = book.places
    known: list[Mapping[str, str]] = []
    for address in addresses:
        said = [alert.labels for alert in book.of(address)]
        known += said or [dict(zip((names.tenant, names.site, names.device), address, strict=True))]
    return _matchers(known, (names.tenant, names.site) if whole_sites else (names.tenant, names.site, names.device))


def _matchers(found: Sequence[Mapping[str, str]], names: Iterable[str]) -> tuple[Matcher, ...]:
    matchers = []
    for name in dict.fromkeys(names):
        values = sorted({labels.get(name, "") for labels in found})
        if not values or values[0] == "":
            continue
        if len(values) == 1:
            matchers.append(Matcher(name, values[0]))
        else:
            matchers.append(Matcher(name, "|".join(map(re2_escaped, values)), is_regex=True))
    return tuple(matchers)
