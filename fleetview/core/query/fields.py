"""What a filter can ask of a device and of a log record: by which name, and compared as what.

A figure that a device reported before it went away is not current, so it is absent here just as it is on the screen: health
is `unknown`, and CPU, memory, disk, temperature and spool have no value unless the device is online.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from fleetview.core.device import ConfigAxis, Connectivity, Device
from fleetview.core.query.errors import QueryError, nearest, shown
from fleetview.core.snapshot import as_received
from fleetview.core.trouble import Trouble, trouble_of
from fleetview.core.why import why
from fleetview_agent.wire import Level
from fleetview_agent.wire.records import parse_level, parse_trace_id

if TYPE_CHECKING:
    from fleetview.core.logbook import Entry
    from fleetview.core.query.tree import Name

Clock = Callable[[], tuple[float, float]]
"""The moment: seconds of the monotonic clock, and since 1970."""
Reader = Callable[[Any], Any]

UNKNOWN = "unknown"
"""The word for what could not be told; equal to itself, and neither more nor less than another."""
ALERT_FIELDS = frozenset({"alerts", "alert", "severity"})
"""What is not known from the broker, but from Prometheus and Alertmanager."""
STAGE_FIELD = "stage"
"""What is not known from the devices, but from the snapshots of rollouts."""
STAGES = (
    "waiting", "offered", "accepted", "applying", "verifying", "converged", "failed", "rejected", "timed_out", "lost",
    "deferred", "rolled_back", "skipped",
)  # fmt: skip
"""The values of `core.rollout.state.Stage`, which is not loaded for a filter."""
FLAGS = ("flapping", "site_outage", "clock_skew", "malformed", "log_gap", "duplicate_id")
LABEL_PREFIX = "label."


class Kind(Enum):
    """What a value is compared as."""

    TEXT = auto()
    WORDS = auto()
    """One of a few words."""
    VERSION = auto()
    NUMBER = auto()
    FRACTION = auto()
    TEMPERATURE = auto()
    DURATION = auto()
    SIZE = auto()
    JSON = auto()
    """Whatever the sender made it."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field."""

    name: str
    kind: Kind
    hint: str
    """For the person who completes its name."""
    read: Reader | None
    """The value, None when it is absent; for `many` a tuple, empty when absent. It is None itself when there is no clock."""
    many: bool = False
    shared: bool = False
    """Thousands of things have the same value, so that looking at it once is enough."""
    cost_us: float = 0.2
    """Microseconds that reading and comparing take, roughly."""
    words: tuple[str, ...] = ()
    """All there are, of `Kind.WORDS`."""
    order: tuple[str, ...] = ()
    """Those of them that can be more or less than another, from the least."""
    tidy: Callable[[str], str] = str.lower
    """How a value is brought into the spelling in which it is kept."""
    uses_clock: bool = False


@dataclass(frozen=True, slots=True)
class Fields:
    """All that can be asked of one sort of things."""

    what: str
    named: Mapping[str, Field]
    aliases: Mapping[str, str]
    json: Callable[[Any], Mapping[str, Any]]
    """Where `.path` looks."""
    texts: Callable[[Any], tuple[str, ...]]
    """Where free text is looked for."""
    deep: Callable[[Any, str | None], Mapping[str, Any]] | None = None
    """Where it is looked for next, given the text in lower case (None: it is a pattern). Empty for a sure miss."""
    labels: Callable[[Any], Mapping[str, str] | None] | None = None

    def find(self, name: Name) -> Field:
        """The field that is meant. Raises QueryError."""
        if name.path:
            return replace(_JSON, name=str(name).removesuffix("?"))
        word = name.text.lower()
        if self.labels is not None and word.startswith(LABEL_PREFIX) and len(word) > len(LABEL_PREFIX):
            return self._label(name.text[len(LABEL_PREFIX) :])
        field = self.named.get(self.aliases.get(word, word))
        if field is None:
            raise self._unknown(name)
        if field.read is None:
            raise QueryError(name.position, f"{field.name} changes by the clock, and there is none here: leave it out")
        return field

    def _label(self, key: str) -> Field:
        labels, folded = self.labels, key.lower()

        def read(thing: Any) -> str | None:  # noqa: ANN401 (a device or a record)
            found = labels(thing) if labels is not None else None
            if not found:
                return None
            value = found.get(key)
            if value is not None:
                return value
            return next((each for name, each in found.items() if name.lower() == folded), None)

        return Field(LABEL_PREFIX + key, Kind.TEXT, "", read, shared=True, cost_us=0.4)

    def _unknown(self, name: Name) -> QueryError:
        likely = nearest(name.text, [*self.named, *self.aliases])
        words = f"unknown field {shown(name.text)}"
        if likely is None:
            labels = ", label.NAME" if self.labels is not None else ""
            words += f"; known: {', '.join(self.named)}{labels}, and .name for one of the JSON"
        return QueryError(name.position, f"{words}; text that is looked for goes in quotes", likely)


