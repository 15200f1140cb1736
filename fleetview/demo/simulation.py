"""The simulated fleet on a virtual clock: pure, and the same for the same seed, size, scenario and start.

Whoever plays it asks `until(now)` for what has become due. When and how often that is asked changes nothing: every message
is made at its own moment.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator
from itertools import count
from random import Random

from fleetview.demo import chatter, scenarios
from fleetview.demo.answers import Answers, Story
from fleetview.demo.choices import Scenario
from fleetview.demo.devices import Device
from fleetview.demo.following import follow
from fleetview.demo.inventory import plan_fleet
from fleetview.demo.outbox import Outbox, Publication
from fleetview.demo.scenarios import PRELUDE_S, Cue
from fleetview_agent.wire import Address, Channel, Desired

_JITTER = 0.10
"""Of the heartbeat interval, as the contract has it."""
_BATCHES_PER_S = 25.0
"""Log batches of the whole fleet; a large fleet's devices write less often each, or nothing could be read."""
_SELDOM_S = 9.0
"""A device writes no more often than about this, unless something happens to it."""
_SHIP_WITHIN_S = 1.0
_HISTORY_S = 900.0
_HISTORY_DEVICES = 200
"""Only smaller fleets begin with log records of the last minutes in their spools."""
_SHIPPER_EVERY_S = 25.0

_Happening = Callable[[], None]


