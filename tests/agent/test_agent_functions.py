"""How functions come to run, on a clock of the test's own."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.agents import run_agent

from fleetview_agent.functions.check import flaws
from fleetview_agent.functions.lives import MOST_AT_ONCE, Call, Dropped, FunctionLives, Run, Unload
from fleetview_agent.modules.restarts import MOST_FAILURES
from fleetview_agent.modules.spec import ModuleSpec
from fleetview_agent.topicfilters import overlaps

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fleetview_agent.functions.lives import Action


def function(**keys: Any) -> ModuleSpec:
    return ModuleSpec.model_validate({"kind": "function", "command": ["x"], **keys})


@dataclass
class World:
    """Functions that do as they are told. Checks at each step what must always hold."""

    specs: dict[str, ModuleSpec]
    obstacle: str | None = None
    now_s: float = 1000.0
    loaded: set[str] = field(default_factory=set)
    busy: dict[str, Call] = field(default_factory=dict)
    ending: set[str] = field(default_factory=set)
    made: list[int] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)
    why: list[str] = field(default_factory=list)
    protocols: dict[str, float] = field(default_factory=dict)
    """`idle_s` of the processes that were started."""
    asked: int = 0

    def __post_init__(self) -> None:
        self.lives = FunctionLives(self.specs, rng=random.Random(1), obstacle=lambda _: self.obstacle)

    def obey(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case Run(name, call):
                    assert name not in self.busy
                    assert name not in self.ending
                    assert self.obstacle is None
                    self.busy[name] = call
                    self.protocols[name] = self.specs[name].idle_s
                    self.loaded.add(name)
                    self.made.append(call.input["number"])
                    assert len(self.busy) <= MOST_AT_ONCE
                case Unload(name):
                    assert name in self.loaded
                    assert name not in self.ending, "it is told to end once"
                    self.ending.add(name)
                case Dropped(_, call, why):
                    self.dropped.append(call.input["number"])
                    self.why.append(why)
        assert self.lives.all_unloaded is not bool(self.loaded)
        for name in self.busy.keys() & self.specs.keys():
            assert self.state(name) == "running" or name in self.ending

    def trigger(self, name: str = "f") -> None:
        self.asked += 1
        self.obey(self.lives.trigger(name, Call("rule r", {"number": self.asked}, self.now_s), self.now_s))

    def returned(self, name: str = "f", failure: str | None = None, *, stays: bool = False) -> None:
        if self.busy.pop(name, None) is None:
            return
        stays = stays and self.protocols[name] > 0
        if not stays:
            self.loaded.discard(name)
            self.ending.discard(name)
        self.obey(self.lives.returned(name, failure, self.now_s, is_gone=not stays))

    def gone(self, name: str = "f", failure: str | None = None) -> None:
        if name in self.loaded and name not in self.busy:
            self.loaded.discard(name)
            self.ending.discard(name)
            self.obey(self.lives.gone(name, failure, self.now_s))

    def reconfigure(self, specs: dict[str, ModuleSpec]) -> None:
        self.specs = specs
        self.obey(self.lives.reconfigure(specs, self.now_s))
        assert [info.name for info in self.lives.infos()] == list(specs)

    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        self.obey(self.lives.advance(self.now_s))

    def state(self, name: str = "f") -> str | None:
        return next(info.state for info in self.lives.infos() if info.name == name)

    def reason(self, name: str = "f") -> str:
        return next(info.reason or "" for info in self.lives.infos() if info.name == name)


def test_a_function_is_loaded_when_triggered_and_unloaded_when_it_idles() -> None:
    world = World({"f": function(idle_s=60)})
    assert (world.state(), world.reason()) == ("stopped", "not loaded: it waits for its trigger")
    world.trigger()
    assert world.state() == "running"
    world.returned(stays=True)
    assert (world.state(), world.reason()) == ("running", "loaded, and idle")
    world.wait(59)
    world.trigger()
    world.returned(stays=True)
    world.wait(59)
    assert not world.ending
    world.wait(1)
    assert world.ending == {"f"}
    assert world.state() == "stopped"
    world.trigger()
    assert world.made == [1, 2], "the process before is still ending"
    world.gone()
    assert world.made == [1, 2, 3]


def test_after_a_failure_calls_wait_and_a_success_makes_up_for_it() -> None:
    world = World({"f": function()})
    for _ in range(3 * MOST_FAILURES):
        world.trigger()
        world.returned(failure="exit status 1")
        assert (world.state(), world.reason()) == ("backoff", "exit status 1")
        world.trigger()
        assert not world.busy
        world.wait(10)
        assert world.busy
        world.returned()
        assert world.state() == "stopped"


def test_five_failures_in_a_row_fail_a_function_until_somebody_asks() -> None:
    world = World({"f": function()})
    for _ in range(MOST_FAILURES):
        world.trigger()
        world.returned(failure="exit status 1")
        world.wait(20)
    assert (world.state(), world.reason()) == ("failed", "exit status 1; failed 5 times within 10 minutes")
    world.trigger()
    assert world.dropped == [MOST_FAILURES + 1]
    world.obey(world.lives.restart("f", world.now_s))
    assert world.state() == "stopped"
    world.trigger()
    assert world.state() == "running"


def test_calls_wait_for_what_the_function_depends_on_but_not_for_ever() -> None:
    world = World({"f": function(wait_s=30)}, obstacle="db is in backoff")
    world.trigger()
    assert (world.state(), world.reason()) == ("waiting", "db is in backoff")
    due_s = world.lives.next_due_s()
    assert due_s == world.now_s + 30
    world.wait(30)
    assert (world.state(), world.why) == ("stopped", ["waited 30 s: db is in backoff"])
    world.trigger()
    world.obstacle = None
    world.wait(1)
    assert world.made == [2]


def test_another_configuration_leaves_alone_what_it_does_not_change() -> None:
    world = World({"f": function(idle_s=60), "g": function(), "h": function()})
    for name in "fgh":
        world.trigger(name)
    world.trigger("g")
    world.trigger("h")
    world.reconfigure({"f": function(idle_s=60, queue=3, on={"every_s": 5}), "g": function(timeout_s=9), "new": function()})
    assert world.ending == {"g", "h"}
    assert world.why == ["it was taken out of the configuration"]
    assert world.state("f") == "running"
    world.returned("g", "killed by SIGTERM")
    world.returned("h", "killed by SIGTERM")
    assert world.made == [1, 2, 3, 4], "the call that waited is made by the new g"
    world.reconfigure({"h": function()})
    assert world.state("h") == "stopped"


def test_no_more_run_at_once_than_may_and_those_that_wait_longest_come_first() -> None:
    names = [f"f{number}" for number in range(MOST_AT_ONCE + 2)]
    world = World({name: function() for name in names})
    for name in reversed(names):
        world.now_s += 1
        world.trigger(name)
    assert world.state("f1") == "waiting"
    assert world.reason("f1") == f"{MOST_AT_ONCE} functions run already"
    world.returned(names[-1])
    assert (world.state("f1"), world.state("f0")) == ("running", "waiting")


def test_a_queue_is_bounded() -> None:
    world = World({"f": function(queue=2)})
    for _ in range(5):
        world.trigger()
    assert (world.made, world.dropped) == ([1], [4, 5])


NAMES = ("a", "b", "c", "d", "e", "f")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "trigger",
                "trigger",
                "ok",
                "fail",
                "gone",
                "crash",
                "wait",
                "restart",
                "obstacle",
                "take out",
                "put in",
                "change",
            ]
        ),
        st.sampled_from([*NAMES, "a", "a", "f", "f"]),
        st.sampled_from([0.0, 1.0, 15.0, 100.0]),
    ),
    max_size=80,
)


def step(world: World, what: str, name: str, seconds: float) -> None:
    match what:
        case "trigger" if name in world.specs:
            world.trigger(name)
        case "ok":
            world.returned(name, stays=True)
        case "fail":
            world.returned(name, "exit status 1", stays=seconds > 1)
        case "gone":
            world.gone(name)
        case "crash":
            world.gone(name, "killed by SIGKILL")
        case "wait":
            world.wait(seconds)
        case _:
            rearrange(world, what, name, seconds)


def rearrange(world: World, what: str, name: str, seconds: float) -> None:
    match what:
        case "take out":
            world.reconfigure({each: spec for each, spec in world.specs.items() if each != name})
        case "put in":
            world.reconfigure({name: function(queue=2), **world.specs})
        case "change" if name in world.specs:
            world.reconfigure({**world.specs, name: function(idle_s=seconds, queue=2, wait_s=20)})
        case "restart" if name in world.specs:
            world.obey(world.lives.restart(name, world.now_s))
        case "obstacle":
            world.obstacle = None if world.obstacle else "db failed"


@settings(max_examples=300)
@given(STEPS, st.booleans())
def test_no_call_is_made_twice_and_none_vanishes(steps: list[tuple[str, str, float]], stops: bool) -> None:
    world = World({name: function(idle_s=0 if name < "d" else 30, queue=2, wait_s=20) for name in NAMES})
    for what, name, seconds in steps:
        step(world, what, name, seconds)
        due_s = world.lives.next_due_s()
        assert due_s is None or due_s > world.now_s or world.obstacle or what != "wait", "or whoever waits would spin"
    if stops:
        world.obey(world.lives.stop())
        assert world.ending == world.loaded
    world.obstacle = None
    for _ in range(100):  # all that waits is made in the end
        world.wait(10)
        for name in NAMES:
            world.returned(name)
            world.gone(name)
    assert sorted(world.made + world.dropped) == list(range(1, world.asked + 1))
    assert len(set(world.made)) == len(world.made)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"command": None}, "command = "),
        ({"ready": {"tcp": 1}}, "a function has no ready"),
        ({"restart": "always"}, "a function has no restart"),
        ({"kind": "process", "idle_s": 3}, 'only kind = "function" has idle_s'),
        ({"kind": "functoin"}, "kind"),
        ({"on": {"every_s": 0}}, "every_s"),
    ],
)
def test_what_a_function_cannot_be(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match="validation error") as caught:
        function(**keys)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "key", "words"),
    [
        ({"on": {"cron": "x"}}, "f.on.cron", "not a cron expression"),
        ({"on": {"topics": ["a/#/b"]}}, "f.on.topics[0]", "topics with '+' for one level"),
        ({"on": {"topics": ["fleet/+/acme"]}}, "f.on.topics[0]", "reaches below 'fleet/v1', where the contract rules"),
        ({"depends_on": ["g"]}, "f.depends_on[0]", "g is a function, which does not run unless it is triggered"),
    ],
)
def test_flaws_of_functions(keys: dict[str, Any], key: str, words: str) -> None:
    (flaw,) = flaws({"f": function(**keys), "g": function()}, "fleet/v1")
    assert flaw.key == key
    assert words in flaw.words


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("fleet/#", True),
        ("fleet/v1", True),
        ("fleet/v1/#", True),
        ("fleet/+/x", True),
        ("fleet/v1/x", True),
        ("fleet/v2/#", False),
        ("fleet", False),
        ("plant/#", False),
    ],
)
def test_which_filters_reach_below_the_root(wanted: str, found: bool) -> None:
    assert overlaps(wanted, "fleet/v1") is found


def test_config_check_says_what_is_wrong_with_functions_and_rules_that_run_them(tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text(
        'agent_id = "gw-1"\nbroker_url = "mqtt://localhost"\n[modules.rule_engine]\n[modules.app]\ncommand = ["app"]\n'
        '[modules.report]\nkind = "function"\ncommand = ["report"]\non = { evry_s = 5 }\n'
        '[[rules]]\nname = "r"\nwhen = "cpu > 0.9"\nrun = "app"\n[[rules]]\nname = "s"\nwhen = "cpu > 0.9"\nrun = "reprt"\n'
    )
    found = run_agent(["config", "check", "--config", str(config)])
    assert found.stderr.splitlines() == [f"{config}: modules.report.on.evry_s: unknown key (value 5); did you mean every_s?"]
    config.write_text(config.read_text().replace("evry_s", "every_s"))
    found = run_agent(["config", "check", "--config", str(config)])
    assert found.stderr.splitlines() == [
        f'{config}: rules[0].run: app is not a function: set its kind = "function", or use `restart`',
        f"{config}: rules[1].run: no function is called 'reprt'; did you mean report?",
    ]
