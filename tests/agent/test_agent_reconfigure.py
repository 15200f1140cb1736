"""Other modules in place of those that run: as few as can be are restarted, and none twice at once."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetview_agent.modules.lifecycle import Became, BecameReady, Ended, Lives, Start, Stop
from fleetview_agent.modules.spec import ModuleSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fleetview_agent.modules.lifecycle import Action


def spec(*depends_on: str, program: str = "x", **fields: Any) -> ModuleSpec:
    return ModuleSpec.model_validate({"command": [program], "depends_on": list(depends_on), **fields})


@dataclass
class Machine:
    """Processes that do as they are told."""

    specs: Mapping[str, ModuleSpec]
    now_s: float = 1000.0
    alive: dict[str, ModuleSpec] = field(default_factory=dict)
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
                    self.alive[name] = self.specs[name]
                    self.log.append(f"start {name}")
                case Stop(name):
                    assert name in self.alive
                    assert name not in self.ending, "it is told to end once"
                    self.ending.add(name)
                    self.log.append(f"stop {name}")
                case Became():
                    pass

    def reconfigure(self, specs: Mapping[str, ModuleSpec], also: Sequence[str] = ()) -> None:
        self.specs = specs
        self.obey(self.lives.reconfigure(specs, self.now_s, also))

    def ends(self, name: str) -> None:
        del self.alive[name]
        self.ending.discard(name)
        self.obey(self.lives.apply(name, Ended("exit status 0"), self.now_s))

    def ready(self, name: str) -> None:
        self.obey(self.lives.apply(name, BecameReady(), self.now_s))

    def settle(self) -> None:
        """Until nothing happens any more."""
        for _ in range(30):
            for name in sorted(self.ending):
                self.ends(name)
            for name in sorted(self.alive):
                self.ready(name)

    def states(self) -> dict[str, str | None]:
        return {info.name: info.state for info in self.lives.infos()}

    def new(self) -> list[str]:
        log, self.log = self.log, []
        return log


CHAIN = {"db": spec(), "ui": spec("db"), "other": spec()}


def running(specs: Mapping[str, ModuleSpec]) -> Machine:
    machine = Machine(specs)
    machine.settle()
    machine.new()
    return machine


def test_nothing_changes_and_nothing_happens() -> None:
    machine = running(CHAIN)
    machine.reconfigure({name: spec.model_copy() for name, spec in reversed(CHAIN.items())})
    assert machine.new() == []
    assert list(machine.states()) == ["other", "ui", "db"]


def test_only_the_one_that_changed_is_restarted_with_those_that_depend_on_it() -> None:
    machine = running(CHAIN)
    machine.reconfigure({**CHAIN, "ui": spec("db", program="y")})
    machine.settle()
    assert machine.new() == ["stop ui", "start ui"]
    machine.reconfigure({**machine.specs, "db": spec(program="y")})
    machine.settle()
    assert machine.new() == ["stop db", "stop ui", "start db", "start ui"]
    assert machine.alive == machine.specs
    assert [info.restarts for info in machine.lives.infos()] == [1, 2, 0]


@pytest.mark.parametrize(
    "fields", [{"restart": "never"}, {"wait_s": 5}, {"stop_grace_s": 1}, {"stop_signal": "SIGINT"}, {"version": "2"}]
)
def test_what_only_the_agent_needs_to_know_restarts_nothing(fields: dict[str, Any]) -> None:
    machine = running(CHAIN)
    machine.reconfigure({**CHAIN, "db": spec(**fields)})
    assert machine.new() == []


def test_others_come_and_go_in_their_order() -> None:
    machine = running(CHAIN)
    machine.reconfigure({"other": spec(), "second": spec("first"), "first": spec()})
    assert machine.new() == ["stop ui", "start first"], "db waits for ui, and second for first"
    assert machine.states() == {"other": "running", "second": "waiting", "first": "starting"}
    machine.settle()
    assert machine.new() == ["stop db", "start second"]
    assert set(machine.alive) == {"other", "first", "second"}


def test_one_that_comes_back_waits_for_its_own_end() -> None:
    machine = running(CHAIN)
    machine.reconfigure({"other": spec()})
    machine.reconfigure(CHAIN)
    assert machine.new() == ["stop ui", "stop db"]
    machine.settle()
    assert set(machine.states().values()) == {"running"}
    assert set(machine.alive) == set(CHAIN)


def test_one_that_was_given_up_is_started_when_its_own_part_changes_and_not_before() -> None:
    machine = running({"m": spec(restart="never"), "other": spec()})
    machine.ends("m")
    assert machine.states()["m"] == "failed"
    machine.reconfigure({"m": spec(restart="never"), "other": spec(program="y")})
    machine.settle()
    assert machine.states()["m"] == "failed"
    machine.reconfigure({"m": spec(program="y", restart="never"), "other": spec(program="y")})
    machine.settle()
    assert machine.states()["m"] == "running"


def test_what_is_asked_for_is_restarted_too_and_a_new_dependency_is_waited_for() -> None:
    machine = running(CHAIN)
    machine.reconfigure(CHAIN, also=["other"])
    machine.settle()
    assert machine.new() == ["stop other", "start other"]
    machine.reconfigure({**CHAIN, "other": spec("new"), "new": spec()})
    machine.settle()
    assert machine.new() == ["start new", "stop other", "start other"]


def test_a_stop_ends_what_is_leaving_too_and_nothing_is_reconfigured_any_more() -> None:
    machine = running(CHAIN)
    machine.reconfigure({"other": spec()})
    machine.obey(machine.lives.stop(machine.now_s))
    machine.reconfigure(CHAIN)
    assert machine.alive
    machine.settle()
    assert machine.lives.all_ended
    assert machine.log == ["stop ui", "stop other", "stop db"]


NAMES = "abcd"
WORLDS = st.dictionaries(
    st.sampled_from(NAMES), st.tuples(st.sets(st.sampled_from(NAMES)), st.sampled_from(["x", "y"])), max_size=len(NAMES)
).map(
    lambda drawn: {
        name: spec(*sorted(other for other in others if other < name and other in drawn), program=program)
        for name, (others, program) in drawn.items()
    }
)


@settings(max_examples=150)
@given(st.lists(st.tuples(WORLDS, st.booleans()), min_size=2, max_size=6))
def test_whatever_comes_after_what_all_runs_as_the_last_says(worlds: list[tuple[dict[str, ModuleSpec], bool]]) -> None:
    machine = running(worlds[0][0])
    for specs, settles in worlds[1:]:
        before, was_settled = dict(machine.alive), not machine.ending
        machine.reconfigure(specs)
        if settles:
            machine.settle()
            if was_settled:
                kept = [name for name, one in specs.items() if before.get(name) == one and not one.depends_on]
                assert not {f"stop {name}" for name in kept} & set(machine.new())
        machine.new()
    machine.settle()
    assert set(machine.alive) == set(machine.specs)
    assert all(machine.specs[name].runs_like(one) for name, one in machine.alive.items())
    assert set(machine.states().values()) <= {"running"}
