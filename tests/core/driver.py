"""A fleet on a virtual clock, and helpers that send it what devices and brokers send."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from fleetview.core.device import Device
from fleetview.core.fleet import Fleet
from fleetview.core.logbook import Logbook
from fleetview.core.received import Received
from fleetview.core.roster import MAX_DEVICES
from fleetview_agent.wire import Address, Channel, Message, WireError, decode, format_time

STARTED_UNIX = 1_795_000_000
"""Unix time at 0 of the monotonic clock. Whole seconds are exact in floats, so the tests can stand on an edge."""
DEVICE = Address("acme", "plant-7", "gw-1")


class World:
    """A Fleet whose link is up, and a clock that stands until `wait`."""

    def __init__(self, logbook: Logbook | None = None, max_devices: int = MAX_DEVICES) -> None:
        self.fleet = Fleet(logbook, max_devices)
        self.mono_s = 1000.0
        self.fleet.link_up(self.mono_s)

    @property
    def unix_s(self) -> float:
        return STARTED_UNIX + self.mono_s

    @property
    def device(self) -> Device:
        return self.fleet.devices[DEVICE]

    def told(self, device: Device | None = None) -> tuple[str, bool]:
        """Connectivity, and whether it is confirmed."""
        found = self.device if device is None else device
        return found.connectivity.value, found.confirmed

    def time(self, age_s: float = 0.0) -> str:
        """A device's way to write the moment `age_s` ago."""
        return format_time(datetime.fromtimestamp(self.unix_s - age_s, UTC))

    def wait(self, seconds: float) -> None:
        self.mono_s += seconds
        self.fleet.advance(self.mono_s, self.unix_s)

    def blind(self, seconds: float) -> None:
        """The reader's own link is down for so long."""
        self.fleet.link_down(self.mono_s)
        self.wait(seconds)
        self.fleet.link_up(self.mono_s)
        self.fleet.advance(self.mono_s, self.unix_s)

    def send_bytes(self, channel: Channel, payload: bytes, *, retained: bool = False, address: Address = DEVICE) -> None:
        body: Message | WireError | None
        try:
            body = decode(channel, payload) if payload else None
        except WireError as err:
            body = err
        self.fleet.apply(Received(address, channel, body, payload, retained, self.mono_s, self.unix_s))

    def send(self, channel: Channel, fields: dict[str, Any], *, retained: bool = False, address: Address = DEVICE) -> None:
        self.send_bytes(channel, json.dumps({"v": 1, **fields}).encode(), retained=retained, address=address)

    def birth(
        self, session: str | None = "S1", *, h: float = 30, retained: bool = False, address: Address = DEVICE, **more: Any
    ) -> None:
        fields = {"session": session, "device": address.device, "heartbeat_interval_s": h, **more}
        self.send(Channel.BIRTH, fields, retained=retained, address=address)

    def state(
        self,
        state: str,
        session: str = "S1",
        *,
        age_s: float | None = 0,
        wake_in_s: float | None = None,
        reason: str | None = None,
        retained: bool = False,
        address: Address = DEVICE,
    ) -> None:
        fields: dict[str, Any] = {"session": session, "state": state, "reason": reason}
        if state != "lost" and age_s is not None:
            fields["at"] = self.time(age_s)
        if wake_in_s is not None:
            fields["wake_by"] = self.time(-wake_in_s)
        self.send(Channel.STATE, fields, retained=retained, address=address)

    def heartbeat(
        self,
        seq: int = 0,
        session: str = "S1",
        *,
        age_s: float = 0,
        health: str | None = "ok",
        retained: bool = False,
        address: Address = DEVICE,
        **more: Any,
    ) -> None:
        fields = {"session": session, "seq": seq, "timestamp": self.time(age_s), "health": health, **more}
        self.send(Channel.HEARTBEAT, fields, retained=retained, address=address)

    def log(
        self,
        first: int | None,
        number: int = 1,
        /,
        *,
        stream: str | None = "L1",
        address: Address = DEVICE,
        **record: Any,
    ) -> None:
        records = [
            {"timestamp": self.time(), "service": "s", "level": "INFO", "message": f"m{index}", **record}
            for index in range(number)
        ]
        fields = {"stream": stream, "first_seq": first, "records": records}
        self.send(Channel.LOG, fields, address=address)
