"""The states of the link between an agent and its broker: who asks how it stands needs nothing of how it is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fleetview_agent.endpoint import Failure
from fleetview_agent.mqtt import Session


@dataclass(frozen=True, slots=True)
class Connecting:
    """On the way to the broker."""

    word: Literal["connecting"] = "connecting"
    words: str = ""


@dataclass(frozen=True, slots=True)
class Up:
    """Connected."""

    session: Session
    word: Literal["up"] = "up"
    words: str = ""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waiting after a failure."""

    failure: Failure
    retry_in_s: float
    word: Literal["backoff"] = "backoff"

    @property
    def words(self) -> str:
        return self.failure.words


@dataclass(frozen=True, slots=True)
class Refused:
    """Waiting long, because the broker does not let this device in."""

    failure: Failure
    retry_in_s: float
    word: Literal["refused"] = "refused"

    @property
    def words(self) -> str:
        return self.failure.words


@dataclass(frozen=True, slots=True)
class Stopped:
    """Over, on request."""

    word: Literal["stopped"] = "stopped"
    words: str = ""


LinkState = Connecting | Up | Backoff | Refused | Stopped
