"""What the twin's decisions are made of: its state, what happens to it, and what is to be done. See `decide`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fleetview_agent.twin.watch import Sample, Watch
from fleetview_agent.wire import ConfigReport, Desired, ReleaseOffer
from fleetview_agent.wire.messages import ConfigStatus


@dataclass(frozen=True, slots=True)
class Configuration:
    """A configuration document, as it was offered."""

    version: int | None
    sha256: str
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Kept:
    """What is on the disk beside the last good configuration."""

    gen: int = 0
    """The newest that was accepted or answered."""
    epoch: int | None = None
    """The highest that was seen."""
    content: str | None = None
    """What that generation desires, as a hash."""
    refused: str | None = None
    """Why that generation as a whole came too late, if it did."""
    status: ConfigStatus | None = None
    """Of the last configuration that was offered, and so for the next four."""
    version: int | None = None
    sha256: str | None = None
    reason: str | None = None
    trying: Configuration | None = None
    """Neither good nor bad yet."""
    attempts: int = 0
    """How often that was begun."""


@dataclass(frozen=True, slots=True)
class State:
    """The twin. What is not `kept` or `last_good` is gone after a cut of power."""

    kept: Kept = Kept()
    last_good: Configuration | None = None
    """None: the file on the device alone."""
    running: Configuration | None = None
    verify_s: float = 60.0
    watch: Watch | None = None
    before: Sample | None = None
    """How the device was before the trying began, whatever is tried after one another."""
    retry_at_s: float | None = None
    unusable: ConfigReport | None = None
    """What is reported until the next offer, of a last good configuration that the device cannot run any more."""
    release: ReleaseOffer | None = None
    """Of this generation, not handed on yet."""
    has_config: bool = False
    """Whether this generation desires a configuration too, on which its release waits."""
    released: int | None = None
    """The generation whose release was handed on in this session."""

    def report(self) -> ConfigReport | None:
        """The `config` of `reported`."""
        kept = self.kept
        if self.unusable is not None:
            return self.unusable
        if kept.status is None:
            return None
        return ConfigReport(
            version=kept.version,
            sha256=kept.sha256,
            status=kept.status,
            reason=kept.reason,
            last_good=None if self.last_good is None else self.last_good.version,
        )

    def next_due_s(self) -> float | None:
        """When `Due` has something to do, apart from looks at the device."""
        return self.retry_at_s


@dataclass(frozen=True, slots=True)
class Doubt:
    """About the file on the device, which is being tried or was taken back. See `local`."""

    sha256: str
    """Of what it says."""
    before: Mapping[str, Any]
    """What the one before it said, which was good."""
    attempts: int
    """How often that was begun."""
    reason: str | None = None
    """Why it was taken back."""

    @property
    def problem(self) -> str | None:
        """Why something else runs than the file says, in words; None while it is being tried."""
        return None if self.reason is None else f"the configuration file was rolled back, and is not used: {self.reason}"


# Events


@dataclass(frozen=True, slots=True)
class Wanted:
    """A `desired` arrived, at this time of the device's clock."""

    desired: Desired
    at: datetime


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """Nothing is desired any more."""


@dataclass(frozen=True, slots=True)
class Validated:
    """The configuration that is tried is valid, or not, for this reason. How the device is, and what would be touched."""

    reason: str | None
    note: str | None = None
    """What is to be told although it is valid."""
    before: Sample = field(default_factory=lambda: Sample("ok"))
    touched: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Waits:
    """The configuration that is tried cannot be yet, for this reason."""

    words: str


@dataclass(frozen=True, slots=True)
class Looked:
    """How the device is now."""

    sample: Sample


@dataclass(frozen=True, slots=True)
class Due:
    """It is `next_due_s`."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The agent stops because it was asked to."""


@dataclass(frozen=True, slots=True)
class Failed:
    """An effect could not be carried out: what was to be kept is not, or what was to run does not."""

    words: str


Event = Wanted | Withdrawn | Validated | Waits | Looked | Due | Stopped | Failed

# Effects


@dataclass(frozen=True, slots=True)
class Keep:
    """Write this to the disk."""

    kept: Kept


@dataclass(frozen=True, slots=True)
class KeepLastGood:
    """Write the last good configuration to the disk."""

    configuration: Configuration


@dataclass(frozen=True, slots=True)
class Validate:
    """Find out whether this is valid, and tell."""

    configuration: Configuration


@dataclass(frozen=True, slots=True)
class Apply:
    """Make the configuration run that was validated last."""


@dataclass(frozen=True, slots=True)
class Revert:
    """Make the last good configuration run."""


@dataclass(frozen=True, slots=True)
class Tell:
    """Report the state as it is now; `words` are for the log."""

    words: str
    is_bad: bool = False


@dataclass(frozen=True, slots=True)
class OfferRelease:
    """Hand this on to the updater."""

    offer: ReleaseOffer
    gen: int


@dataclass(frozen=True, slots=True)
class RefuseRelease:
    """Tell the updater not to begin with this."""

    offer: ReleaseOffer
    gen: int
    reason: str


@dataclass(frozen=True, slots=True)
class WithdrawRelease:
    """Tell the updater that nothing is desired any more."""


Effect = Keep | KeepLastGood | Validate | Apply | Revert | Tell | OfferRelease | RefuseRelease | WithdrawRelease
