"""How the lives of modules go, on a clock of the test's own."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetview_agent.modules import registry
from fleetview_agent.modules.lifecycle import Became, BecameReady, BecameUnwell, Ended, Lives, Start, Stop
from fleetview_agent.modules.restarts import CAP_S, MOST_FAILURES, STABLE_S, WINDOW_S, Restarts, delay_s
from fleetview_agent.modules.spec import ModuleSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fleetview_agent.modules.lifecycle import Action
    from fleetview_agent.wire import ModuleInfo


def spec(*depends_on: str, **fields: Any) -> ModuleSpec:
    return ModuleSpec.model_validate({"command": ["x"], "depends_on": list(depends_on), **fields})


@dataclass
class World:
    """Processes that do as they are told, and a clock that a test sets. Checks at each step what must always hold."""

    specs: Mapping[str, ModuleSpec]
    now_s: float = 1000.0
    alive: set[str] = field(default_factory=set)
    ending: set[str] = field(default_factory=set)
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lives = Lives(self.specs, rng=random.Random(1))
        self.obey(self.lives.advance(self.now_s))

    def obey(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case Start(name):
                    assert name not in self.alive, "one process at a time"
                    assert all(self.state(other) == "running" for other in self.specs[name].depends_on)
                    self.alive.add(name)
                    self.log.append(f"start {name}")
                case Stop(name):
                    assert name in self.alive
                    assert name not in self.ending, "it is told to end once"
                    self.ending.add(name)
                    self.log.append(f"stop {name}")
                case Became(name, state, reason):
                    self.log.append(f"{name} {state}")
                    assert (reason is None) is (state in {"starting", "running"}) or state == "waiting"
        due_s = self.lives.next_due_s()
        assert due_s is None or due_s > self.now_s, "or whoever waits for it would spin"
        for name, module_spec in self.specs.items():
            if self.state(name) in {"starting", "running"}:
                assert name in self.alive
                assert all(self.state(other) == "running" for other in module_spec.depends_on) or self.ending

    def state(self, name: str) -> str | None:
        return self.info(name).state

    def info(self, name: str) -> ModuleInfo:
        return next(info for info in self.lives.infos() if info.name == name)

    def states(self) -> dict[str, str | None]:
        return {info.name: info.state for info in self.lives.infos()}

    def ready(self, *names: str) -> None:
        for name in names:
            self.obey(self.lives.apply(name, BecameReady(), self.now_s))

    def unwell(self, name: str) -> None:
        self.obey(self.lives.apply(name, BecameUnwell("not healthy"), self.now_s))

    def ended(self, *names: str, clean: bool = False) -> None:
        for name in names:
            self.alive.discard(name)
            self.ending.discard(name)
            self.obey(self.lives.apply(name, Ended("exit status 1", clean), self.now_s))

    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        self.obey(self.lives.advance(self.now_s))

    def wait_until_due(self) -> None:
        due_s = self.lives.next_due_s()
        assert due_s is not None
        self.wait(max(0.0, due_s - self.now_s))

    def take(self, what: str, name: str, seconds: float) -> None:
        match what:
            case "wait":
                self.wait(seconds)
            case "restart":
                self.obey(self.lives.restart(name, self.now_s))
            case "ready" if name in self.alive:
                self.ready(name)
            case "unwell" if name in self.alive:
                self.unwell(name)
            case "ended" | "clean" if name in self.alive:
                self.ended(name, clean=what == "clean")

    def new(self) -> list[str]:
        log, self.log = self.log, []
        return log


CHAIN = {"db": spec(), "bridge": spec("db"), "ui": spec("bridge"), "other": spec()}


def running() -> World:
    world = World(CHAIN)
    world.ready("db", "bridge", "ui", "other")
    world.new()
    return world


def test_independent_ones_start_at_once_and_dependants_when_it_is_ready() -> None:
    world = World(CHAIN)
    assert world.states() == {"db": "starting", "bridge": "waiting", "ui": "waiting", "other": "starting"}
    assert world.info("bridge").reason == "db is not ready yet"
    world.ready("db")
    assert world.states() == {"db": "running", "bridge": "starting", "ui": "waiting", "other": "starting"}
    world.ready("bridge", "ui", "other")
    assert set(world.states().values()) == {"running"}
    assert [info.restarts for info in world.lives.infos()] == [0, 0, 0, 0]


def test_dependants_wait_when_it_dies_and_come_back_without_a_failure_of_their_own() -> None:
    world = running()
    for _ in range(MOST_FAILURES - 1):
        world.ended("db")
        assert world.states() == {"db": "backoff", "bridge": "waiting", "ui": "waiting", "other": "running"}
        assert world.info("db").reason == "exit status 1"
        assert world.info("bridge").reason == "db is in backoff"
        world.ended("bridge", "ui")
        world.wait_until_due()
        assert world.states() == {"db": "starting", "bridge": "waiting", "ui": "waiting", "other": "running"}
        world.ready("db", "bridge", "ui")
    world.ended("db")
    assert world.state("db") == "failed"
    assert world.info("db").reason == "exit status 1; failed 5 times within 10 minutes"
    assert world.state("bridge") == "waiting"
    assert world.info("bridge").restarts == 4


def test_a_process_that_is_still_ending_is_not_joined_by_another() -> None:
    world = running()
    world.ended("db")
    world.wait_until_due()
    world.ready("db")
    assert world.state("bridge") == "waiting"
    assert "start bridge" not in world.new()
    world.ended("bridge")
    assert world.new() == ["bridge starting", "start bridge"]


@pytest.mark.parametrize("first", ["db", "bridge"])
def test_the_two_deaths_may_be_told_in_either_order(first: str) -> None:
    """A module whose connection broke may be gone before the news of what it was connected to."""
    world = running()
    for _ in range(MOST_FAILURES - 1):
        world.ended(*(("db", "bridge") if first == "db" else ("bridge", "db")))
        assert world.states() == {"db": "backoff", "bridge": "waiting", "ui": "waiting", "other": "running"}
        world.ended("ui")
        world.wait_until_due()
        world.ready("db", "bridge", "ui")
    world.ended("bridge")
    assert world.state("bridge") == "backoff", "only its first failure of its own"


def test_waiting_too_long_is_seen_and_ends_at_once_when_it_can() -> None:
    world = World({"db": spec(), "ui": spec("db", wait_s=30)})
    world.wait(30)
    assert world.state("ui") == "backoff"
    assert world.info("ui").reason == "waited 30 s: db is not ready yet"
    world.wait_until_due()
    assert world.state("ui") == "waiting"
    world.wait(30)
    assert world.state("ui") == "backoff"
    world.ready("db")
    assert world.state("ui") == "starting"
    world.ended("ui")
    assert world.state("ui") == "backoff"
    for _ in range(MOST_FAILURES - 2):
        world.wait_until_due()
        world.ended("ui")
    assert world.state("ui") == "backoff", "waiting was no failure"


def test_an_unwell_module_is_ended_and_started_again() -> None:
    world = running()
    world.unwell("other")
    assert world.new() == ["other backoff", "stop other"]
    world.wait(CAP_S)
    assert world.state("other") == "waiting", "its old process does not want to go"
    world.ended("other")
    assert world.new() == ["other waiting", "other starting", "start other"]
    assert world.info("other").restarts == 1


def test_too_many_failures_are_the_end_until_somebody_asks() -> None:
    world = World({"m": spec()})
    for _ in range(MOST_FAILURES - 1):
        world.ended("m")
        assert world.state("m") == "backoff"
        world.wait_until_due()
    world.ended("m")
    assert world.state("m") == "failed"
    assert world.lives.next_due_s() is None
    world.wait(86400)
    assert world.state("m") == "failed"
    world.obey(world.lives.restart("m", world.now_s))
    assert world.state("m") == "starting"
    world.ended("m")
    assert world.state("m") == "backoff", "it begins anew"


def test_ten_stable_minutes_make_up_for_all_failures() -> None:
    world = World({"m": spec()})
    for _ in range(3 * MOST_FAILURES):
        world.ready("m")
        world.wait(STABLE_S)
        world.ended("m")
        assert world.state("m") == "backoff"
        due_s = world.lives.next_due_s()
        assert due_s is not None
        assert due_s - world.now_s <= 1.0
        world.wait_until_due()


@pytest.mark.parametrize(
    ("policy", "clean", "state"),
    [
        ("always", True, "backoff"),
        ("always", False, "backoff"),
        ("on_failure", True, "stopped"),
        ("on_failure", False, "backoff"),
        ("never", True, "stopped"),
        ("never", False, "failed"),
    ],
)
def test_what_follows_an_end_is_the_policy(policy: str, clean: bool, state: str) -> None:
    world = World({"m": spec(restart=policy), "dependant": spec("m")})
    world.ready("m", "dependant")
    world.ended("m", clean=clean)
    assert world.states() == {"m": state, "dependant": "waiting"}


def test_a_restart_that_was_asked_for_takes_the_dependants_along() -> None:
    world = running()
    world.obey(world.lives.restart("bridge", world.now_s))
    assert world.states() == {"db": "running", "bridge": "waiting", "ui": "waiting", "other": "running"}
    assert world.info("bridge").reason == "restart asked for"
    world.ended("ui", "bridge")
    world.ready("bridge", "ui")
    assert set(world.states().values()) == {"running"}


@pytest.mark.parametrize(
    ("name", "words"), [("brigde", "did you mean bridge"), ("x", "there are: "), ("ota_updater", "does not run ota_updater")]
)
def test_a_restart_of_what_cannot_be_restarted_says_so(monkeypatch: pytest.MonkeyPatch, name: str, words: str) -> None:
    not_run(monkeypatch)
    world = World({**CHAIN, "ota_updater": ModuleSpec()})
    with pytest.raises(ValueError, match=words):
        world.lives.restart(name, world.now_s)


def not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version of the agent that knows only the name of one of its modules."""
    monkeypatch.setattr(registry, "BUILT_IN", {**registry.BUILT_IN, "ota_updater": registry.BuiltIn(None)})


