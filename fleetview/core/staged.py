"""How far rollouts have the devices of a fleet, and when their waves began: from what the board knows of rollouts.

A rollout names at most a thousand devices, those with which something is wrong first; of the others nothing is known here.
Where several name a device, the one that is not over counts, and of those the newest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from fleetview.core.device import Device, Event

if TYPE_CHECKING:
    from datetime import datetime

    from fleetview.core.fleet import Fleet
    from fleetview.core.rollout.board import Board, Key, Shown
    from fleetview.core.rollout.snapshot import ShownDevice
    from fleetview_agent.wire import Address

MOST_ROLLOUTS = 32
"""Looked at, in the order of the list: each names up to a thousand devices, and this is done between two repaints."""


class WaveBegan(NamedTuple):
    """A moment to be marked in time."""

    unix_s: float
    text: str


class _Named(NamedTuple):
    """What one rollout says of one device."""

    rollout: str
    device: ShownDevice

    @property
    def at(self) -> tuple[str, str, datetime]:
        """Where it is, and since when."""
        return self.rollout, self.device.stage, self.device.since


class Staged:
    """Keeps `Device.stage` as the board has it."""

    def __init__(self) -> None:
        self._changes = 0
        self._read: dict[Key, tuple[Shown, dict[Address, _Named]]] = {}
        """By rollout, from which it was read: one that was not told anew is not read again."""
        self._named: dict[Address, _Named] = {}

    def look(self, fleet: Fleet, board: Board) -> None:
        """Bring the devices up to date, those too that came since; what they were before they were named is nobody's."""
        if board.changes != self._changes:
            self._changes = board.changes
            self._take(fleet, board)
        elif self._named:
            for device in list(fleet.roster.changes.added):
                if (named := self._named.get(device.address)) is not None:
                    fleet.set_stage(device, named.device.stage.value)

    def _take(self, fleet: Fleet, board: Board) -> None:
        latest = board.in_order()[:MOST_ROLLOUTS]
        before, read = self._named, self._read
        self._read = {shown.key: _read(shown, read.get(shown.key)) for shown in latest}
        self._named = {}
        for shown in reversed(latest):
            self._named |= self._read[shown.key][1]
        live = {shown.key.id for shown in latest if not shown.retained}
        for address, named in self._named.items():
            device = fleet.devices.get(address)
            was = before.get(address)
            if device is None or named is was:
                continue
            fleet.set_stage(device, named.device.stage.value)
            # What a reader learns when it comes is no change.
            if named.rollout in live and (was is None or was.at != named.at):
                _note(device, named)
        for address in before.keys() - self._named.keys():
            if (device := fleet.devices.get(address)) is not None:
                fleet.set_stage(device, None)


def _read(shown: Shown, known: tuple[Shown, dict[Address, _Named]] | None) -> tuple[Shown, dict[Address, _Named]]:
    if known is not None and known[0] is shown:
        return known
    return shown, {address: _Named(shown.key.id, device) for address, device in shown.devices()}


def _note(device: Device, named: _Named) -> None:
    told = named.device
    if told.stage == "waiting" and told.goal == "change":
        return  # that it is part of a rollout is said when it is offered something
    goal = " to go back" if told.goal == "previous" and told.stage != "rolled_back" else ""
    because = f": {told.reason}" if told.reason else ""
    event = Event(told.since.timestamp(), "rollout", f"rollout {named.rollout}: {told.stage.value}{goal}{because}")
    if event not in (device.events or ()):  # a rollout names it, stops naming it, and names it again
        device.note(*event)


def waves_of(board: Board, *, rollout: str | None = None, tenant: str | None = None) -> Iterator[WaveBegan]:
    """When waves began: of one rollout, of a tenant's, or of all."""
    for key, shown in board.rollouts.items():
        if rollout not in {None, key.id} or tenant not in {None, key.tenant}:
            continue
        for wave in shown.public.waves:
            if wave.started is not None and wave.devices:
                yield WaveBegan(wave.started.timestamp(), f"wave {wave.number} of {key.id} began")
