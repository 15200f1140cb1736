"""A fleet on a virtual clock whose heartbeats go into a store, and what a scrape of it would show."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from core.driver import World

from fleetview.core.received import Received
from fleetview.export.exposition import Exposition, Moment, Sample
from fleetview.export.labels import LabelPlan
from fleetview.export.store import Store
from fleetview_agent.wire import Address, Channel, Heartbeat, WireError, decode

_LINE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
LAB = Address("acme", "plant-7", "gw-1")


class Scraped(dict[str, float]):
    """Values by name and labels without those that every series has: `fleet_device_up`, `..._total{level="warn"}`."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.labels: dict[str, dict[str, str]] = {}
        for line in text.splitlines():
            if not line.startswith("#"):
                match = _LINE.fullmatch(line)
                assert match is not None, line
                name, labels, value = match.groups()
                found = dict(_LABEL.findall(labels or ""))
                own = ",".join(f'{key}="{found[key]}"' for key in ("module", "state", "level", "reason") if key in found)
                key = f"{name}{{{own}}}" if own else name
                assert key not in self or found != self.labels[key], f"twice: {line}"
                self[key], self.labels[key] = float(value), found

    def named(self, name: str) -> set[str]:
        return {key for key in self if key == name or key.startswith(name + "{")}


class ExportWorld(World):
    def __init__(self, labels: str = "", **bounds: int) -> None:
        super().__init__()
        self.store = Store(LabelPlan(labels), **bounds)
        self.blind_since_mono = math.inf

    def send_bytes(self, channel: Channel, payload: bytes, *, retained: bool = False, address: Address = LAB) -> None:
        super().send_bytes(channel, payload, retained=retained, address=address)
        for device in self.fleet.drain().removed:
            self.store.forget(device)
        if channel is not Channel.HEARTBEAT or not payload:
            return
        try:
            body = decode(channel, payload)
        except WireError:
            return
        assert isinstance(body, Heartbeat)
        received = Received(address, channel, body, payload, retained, self.mono_s, self.unix_s)
        self.store.take(self.fleet.devices[address], body, received)

    def scrape(self, *samples: Sample, openmetrics: bool = False, tenant: str | None = None) -> Scraped:
        moment = Moment(self.mono_s, self.blind_since_mono)
        pieces = Exposition(self.fleet, self.store, moment, tenant=tenant).pieces(samples, openmetrics=openmetrics)
        return Scraped("".join(pieces))

    def online(self, session: str = "S1", *, address: Address = LAB, **birth: Any) -> None:
        self.birth(session, address=address, **birth)
        self.state("online", session, address=address)

    def send_raw(self, fields: dict[str, Any], *, address: Address = LAB) -> None:
        """With NaN and whatever else Python writes."""
        self.send_bytes(Channel.HEARTBEAT, json.dumps({"v": 1, **fields}).encode(), address=address)
