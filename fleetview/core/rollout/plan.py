"""A rollout as an operator plans it. The defaults are those of the default policy; `planfile` reads it from a file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, Field, field_validator, model_validator

from fleetview.core.query import QueryError, compile_devices
from fleetview.core.rollout.quantities import Bound, DeviceCount, Duration, Fraction, Size
from fleetview.core.rollout.target import Strict, Target
from fleetview_agent.wire import Topics, WireError
from fleetview_agent.wire.documents import canonical_json

OnFail = Literal["rollback", "pause", "abort"]
Hold = Literal["step", "approval"]
"""What holds a rollout after a wave: that somebody says go on, or that somebody else than who started it does."""
MASS_ROLLBACK = 0.1
"""Above this share of the fleet a failed gate pauses by default. A mass rollback is a risky rollout itself."""
DEVICES_GATE = "devices"
"""The name of the gate that is always there: how the wave's devices fare."""
MAX_WAVES = 100


def _filter(text: str) -> str:
    try:
        uses_clock = compile_devices(text).uses_clock if text.strip() else False
    except QueryError as err:
        msg = f"not a filter of devices: {err}"
        raise ValueError(msg) from None
    if uses_clock:
        msg = "a filter that changes by the clock (seen, why) cannot be frozen"
        raise ValueError(msg)
    return text.strip()


def _not_empty(text: str) -> str:
    if not text:
        msg = "an empty selection; site:* is every device"
        raise ValueError(msg)
    return text


Selection = Annotated[str, AfterValidator(_filter)]
"""In the filter language."""


class WavePlan(Strict):
    """One wave: up to how many devices have the change when it is through."""

    to: DeviceCount
    """Share or number of devices, all earlier waves included."""
    hold: Hold | None = None
    """Wait after this wave: for anybody (`step`), or for another operator than who started it (`approval`)."""
    pilot: Annotated[bool, Field(exclude_if=lambda value: not value)] = False
    """Goes on unless something speaks against it, where other waves need proof: for a few devices before the first wave
    proper, whose metrics alone may be too few to prove anything. Nobody is in it when the next wave is no larger."""


class GatePlan(Strict):
    """A condition under which the rollout goes on."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    """By which it is known, such as error-rate."""
    measure: Literal["error_rate", "cpu", "log_templates", "promql"] = "promql"
    """Built in: error_rate, cpu, log_templates. Otherwise what `query` says."""
    query: Annotated[str, Field(max_length=4096)] | None = None
    """PromQL with one value for each device (by tenant, site and device), or with one value in all. $window is how far back
    a measurement looks."""
    events: Annotated[str, Field(max_length=4096)] | None = None
    """PromQL: of how many events the value of `query` is the share, for each device. Makes it a rate."""
    max: Bound | None = None
    """Fails above."""
    max_devices: Annotated[int, Field(ge=1)] | None = None
    """For log_templates: fails when more updated devices than this log the same ERROR, which others never log."""
    ratio: Annotated[float, Field(ge=1, le=1000)] | None = None
    """Fails when it is above this many times the control group's, and above it by more than `delta`."""
    delta: Annotated[Bound, Field(ge=0)] | None = None
    """See `ratio`."""
    on_fail: OnFail | None = None
    """rollback, pause or abort. Default: rollback while at most 10 % of the fleet have the change, pause above."""
    interval: Duration = 30.0
    """Between two measurements."""

    @model_validator(mode="after")
    def _can_be_judged(self) -> GatePlan:
        if (self.measure == "promql") != (self.query is not None):
            msg = f"{self.name}: a query belongs to measure = promql, and to that only"
            raise ValueError(msg)
        if (self.measure == "log_templates") != (self.max_devices is not None):
            msg = f"{self.name}: max_devices belongs to measure = log_templates, and to that only"
            raise ValueError(msg)
        if self.measure == "log_templates" and (self.max, self.ratio, self.delta, self.events) != (None,) * 4:
            msg = f"{self.name}: log_templates has no max, ratio, delta or events: max_devices says when it fails"
            raise ValueError(msg)
        if self.limit is None and self.ratio is None:
            msg = f"{self.name}: neither max nor ratio: it could never fail"
            raise ValueError(msg)
        if (self.ratio is None) != (self.delta is None):
            msg = f"{self.name}: ratio and delta belong together: a value fails above both"
            raise ValueError(msg)
        if self.interval < _SHORTEST_INTERVAL_S:
            msg = f"{self.name}: interval: at least 5 s expected"
            raise ValueError(msg)
        return self

    @property
    def limit(self) -> float | None:
        """Above which it fails."""
        return self.max if self.max_devices is None else float(self.max_devices)

    @property
    def in_percent(self) -> bool:
        """Whether people read its values as a share."""
        return self.measure in {"error_rate", "cpu"} or self.is_rate

    @property
    def is_rate(self) -> bool:
        """Whether its value is a share of events, and bounded by Wilson's interval; otherwise a mean over devices."""
        return self.measure == "error_rate" or self.events is not None


