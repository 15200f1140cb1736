"""The simulation's clock, and the messages that are due."""

from __future__ import annotations

from dataclasses import dataclass

from fleetview_agent.wire import Address, Channel, LogBatch, Message, encode
from fleetview_agent.wire.topics import RETAINED

_COMPRESSED_FROM_RECORDS = 12


@dataclass(frozen=True, slots=True)
class Publication:
    """One message of the simulated fleet, and when it is due."""

    at_s: float
    """Seconds since the simulation began."""
    address: Address
    channel: Channel
    body: Message | bytes
    """Bytes are published as they are: what other shippers write, payloads that break the contract, and empty ones."""
    command_id: str | None = None
    """Of the command that it is the result of."""

    @property
    def retain(self) -> bool:
        """Whether the broker keeps it."""
        return self.channel in RETAINED

    @property
    def at_least_once(self) -> bool:
        """QoS 1; only heartbeats go with QoS 0."""
        return self.channel is not Channel.HEARTBEAT

    def payload(self) -> bytes:
        """As it goes over the wire. Raises WireError when the message breaks the contract."""
        if isinstance(self.body, bytes):
            return self.body
        large = isinstance(self.body, LogBatch) and len(self.body.records) >= _COMPRESSED_FROM_RECORDS
        return encode(self.body, compress=large)


class Outbox:
    """Collects what devices say, each message with the moment at which it is said."""

    def __init__(self, start_unix_s: float, now_s: float) -> None:
        self.start_unix_s = start_unix_s
        """The wall clock at second 0 of the simulation; moved when the machine's clock is found to have jumped."""
        self.now_s = now_s
        self._waiting: list[Publication] = []

    @property
    def unix_s(self) -> float:
        """The true time, in seconds since 1970."""
        return self.start_unix_s + self.now_s

    def send(self, address: Address, channel: Channel, body: Message | bytes, command_id: str | None = None) -> None:
        """Something is said now."""
        self._waiting.append(Publication(self.now_s, address, channel, body, command_id))

    def take(self) -> list[Publication]:
        """Everything said since it was last asked, in order."""
        waiting, self._waiting = self._waiting, []
        return waiting
