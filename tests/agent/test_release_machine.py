"""What an updater decides: against a model of a device whose power may be cut before and after every step."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetview_agent.release.machine import MOST_CUTS, report, step
from fleetview_agent.release.model import (
    Admit,
    Admitted,
    Booted,
    BrokenOff,
    CallOff,
    Clean,
    Did,
    Effect,
    Event,
    Fetch,
    GoBack,
    Looked,
    Offer,
    Progressed,
    Prove,
    Refused,
    Rules,
    State,
    Switch,
    Ticked,
    Verify,
    Wanted,
    Withdrawn,
)
from fleetview_agent.wire.messages import ReleaseStatus

RULES = Rules(verify_s=10, settle_s=20, retries=3, delay_s=lambda tries: 2.0**tries)


def offer(version: str, content: str = "") -> Offer:
    return Offer(version, f"http://releases/{version}", f"{version}{content}".ljust(64, "0"))


def played(state: State, *events: Event, now_s: float = 0.0) -> State:
    for event in events:
        state, _ = step(state, event, now_s, RULES)
    return state


FRESH = State(running="1.0")
STAGED = played(FRESH, Wanted(1, offer("1.1")), Admitted(installed=False), Did(), Did())
CHECKING = played(STAGED, Did(), Did())


def status(state: State) -> ReleaseStatus | None:
    found = report(state)
    return None if found is None else found.status


def test_the_way_of_a_release_that_is_good() -> None:
    state = FRESH
    seen = []
    for event in (Wanted(1, offer("1.1")), Admitted(installed=False), Progressed(0.5), Did(), Did(), Did(), Did()):
        state, _ = step(state, event, 0.0, RULES)
        seen.append(status(state))
    assert seen == ["queued", "downloading", "downloading", "verifying", "staged", "applying", "checking"]
    for now_s in (1.0, 5.0, 10.9):
        state, effects = step(state, Looked(None), now_s, RULES)
        assert not effects
    state, effects = step(state, Looked(None), 11.0, RULES)
    assert effects == [Clean(("1.1", "1.0"), None)]
    assert (state.running, state.previous, status(state)) == ("1.1", "1.0", "committed")
    found = report(state)
    assert found is not None
    assert (found.version, found.previous, found.progress, found.reason) == ("1.1", "1.0", 1.0, None)


def test_a_window_begins_anew_with_every_trouble_and_ends_in_time() -> None:
    state = CHECKING
    for now_s in (0.0, 9.0, 18.0, 27.0):
        state, effects = step(state, Looked(None), now_s, RULES)
        assert not effects
        state, effects = step(state, Looked("module m is in backoff"), now_s + 0.5, RULES)
        assert not effects
        found = report(state)
        assert found is not None
        assert found.reason == "module m is in backoff"
    state, effects = step(state, Looked("module m is in backoff"), 30.0, RULES)
    assert effects == [GoBack("1.0")]
    assert status(state) == "checking", "until it has gone back"
    state, _ = step(state, Did(), 31.0, RULES)
    found = report(state)
    assert found is not None
    assert (found.status, found.version, found.previous) == ("rolled_back", "1.1", "1.0")
    assert found.reason == "not well within 30 s: module m is in backoff"


def test_what_is_hopeless_goes_back_at_once() -> None:
    _, effects = step(CHECKING, Looked("module m failed", hopeless=True), 0.1, RULES)
    assert effects == [GoBack("1.0")]


@pytest.mark.parametrize("again", [1, 0])
def test_a_generation_that_is_known_is_not_heeded_again(again: int) -> None:
    failed = played(FRESH, Wanted(1, offer("1.1")), Refused("not signed"))
    assert status(failed) == "failed"
    assert step(failed, Wanted(again, offer("1.1")), 0.0, RULES) == (failed, [])
    assert status(played(failed, Wanted(2, offer("1.1")))) == "queued"


def test_the_same_release_with_another_generation_goes_on() -> None:
    state, effects = step(CHECKING, Wanted(2, offer("1.1")), 0.0, RULES)
    assert not effects
    assert state.job is not None
    assert (state.job.gen, state.job.stage) == (2, "checking")


def test_the_release_that_runs_is_committed_without_a_restart() -> None:
    state, effects = step(played(FRESH, Wanted(1, offer("1.0"))), Admitted(installed=True), 0.0, RULES)
    assert effects == [Clean(("1.0",), None)]
    assert (status(state), state.running, state.previous) == ("committed", "1.0", None)


def test_another_release_takes_the_place_of_one_that_is_only_on_its_way() -> None:
    state, effects = step(STAGED, Wanted(2, offer("1.2")), 0.0, RULES)
    assert effects == [CallOff(), Admit(offer("1.2"))]
    assert state.job is not None
    assert state.job.offer.version == "1.2"


def test_another_release_while_one_is_checked_goes_back_first() -> None:
    state, effects = step(CHECKING, Wanted(2, offer("1.0")), 0.0, RULES)
    assert effects == [GoBack("1.0")]
    state, effects = step(state, Did(), 0.0, RULES)
    assert effects == [Clean(("1.0",), "1.1"), Admit(offer("1.0"))]
    state = played(state, Admitted(installed=True))
    assert (status(state), state.running) == ("committed", "1.0")


def test_another_release_while_one_is_switched_goes_back_once_it_is() -> None:
    state = played(STAGED, Did(), Wanted(2, offer("1.2")))
    state, effects = step(state, Did(), 0.0, RULES)
    assert effects == [GoBack("1.0")]
    assert step(state, Did(), 0.0, RULES)[1] == [Clean(("1.0",), "1.1"), Admit(offer("1.2"))]


def test_withdrawing_ends_what_is_on_its_way_and_not_what_is_switched() -> None:
    state, effects = step(STAGED, Withdrawn(), 0.0, RULES)
    assert effects == [CallOff()]
    assert (state.running, status(state)) == ("1.0", "committed")
    assert step(CHECKING, Withdrawn(), 0.0, RULES) == (CHECKING, [])


def test_interruptions_are_tried_again_ever_later_and_given_up_without_any_gain() -> None:
    state = played(FRESH, Wanted(1, offer("1.1")), Admitted(installed=False))
    for tries in (1, 2, 3):
        state, effects = step(state, BrokenOff("no route"), 100.0, RULES)
        assert not effects
        assert step(state, Ticked(), 100.0 + 2**tries - 0.1, RULES) == (state, [])
        state, effects = step(state, Ticked(), 100.0 + 2**tries, RULES)
        assert effects == [Fetch(offer("1.1"))]
        if tries == 2:
            gained, _ = step(state, BrokenOff("no route", gained=True), 100.0, RULES)
            assert gained.job is not None
            assert gained.job.tries == 1
    state, effects = step(state, BrokenOff("no route"), 100.0, RULES)
    assert effects == [Clean(("1.0",), "1.1")]
    found = report(state)
    assert found is not None
    assert (found.status, found.reason) == ("failed", "no route; given up after 4 tries")


def test_a_cut_while_it_is_tried_is_tried_again_but_not_for_ever() -> None:
    state = CHECKING
    for cut in range(1, MOST_CUTS):
        state, effects = step(state, Booted(), 0.0, RULES)
        assert effects == [Admit(offer("1.1"))], cut
        state = played(state, Admitted(installed=True), Did(), Did())
        assert status(state) == "checking"
    state, effects = step(state, Booted(), 0.0, RULES)
    assert effects == [Clean(("1.0",), "1.1")]
    found = report(state)
    assert found is not None
    assert (found.status, found.reason) == ("rolled_back", "the agent ended 3 times while it was tried")


def test_an_offer_that_is_none_is_failed_with_its_reason() -> None:
    state, effects = step(FRESH, Wanted(1, offer("1.1"), "release.url: missing"), 0.0, RULES)
    assert not effects
    found = report(state)
    assert found is not None
    assert (found.status, found.reason, found.previous) == ("failed", "release.url: missing", "1.0")


# A device, and everything that can happen to it


@dataclass
class Model:
    """A device: its disk, what runs there, and what is true of its releases."""

    bad: frozenset[str]
    """Releases that never become well."""
    state: State = FRESH
    disk: State = FRESH
    link: str | None = "1.0"
    whole: set[str] = field(default_factory=lambda: {"1.0"})
    to_do: list[Effect] = field(default_factory=list)
    now_s: float = 0.0
    well_s: float = 0.0
    """For so long has what is linked run, and been well, without a break."""
    proven: tuple[str, str | None] | None = None
    statuses: list[tuple[int, ReleaseStatus]] = field(default_factory=list)
    committed: list[str] = field(default_factory=list)

    def tell(self, event: Event) -> None:
        before = self.state
        self.state, effects = step(before, event, self.now_s, RULES)
        if CallOff() in effects:
            self.to_do.clear()
        self.to_do += effects
        if before.running != self.state.running:
            assert self.link == self.state.running, "committed what does not run"
            assert self.state.running not in self.bad
            assert self.well_s >= RULES.verify_s, "committed too early"
            assert self.state.running is not None
            self.committed.append(self.state.running)
        self.disk = self.state  # before anything else is done
        self._reported()

    def _reported(self) -> None:
        found = report(self.state)
        if found is None or found.status is None:
            return
        assert found.status in get_args(ReleaseStatus)
        gen = self.state.job.gen if self.state.job is not None else self.state.gen
        if not self.statuses or (gen, found.status) != self.statuses[-1]:
            self.statuses.append((gen, found.status))

    def carry_out(self, fate: str) -> None:
        """The next effect, as fate will have it."""
        if not self.to_do:
            return
        effect = self.to_do.pop(0)
        match effect:
            case Clean(keep, drop):
                assert drop is None or drop not in {self.link, self.state.running, self.state.previous}
                assert set(keep) >= {version for version in (self.state.running, self.state.previous) if version}
                self.whole &= set(keep) | ({self.state.job.offer.version} if self.state.job else set())
                self.whole.discard(drop or "")
            case CallOff():
                pass
            case Switch(version):
                assert self.proven == (version, self.state.running), "switched without proof of a way back"
                self._runs(version)
            case GoBack(back):
                self._runs(back)
            case _ if fate == "refused":
                self.tell(Refused("refused"))
            case _ if fate == "broken":
                self.tell(BrokenOff("broken off"))
            case _:
                self._carry_out_well(effect)

    def _runs(self, version: str | None) -> None:
        self.link, self.well_s = version, 0.0
        self.tell(Did())

    def _carry_out_well(self, effect: Effect) -> None:
        match effect:
            case Admit(wanted):
                self.tell(Admitted(wanted.version in self.whole))
                return
            case Fetch():
                self.tell(Progressed(0.5))
            case Verify(wanted):
                self.whole.add(wanted.version)
            case Prove(version, back_to):
                assert version in self.whole
                assert back_to is None or back_to in self.whole
                self.proven = (version, back_to)
        self.tell(Did())

    def pass_time(self, seconds: float, *, well: bool) -> None:
        self.now_s += seconds
        if self.state.job is None or self.state.job.stage != "checking":
            self.tell(Ticked())
            return
        well = well and self.link not in self.bad
        self.well_s = self.well_s + seconds if well else 0.0
        if well and self.state.job.well_since_s is None:
            self.well_s = 0.0  # seen for the first time: for how long, nobody knows
        self.tell(Looked(None if well else "not well"))

    def cut(self) -> None:
        """The power fails. What runs afterwards is what was written down."""
        self.to_do.clear()
        state = self.disk
        if state.job is not None:
            state = replace(state, job=replace(state.job, retry_at_s=None, well_since_s=None, begun_s=0.0))
        assert state.boots_into in self.whole | {None}, "boots into nothing"
        assert state.boots_into == "1.0" or state.boots_into in self.committed
        self.state, self.link, self.proven, self.well_s = state, state.boots_into, None, 0.0
        self.tell(Booted())


HAPPENINGS = st.lists(
    st.one_of(
        st.tuples(st.just("want"), st.sampled_from(["1.0", "1.1", "1.2", "1.3"]), st.booleans()),
        st.tuples(st.just("do"), st.sampled_from(["done", "done", "done", "done", "refused", "broken"]), st.just(0)),
        st.tuples(st.just("time"), st.sampled_from([0.5, 3.0, 11.0]), st.booleans()),
        st.tuples(st.just("cut"), st.just(0), st.just(0)),
        st.tuples(st.just("withdraw"), st.just(0), st.just(0)),
    ),
    max_size=60,
)


@settings(max_examples=200, deadline=None)
@given(HAPPENINGS, st.sets(st.sampled_from(["1.1", "1.2"])))
def test_whatever_happens_only_what_was_well_is_kept_and_every_change_ends(
    happenings: list[tuple[str, object, object]], bad: set[str]
) -> None:
    model = Model(frozenset(bad))
    gen = 0
    for kind, what, how in happenings:
        match kind:
            case "want":
                gen += 1
                model.tell(Wanted(gen, offer(str(what))))
            case "do":
                model.carry_out(str(what))
            case "time":
                model.pass_time(float(str(what)), well=bool(how))
            case "cut":
                model.cut()
            case "withdraw":
                model.tell(Withdrawn())
        assert model.link == model.state.running or model.state.may_have_switched
    for _ in range(200):  # left alone, all comes to an end
        model.carry_out("done")
        model.pass_time(2.0, well=True)
    assert model.state.job is None
    assert not model.to_do
    assert model.link == model.state.running
    assert model.whole >= {version for version in (model.state.running, model.state.previous) if version is not None}
    order = ("queued", "downloading", "verifying", "staged", "applying", "checking")
    for (gen_a, a), (gen_b, b) in zip(model.statuses, model.statuses[1:], strict=False):
        if gen_a == gen_b and a in order and b in order and b != "queued" and (a, b) != ("verifying", "downloading"):
            assert order.index(a) < order.index(b), model.statuses
