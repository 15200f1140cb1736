"""What the decisions of `machine` are about: offers, a job, what is remembered; events and effects. Values only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Stage = Literal["queued", "downloading", "verifying", "staged", "applying", "checking", "going_back"]
Final = Literal["committed", "rolled_back", "failed"]

_SWITCHED = frozenset({"applying", "checking", "going_back"})
"""Another release than the committed one may run."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A release that is wanted."""

    version: str
    url: str
    sha256: str
    size: int | None = None
    signature: str | None = None

    def is_same(self, other: Offer) -> bool:
        """Whether both are the same release, wherever it is fetched from."""
        return (self.version, self.sha256) == (other.version, other.sha256)


@dataclass(frozen=True, slots=True)
class Job:
    """A change that is under way."""

    gen: int
    offer: Offer
    stage: Stage = "queued"
    tries: int = 0
    """Interrupted in a row, with nothing gained."""
    cuts: int = 0
    """How often the agent ended while it was tried."""
    progress: float = 0.0
    """0 to 1, of the download."""
    reason: str | None = None
    """Of the last interruption, what is not well yet, or why it goes back."""
    retry_at_s: float | None = None
    begun_s: float = 0.0
    """When the check began."""
    well_since_s: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a change ended."""

    gen: int
    version: str | None
    status: Final
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class State:
    """Of an updater."""

    running: str | None = None
    """The release that is committed; None: none."""
    previous: str | None = None
    """The one before, which stays on the disk."""
    job: Job | None = None
    last: Outcome | None = None
    following: tuple[int, Offer] | None = None
    """What is wanted as soon as the job has ended."""

    @property
    def boots_into(self) -> str | None:
        """What runs after a cut of power: never one that was not committed."""
        return self.running

    @property
    def may_have_switched(self) -> bool:
        """Whether another release than the committed one may be linked."""
        return self.job is not None and self.job.stage in _SWITCHED

    @property
    def gen(self) -> int:
        """The newest that was heeded."""
        known = [part.gen for part in (self.job, self.last) if part is not None]
        return max([*known, self.following[0]] if self.following else known, default=-1)


@dataclass(frozen=True, slots=True)
class Rules:
    """Durations in seconds."""

    verify_s: float
    settle_s: float
    retries: int
    delay_s: Callable[[int], float]
    """Before the next try, after so many without anything gained."""


# Events


@dataclass(frozen=True, slots=True)
class Booted:
    """The agent has started, and runs what `boots_into` says."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """This release is to run. `problem`: why the offer is none."""

    gen: int
    offer: Offer
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """Nothing is wanted any more."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """The offer may be taken. `installed`: it is on the disk, whole."""

    installed: bool


@dataclass(frozen=True, slots=True)
class Progressed:
    """So much has arrived."""

    fraction: float


@dataclass(frozen=True, slots=True)
class Did:
    """The last effect is done."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The last effect cannot be done, whatever is tried."""

    words: str


@dataclass(frozen=True, slots=True)
class BrokenOff:
    """The last effect was interrupted. `gained`: there is more than before."""

    words: str
    gained: bool = False


@dataclass(frozen=True, slots=True)
class Looked:
    """How the device is. `trouble` None: all is well. `hopeless`: it will not be by itself."""

    trouble: str | None
    hopeless: bool = False


@dataclass(frozen=True, slots=True)
class Ticked:
    """Time has passed."""


Event = Booted | Wanted | Withdrawn | Admitted | Progressed | Did | Refused | BrokenOff | Looked | Ticked


# Effects: each but `Clean` and `CallOff` is answered by `Did`, `Refused` or `BrokenOff` (`Admit`: by `Admitted`)


@dataclass(frozen=True, slots=True)
class Admit:
    """Look at the offer: signature, room on the disk, what is there already."""

    offer: Offer


@dataclass(frozen=True, slots=True)
class Fetch:
    """Download the archive, from where the last try ended."""

    offer: Offer


@dataclass(frozen=True, slots=True)
class Verify:
    """Hold what has arrived to its SHA-256, unpack it, and look at what it says of itself."""

    offer: Offer


@dataclass(frozen=True, slots=True)
class Prove:
    """Make sure that there is something to go back to, and that what comes next can be started."""

    version: str
    back_to: str | None


@dataclass(frozen=True, slots=True)
class Switch:
    """Let this release run."""

    version: str


@dataclass(frozen=True, slots=True)
class GoBack:
    """Let the release before run again; None: no release."""

    version: str | None


@dataclass(frozen=True, slots=True)
class CallOff:
    """End the effect that is under way, and take away what it has left."""


@dataclass(frozen=True, slots=True)
class Clean:
    """Take away what is not needed any more: all that has arrived, `drop`, and old releases but those to keep."""

    keep: tuple[str, ...]
    drop: str | None


Effect = Admit | Fetch | Verify | Prove | Switch | GoBack | CallOff | Clean