_JSON = Field("", Kind.JSON, "a field of the JSON as received", lambda thing: thing, cost_us=4.0)
NO_JSON: Mapping[str, Any] = {}


# -- devices

# By trouble alone: only of a device that is online does it say something else than its connectivity. A list, for an enum is
# hashed in Python, and this is asked of every device there is.
_STATES = [
    (trouble.text,) if trouble.text in {each.value for each in Connectivity} else ("online", trouble.text)
    for trouble in sorted(Trouble)
]
_STATE_WORDS = tuple(dict.fromkeys([*(each.value for each in Connectivity), *(each.text for each in Trouble)]))
_HEALTH_ORDER = ("ok", "degraded", "critical")
_HEALTH_WORDS = (*_HEALTH_ORDER, UNKNOWN)
_ONLINE = Connectivity.ONLINE


def _states(device: Device) -> tuple[str, ...]:
    return _STATES[trouble_of(device)]


def _health(device: Device) -> str:
    return (device.health if device.connectivity is _ONLINE else None) or UNKNOWN


def _vital(index: int) -> Reader:
    return lambda device: device.vitals[index] if device.connectivity is _ONLINE else None


def _modules(device: Device) -> tuple[str, ...]:
    return _module_words(device.module_states)


@lru_cache(maxsize=1024)
def _module_words(states: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    """Cached, for thousands of devices have the same modules in the same states."""
    return tuple(text for name, state in states for text in (name, state, f"{name}:{state}"))


def _heartbeat(device: Device) -> Mapping[str, Any]:
    try:
        return as_received(device.heartbeat_packed) or NO_JSON
    except ValueError:
        return NO_JSON


def _spool_bytes(device: Device) -> float | None:
    spool = _heartbeat(device).get("spool") if device.connectivity is _ONLINE else None
    found = spool.get("bytes") if isinstance(spool, dict) else None
    return found if isinstance(found, (int, float)) and not isinstance(found, bool) else None


def _reasons(device: Device) -> tuple[str, ...]:
    return (*device.reasons, device.claim_reason) if device.claim_reason else device.reasons


def _alerts(device: Device) -> int | None:
    return None if device.alerts is None else device.alerts.loud


def _alert_names(device: Device) -> tuple[str, ...]:
    return () if device.alerts is None else device.alerts.names


def _severities(device: Device) -> tuple[str, ...]:
    return () if device.alerts is None else device.alerts.severities


def _seen_s(now: Clock) -> Reader:
    return lambda device: None if device.seen_mono is None else max(0.0, now()[0] - device.seen_mono)


def _why(now: Clock) -> Reader:
    return lambda device: tuple(reason.text for reason in why(device, *now()))


_CONFIG_WORDS = tuple(each.value for each in ConfigAxis)
_LIFECYCLE_WORDS = ("discovered", "enrolled", "maintenance", "quarantined")


def device_fields(now: Clock | None) -> Fields:
    """What can be asked of a device. Without a clock, not how long ago it was seen."""
    words, text = Kind.WORDS, Kind.TEXT
    seen_s, reasons = (_seen_s(now), _why(now)) if now is not None else (None, None)
    named = (
        Field("state", words, "online, lost, critical, ...", _states, many=True, words=_STATE_WORDS, cost_us=0.6),
        Field("health", words, "ok, degraded, critical, ...", _health, words=_HEALTH_WORDS, order=_HEALTH_ORDER),
        Field("site", text, "the site's name", lambda device: device.address.site, shared=True),
        Field("tenant", text, "the tenant's name", lambda device: device.address.tenant, shared=True),
        Field("device", text, "the device's id", lambda device: device.address.device, cost_us=0.4),
        Field("address", text, "tenant/site/device", lambda device: str(device.address), cost_us=0.6),
        Field("release", Kind.VERSION, "such as 1.4.2 or <1.5", lambda device: device.release, shared=True),
        Field("config", words, "in_sync, pending, failed, ...", lambda device: device.config.value, words=_CONFIG_WORDS),
        Field("config_version", Kind.NUMBER, "of what it runs", lambda device: device.config_version),
        Field("lifecycle", words, "enrolled, maintenance, ...", lambda device: device.lifecycle, words=_LIFECYCLE_WORDS),
        Field("flag", words, "flapping, clock_skew, ...", lambda device: device.flags(), many=True, words=FLAGS, cost_us=1),
        Field("cpu", Kind.FRACTION, "such as >80%", _vital(0)),
        Field("memory", Kind.FRACTION, "such as >80%", _vital(1)),
        Field("disk", Kind.FRACTION, "such as >80%", _vital(2)),
        Field("temp", Kind.TEMPERATURE, "in degrees Celsius", _vital(3)),
        Field("module", text, "a module's name, state, or name:state", _modules, many=True, shared=True),
        Field("reason", text, "what it says is wrong", _reasons, many=True, shared=True, cost_us=0.4),
        Field("seen", Kind.DURATION, "ago, such as >5m", seen_s, cost_us=0.5, uses_clock=True),
        Field("why", text, "why it is in the state it is in", reasons, many=True, cost_us=4, uses_clock=True),
        Field("spool", Kind.SIZE, "waiting on the device, such as >10MB", _spool_bytes, cost_us=6),
        Field("rollout", text, "the rollout that it is part of", lambda device: device.rollout, shared=True),
        Field(STAGE_FIELD, words, "how far a rollout has it", lambda device: device.stage, shared=True, words=STAGES),
        Field("alerts", Kind.NUMBER, "that fire or are pending, such as >0", _alerts),
        Field("alert", text, "an alert's name, state, or name:state", _alert_names, many=True, cost_us=0.6),
        Field("severity", text, "of an alert that fires", _severities, many=True, cost_us=0.4),
        Field("session", text, "the run of the agent", lambda device: device.session, cost_us=0.4),
    )
    return Fields(
        what="devices",
        named={field.name: field for field in named},
        aliases={
            "connectivity": "state", "version": "release", "flags": "flag", "mem": "memory", "temperature": "temp",
            "modules": "module", "reasons": "reason", "last_seen": "seen",
        },
        json=_heartbeat,
        texts=lambda device: (str(device.address), *_reasons(device)),
        labels=lambda device: device.labels,
    )  # fmt: skip


# -- log records

_LEVEL_ORDER = tuple(level.name.lower() for level in sorted(Level) if level)


def tidy_level(word: str) -> str:
    """The level that a word stands for, `warn` for `Warning`; any other word as it is."""
    if word == "?":
        return UNKNOWN
    level = parse_level(word)
    return level.name.lower() if level else word.lower()


def tidy_trace(text: str) -> str:
    """A trace id in its one spelling; the beginning of one as it is."""
    return parse_trace_id(text) or text.lower()


def _record(entry: Entry) -> Mapping[str, Any]:
    try:
        return entry.fields()
    except ValueError:  # nested deeper than the parser goes
        return NO_JSON


def _record_with(entry: Entry, needle: str | None) -> Mapping[str, Any]:
    # JSON escapes quotes, backslashes and control characters, and `lower` of bytes knows only ASCII
    plain = needle is not None and needle.isascii() and needle.isprintable() and not {'"', "\\"} & set(needle)
    if plain and needle is not None and needle.encode() not in entry.raw.lower():
        return NO_JSON
    return _record(entry)


def log_fields() -> Fields:
    """What can be asked of a log record."""
    text = Kind.TEXT
    named = (
        Field(
            "level",
            Kind.WORDS,
            "such as >=warn",
            lambda entry: entry.level.name.lower(),
            words=(*_LEVEL_ORDER, UNKNOWN),
            order=_LEVEL_ORDER,
            tidy=tidy_level,
        ),
        Field("service", text, "the service's name", lambda entry: entry.service or None, shared=True),
        Field("message", text, 'such as ~"timed out"', lambda entry: entry.message or None, cost_us=0.6),
        Field("trace", text, "a trace id, or its beginning and *", lambda entry: entry.trace_id, tidy=tidy_trace),
        Field("site", text, "the site's name", lambda entry: entry.address.site, shared=True),
        Field("tenant", text, "the tenant's name", lambda entry: entry.address.tenant, shared=True),
        Field("device", text, "the device's id", lambda entry: entry.address.device, shared=True),
        Field("address", text, "tenant/site/device", lambda entry: str(entry.address), cost_us=0.6),
    )
    return Fields(
        what="log records",
        named={field.name: field for field in named},
        aliases={"trace_id": "trace", "msg": "message", "severity": "level"},
        json=_record,
        texts=lambda entry: (entry.message, entry.service, str(entry.address)),
        deep=_record_with,
    )
