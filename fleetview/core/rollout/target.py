"""What a device should run: a configuration, a release, or both."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fleetview_agent.wire import ConfigOffer, Desired, ReleaseOffer
from fleetview_agent.wire.documents import canonical_json, document_sha256

Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256, 64 hex digits in lower case."""


class Strict(BaseModel):
    """What a person writes: a key that nobody knows is an error, and so is a number in the place of a text."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, use_attribute_docstrings=True)


class ConfigTarget(Strict):
    """A configuration document."""

    version: int
    """Whole number, shown to people and reported by devices."""
    document: dict[str, Any]
    """The configuration itself."""
    sha256: Hash = ""
    """Of the document's canonical JSON; worked out when it is not given."""

    @model_validator(mode="after")
    def _hash_is_that_of_the_document(self) -> ConfigTarget:
        try:
            found = document_sha256(self.document)
        except (ValueError, TypeError) as err:
            msg = f"the document cannot be written as JSON: {err}"
            raise ValueError(msg) from None
        if not self.sha256:
            object.__setattr__(self, "sha256", found)
        elif self.sha256 != found:
            msg = f"sha256 is {self.sha256}, but that of the document is {found}: leave it out, or mend the document"
            raise ValueError(msg)
        return self


class ReleaseTarget(Strict):
    """A release."""

    version: Annotated[str, Field(min_length=1, max_length=128)]
    """As devices report it."""
    url: Annotated[str, Field(pattern=r"^(https?|file)://")] | None = None
    """Where the device gets it: http, https or file."""
    sha256: Hash | None = None
    """Of the file."""
    size: Annotated[int, Field(ge=0)] | None = None
    """Of the file, in bytes."""
    signature: Annotated[str, Field(max_length=4096)] | None = None
    """As `fleetview-agent release sign` prints it; without, devices look for it at the URL with `.sig` behind it."""


class Target(Strict):
    """What a device should run. At least one of the two."""

    config: ConfigTarget | None = None
    """A configuration; without one, that of the device stays as it is."""
    release: ReleaseTarget | None = None
    """A release; without one, that of the device stays as it is."""

    @model_validator(mode="after")
    def _holds_something(self) -> Target:
        if self.config is None and self.release is None:
            msg = "neither a config nor a release: there is nothing to roll out"
            raise ValueError(msg)
        return self

    @cached_property
    def key(self) -> str:
        """By what it is known in the state: the hash of all it says, 16 hex digits. Worked out once for each object."""
        return hashlib.sha256(canonical_json(self.model_dump(mode="json"))).hexdigest()[:16]

    @property
    def words(self) -> str:
        """`release 1.5.0 and config 12`."""
        parts = [f"release {self.release.version}"] if self.release else []
        return " and ".join([*parts, f"config {self.config.version}"] if self.config else parts)

    def config_offer(self) -> ConfigOffer | None:
        """Its configuration as the contract's `desired` has it."""
        if self.config is None:
            return None
        return ConfigOffer(version=self.config.version, sha256=self.config.sha256, document=self.config.document)

    def release_offer(self) -> ReleaseOffer | None:
        """Its release as the contract's `desired` has it; only what is known of it."""
        return None if self.release is None else ReleaseOffer(**self.release.model_dump(exclude_none=True))


def target_of(desired: Desired) -> Target | None:
    """What a device was to run until now, to go back to; None when that is not told in full."""
    config, release = desired.config, desired.release
    try:
        return Target(
            config=ConfigTarget(version=config.version, document=config.document)
            if config is not None and config.version is not None and config.document is not None
            else None,
            release=ReleaseTarget(**release.model_dump(include=set(ReleaseTarget.model_fields)))
            if release is not None and release.version is not None
            else None,
        )
    except ValueError:
        return None


def desired_message(target: Target, gen: int, epoch: int, rollout: str) -> Desired:
    """The contract's `desired` for an offer of this target."""
    found = Desired(gen=gen, epoch=epoch, rollout=rollout)
    if (config := target.config_offer()) is not None:
        found.config = config
    if (release := target.release_offer()) is not None:
        found.release = release
    return found
