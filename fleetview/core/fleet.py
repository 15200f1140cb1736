"""Fleet: what each message and each passing moment changes of what is known of the devices.

A feed calls `apply` for each message, and `link_up` and `link_down` for its own link; whoever shows the fleet calls
`advance` now and then and `drain` once per repaint. A message costs O(1), with O(log n) when it starts a timer; a tick
costs what is due.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import NoneType
from typing import Any

from fleetview.core import inventory
from fleetview.core.device import NO_ALERTS, Claim, Connectivity, Device, DeviceAlerts
from fleetview.core.logbook import Logbook
from fleetview.core.outages import Outage, Site
from fleetview.core.payloads import pack
from fleetview.core.presence import calm_down, count_change, grace_s, judge, sleeps_for_s
from fleetview.core.received import Received
from fleetview.core.roster import MAX_DEVICES, Changes, Roster
from fleetview.core.samples import Samples
from fleetview.core.timers import ObservedClock, Timers
from fleetview.core.trends import Trends
from fleetview.core.trouble import Trouble
from fleetview.core.vitals import take_vitals
from fleetview_agent.wire import (
    Address,
    Birth,
    Channel,
    Desired,
    Heartbeat,
    LogBatch,
    Reported,
    State,
    WireError,
    session_is_newer,
)


class Fleet:
    """Every device of which anything is known."""

    def __init__(self, logbook: Logbook | None = None, max_devices: int = MAX_DEVICES) -> None:
        self.logbook = Logbook() if logbook is None else logbook
        self.malformed = 0
        """Messages that were not valid, of all devices."""
        self.messages = 0
        self._took_retained = False
        """Since time was let pass last."""
        self.samples = Samples()
        """The last hour of figures of the devices, bounded."""
        self.trends = Trends()
        """Devices in trouble over the last hour."""
        self._roster = Roster(max_devices)
        self._clock = ObservedClock()
        self._timers = Timers()
        self._handlers: dict[type, Callable[[Device, Any, Received], None]] = {
            Heartbeat: self._on_heartbeat,
            State: self._on_state,
            Birth: self._on_birth,
            LogBatch: self._on_log,
            Reported: self._on_reported,
            Desired: self._on_desired,
            WireError: self._on_malformed,
            NoneType: self._on_empty,
        }

    # -- what is known

    @property
    def devices(self) -> Mapping[Address, Device]:
        """Every device by its address."""
        return self._roster.devices

    @property
    def outages(self) -> Mapping[Site, Outage]:
        """The sites that are out now (rule 7)."""
        return self._roster.outages

    @property
    def troubles(self) -> Mapping[Trouble, int]:
        """How many devices are in which trouble; each device counts once, under its worst."""
        return self._roster.troubles

    @property
    def roster(self) -> Roster:
        """The devices in sum: by release, by site, by tenant. To be read only."""
        return self._roster

    @property
    def watching(self) -> bool:
        """Whether the reader's link is up; while it is not, nothing here changes."""
        return self._clock.link_up

    @property
    def sites(self) -> Mapping[Site, set[Device]]:
        """The devices of each site."""
        return self._roster.sites

    @property
    def refused_devices(self) -> int:
        """Messages of devices that were not taken in because there are too many."""
        return self._roster.refused

    # -- the reader's own link (rule 6)

    def link_up(self, mono_s: float) -> None:
        """The reader can see now."""
        self._clock.come_up(mono_s)

    def link_down(self, mono_s: float) -> None:
        """The reader is blind from now on."""
        self._clock.go_down(mono_s)

    # -- time

    def advance(self, mono_s: float, unix_s: float) -> None:
        """Let time pass up to a moment: silence becomes staleness, wills come due, outages are seen."""
        if self._clock.link_up:
            now_obs = self._clock.observed(mono_s)
            for device in self._timers.due(now_obs):
                if self._roster.devices.get(device.address) is device:
                    self._rejudge(device, now_obs, unix_s)
        self._roster.settle()
        # While what is retained comes, a device whose heartbeat is not there yet looks as if it were long gone.
        if self._clock.link_up and not self._took_retained:
            self.trends.take(unix_s, self._roster.in_trouble)
        self._took_retained = False

    def next_due_s(self, mono_s: float) -> float:
        """Seconds until `advance` has something to do; infinity for never."""
        if not self._clock.link_up:
            return math.inf
        return max(0.0, self._timers.next_due() - self._clock.observed(mono_s))

    def drain(self) -> Changes:
        """What changed since the last time, once."""
        changes, self._roster.changes = self._roster.changes, Changes()
        return changes

    def set_alerts(self, device: Device, alerts: DeviceAlerts) -> None:
        """Note what Prometheus and Alertmanager say of a device."""
        if (device.alerts or NO_ALERTS) != alerts:
            self._roster.changes.touched.add(device)
        device.alerts = alerts

    def set_stage(self, device: Device, stage: str | None) -> None:
        """Note how far a rollout has a device."""
        if device.stage != stage:
            device.stage = stage
            self._roster.changes.touched.add(device)

    # -- messages

    def apply(self, received: Received) -> None:
        """Take in one message. Never raises for what a device or broker sent."""
        self.messages += 1
        self._took_retained = self._took_retained or received.retained
        handler = self._handlers.get(type(received.body))
        if handler is None:
            return  # commands and their results change nothing of what is known
        device = self._roster.devices.get(received.address)
        if device is None:
            device = None if received.body is None else self._roster.add(received.address)
            if device is None:
                return
            device.holds_counted = self._clock.epoch
        self._roster.changes.touched.add(device)
        handler(device, received.body, received)

    def _on_empty(self, device: Device, _body: None, received: Received) -> None:
        """What was retained is taken away."""
        if received.channel is Channel.BIRTH:
            self._roster.remove(device)
            self.samples.forget(device)
        elif received.channel is Channel.DESIRED:
            device.desired = None
            inventory.compare(device)
        elif received.channel is Channel.STATE and not (device.confirmed and device.connectivity is Connectivity.ONLINE):
            # Rule 8: without a retained state nobody is offline or lost. Who is heard live stays what it is.
            device.set_claim(Claim.NONE)
            device.live = device.confirmed = False
            self._rejudge(device, self._clock.observed(received.mono_s), received.unix_s)

    @staticmethod
    def _on_desired(device: Device, body: Desired, received: Received) -> None:
        inventory.take_desired(device, body, received.unix_s)

    def _on_heartbeat(self, device: Device, body: Heartbeat, received: Received) -> None:
        if not self._is_current(device, body.session, received):
            if received.retained and (device.seq is None or device.seq < 0):
                take_vitals(device, body, received, self._roster)  # of an older session, but still the last that it reported
            return
        if received.retained:
            self._on_retained_heartbeat(device, body, received)
            return
        now_obs = self._prove_alive(device, received)
        device.count_heartbeat(body.seq, self._clock.epoch)
        device.measure_clock(body.timestamp.timestamp() - received.unix_s)
        self.samples.take(device, body, received.unix_s)
        take_vitals(device, body, received, self._roster)
        if not device.plainly_online:
            self._come_online(device, now_obs, received.unix_s)

    def _on_retained_heartbeat(self, device: Device, body: Heartbeat, received: Received) -> None:
        if device.seq is not None and body.seq <= device.seq:
            return
        device.count_heartbeat(body.seq, self._clock.epoch)
        take_vitals(device, body, received, self._roster)
        told_unix = body.timestamp.timestamp()
        device.told_mono = received.mono_s - max(0.0, received.unix_s - told_unix)
        if not device.live:
            self._make_plausible(device, told_unix, received)
            self._rejudge(device, self._clock.observed(received.mono_s), received.unix_s)

    def _on_state(self, device: Device, body: State, received: Received) -> None:
        # A goodbye that is heard live is a change, also of a device that only what was retained had called online.
        witnessed = device.confirmed or not received.retained
        now_obs = self._clock.observed(received.mono_s)
        match body.state:
            case _ if not self._is_current(device, body.session, received):
                if not received.retained or device.claim is not Claim.NONE:
                    return
                self._claim_unproven(device, None, received)  # there is a retained state, but it is of an older session
            case "online" if not received.retained:
                self._come_online(device, self._prove_alive(device, received), received.unix_s)
                return
            case "online":
                if device.claim is not Claim.ONLINE or device.will_due_obs < math.inf:
                    # Said since it was last heard: so it came back, but nobody knows whether it is still there.
                    self._claim_unproven(device, body.at.timestamp() if body.at else None, received)
            case "offline":
                self._take_leave(device, Claim.OFFLINE, body, received)
            case "sleeping":
                self._take_leave(device, Claim.SLEEPING, body, received)
                device.claim_due_obs = self._clock.own(device, now_obs) + sleeps_for_s(body, received)
            case "lost":
                self._on_will(device, received, now_obs)
        self._rejudge(device, now_obs, received.unix_s, counts=witnessed)

    def _on_will(self, device: Device, received: Received, now_obs: float) -> None:
        if received.retained and not device.live:
            # Published before this reader came, nobody knows when; a newer birth would have been retained beside it.
            device.set_claim(Claim.LOST)
            device.confirmed = True
        elif device.claim is not Claim.LOST and device.will_due_obs == math.inf:
            device.will_due_obs = self._clock.own(device, now_obs) + grace_s(device.interval_s)

    def _on_birth(self, device: Device, body: Birth, received: Received) -> None:
        if body.device != device.address.device:
            error = WireError(f"birth names device {body.device!r}")
            self._on_malformed(device, error, received)
            return
        session, before = body.session, device.session
        if session is not None:
            # One text in the place of two that are equal: of 100,000 devices 7 MiB.
            device.birth_session = device.session if session == device.session else session
            if device.session is None or session_is_newer(session, device.session) or not received.retained:
                self._begin_session(device, session, received)
            if not received.retained and before not in {None, session}:
                # It restarted before our eyes, so its first heartbeat has the number 0. A birth alone does not say so:
                # a broker that lost its memory is told all births anew.
                device.seq, device.seq_epoch = -1, self._clock.epoch
        # Of an older session, too: it is the last that was born, and its interval is nearer the truth than none.
        inventory.take_birth(device, body, pack(received.payload))
        device.labels = self._roster.share_labels(body.labels)
        if session is not None and not received.retained:
            self._come_online(device, self._prove_alive(device, received), received.unix_s)
        else:
            self._rejudge(device, self._clock.observed(received.mono_s), received.unix_s)

    def _on_reported(self, device: Device, body: Reported, received: Received) -> None:
        if not self._is_current(device, body.session, received):
            return
        inventory.take_reported(device, body, received)
        if not received.retained:
            self._come_online(device, self._prove_alive(device, received), received.unix_s)
        else:
            self._rejudge(device, self._clock.observed(received.mono_s), received.unix_s)

    def _on_log(self, device: Device, body: LogBatch, received: Received) -> None:
        tally = self.logbook.add(device.address, body, received, self._clock.epoch)
        device.log_gaps, device.log_missing = tally.gaps, tally.missing

    def _on_malformed(self, device: Device, error: WireError, received: Received) -> None:
        self.malformed += 1
        device.malformed += 1
        reason = f"{received.channel.value}: {error}"
        if reason != device.malformed_reason:
            device.malformed_reason = reason
            device.note(received.unix_s, "contract", f"sent what is not valid: {reason}")

    # -- sessions

    def _is_current(self, device: Device, session: str, received: Received) -> bool:
        """Whether a message is of the current session; a newer session becomes the current one."""
        if session == device.session:
            return True
        if device.session is None or (session != device.replaced_session and session_is_newer(session, device.session)):
            self._begin_session(device, session, received)
            return True
        if received.retained or received.channel is Channel.STATE:
            return False
        if session == device.birth_session:
            # Sorts before the current one, yet it is the one that was born last and it is alive: the clock had gone back.
            self._begin_session(device, session, received)
            return True
        if device.confirmed and device.connectivity is Connectivity.ONLINE and device.rival_session is None:
            device.rival_session = session
            device.note(
                received.unix_s, "session", f"a second session {session} speaks: do two machines use this device id?"
            )
        return False

    def _begin_session(self, device: Device, session: str, received: Received) -> None:
        if session == device.session:
            return
        if device.session is not None and not received.retained:
            device.note(received.unix_s, "session", f"new session {session}: the agent started again")
        before, device.session = device.session, session
        device.replaced_session = before if before is not None and session_is_newer(before, session) else None
        device.seq = None
        device.rival_session = None
        device.will_due_obs = math.inf
        device.told_mono = None
        if received.retained:
            # What the older session claimed, and when it was heard, says nothing of this one.
            device.seen_obs = device.seen_mono = None
            if device.claim is not Claim.NONE:
                self._claim_unproven(device, None, received)

    # -- connectivity

    def _claim_unproven(self, device: Device, at_unix: float | None, received: Received) -> None:
        """Rule 1: a retained `online` proves nothing."""
        device.set_claim(Claim.ONLINE)
        device.live = device.confirmed = False
        if device.told_mono is not None:
            at_unix = max(at_unix or 0.0, received.unix_s - received.mono_s + device.told_mono)
        self._make_plausible(device, at_unix, received)

    def _prove_alive(self, device: Device, received: Received) -> float:
        """Rule 1: a live message of the current session."""
        now_obs = self._clock.observed(received.mono_s)
        device.seen_obs = now_obs
        device.seen_mono = received.mono_s
        device.holds_counted = self._clock.epoch
        device.live = True
        return now_obs

    def _come_online(self, device: Device, now_obs: float, unix_s: float) -> None:
        device.set_claim(Claim.ONLINE)
        was_confirmed, device.confirmed = device.confirmed, True
        self._rejudge(device, now_obs, unix_s, counts=was_confirmed)

    def _take_leave(self, device: Device, claim: Claim, body: State, received: Received) -> None:
        """Rule 4: a device says that it goes."""
        device.set_claim(claim, body.reason)
        device.confirmed = True
        if not received.retained:
            self._prove_alive(device, received)
        elif not device.live and body.at is not None:
            self._make_plausible(device, body.at.timestamp(), received)

    def _make_plausible(self, device: Device, at_unix: float | None, received: Received) -> None:
        """Rule 1: how long a device that is not heard live may have been silent, by its own clock and for want of better."""
        age_s = 0.0 if at_unix is None else max(0.0, received.unix_s - at_unix)
        own_obs = self._clock.own(device, self._clock.observed(received.mono_s))
        if at_unix is not None and (device.seen_mono is None or received.mono_s - age_s > device.seen_mono):
            device.seen_mono = received.mono_s - age_s
            device.seen_obs = own_obs - age_s
        elif device.seen_obs is None:
            device.seen_obs = own_obs

    def _rejudge(self, device: Device, now_obs: float, unix_s: float, *, counts: bool = True) -> None:
        held_until = self._clock.hold(device, now_obs)
        own_obs = self._clock.own(device, now_obs)
        if own_obs >= device.will_due_obs:
            counts = counts and device.confirmed
            # Confirmed: the broker itself saw the connection break.
            device.set_claim(Claim.LOST)
            device.confirmed = True
        connectivity, due_obs = judge(device, own_obs)
        if connectivity is not device.connectivity:
            self._change(device, connectivity, now_obs, unix_s, counts=counts)
        due_obs = min(due_obs, device.will_due_obs) if held_until is None else held_until
        due_obs = min(due_obs, calm_down(device, now_obs))
        if due_obs < math.inf:
            self._timers.set(device, due_obs)
        if device.silent:
            self._roster.unsettle(device)
        self._roster.changes.touched.add(device)

    def _change(self, device: Device, to: Connectivity, now_obs: float, unix_s: float, *, counts: bool) -> None:
        before, was_silent = device.connectivity, device.silent
        device.connectivity = to
        device.since_unix = None
        # What a reader learns when it comes is no change of the device: neither on the timeline nor for flapping.
        if before is not Connectivity.UNSEEN and device.confirmed and counts:
            count_change(device, now_obs)
            device.since_unix = unix_s
            because = f": {device.claim_reason}" if to is Connectivity.OFFLINE and device.claim_reason else ""
            device.note(unix_s, "connectivity", f"{before} -> {to}{because}")
        self._roster.recount(device, was_silent=was_silent)
