"""One device, anything that can happen to it, against the reference: connectivity, confirmation, flapping."""

from __future__ import annotations

from typing import ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from core.driver import DEVICE, World
from core.reference import Kind, Seen, replay
from fleetview.core.why import why
from fleetview_agent.wire import Channel

sessions = st.sampled_from(["S1", "S2", "S3"])
ages = st.sampled_from([0, 1, 29, 30, 31, 89, 90, 91, 119, 120, 121, 179, 180, 181, 1000, 5000])
waits = st.sampled_from([0, 1, 2, 5, 15, 29, 30, 31, 59, 60, 61, 89, 90, 91, 119, 120, 121, 179, 180, 181, 600, 601, 3600])


class DeviceMachine(RuleBasedStateMachine):
    intervals: ClassVar[st.SearchStrategy[int]] = st.sampled_from([1, 10, 30, 45])

    @initialize(h=intervals)
    def begin(self, h: int) -> None:
        self.h = h
        self.world = World()
        self.history: list[Seen] = []
        self.seq = 0
        self.up = True

    @rule(seconds=waits)
    def wait(self, seconds: int) -> None:
        self.world.wait(seconds)
        self.history.append(Seen("wait", seconds))

    @precondition(lambda self: self.up)
    @rule()
    def link_down(self) -> None:
        self.world.fleet.link_down(self.world.mono_s)
        self.history.append(Seen("down"))
        self.up = False

    @precondition(lambda self: not self.up)
    @rule()
    def link_up(self) -> None:
        self.world.fleet.link_up(self.world.mono_s)
        self.history.append(Seen("up"))
        self.up = True

    @precondition(lambda self: self.up and bool(self.history))
    @rule(session=sessions, retained=st.booleans())
    def birth(self, session: str, retained: bool) -> None:
        self.world.birth(session, h=self.h, retained=retained)
        self.history.append(Seen("birth", 0, session, retained))

    @precondition(lambda self: self.up and self._born)
    @rule(session=sessions, age=ages, retained=st.booleans())
    def heartbeat(self, session: str, age: int, retained: bool) -> None:
        self.world.heartbeat(self.seq, session, age_s=age if retained else 0, retained=retained)
        self.history.append(Seen("heartbeat", age, session, retained))
        self.seq += 1

    @precondition(lambda self: self.up and self._born)
    @rule(session=sessions, kind=st.sampled_from(["online", "offline", "lost"]), age=ages, retained=st.booleans())
    def state(self, session: str, kind: Kind, age: int, retained: bool) -> None:
        self.world.state(kind, session, age_s=age if retained else 0, retained=retained)
        self.history.append(Seen(kind, age, session, retained))

    @precondition(lambda self: self.up and self._born)
    @rule(session=sessions, sleep=ages, retained=st.booleans())
    def sleeping(self, session: str, sleep: int, retained: bool) -> None:
        self.world.state("sleeping", session, wake_in_s=sleep, retained=retained)
        self.history.append(Seen("sleeping", sleep, session, retained))

    @precondition(lambda self: self.up and self._born)
    @rule()
    def retained_state_taken_away(self) -> None:
        self.world.send_bytes(Channel.STATE, b"")
        self.history.append(Seen("cleared"))

    @precondition(lambda self: self._born)
    @rule(channel=st.sampled_from([Channel.STATE, Channel.HEARTBEAT, Channel.BIRTH, Channel.LOG, Channel.REPORTED]))
    def malformed(self, channel: Channel) -> None:
        before = self.world.device.malformed
        self.world.send_bytes(channel, b'{"v":1,"device":"another","session":7}')
        assert self.world.device.malformed == before + (channel is not Channel.LOG)

    @precondition(lambda self: self._born)
    @rule()
    def logs_prove_nothing(self) -> None:
        self.world.log(self.seq)

    @property
    def _born(self) -> bool:
        """The birth says what H is, so it comes first; orders of retained messages have a test of their own."""
        return DEVICE in self.world.fleet.devices

    @invariant()
    def as_the_rules_say(self) -> None:
        if not hasattr(self, "history") or not self._born:
            return
        self.world.fleet.advance(self.world.mono_s, self.world.unix_s)
        device = self.world.device
        assert (*self.world.told(), device.flapping) == replay(self.h, self.history), self.history
        assert why(device, self.world.mono_s, self.world.unix_s) or self.world.told() == ("online", True)


TestDevice = DeviceMachine.TestCase
TestDevice.settings = settings(max_examples=400, stateful_step_count=40)