def test_what_this_version_only_knows_by_name_is_reported_as_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    not_run(monkeypatch)
    world = World({"ota_updater": ModuleSpec(), "m": spec("ota_updater")})
    assert world.states() == {"ota_updater": "stopped", "m": "waiting"}
    assert "does not run ota_updater" in (world.info("ota_updater").reason or "")
    assert world.info("m").reason == "ota_updater is stopped"


def test_all_are_ended_each_after_its_dependants() -> None:
    world = running()
    world.obey(world.lives.stop(world.now_s))
    assert set(world.new()) == {"ui stopped", "stop ui", "other stopped", "stop other"}
    world.ended("ui", "other")
    assert world.new() == ["bridge stopped", "stop bridge"]
    world.ended("bridge", "db")
    assert world.lives.all_ended
    assert {info.reason for info in world.lives.infos()} == {"the agent stops"}


@given(st.integers(0, 10_000), st.integers())
def test_restart_delays_are_bounded_and_never_nothing(attempt: int, seed: int) -> None:
    bound_s = min(300.0, 2.0 ** min(attempt, 10))
    assert bound_s / 2 <= delay_s(attempt, random.Random(seed)) <= bound_s


@given(st.lists(st.tuples(st.floats(0, 700), st.floats(0, 700)), max_size=40))
def test_five_failures_in_ten_minutes_and_no_fewer(pauses: list[tuple[float, float]]) -> None:
    """Against the plain reading of the rule."""
    history, now_s, moments = Restarts(random.Random(1)), 0.0, list[float]()
    for pause_s, ran_s in pauses:
        now_s += pause_s + ran_s
        moments = [] if ran_s >= STABLE_S else moments
        moments.append(now_s)
        given_up = history.failed(now_s, ran_s) is None
        assert given_up is (sum(1 for moment_s in moments if now_s - moment_s < WINDOW_S) >= MOST_FAILURES)