_SHORTEST_INTERVAL_S = 5.0


class Deadlines(Strict):
    """How long a device may take for each step; paused time does not count."""

    accept: Duration = 120.0
    """From the offer until the device takes it."""
    apply: Duration = 600.0
    """From then until it runs."""
    verify: Duration = 300.0
    """From then until it is known to be well; also how long one that has converged may be silent."""


class Evidence(Strict):
    """What must be there before a gate says anything at all."""

    bake: Duration = 300.0
    """Since the wave's devices were through."""
    converged: Annotated[int, Field(ge=1)] = 5
    """Devices; all of a smaller wave."""
    coverage: Fraction = 0.9
    """Of the converged devices with samples."""
    events: Annotated[int, Field(ge=1)] = 100
    """For rates."""
    scrape: Duration = 30.0
    """Between two samples; one that is older than two of these does not count."""
    passes: Annotated[int, Field(ge=1, le=100)] = 3
    """In a row."""
    max_wait: Duration = 3600.0
    """For a verdict, since the bake was over; then the rollout pauses."""


DEFAULT_GATES = (
    GatePlan(name="error-rate", measure="error_rate", max=0.005, ratio=2.0, delta=0.002),
    GatePlan(name="cpu", measure="cpu", max=0.95, ratio=1.25, delta=0.1),
)
"""The error rate stays below 0.5 %, and CPU is steady: not above the control group's by a quarter and 10 points."""
DEFAULT_WAVES = (
    WavePlan(to=Size(devices=5), pilot=True),
    *(WavePlan(to=Size(share=percent / 100)) for percent in (*range(5, 100, 10), 100)),
)
"""A pilot of five, which are enough to judge by; 5 %, which are hundreds in a large fleet; then 10 points more each."""