class Simulation:
    """A simulated fleet. Raises ValueError for a size that makes no fleet."""

    def __init__(
        self,
        *,
        seed: int,
        devices: int,
        start_unix_s: float,
        scenario: Scenario = Scenario.BAD_NIGHT,
        sites: int | None = None,
        tenant: str = "acme",
        interval_s: float = 10.0,
    ) -> None:
        self._rng = Random(f"{seed}/fleet")  # noqa: S311  # a simulation
        self._scenario = scenario
        self._interval_s = interval_s
        self._outbox = Outbox(start_unix_s, -PRELUDE_S)
        self._due: list[tuple[float, int, _Happening]] = []
        self._serial = count()
        plans = plan_fleet(seed=seed, devices=devices, sites=sites, tenant=tenant)
        self.devices = [Device(plan, self._outbox, seed=seed, interval_s=interval_s) for plan in plans]
        self._by_address = {device.address: device for device in self.devices}
        self._answers = Answers()
        self._chatter_s = max(_SELDOM_S, devices / _BATCHES_PER_S)
        for cue in scenarios.direct(scenario, self.devices, self._rng):
            self._stage(cue)
        self._advance(0.0)
        self._outbox.take()  # before second 0 nobody listened; what was said stays retained, or waits in the spools
        self._begin()

    @property
    def sites(self) -> int:
        """How many sites the fleet has."""
        return len({device.address.site for device in self.devices})

    @property
    def start_unix_s(self) -> float:
        """The wall clock, in seconds since 1970, at second 0."""
        return self._outbox.start_unix_s

    @start_unix_s.setter
    def start_unix_s(self, unix_s: float) -> None:
        """Moved by a player that finds the machine's clock to have jumped."""
        self._outbox.start_unix_s = unix_s

    @property
    def next_due_s(self) -> float:
        """When something is due next, in seconds since the simulation's beginning."""
        return self._due[0][0] if self._due else math.inf

    def absent(self) -> list[Publication]:
        """What stays retained of the devices that are not there, now. Played before anybody watches.

        To a reader that is there already, the last heartbeat of a device that has long gone would be a sign of life.
        """
        say = self._outbox.send
        for device in self.devices:
            if device.connected:
                continue
            say(device.address, Channel.DESIRED, device.desired())
            if device.born:
                say(device.address, Channel.BIRTH, device.birth())
                say(device.address, Channel.REPORTED, device.reported())
                if device.last_heartbeat is not None:
                    say(device.address, Channel.HEARTBEAT, device.last_heartbeat)
                say(device.address, Channel.STATE, device.presence)  # last, for it has the last word
        return self._outbox.take()

    def present(self) -> list[Publication]:
        """What every device that is there says on a fresh connection, now."""
        say = self._outbox.send
        for device in self.devices:
            if device.connected:
                say(device.address, Channel.DESIRED, device.desired())
                say(device.address, Channel.BIRTH, device.birth())
                say(device.address, Channel.STATE, device.presence)
                say(device.address, Channel.REPORTED, device.reported())
                device.beat()
        return self._outbox.take()

    def retained(self) -> list[Publication]:
        """All that stays retained, now: played first, and again whenever the broker was away."""
        return [*self.absent(), *self.present()]

    def until(self, now_s: float) -> list[Publication]:
        """Everything that is due up to `now_s` and was not yet taken, in order."""
        self._advance(now_s)
        return self._outbox.take()

    def goodbyes(self, reason: str) -> list[Publication]:
        """What the fleet says when it is stopped."""
        for device in self.devices:
            if device.connected:
                device.say_goodbye(reason)
        return self._outbox.take()

    def forgotten(self) -> Iterator[Publication]:
        """What takes the fleet away from a broker: empty retained messages."""
        for device in self.devices:
            for channel in (Channel.HEARTBEAT, Channel.REPORTED, Channel.DESIRED, Channel.STATE, Channel.BIRTH):
                yield Publication(self._outbox.now_s, device.address, channel, b"")

    def hear(self, address: Address, command_id: str, payload: bytes) -> None:
        """An operator asks a device for something, now; those of other fleets are none of ours."""
        device = self._by_address.get(address)
        if device is not None:
            self._go_on(self._answers.story(device, command_id, payload))

    def offer(self, address: Address, desired: Desired) -> None:
        """A controller wants something of a device, now."""
        device = self._by_address.get(address)
        if device is not None:
            self._go_on(follow(device, desired))

    # The clock

    def _at(self, at_s: float, happening: _Happening) -> None:
        heapq.heappush(self._due, (at_s, next(self._serial), happening))

    def _advance(self, now_s: float) -> None:
        while self._due and self._due[0][0] <= now_s:
            at_s, _, happening = heapq.heappop(self._due)
            self._outbox.now_s = max(at_s, self._outbox.now_s)
            happening()
        self._outbox.now_s = max(now_s, self._outbox.now_s)

    def _begin(self) -> None:
        spread = self._rng.uniform
        for device in self.devices:
            self._at(spread(0, self._interval_s), self._heartbeats(device))
            self._at(spread(1, 1 + self._chatter_s), self._talk(device))
            if device.plan.shipper:
                self._at(spread(2, _SHIPPER_EVERY_S), self._foreign_logs(device))
            if len(self.devices) <= _HISTORY_DEVICES:
                self._remember(device)
            self._at(spread(0.5, 2.5), device.ship)
        self._at(120 + scenarios.pause_s(self._scenario, self._rng), self._something_new)

    def _remember(self, device: Device) -> None:
        """Puts the last minutes' chatter into the spool: the broker has just come up, and agents send what they kept."""
        ages = sorted((device.rng.uniform(2, _HISTORY_S) for _ in range(device.rng.randrange(5, 11))), reverse=True)
        for ago_s in ages:
            chatter.write_line(device, ago_s=ago_s)

    # What recurs

    def _heartbeats(self, device: Device) -> _Happening:
        def beat() -> None:
            if device.connected:
                device.beat()
            wait_s = self._interval_s * device.rng.uniform(1 - _JITTER, 1 + _JITTER)
            self._at(self._outbox.now_s + wait_s, beat)

        return beat

    def _talk(self, device: Device) -> _Happening:
        def talk() -> None:
            if device.presence.state in {"online", "lost"} and device.born:
                for _ in range(device.rng.choice((1, 1, 2))):
                    chatter.write_line(device)
                device.ship()
            self._at(self._outbox.now_s + self._chatter_s * device.rng.uniform(0.6, 1.4), talk)

        return talk

    def _foreign_logs(self, device: Device) -> _Happening:
        def send() -> None:
            chatter.send_foreign(device)
            self._at(self._outbox.now_s + _SHIPPER_EVERY_S * device.rng.uniform(0.6, 1.4), send)

        return send

    def _go_on(self, story: Story) -> None:
        wait_s = next(story, None)
        if wait_s is not None:
            self._at(self._outbox.now_s + wait_s, lambda: self._go_on(story))

    # Faults

    def _stage(self, cue: Cue) -> None:
        for device in cue.devices:
            device.busy = True
        self._at(cue.at_s, lambda: self._resume(cue))

    def _resume(self, cue: Cue) -> None:
        wait_s = next(cue.story, None)
        for device in cue.devices if self._outbox.now_s >= 0 else ():
            self._at(self._outbox.now_s + device.rng.uniform(0.3, _SHIP_WITHIN_S), device.ship)
        if wait_s is not None:
            self._at(self._outbox.now_s + wait_s, lambda: self._resume(cue))
        else:
            for device in cue.devices:
                device.busy = not device.connected  # one that stays away is no candidate for more

    def _something_new(self) -> None:
        candidates = [device for device in self.devices if not device.busy and device.connected]
        if candidates:
            device = self._rng.choice(candidates)
            self._stage(Cue(self._outbox.now_s, scenarios.passing_trouble(device, self._rng), [device]))
        self._at(self._outbox.now_s + scenarios.pause_s(self._scenario, self._rng), self._something_new)
