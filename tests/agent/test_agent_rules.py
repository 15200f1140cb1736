"""Conditions and rules, on a clock of the test's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetview_agent.rules.check import flaws
from fleetview_agent.rules.decide import Fired, RuleBook, WasOver
from fleetview_agent.rules.evaluate import Memory, Moment
from fleetview_agent.rules.lexer import RuleError
from fleetview_agent.rules.parse import MOST_CHARS, MOST_DEPTH, parse
from fleetview_agent.rules.spec import Rule
from fleetview_agent.rules.tree import All as Both
from fleetview_agent.rules.tree import Any as Either
from fleetview_agent.rules.tree import Compare, Condition, Lasting, LinkIs, ModuleIs, Not, Vital
from fleetview_agent.topicfilters import is_filter, matches

if TYPE_CHECKING:
    from collections.abc import Callable

    from fleetview_agent.modules.spec import ModuleSpec

MODULES = ("bridge", "db-1.x")


def rule(**keys: Any) -> Rule:
    return Rule.model_validate({"name": "r", "when": "cpu > 0.9", "health": "degraded", **keys})


# Reading


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("cpu > 0.9", Compare(Vital("cpu"), ">", 0.9)),
        ("cpu>90%", Compare(Vital("cpu"), ">", 0.9)),
        ("temperature_c <= -5.5", Compare(Vital("temperature_c"), "<=", -5.5)),
        ("uptime_s < 2m", Compare(Vital("uptime_s"), "<", 120)),
        ("cpu > 0.9 for 2m", Lasting(1, Compare(Vital("cpu"), ">", 0.9), 120)),
        ("module.bridge == failed", ModuleIs("bridge", "failed", negated=False)),
        ("module.db-1.x != running", ModuleIs("db-1.x", "running", negated=True)),
        ("not link == up", Not(LinkIs(up=True))),
        ("link != up", LinkIs(up=False)),
        (
            "link = down and (disk > .9 or disk > 0.8 and not link == up)",
            Both(
                (
                    LinkIs(up=False),
                    Either(
                        (
                            Compare(Vital("disk"), ">", 0.9),
                            Both((Compare(Vital("disk"), ">", 0.8), Not(LinkIs(up=True)))),
                        )
                    ),
                )
            ),
        ),
    ],
)
def test_what_a_condition_means(text: str, tree: Condition) -> None:
    assert parse(text, MODULES) == tree


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("", 1, "a condition such as cpu > 0.9 expected, not the end"),
        ("cpuu > 1", 1, "'cpuu' is not known"),
        ("cpuu > 1", 1, "did you mean cpu?"),
        ("cpu > 9", 7, "cpu is a fraction of 0 to 1"),
        ("cpu 0.9", 5, "one of > >= < <= == != expected, not '0.9'"),
        ("cpu > for", 7, "a number expected"),
        ("cpu > 0.9 for 2", 15, "a duration such as 30s, 2m or 1h expected after 'for'"),
        ("cpu > 0.9 for 0s", 15, "a duration of more than nothing"),
        ("cpu > 0.9 for 2m for 3m", 18, "'and', 'or' or the end expected, not 'for'"),
        ("cpu > 0.9 fro 2m", 11, "did you mean for?"),
        ("cpu > 0.9 and disk > 0.9 for 2m", 26, "Put parentheses"),
        ("not cpu > 0.9 for 2m", 15, "Put parentheses"),
        ("(cpu > 0.9", 11, "')' expected for the '(' in column 1, not the end"),
        ("cpu > 0.9)", 10, "'and', 'or' or the end expected"),
        ("cpu > 0.9 & disk > 1", 11, "'&' has no meaning here"),
        ("module.bridg == failed", 1, "no module is called 'bridg'; did you mean module.bridge?"),
        ("module.bridge == faild", 18, "did you mean failed?"),
        ("module.bridge > failed", 15, "== or != expected"),
        ("module. == failed", 1, "the name of a module expected"),
        ("link == sideways", 9, "up or down expected"),
        ("metrics. > 1", 1, "a metric such as"),
        ("metrics.a.b > 1", 1, "a metric such as"),
        ("rate(metrics.a) > 1", 15, "',' expected"),
        ("log(level>=WARNING) > 1 in 1m", 12, "did you mean WARN?"),
        ("log(service>a) > 1 in 1m", 12, "one of == != ~ !~ expected"),
        ("log(message~'(') > 1 in 1m", 13, "not a regular expression"),
        ("log(message~'x(a+)+y') > 1 in 1m", 13, "could stall"),
        ("log(message~'x) > 1 in 1m", 13, "a quotation that does not end"),
        ("log() > 1.5 in 1m", 9, "a whole number"),
        ("log() > 1", 10, "'in' expected"),
        ("(" * (MOST_DEPTH + 2) + "cpu > 0", MOST_DEPTH + 2, "nested more than"),
        ("x" * (MOST_CHARS + 1), MOST_CHARS + 1, "more than"),
    ],
)
def test_an_error_says_where_and_why(text: str, column: int, words: str) -> None:
    with pytest.raises(RuleError) as caught:
        parse(text, MODULES)
    assert words in str(caught.value)
    assert f"(column {column})" in str(caught.value)
    caret = caught.value.marked().splitlines()[1]
    assert caret.strip() == "^"


def test_a_caret_stands_under_the_place() -> None:
    with pytest.raises(RuleError) as caught:
        parse("cpu > 0.9 and\n dsk > 0.5")
    assert caught.value.marked() == "cpu > 0.9 and  dsk > 0.5\n               ^"


@given(st.text() | st.text(st.sampled_from("cpu><=0.9 formdule.lgink(){}!~,\"'2m\\")))
def test_no_text_raises_anything_else(text: str) -> None:
    try:
        parse(text)
    except RuleError:
        return


# Evaluating


@dataclass
class Clock:
    """A condition, and a device that a test moves through time."""

    memory: Memory
    now_s: float = 1000.0

    def at(self, after_s: float = 0.0, **known: Any) -> bool | None:
        self.now_s += after_s
        metrics = {name: value for name, value in known.items() if name.startswith("m_")}
        modules = {name: value for name, value in known.items() if name in MODULES}
        figures = {name: value for name, value in known.items() if name not in {*metrics, *modules, "link"}}
        return self.memory.holds(Moment(self.now_s, figures, metrics, modules, known.get("link")))


def clock(text: str) -> Clock:
    return Clock(Memory(parse(text, MODULES)))


def test_what_lasts_has_to_last_without_a_break() -> None:
    world = clock("cpu > 0.9 for 2m")
    assert world.at(cpu=0.95) is False
    assert world.at(119.9, cpu=0.95) is False
    assert world.at(0.1, cpu=0.95) is True
    assert world.at(1, cpu=0.9) is False
    assert world.at(300, cpu=0.95) is False
    assert world.at(60, cpu=None) is None, "no data is no data"
    assert world.at(119, cpu=0.95) is False
    assert world.at(120, cpu=0.95) is True


@pytest.mark.parametrize(
    ("text", "known", "answer"),
    [
        ("cpu > 0.5 or disk > 0.5", {"cpu": 0.6, "disk": None}, True),
        ("cpu > 0.5 or disk > 0.5", {"cpu": 0.4, "disk": None}, None),
        ("cpu > 0.5 and disk > 0.5", {"cpu": 0.4, "disk": None}, False),
        ("cpu > 0.5 and disk > 0.5", {"cpu": 0.6, "disk": None}, None),
        ("not cpu > 0.5", {"cpu": None}, None),
        ("not cpu > 0.5", {"cpu": 0.5}, True),
        ("metrics.m_x == 3", {"m_x": 3.0}, True),
        ("metrics.m_x != 3", {}, None),
        ("module.bridge == failed", {"bridge": "failed"}, True),
        ("module.bridge != failed", {"bridge": "failed"}, False),
        ("module.bridge != failed", {}, None),
        ("link == down", {"link": False}, True),
        ("link == down", {}, None),
    ],
)
def test_answers_where_something_is_not_known(text: str, known: dict[str, Any], answer: bool | None) -> None:
    assert clock(text).at(**known) is answer


def test_a_rate_is_told_once_its_window_is_covered_and_bears_a_counter_that_begins_anew() -> None:
    world = clock("rate(metrics.m_x, 1m) >= 2")
    assert world.at(m_x=100.0) is None
    assert world.at(20, m_x=140.0) is None
    assert world.at(20, m_x=180.0) is True
    assert world.at(20, m_x=20.0) is False, "80 + 20 in 60 s"
    assert world.at(20, m_x=None) is None
    assert world.at(20, m_x=1000.0) is None


def record(**fields: Any) -> dict[str, Any]:
    return {"service": "auth", "level": "ERROR", "message": "Login failed: u-17", **fields}


@pytest.mark.parametrize(
    ("fields", "counted"),
    [
        ("", True),
        ("service=auth", True),
        ("service!=auth", False),
        ("level>=WARN", True),
        ("level>=WARN, service=db", False),
        ("level<error", False),
        ('message~"login.*u-\\d+$"', True),
        ("message!~'login'", False),
        ('message~"failed: \\"x\\""', False),
        ("user=u-17", False),
        ("code=17", True),
        ("missing!=x", True),
    ],
)
def test_which_log_records_are_counted(fields: str, counted: bool) -> None:
    memory = Memory(parse(f"log({fields}) > 0 in 1m"))
    assert memory.note(record(code=17), 0.0) is counted
    assert memory.holds(Moment(1.0)) is counted


OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}


@given(
    st.lists(st.tuples(st.floats(0, 40), st.booleans()), max_size=40), st.sampled_from(list(OPERATORS)), st.integers(0, 4)
)
def test_log_records_in_a_window_against_counting_them(steps: list[tuple[float, bool]], comparison: str, bound: int) -> None:
    memory, now_s, moments = Memory(parse(f"log(level=ERROR) {comparison} {bound} in 1m")), 0.0, list[float]()
    for pause_s, is_error in steps:
        now_s += pause_s
        memory.note(record(level="ERROR" if is_error else "WARN"), now_s)
        moments += [now_s] if is_error else []
        found = sum(1 for moment_s in moments if now_s - moment_s < 60)
        assert memory.holds(Moment(now_s)) is OPERATORS[comparison](found, bound)


LEAVES = st.sampled_from(["cpu > 0.5", "disk > 0.5", "memory > 0.5"])
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(st.just("not"), inner),
        st.tuples(st.sampled_from(["and", "or"]), inner, inner),
        st.tuples(st.just("for"), inner, st.sampled_from([1, 10, 30])),
    ),
    max_leaves=5,
)
WORLD = st.fixed_dictionaries({name: st.sampled_from([None, 0.2, 0.8]) for name in ("cpu", "disk", "memory")})


def written(tree: Any) -> str:
    match tree:
        case ("not", inner):
            return f"not ({written(inner)})"
        case ("for", inner, duration):
            return f"(({written(inner)}) for {duration}s)"
        case (word, left, right):
            return f"({written(left)}) {word} ({written(right)})"
        case leaf:
            return str(leaf)


def plainly(tree: Any, history: list[tuple[float, dict[str, float | None]]]) -> bool | None:
    """What a condition means, told anew from the whole history."""
    answer: bool | None
    now_s, world = history[-1]
    match tree:
        case ("not", inner):
            answer = plainly(inner, history)
            return None if answer is None else not answer
        case ("for", inner, duration):
            answer = plainly(inner, history)
            if answer is not True:
                return answer
            since_s = now_s
            for length in range(len(history) - 1, 0, -1):
                if plainly(inner, history[:length]) is not True:
                    break
                since_s = history[length - 1][0]
            return bool(now_s - since_s >= duration)
        case (word, left, right):
            answers = {plainly(left, history), plainly(right, history)}
            decisive = bool(word == "or")
            return decisive if decisive in answers else None if None in answers else not decisive
        case leaf:
            value = world[str(leaf).split()[0]]
            return value if value is None else bool(value > 0.5)


@given(TREES, st.lists(st.tuples(st.sampled_from([0.5, 1.0, 9.5, 20.0]), WORLD), min_size=1, max_size=6))
def test_a_condition_against_the_plain_reading_of_it(tree: Any, steps: list[tuple[float, dict[str, float | None]]]) -> None:
    memory, now_s, history = Memory(parse(written(tree))), 0.0, list[tuple[float, dict[str, float | None]]]()
    for pause_s, world in steps:
        now_s += pause_s
        history.append((now_s, world))
        assert memory.holds(Moment(now_s, world)) is plainly(tree, history)


# Deciding


def test_hysteresis_and_cooldown() -> None:
    book = RuleBook([rule(until="cpu < 0.7 for 1m", cooldown_s=600)], MODULES)

    def at(now_s: float, cpu: float | None) -> list[str]:
        return [type(outcome).__name__ for outcome in book.advance(Moment(now_s, {"cpu": cpu}))]

    assert at(0, 0.95) == ["Fired"]
    assert book.findings().degraded == ("rule r: cpu > 0.9",)
    assert at(10, 0.8) == []
    assert at(20, 0.6) == []
    assert at(70, 0.8) == [], "it did not stay below"
    assert at(80, 0.6) == []
    assert at(100, None) == [], "no data is no end"
    assert at(110, 0.6) == []
    assert at(170, 0.6) == ["WasOver"]
    assert book.findings().degraded == ()
    assert at(180, 0.95) == [], "the cooldown"
    assert at(600, 0.95) == ["Fired"]


def test_what_a_rule_tells_when_it_fires_and_is_over() -> None:
    book = RuleBook([rule(when="cpu > 0.9 and metrics.m_x < 5", health="critical", reason="too hot")], MODULES)
    (fired,) = book.advance(Moment(0.0, {"cpu": 0.95}, {"m_x": 3.0}))
    assert isinstance(fired, Fired)
    assert fired.values == {"cpu": 0.95, "metrics.m_x": 3.0}
    assert book.findings().critical == ("too hot",)
    (over,) = book.advance(Moment(90.0, {"cpu": 0.1}, {"m_x": 3.0}))
    assert isinstance(over, WasOver)
    assert over.after_s == 90


@given(st.lists(st.tuples(st.floats(0, 100), st.sampled_from([None, 0.1, 0.6, 0.8, 0.95])), max_size=40), st.booleans())
def test_rules_fire_and_end_in_turn_and_never_within_the_cooldown(
    steps: list[tuple[float, float | None]], has_until: bool
) -> None:
    keys = {"until": "cpu < 0.7"} if has_until else {}
    book = RuleBook([rule(cooldown_s=100, **keys)], MODULES)
    now_s, fired_s, active = 0.0, -1e9, False
    for pause_s, cpu in steps:
        now_s += pause_s
        outcomes = book.advance(Moment(now_s, {"cpu": cpu}))
        if active:
            ends = cpu is not None and (cpu < 0.7 if has_until else cpu <= 0.9)
            assert [type(each) for each in outcomes] == ([WasOver] if ends else [])
            active = not ends
        else:
            fires = cpu is not None and cpu > 0.9 and now_s - fired_s >= 100
            assert [type(each) for each in outcomes] == ([Fired] if fires else [])
            active, fired_s = fires, now_s if fires else fired_s
        assert bool(book.findings().degraded) is active


# What rules may do


@pytest.mark.parametrize(
    ("keys", "key", "words"),
    [
        ({"when": "cpuu > 1"}, "when", "did you mean cpu? (column 1)\n    cpuu > 1\n    ^"),
        ({"until": "cpu <"}, "until", "a number expected, not the end (column 6)\n    cpu <\n         ^"),
        ({"restart": "bridg"}, "restart", "no module is called 'bridg'; did you mean bridge?"),
        ({"restart": "rule_engine"}, "restart", "a rule cannot restart what carries it out"),
        ({"publish": {"topic": "plant/x"}}, "publish.topic", "'plant/x' is not allowed: add it to publish_topics"),
        ({"publish": {"topic": "fleet/v1/a/b/c/state"}}, "publish.topic", "is below 'fleet/v1', where the contract rules"),
    ],
)
def test_what_a_rule_cannot_be(keys: dict[str, Any], key: str, words: str) -> None:
    (flaw,) = flaws([rule(**keys)], specs(), ["fleet/#", "line/+/stop"], "fleet/v1")
    assert flaw.key == f"rules[0].{key}"
    assert words in flaw.words


def specs() -> dict[str, ModuleSpec]:
    from fleetview_agent.modules.spec import ModuleSpec

    return {"bridge": ModuleSpec(command=["x"]), "rule_engine": ModuleSpec()}


def test_what_a_rule_can_be() -> None:
    keys = {"restart": "bridge", "publish": {"topic": "line/3/stop"}, "when": "module.bridge == failed"}
    assert not list(flaws([rule(**keys)], specs(), ["line/+/stop"], "fleet/v1"))


@pytest.mark.parametrize(
    "keys",
    [
        {"health": None},
        {"publish": {}},
        {"publish": {"event": "a", "topic": "b"}},
        {"publish": {"event": "../state"}},
        {"publish": {"event": "a//b"}},
        {"publish": {"topic": "a/#"}},
        {"publish": {"topic": "$SYS/x"}},
        {"publish": {"event": "a", "payload": "x" * 20_000}},
        {"health": "ok"},
        {"cooldown_s": -1},
    ],
)
def test_what_pydantic_refuses(keys: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        rule(**keys)


@pytest.mark.parametrize("value", ["", "#", "+/a", "a/#/b", "a+/b", "$share/x/y", "a\0"])
def test_what_is_no_filter_for_topics(value: str) -> None:
    assert not is_filter(value)


@pytest.mark.parametrize(
    ("topic", "wanted", "means"),
    [
        ("a/b", "a/b", True),
        ("a/b/c", "a/#", True),
        ("a", "a/#", True),
        ("a/b/c", "a/+", False),
        ("a/b/c", "a/+/c", True),
        ("a/b", "a/b/c", False),
    ],
)
def test_which_topics_a_filter_means(topic: str, wanted: str, means: bool) -> None:
    assert is_filter(wanted)
    assert matches(topic, [wanted]) is means
