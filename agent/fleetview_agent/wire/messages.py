"""Every payload of the contract as a model.

Reading is lenient: unknown fields are ignored, and only what the contract marks with `*` must be there; but a field that is
there must have its type. Writing is strict: `breaches` names what the contract forbids to write, and `encode` refuses it.
Units stand in the names (`_s` seconds, `_ms` milliseconds, `bytes`), fractions are 0..1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, get_args

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


class ConfigOffer(Part):
    """A configuration that a device should run."""

    version: Integer | None = None
    sha256: str | None = None
    document: dict[str, Any] | None = None


class ReleaseOffer(Part):
    """A release that a device should run."""

    version: str | None = None
    url: str | None = None
    sha256: str | None = None
    size: Count | None = None
    signature: str | None = None
    """Lines of the agent's `release.signing`. None: they are to be found beside the archive."""


class Desired(Message):
    """What a device should run. `gen` only grows, per device."""

    channel = Channel.DESIRED

    gen: Count
    epoch: Integer | None = None
    rollout: str | None = None
    not_after: Time | None = None
    config: ConfigOffer | None = None
    release: ReleaseOffer | None = None


class ConfigReport(Part):
    """The configuration that a device runs, and how far a change has got."""

    version: Integer | None = None
    sha256: str | None = None
    status: ConfigStatus | None = None
    reason: str | None = None
    last_good: Integer | None = None


class ReleaseReport(Part):
    """The release that a device runs, and how far a change has got."""

    version: str | None = None
    previous: str | None = None
    status: ReleaseStatus | None = None
    progress: Number | None = None
    reason: str | None = None

    def breaches(self) -> Iterator[str]:
        if self.progress is not None and not 0 <= self.progress <= 1:
            yield f"progress: {self.progress} is not a fraction of 0 to 1"


class PreflightFinding(Part):
    """One thing that stands in a device's way, and what to do about it."""

    subject: str
    level: Literal["warning", "error"] | None = None
    words: str = ""


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}" if count else ""


class PreflightReport(Part):
    """What `fleetview-agent check` last found, in numbers; in words what is wrong, the worst first."""

    at: Time | None = None
    ok: Count = 0
    warnings: Count = 0
    errors: Count = 0
    skipped: Count = 0
    findings: list[PreflightFinding] = []
    """Not more than fit: see the numbers for how many there are."""

    def summary(self) -> str:
        """How many findings there are of each kind, in words: `all 20 ok` when nothing is wrong."""
        wrong = [_many(self.errors, "error"), _many(self.warnings, "warning")]
        shown = [words for words in wrong if words]
        skipped = f", {self.skipped:,} skipped" if self.skipped else ""
        return (", ".join(shown) + f", {self.ok:,} ok" if shown else f"all {self.ok:,} ok") + skipped


class Reported(Message):
    """What a device does run."""

    channel = Channel.REPORTED

    session: Id
    gen: Count
    at: Time | None = None
    config: ConfigReport | None = None
    release: ReleaseReport | None = None
    preflight: PreflightReport | None = None


class Command(Message):
    """One request to a device."""

    channel = Channel.COMMAND

    verb: str
    args: dict[str, Any] = {}
    expires_at: Time
    by: str | None = None

    def breaches(self) -> Iterator[str]:
        if self.verb not in get_args(CommandVerb):
            yield f"verb: {self.verb!r} is not one of {', '.join(get_args(CommandVerb))}"


class CommandResult(Message):
    """The outcome of a request."""

    channel = Channel.COMMAND_RESULT

    status: CommandStatus
    message: str | None = None
    at: Time | None = None


class Controller(Message):
    """Who leads a tenant's rollouts."""

    channel = Channel.CONTROLLER

    id: Id | None = None
    epoch: Integer | None = None
    since: Time | None = None


class RolloutSnapshot(Message):
    """A rollout as the controller shows it; the contract leaves its fields to the controller, so all are kept."""

    channel = Channel.ROLLOUT
    model_config = ConfigDict(extra="allow")


class RolloutCommand(Message):
    """What an operator asks of a rollout."""

    channel = Channel.ROLLOUT_COMMAND
    model_config = ConfigDict(extra="allow")

    verb: RolloutVerb


MODELS: dict[Channel, type[Message]] = {
    model.channel: model
    for model in (
        Birth,
        State,
        Heartbeat,
        LogBatch,
        LogAck,
        Desired,
        Reported,
        Command,
        CommandResult,
        Controller,
        RolloutSnapshot,
        RolloutCommand,
    )
}
