"""One message as a feed hands it to the core: decoded, with its time of receipt."""

from __future__ import annotations

from typing import NamedTuple

from fleetview_agent.wire import Address, Channel, Message, WireError


class Received(NamedTuple):
    """A message of one device. A NamedTuple, for one is made per message: it costs half of a frozen dataclass."""

    address: Address
    channel: Channel
    body: Message | WireError | None
    """None for an empty payload, which takes the retained message away; WireError for one that is not valid."""
    payload: bytes
    """As received."""
    retained: bool
    """Delivered as retained: says what was, not that anybody is alive."""
    mono_s: float
    """Time of receipt on the reader's monotonic clock, in seconds. Ages come from here."""
    unix_s: float
    """Time of receipt in seconds since 1970. Only for what is shown, and for estimating a device's clock."""
    command_id: str | None = None
