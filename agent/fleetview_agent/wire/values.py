"""Values that stand in the contract's fields: times, numbers, ids."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, Field, PlainSerializer


def format_time(moment: datetime) -> str:
    """A time as the contract writes it: RFC 3339, UTC, milliseconds, `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _in_utc(moment: datetime) -> datetime:
    # A time without a zone is UTC by the contract. Offsets are allowed to readers, and out of range near year 1 and 9999.
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as err:
        msg = "time out of range"
        raise ValueError(msg) from err


Time = Annotated[datetime, AfterValidator(_in_utc), PlainSerializer(format_time, when_used="json")]
Number = Annotated[float, Field(allow_inf_nan=False)]
Integer = Annotated[int, Field(ge=-(2**63), lt=2**63)]
"""What a database holds; JSON itself has no bound, and Python refuses to print a number of more than 4,300 digits."""
Count = Annotated[int, Field(ge=0, lt=2**63)]
Id = Annotated[str, Field(min_length=1, max_length=128)]
