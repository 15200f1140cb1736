"""What is always true of configurations that are desired, whatever happens in whatever order."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.twindevice import NOW, VERIFY_S, Device, PowerCutError, document, offer, sha256_of

from fleetview_agent.twin import model
from fleetview_agent.wire import Desired, ReleaseOffer

DOCUMENTS = [document(name, valid=valid, well=well) for name in "ab" for valid in (True, False) for well in (True, False)]


class Devices(RuleBasedStateMachine):
    """Everything that can happen, in any order, with the power going between any two steps."""

    @initialize()
    def begin(self) -> None:
        self.device = Device()
        self.was_full = False

    def try_it(self, event: model.Event | None, seconds: float = 0) -> bool:
        """Whether there was power all the time."""
        try:
            if event is not None:
                self.device.happens(event)
            if seconds:
                self.device.passes(seconds)
        except PowerCutError:
            self.device.boot()
            assert self.device.runs == self.device.last_good
            return False
        return True

    @rule(
        gen=st.integers(-1, 2),
        epoch=st.none() | st.integers(0, 2),
        doc=st.none() | st.sampled_from(DOCUMENTS),
        version=st.integers(1, 2),
        late=st.booleans(),
        release=st.none() | st.just(ReleaseOffer(version="2.0")),
    )
    def want(
        self,
        *,
        gen: int,
        epoch: int | None,
        doc: dict[str, Any] | None,
        version: int,
        late: bool,
        release: ReleaseOffer | None,
    ) -> None:
        before = self.device.state
        is_older = epoch is not None and before.kept.epoch is not None and epoch < before.kept.epoch
        desired = Desired(
            gen=max(0, self.device.kept.gen + gen),
            epoch=epoch,
            config=None if doc is None else offer(doc, version),
            release=release,
            not_after=NOW if late else None,
        )
        if self.try_it(model.Wanted(desired, NOW)) and is_older:
            assert self.device.state == before

    @rule()
    def withdraw(self) -> None:
        self.try_it(model.Withdrawn())

    @rule(seconds=st.sampled_from([1.0, 5.0, VERIFY_S]))
    def time_passes(self, seconds: float) -> None:
        self.try_it(None, seconds)

    @rule(steps=st.integers(0, 6))
    def the_power_goes_soon(self, steps: int) -> None:
        self.device.cut_after = steps

    @rule()
    def the_power_goes(self) -> None:
        self.device.boot()

    @rule()
    def the_agent_is_restarted(self) -> None:
        if self.try_it(model.Stopped()):
            self.device.boot()

    @precondition(lambda self: self.device.cut_after is None)
    @rule()
    def the_disk_fills_or_is_emptied(self) -> None:
        self.device.disk_is_full = not self.device.disk_is_full

    @invariant()
    def what_is_not_being_tried_is_good(self) -> None:
        device = self.device
        state = device.state
        if state.kept.trying is None:
            assert state.watch is None
            assert state.retry_at_s is None
            assert sha256_of(device.runs) == sha256_of(device.last_good)
            assert state.running == state.last_good
            assert state.kept.status not in {"pending", "applying"}
        else:
            assert state.kept.status in {"pending", "applying"}
            assert state.watch is not None or state.retry_at_s is not None, "it has an end"

    @invariant()
    def generations_only_grow(self) -> None:
        gens = [gen for gen, _ in self.device.told]
        assert gens == sorted(gens) or self.was_full
        if self.device.disk_is_full:
            self.was_full = True


TestDevices = Devices.TestCase
TestDevices.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