class Plan(Strict):
    """A rollout, before anything is done. Immutable; `digest` is the hash of all it says."""

    name: str
    """By which it is known, such as telemetry-1.5.0."""
    tenant: str = "default"
    """Whose devices."""
    target: Target
    """What they should run."""
    previous: Target | None = None
    """To which a device goes back of which nothing else is known."""
    select: Annotated[Selection, AfterValidator(_not_empty)]
    """Which devices, in the filter language."""
    group_by: tuple[str, ...] = ()
    """Labels (also site and release): each wave has devices of each combination."""
    canaries: Selection = ""
    """Devices that are in the first wave in any case, in the filter language."""
    waves: tuple[WavePlan, ...] = DEFAULT_WAVES
    """Cumulative shares or numbers of devices."""
    every: Duration = 600.0
    """From the start of a wave until the next may start."""
    gates: tuple[GatePlan, ...] = DEFAULT_GATES
    """Conditions, judged beside what the devices themselves say."""
    devices_on_fail: OnFail | None = None
    """`on_fail` of the gate of the devices."""
    max_bad: Fraction = 0.05
    """Of the devices begun with, once five have finished, and two at least; in waves of up to ten, one is enough."""
    max_deferred: Fraction = 0.2
    """Of a wave; above, the rollout pauses."""
    max_unavailable: DeviceCount | None = None
    """Devices of a group that change at once."""
    per_minute: Annotated[int, Field(ge=1)] = 1000
    """Offers, at most."""
    rollback_per_minute: Annotated[int, Field(ge=1)] = 200
    """Offers of the previous version, at most."""
    deadlines: Deadlines = Deadlines()
    """For each device."""
    evidence: Evidence = Evidence()
    """For the gates."""
    log_evidence: bool = True
    """Whether what updated devices log is compared with what others do."""
    approval: bool = False
    """Whether a second operator has to approve it."""
    start_at: AwareDatetime | None = None
    """Not before; RFC 3339."""
    supersedes: tuple[str, ...] = ()
    """Rollouts that are over when this one starts; without, overlapping with one is refused."""

    @field_validator("name", "tenant")
    @classmethod
    def _fits_into_a_topic(cls, value: str) -> str:
        try:
            Topics().rollout(value, value)
        except WireError as err:
            raise ValueError(re.sub(r"^tenant ", "", str(err))) from None
        return value

    @field_validator("group_by", "supersedes", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value

    @field_validator("waves", mode="before")
    @classmethod
    def _short_or_long(cls, value: object) -> object:
        """`[5%, 50%, 100%]` as well as a list of tables."""
        if not isinstance(value, Sequence) or isinstance(value, str):
            return value
        return tuple(each if isinstance(each, dict | WavePlan) else {"to": each} for each in value)

    @field_validator("gates", mode="before")
    @classmethod
    def _many(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value

    @field_validator("start_at", mode="before")
    @classmethod
    def _time(cls, value: object) -> object:
        return datetime.fromisoformat(value) if isinstance(value, str) else value

    @field_validator("waves")
    @classmethod
    def _pilots_come_first(cls, waves: tuple[WavePlan, ...]) -> tuple[WavePlan, ...]:
        for number, wave in enumerate(waves, 1):
            if wave.pilot and (number > 1 or len(waves) == 1):
                msg = f"wave {number} is a pilot: only the first of several waves can be one"
                raise ValueError(msg)
        return waves

    @field_validator("waves")
    @classmethod
    def _waves_grow(cls, waves: tuple[WavePlan, ...]) -> tuple[WavePlan, ...]:
        if not 1 <= len(waves) <= MAX_WAVES:
            msg = f"1 to {MAX_WAVES} waves expected, not {len(waves)}"
            raise ValueError(msg)
        for number, (before, after) in enumerate(pairwise(waves), 2):
            (share, count), (next_share, next_count) = before.to, after.to
            falls = next_share <= share if share is not None and next_share is not None else False
            falls = falls or (next_count <= count if count is not None and next_count is not None else False)
            if falls:
                msg = (
                    f"wave {number} goes to {after.to}, the one before to {before.to} already: they are cumulative and grow"
                )
                raise ValueError(msg)
        return waves

    @model_validator(mode="after")
    def _gates_differ(self) -> Plan:
        names = [gate.name for gate in self.gates]
        for name in names:
            if names.count(name) > 1 or name == DEVICES_GATE:
                msg = f"gates: {name!r} is there twice: each needs a name of its own"
                raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _logs_are_compared(self) -> Plan:
        for gate in self.gates:
            if gate.measure == "log_templates" and not self.log_evidence:
                msg = f"gates: {gate.name} needs what log_evidence = false turns off"
                raise ValueError(msg)
        return self

    @property
    def digest(self) -> str:
        """The hash of all it says, 64 hex digits."""
        return hashlib.sha256(canonical_json(self.to_json())).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Plan:
        """The plan of `to_json`. Raises pydantic's ValidationError for anything else."""
        return cls.model_validate(data)
