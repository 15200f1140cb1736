"""The payloads that steer: what devices should run, what is asked of them, their answers, and the rollouts of a tenant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, get_args

from pydantic import ConfigDict, Field

from fleetview_agent.wire.messages import (
    CommandStatus,
    CommandVerb,
    ConfigStatus,
    Message,
    Part,
    ReleaseStatus,
    RolloutVerb,
)
from fleetview_agent.wire.topics import Channel
from fleetview_agent.wire.values import Count, Id, Integer, Number, Time


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
    findings: list[PreflightFinding] = Field(default_factory=list)
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
    args: dict[str, Any] = Field(default_factory=dict)
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

    verb: RolloutVerb | Literal["start", "watch"]
    """The contract's six steer a rollout; `start` brings the plan of a new one, and `watch` says that somebody looks."""
