"""What the configuration says of releases: `[ota]`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from fleetview_agent.configvalues import File, Name, Table, Text
from fleetview_agent.release.signing import key_id, public_key

_MIB = 1024 * 1024


def _key(value: str) -> str:
    public_key(value)
    return value


Seconds = Annotated[float, Field(ge=0.1, le=86400, allow_inf_nan=False)]
Key = Annotated[Text, AfterValidator(_key)]


class Ota(Table):
    """How releases are taken."""

    keys: list[Key] = Field(default_factory=list)
    """Ed25519 public keys, as `fleetview-agent release keygen` prints them. A signature by one of them is enough."""
    allow_unsigned: bool = False
    """Without any key: take releases that nobody vouches for. With keys a signature is always asked for."""
    name: Name | None = None
    """Take releases of this name only."""
    ca: File | None = None
    """For https: trust the authorities in this file. None: those that the system trusts."""
    folder: File | None = None
    """Where releases stand. None: `releases` in the agent's folder of state."""
    verify_s: Seconds | None = None
    """All has to be well for so long without a break before a release is kept. None: as long as for a configuration."""
    settle_s: Seconds = 120
    """After the switch, for modules to become well: after this and `verify_s` the release goes back."""
    keep: Annotated[int, Field(ge=2, le=100)] = 2
    """Releases on the disk, with the one that runs and the one before."""
    max_mib: Annotated[int, Field(ge=1, le=2**20)] = 512
    """Of an archive."""
    max_unpacked_mib: Annotated[int, Field(ge=1, le=2**20)] = 2048
    reserve_mib: Annotated[int, Field(ge=0, le=2**20)] = 64
    """Of the disk, left free whatever is downloaded and unpacked."""
    rate_kib_s: Annotated[int, Field(ge=1, le=2**20)] = 1024
    """Of a download: applications have the rest of the line."""
    timeout_s: Seconds = 30
    """For a connection, and for the next bytes."""
    retries: Annotated[int, Field(ge=0, le=1000)] = 10
    """Of a download, without a byte more than before."""

    @property
    def key_ids(self) -> list[str]:
        """Of the keys, as signatures name them."""
        return [key_id(public_key(key)) for key in self.keys]

    def standing(self) -> tuple[Literal["ok", "warning"], str]:
        """Whether releases can be taken, and from whom, in words for who sets the device up."""
        if self.keys:
            return "ok", f"taken when signed by {' or '.join(self.key_ids)}"
        if self.allow_unsigned:
            return "warning", "taken from anybody: set ota.keys to who may sign them, and leave allow_unsigned out"
        return "warning", "none is taken: set ota.keys to who may sign them"

    @property
    def max_bytes(self) -> int:
        """`max_mib` in bytes."""
        return self.max_mib * _MIB

    @property
    def max_unpacked_bytes(self) -> int:
        """`max_unpacked_mib` in bytes."""
        return self.max_unpacked_mib * _MIB

    @property
    def reserve_bytes(self) -> int:
        """`reserve_mib` in bytes."""
        return self.reserve_mib * _MIB

    @property
    def rate_bytes_s(self) -> int:
        """`rate_kib_s` in bytes a second."""
        return self.rate_kib_s * 1024
