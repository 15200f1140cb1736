"""The payloads of the contract as models: what they are made of, and what devices tell of themselves.

What is desired of them and asked of them, with their answers, stands in `steering`; which is on which channel, in `models`.
Reading is lenient: unknown fields are ignored, and only what the contract marks with `*` must be there; but a field that is
there must have its type. Writing is strict: `breaches` names what the contract forbids to write, and `encode` refuses it.
Units stand in the names (`_s` seconds, `_ms` milliseconds, `bytes`), fractions are 0..1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from fleetview_agent.wire.topics import Channel
from fleetview_agent.wire.values import Count, Id, Integer, Number, Time

Health = Literal["ok", "degraded", "critical"]
Presence = Literal["online", "offline", "sleeping", "lost"]
ModuleState = Literal["waiting", "starting", "running", "backoff", "failed", "stopped"]
ConfigStatus = Literal["pending", "applying", "applied", "rejected", "rolled_back"]
ReleaseStatus = Literal[
    "queued", "downloading", "verifying", "staged", "applying", "checking", "committed", "rolled_back", "failed"
]
CommandVerb = Literal["restart_module", "set_log_level", "ping", "diagnostics"]
CommandStatus = Literal["accepted", "succeeded", "failed", "expired", "unknown_verb"]
RolloutVerb = Literal["pause", "resume", "retry", "skip", "abort", "rollback"]

_METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


class Part(BaseModel):
    """A part of a message, or a whole one."""

    model_config = ConfigDict(strict=True, extra="ignore", validate_default=False, ser_json_inf_nan="null")

    def breaches(self) -> Iterator[str]:
        """What the contract forbids to write, in words. Readers do not ask."""
        for name in type(self).model_fields:
            value = getattr(self, name)
            for part in value if isinstance(value, list) else (value,):
                if isinstance(part, Part):
                    for breach in part.breaches():
                        yield f"{name}.{breach}"


class Message(Part):
    """A payload. `v` is always written."""

    channel: ClassVar[Channel]

    v: Literal[1] = 1


class AgentInfo(Part):
    """The agent program of a device."""

    version: str | None = None


class HostInfo(Part):
    """The machine below the agent."""

    arch: str | None = None
    os: str | None = None
    kernel: str | None = None
    cpus: Count | None = None
    memory_bytes: Count | None = None
    hostname: str | None = None
    boot_id: str | None = None


class Certificate(Part):
    """The client certificate that the agent presents."""

    sha256: str | None = None
    not_after: Time | None = None


class Birth(Message):
    """Inventory, once per session."""

    channel = Channel.BIRTH

    session: Id | None = None
    device: Id
    started_at: Time | None = None
    heartbeat_interval_s: Annotated[float, Field(ge=0.001, le=86400 * 7, allow_inf_nan=False)] | None = None
    """H of the rules, which divide by it: a millisecond to a week."""
    agent: AgentInfo | None = None
    deployment: Literal["static", "container", "function"] | None = None
    host: HostInfo | None = None
    modules: list[str] = []
    labels: dict[str, str] = {}
    certificate: Certificate | None = None

    def breaches(self) -> Iterator[str]:
        yield from super().breaches()
        if self.session is None:
            yield "session: missing"
        if self.heartbeat_interval_s is None:
            yield "heartbeat_interval_s: missing"


class State(Message):
    """Presence."""

    channel = Channel.STATE

    session: Id
    state: Presence
    at: Time | None = None
    reason: str | None = None
    wake_by: Time | None = None

    def breaches(self) -> Iterator[str]:
        if self.state == "lost" and self.at is not None:
            yield "at: a will does not know when"
        if self.state != "lost" and self.at is None:
            yield "at: missing"
        if self.state == "offline" and not self.reason:
            yield "reason: missing; a clean stop says why"
        if self.state == "sleeping" and self.wake_by is None:
            yield "wake_by: missing"


class Resources(Part):
    """Vitals of the machine; `cpu`, `memory` and `disk` are fractions."""

    cpu: Number | None = None
    memory: Number | None = None
    disk: Number | None = None
    temperature_c: Number | None = None

    def breaches(self) -> Iterator[str]:
        for name in ("cpu", "memory", "disk"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                yield f"{name}: {value} is not a fraction of 0 to 1"


class ModuleInfo(Part):
    """One module of a device."""

    name: str
    state: ModuleState | None = None
    version: str | None = None
    restarts: Count = 0
    reason: str | None = None

    def breaches(self) -> Iterator[str]:
        if self.state is None:
            yield f"{self.name}: state: missing"


class LogCounts(Part):
    """Log records by level since the session began."""

    debug: Count = 0
    info: Count = 0
    warn: Count = 0
    error: Count = 0


class SpoolInfo(Part):
    """Log records that wait on the device."""

    records: Count = 0
    bytes: Count = 0
    oldest_s: Number | None = None
    dropped: Count = 0


class LinkInfo(Part):
    """The device's link to the broker."""

    rtt_ms: Number | None = None
    reconnects: Count = 0


class Heartbeat(Message):
    """Vitals."""

    channel = Channel.HEARTBEAT

    session: Id
    seq: Count
    timestamp: Time
    uptime_s: Number | None = None
    health: Health | None = None
    reasons: list[str] = []
    resources: Resources | None = None
    modules: list[ModuleInfo] = []
    metrics: dict[str, Number | None] = {}
    logs: LogCounts | None = None
    spool: SpoolInfo | None = None
    link: LinkInfo | None = None
    release: str | None = None
    config: Integer | None = None
    gen: Integer | None = None

    def breaches(self) -> Iterator[str]:
        yield from super().breaches()
        if self.health is None:
            yield "health: missing"
        elif self.health != "ok" and not self.reasons:
            yield f"reasons: missing; health {self.health!r} needs its reasons in words"
        for name, value in self.metrics.items():
            if _METRIC_NAME.fullmatch(name) is None:
                yield f"metrics: {name!r} is not a Prometheus name"
            if value is None:
                yield f"metrics: {name!r} is not a number"


class LogBatch(Message):
    """Log records. Those of other shippers have no `stream`, so neither gaps nor duplicates can be told.

    `records` are as received; `records.normalize` reads the dialects.
    """

    channel = Channel.LOG

    stream: Id | None = None
    first_seq: Count | None = None
    records: list[dict[str, Any]]

    def breaches(self) -> Iterator[str]:
        if self.stream is None:
            yield "stream: missing"
        if self.first_seq is None:
            yield "first_seq: missing"
        for index, record in enumerate(self.records):
            missing = [
                name for name in ("timestamp", "service", "level", "message") if not isinstance(record.get(name), str)
            ]
            if missing:
                yield f"records[{index}]: {', '.join(missing)}: a text expected"
            elif record["level"] not in {"DEBUG", "INFO", "WARN", "ERROR"}:
                yield f"records[{index}].level: {record['level']!r} is not DEBUG, INFO, WARN or ERROR"


class LogAck(Message):
    """How far a stream is safely stored."""

    channel = Channel.LOG_ACK

    stream: Id
    through: Count
