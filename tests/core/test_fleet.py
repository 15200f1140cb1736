"""Many devices: the sums, the indexes and the outages agree with what can be counted, and no change is missed."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from core.driver import World
from fleetview.core.device import Device
from fleetview.core.outages import Site
from fleetview.core.snapshot import device_snapshot
from fleetview.core.trouble import trouble_of
from fleetview_agent.wire import Address, Channel

NAMES = [Address("acme", site, f"gw-{number}") for site in ("plant-1", "plant-2") for number in range(7)]
addresses = st.sampled_from(NAMES)
H = 30


def _largest_group(last_heard: list[float], window_s: float) -> int:
    return max((sum(1 for other in last_heard if 0 <= other - first <= window_s) for first in last_heard), default=0)


class FleetMachine(RuleBasedStateMachine):
    @initialize(known=st.sets(addresses, min_size=1))
    def begin(self, known: set[Address]) -> None:
        self.world = World()
        self.seq = 0
        self.shown: dict[Address, dict[str, Any]] = {}
        self.up = True
        for address in sorted(known):
            self.world.birth(h=H, address=address)
            self.world.state("online", address=address)

    @rule(seconds=st.sampled_from([0, 1, 30, 60, 90, 120, 180, 600]))
    def wait(self, seconds: int) -> None:
        self.world.wait(seconds)

    @rule()
    def link(self) -> None:
        (self.world.fleet.link_down if self.up else self.world.fleet.link_up)(self.world.mono_s)
        self.up = not self.up

    @rule(heard=st.sets(addresses), health=st.sampled_from(["ok", "degraded", "critical", None]), retained=st.booleans())
    def heartbeats(self, heard: set[Address], health: str | None, retained: bool) -> None:
        self.seq += 1
        for address in sorted(heard):
            self.world.heartbeat(self.seq, health=health, retained=retained, address=address)

    @rule(address=addresses, state=st.sampled_from(["online", "offline", "sleeping", "lost"]), retained=st.booleans())
    def state(self, address: Address, state: str, retained: bool) -> None:
        self.world.state(state, wake_in_s=60, retained=retained, address=address)

    @rule(address=addresses, retained=st.booleans())
    def birth(self, address: Address, retained: bool) -> None:
        self.world.birth("S2", h=H, retained=retained, address=address)

    @rule(address=addresses, channel=st.sampled_from([Channel.BIRTH, Channel.STATE, Channel.DESIRED]))
    def taken_away(self, address: Address, channel: Channel) -> None:
        self.world.send_bytes(channel, b"", address=address)

    @rule(address=addresses)
    def desired_and_reported(self, address: Address) -> None:
        self.seq += 1
        self.world.send(Channel.DESIRED, {"gen": self.seq, "rollout": "r"}, address=address)
        self.world.send(Channel.REPORTED, {"session": "S1", "gen": self.seq}, address=address)

    @rule(address=addresses)
    def log_and_malformed(self, address: Address) -> None:
        self.seq += 2
        self.world.log(self.seq, address=address)
        self.world.send_bytes(Channel.HEARTBEAT, b"{", address=address)

    @property
    def devices(self) -> list[Device]:
        return list(self.world.fleet.devices.values())

    @invariant()
    def sums_and_sites_agree_with_the_devices(self) -> None:
        if not hasattr(self, "world"):
            return
        fleet = self.world.fleet
        assert Counter(trouble_of(device) for device in self.devices) == +Counter(fleet.troubles)
        assert all(count >= 0 for count in fleet.troubles.values())
        at_sites = {site: {device.address for device in members} for site, members in fleet.sites.items()}
        counted: dict[Site, set[Address]] = {}
        for address in fleet.devices:
            counted.setdefault(Site(address.tenant, address.site), set()).add(address)
        assert at_sites == counted
        silent = {device for members in fleet._roster._silent.values() for device in members}
        assert silent == {device for device in self.devices if device.silent}

    @invariant()
    def outages_are_those_that_can_be_counted(self) -> None:
        if not hasattr(self, "world"):
            return
        self.world.fleet.advance(self.world.mono_s, self.world.unix_s)
        out: set[Device] = set()
        for site, members in self.world.fleet.sites.items():
            heard = [device.seen_mono for device in members if device.silent and device.seen_mono is not None]
            together = _largest_group(heard, 2 * H)
            outage = self.world.fleet.outages.get(site)
            assert (outage is not None) is (together >= 5 and together >= 0.3 * len(members))
            if outage is not None:
                assert (len(outage.devices), outage.of) == (together, len(members))
                times = [device.seen_mono for device in outage.devices if device.seen_mono is not None]
                assert (outage.first_mono, outage.spread_s) == (min(times), max(times) - min(times))
                out |= outage.devices
        assert set(self.world.fleet.outages) <= set(self.world.fleet.sites)
        assert {device for device in self.devices if device.in_outage} == out

    @invariant()
    def no_change_is_missed_and_nobody_who_is_gone_is_named(self) -> None:
        if not hasattr(self, "world"):
            return
        changes = self.world.fleet.drain()
        now = {device.address: self._shown(device) for device in self.devices}
        named = {device.address for device in changes.touched | changes.added}
        assert {address for address, shown in now.items() if self.shown.get(address) != shown} <= named
        assert set(self.shown) - set(now) <= {device.address for device in changes.removed}
        assert changes.touched | changes.added <= set(self.devices)
        assert changes.added.isdisjoint(changes.removed)
        assert not self.world.fleet.drain()
        self.shown = now

    def _shown(self, device: Device) -> dict[str, Any]:
        snapshot = device_snapshot(device, self.world.mono_s)
        del snapshot["last_seen_s"]  # changes by itself as time passes
        return snapshot


TestFleet = FleetMachine.TestCase
TestFleet.settings = settings(max_examples=60, stateful_step_count=30)
