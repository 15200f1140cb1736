"""The language by examples: what each filter picks, and what each mistake is answered with."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import to_json

from fleetview.core.device import ConfigAxis, Connectivity, Device, Vitals
from fleetview.core.logbook import Entry
from fleetview.core.payloads import pack
from fleetview.core.query import QueryError, compile_devices, compile_logs
from fleetview.core.query.fields import FLAGS, device_fields
from fleetview.core.query.parse import MAX_CHARS, MAX_DEPTH, parse
from fleetview.core.query.tree import EVERYTHING
from fleetview_agent.wire import Address, Level

T = TypeVar("T")
NOW = (1000.0, 1_795_000_000.0)

HOT = Device(
    Address("acme", "plant-7", "gw-0042"),
    Connectivity.ONLINE,
    confirmed=True,
    health="critical",
    reasons=("module rule_engine failed: exit status 1",),
    vitals=Vitals(0.97, 0.61, 0.5, 71.0),
    release="1.3.10",
    labels={"ring": "stable", "Region": "EU"},
    module_states=(("telemetry_collector", "running"), ("rule_engine", "failed")),
    seen_mono=998.0,
    config=ConfigAxis.IN_SYNC,
    config_version=12,
    lifecycle="enrolled",
    session="01JDA8",
    heartbeat_packed=pack(b'{"v":1,"spool":{"bytes":20000000},"metrics":{"queue":5}}'),
)
CANARY = Device(
    Address("acme", "plant-2", "gw-0310"),
    Connectivity.ONLINE,
    confirmed=True,
    health="ok",
    vitals=Vitals(0.12, None, None, None),
    release="1.5.0-rc1",
    labels={"ring": "canary"},
    seen_mono=990.0,
    malformed=1,
)
GONE = Device(
    Address("other", "north", "gw-0117"),
    Connectivity.LOST,
    health="critical",
    reasons=("disk full",),
    vitals=Vitals(0.99, 0.99, 0.99, 99.0),
    seen_mono=400.0,
    heartbeat_packed=pack(b'{"v":1,"spool":{"bytes":20000000}}'),
)
FLEET = {"hot": HOT, "canary": CANARY, "gone": GONE}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "hot canary gone"),
        ('health:critical site:plant-* version<1.4 cpu>0.8 -label.ring:canary "exit status"', "hot"),
        # words
        ("state:online", "hot canary"),
        ("state:critical", "hot"),
        ("STATE:Lost,CRITICAL", "hot gone"),
        ("state!=online", "gone"),
        ("state:o*", "hot canary"),
        ("health:critical", "hot"),  # what a lost device said before is not current
        ("health:unknown", "gone"),
        ("health!=ok", "hot gone"),
        ("health>=degraded", "hot"),
        ("health?>=degraded", "hot gone"),
        ("exists(health)", "hot canary"),
        ("flag:malformed", "canary"),
        ("flags:clock_skew", ""),
        ("exists(flag)", "canary"),
        ("config:in_sync", "hot"),
        ("lifecycle:enrolled", "hot"),
        # texts
        ("site=plant-7", "hot"),
        ("site!=plant-7", "canary gone"),
        ("site:(plant-7,north)", "hot gone"),
        ('site:("plant-7", nor*)', "hot gone"),
        ("address:acme/*", "hot canary"),
        ("device~01", "gone"),
        ("device~~^gw-0[01]", "hot gone"),
        ("label.ring:canary", "canary"),
        ("label.ring!=canary", "hot"),
        ("label.ring?!=canary", "hot gone"),
        ("-label.ring:canary", "hot gone"),
        ("label.REGION:eu", "hot"),
        ("exists(label.region)", "hot"),
        ("module:failed", "hot"),
        ("module:rule_engine:failed", "hot"),
        ("module:rule_engine:running", ""),
        ('reason~"exit status"', "hot"),
        ("why~lost", ""),
        ("why~silent", "gone"),
        ("session:01jda8", "hot"),
        ("exists(rollout)", ""),
        # figures
        ("cpu>80%", "hot"),
        ("cpu<=0.12", "canary"),
        ('cpu<="12%"', "canary"),
        ("cpu:0.1..0.2", "canary"),
        ("memory>0", "hot"),
        ("memory?>0", "hot canary gone"),
        ("temp>70C", "hot"),
        ("seen>5m", "gone"),
        ("seen<10s", "hot"),
        ("seen:0..1m", "hot canary"),
        ("spool>10MB", "hot"),
        ("config_version:12", "hot"),
        (".metrics.queue>4", "hot"),
        (".metrics.queue:5", "hot"),
        # versions
        ("release<1.4", "hot"),
        ("version>=1.3.9", "hot canary"),
        ("version<1.5", "hot canary"),
        ("version:1.3..1.4", "hot"),
        ("version:1.5.*", "canary"),
        ("version!=1.3.10", "canary"),
        ("release?<1.4", "hot gone"),
        # joined
        ("site:north or health:critical", "hot gone"),
        ("site:north OR site:plant-2 cpu>0.5", "gone"),
        ("(site:north or site:plant-2) seen<1m", "canary"),
        ("not site:north and not site:plant-2", "hot"),
        ("-(site:north or site:plant-2)", "hot"),
        ("--site:north", "gone"),
        # free text
        ("rule_engine", "hot"),
        ("RULE_ENGINE", "hot"),
        ("disk", "gone"),
        ("plant-2/gw", "canary"),
        ("gw-0*2", "hot"),
        ('"gw-0*2"', ""),
        ('"and"', ""),
    ],
)
def test_filters_of_devices(text: str, expected: str) -> None:
    means = compile_devices(text, lambda: NOW)
    assert " ".join(name for name, device in FLEET.items() if means(device)) == expected


def _entry(level: Level, service: str, message: str, trace_id: str | None = None, **more: object) -> Entry:
    raw = {"timestamp": "2026-11-22T11:28:40.120Z", "level": level.name, "service": service, "message": message, **more}
    address = Address("acme", "plant-7", "gw-1")
    return Entry(1, address, 0, False, level, service, trace_id, message, to_json(raw), 0, None, None)


LOGS = {
    "auth": _entry(
        Level.ERROR, "user-auth", "Authentication failed", "4bf92f3577b34da6a3ce929d0e0e4736", code=500, user={"id": "u-17"}
    ),
    "up": _entry(Level.INFO, "uplink", "took 120 ms", rtt_ms=120.5, code="500", tags=["Slow", "eu"], quote='a "b"'),
    "odd": _entry(Level.UNKNOWN, "", "done", at="2026-11-22T10:00:00Z", ok=True, **{"service.name": "x", "none": None}),
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("level:error", "auth"),
        ("level>=warn", "auth"),
        ("level>=WARNING", "auth"),
        ("level<err", "up"),
        ("level?>=warn", "auth odd"),
        ("level:?", "odd"),
        ("level:unknown", "odd"),
        ("level!=info", "auth odd"),
        ("level?!=info", "auth odd"),
        ("level?:info", "up odd"),
        ("service:user-*,uplink", "auth up"),
        ("exists(service)", "auth up"),
        ("service!=uplink", "auth"),
        ("service?!=uplink", "auth odd"),
        ('message~"tion fail"', "auth"),
        ("message~~took.[0-9]+", "up"),
        (r'message~~"took \d+ ms$"', "up"),
        ("trace:4BF92F35-77b3-4da6-a3ce-929d0e0e4736", "auth"),
        ("trace:4bf92f35*", "auth"),
        ("device:gw-1 site:plant-7 tenant:acme", "auth up odd"),
        (".code=500", "auth up"),
        (".code>=400", "auth"),
        (".code?=500", "auth up odd"),
        (".code:400..599", "auth"),
        (".code:5*", "auth up"),
        ('.code:"500"', "auth up"),
        (".user.id:u-17", "auth"),
        ("exists(.user)", "auth"),
        ("exists(.none)", ""),
        ("-exists(.code)", "odd"),
        (".rtt_ms>120", "up"),
        (".tags:slow", "up"),
        (".tags!=slow", ""),
        (".ok:true", "odd"),
        (".ok>0", ""),
        ('.at>"2026-11-22T09"', "odd"),
        (".service.name:x", "odd"),
        ('."service.name":x', "odd"),
        ("u-17", "auth"),
        ("120.5", "up"),
        ('"a \\"b\\""', "up"),
        ("timestamp", ""),
        ("ERROR", ""),
    ],
)
def test_filters_of_logs(text: str, expected: str) -> None:
    means = compile_logs(text)
    assert " ".join(name for name, entry in LOGS.items() if means(entry)) == expected


@pytest.mark.parametrize(
    ("text", "position", "suggestion", "part"),
    [
        ("helth:ok", 0, "health", "unknown field 'helth'"),
        ("a user:x", 2, None, "and .name for one of the JSON"),
        ("health:critcal", 7, "critical", "none of ok, degraded, critical, unknown"),
        ("health>unknown", 7, None, "none of ok, degraded, critical"),
        ("state>online", 6, None, "state has no order"),
        ("site<a", 5, None, "site is a text and has no order"),
        ("cpu>80", 4, "80%", "is not a fraction such as 0.8 or 80%"),
        ("cpu>lots", 4, None, "is not a fraction"),
        ("cpu~8", 4, None, "cpu is no text"),
        ("cpu>0.1..0.2", 4, None, "a range goes with :"),
        ("seen>5x", 5, None, "is not a duration such as 90s, 5m or 1h30m"),
        ("spool>10XB", 6, None, "is not a size such as 500kB"),
        ("release<new", 8, None, "is not a version such as 1.4.2"),
        ("cpu>(0.1,0.2)", 9, None, "> compares with one value"),
        ('device~~"(a"', 8, None, "not a regular expression"),
        ("device~~[", 8, None, "not a regular expression"),
        ('site~""', 5, None, "nothing to look for"),
        ("exists(cpu?)", 7, None, "leave out the '?'"),
        ("exists(cpu", 6, None, "opened and not closed"),
        ("exists()", 7, None, "exists takes one field"),
        ("label.:x", 0, None, "unknown field 'label.'"),
        ("a )", 2, None, "closed that was not opened"),
        ("(a", 0, None, "opened and not closed"),
        ("()", 1, None, "nothing stands in the brackets"),
        ("a && b", 2, "and", "not how parts are joined"),
        ("a || b", 2, "or", "not how parts are joined"),
        ("or a", 0, None, "nothing stands before 'or'"),
        ("a or", 4, None, "nothing stands behind 'or'"),
        ("a or or b", 5, None, "nothing stands before 'or'"),
        ("not", 3, None, "nothing to look for behind the negation"),
        ("!a", 0, "-", "not how something is negated"),
        ("a , b", 2, None, "a comma joins"),
        ("site:(a b)", 8, None, "joined by commas"),
        ("site==a", 5, None, "two operators in a row"),
        (":a", 0, None, "a field's name is missing"),
        ('"site":a', 6, None, "names stand without quotes"),
        ("failed(5)", 6, None, "put a blank between them"),
        (".code", 5, None, "exists(.code)"),
        ("**", 0, None, "nothing to look for"),
    ],
)
def test_mistakes(text: str, position: int, suggestion: str | None, part: str) -> None:
    with pytest.raises(QueryError) as caught:
        compile_devices(text, lambda: NOW)
    assert (caught.value.position, caught.value.suggestion) == (position, suggestion)
    assert part in str(caught.value)


def test_what_changes_by_the_clock_needs_one() -> None:
    with pytest.raises(QueryError, match="seen changes by the clock"):
        compile_devices("last_seen>5m")
    assert compile_devices("seen>5m or cpu>0.5", lambda: NOW).uses_clock
    assert not compile_devices("cpu>0.5", lambda: NOW).uses_clock


def test_every_flag_of_a_device_can_be_asked_for() -> None:
    device = Device(Address("a", "b", "c"), flapping=True, in_outage=True, malformed=1, log_gaps=1, rival_session="x")
    device.measure_clock(60)
    assert device.flags() == list(FLAGS)


def test_every_state_can_be_asked_for() -> None:
    read = device_fields(None).named["state"].read
    assert read is not None
    for connectivity in Connectivity:
        for health in (None, "ok", "degraded", "critical"):
            states = read(Device(Address("a", "b", "c"), connectivity, health=health))
            assert connectivity.value in states
            assert ("critical" in states) is (connectivity is Connectivity.ONLINE and health == "critical")


def test_what_is_cheap_is_asked_first() -> None:
    asked = []

    def now() -> tuple[float, float]:
        asked.append(1)
        return NOW

    means = compile_devices("why~silent site:plant-7", now)
    assert not means(GONE)
    assert not asked


# -- limits


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a" * (MAX_CHARS + 1), "4,097 characters; 4,096 are the most"),
        ("(" * 10_000 + "a" + ")" * 10_000, "4,096 are the most"),
        ("(" * 2000 + "a" + ")" * 2000, f"more than {MAX_DEPTH} brackets"),
        ("-" * 4000 + "a", f"more than {MAX_DEPTH} brackets"),
        ("not " * 1000 + "a", f"more than {MAX_DEPTH} brackets"),
        ("(-" * 1000 + "a" + ")" * 1000, f"more than {MAX_DEPTH} brackets"),
        ("a " * 2000, "more than 256 words"),
        ("site:" + "a," * 1000 + "a", "more than 256 words"),
        (" ".join(["device~~a"] * 9), "more than 8 regular expressions"),
        (f'device~~"{"a" * 300}"', "300 characters; 256 are the most"),
        ("\udcff", "no text in UTF-8"),
    ],
)
def test_limits_are_words(text: str, part: str) -> None:
    with pytest.raises(QueryError) as caught:
        compile_devices(text)
    assert part in str(caught.value)
    assert 0 <= caught.value.position <= len(text)


def test_the_most_that_is_allowed_works() -> None:
    assert compile_devices(" or ".join(["device:gw-0042"] * 128))(HOT)
    assert compile_devices("(" * MAX_DEPTH + "device:gw-0042" + ")" * MAX_DEPTH)(HOT)
    assert not compile_devices("x" * MAX_CHARS)(HOT)


def test_records_nested_without_end_do_no_harm() -> None:
    entry = _entry(Level.INFO, "s", "m")
    entry.raw = b'{"a":' * 10_000 + b"1" + b"}" * 10_000
    assert not compile_logs("exists(.a.a)")(entry)
    assert not compile_logs("zzz")(entry)
    entry.raw = b'{"b":' + b"1" * 4000 + b',"c":["x"]}'
    assert compile_logs(".b>5 .c:x")(entry)
    assert not compile_logs(".b:5 or zzz*")(entry)


PIECES = st.sampled_from(
    [
        "site", "cpu", "label.ring", "level", ".a", '."b c"', "exists(", "(", ")", ":", "=", "!=", "<", ">=", "~", "~~", '"', '"a b"',
        "\\", ",", "-", "not", "and", "or", " ", " ", "?", "*", "..", "0.8", "80%", "5m", "1.4", "plant-*", "critical", "!", "&&", "é", "\0",
    ]
)  # fmt: skip


def _refused(compiled: Callable[[str], Callable[[T], bool]], text: str, thing: T) -> QueryError | None:
    try:
        means = compiled(text)
    except QueryError as err:
        return err
    assert means(thing) in {True, False}
    return None


@settings(max_examples=300)
@given(st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=14).map("".join)))
def test_any_text_is_a_filter_or_refused_at_a_place(text: str) -> None:
    of_devices = _refused(lambda each: compile_devices(each, lambda: NOW), text, HOT)
    of_logs = _refused(compile_logs, text, LOGS["up"])
    for problem in filter(None, (of_devices, of_logs)):
        assert 0 <= problem.position <= len(text)
        assert "Token(" not in problem.message
        assert "Expected" not in problem.message


@given(st.lists(PIECES, max_size=14).map("".join))
def test_what_is_read_is_written_so_that_it_is_read_again(text: str) -> None:
    try:
        tree = parse(text)
    except QueryError:
        return
    assert parse(str(tree)) == tree


def test_nothing_means_everything() -> None:
    assert parse("  \t") == EVERYTHING == parse(str(EVERYTHING))