NAMES = "abcde"
WORLDS = st.fixed_dictionaries(
    {
        name: st.builds(
            lambda others, policy: spec(*others, restart=policy, wait_s=20),
            st.sets(st.sampled_from(NAMES[:index])) if index else st.just(set[str]()),
            st.sampled_from(["always", "on_failure"]),
        )
        for index, name in enumerate(NAMES)
    }
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ready", "unwell", "ended", "clean", "wait", "restart"]),
        st.sampled_from(NAMES),
        st.sampled_from([0.1, 1.0, 10.0, 100.0]),
    ),
    max_size=60,
)


@settings(max_examples=200)
@given(WORLDS, STEPS, st.sets(st.sampled_from(NAMES)))
def test_whatever_happens_the_order_holds_and_all_comes_back(
    specs: dict[str, ModuleSpec], steps: list[Any], fallen: set[str]
) -> None:
    """`World.obey` checks each step. In the end, what is asked to, and does as it is told, runs."""
    world = World(specs)
    for step in steps:
        world.take(*step)
    for name in NAMES:
        if world.state(name) in {"failed", "stopped"}:
            world.obey(world.lives.restart(name, world.now_s))
    for _ in range(3 * len(NAMES)):
        world.ended(*sorted(world.ending))
        world.ready(*sorted(world.alive))
        world.wait(CAP_S)
    assert set(world.states().values()) == {"running"}
    for name in fallen:
        world.ended(name)
    world.obey(world.lives.stop(world.now_s))
    for _ in NAMES:
        world.wait(CAP_S)
        world.ended(*sorted(world.ending))
    assert world.lives.all_ended
    assert not world.alive
