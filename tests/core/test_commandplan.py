"""What is asked before a command is sent: arguments, the consequence in numbers, and the command that does the same."""

from __future__ import annotations

import shlex

import pytest

from fleetview.core.commandplan import (
    VERBS,
    PlanError,
    checked_args,
    command_line,
    consequence,
    expires,
    filter_for,
    modules_of,
    verb_named,
    where,
)
from fleetview.core.commandtargets import TargetError, parse_targets
from fleetview.core.device import Connectivity, Device
from fleetview.core.query import QueryError
from fleetview_agent.wire import Address
from fleetview_agent.wire.messages import CommandVerb


def device(name: str, site: str = "plant-1", state: Connectivity = Connectivity.ONLINE, **modules: str) -> Device:
    return Device(Address("acme", site, name), connectivity=state, module_states=tuple(modules.items()))


def fleet(*states: Connectivity) -> list[Device]:
    return [device(f"gw-{index}", f"plant-{index % 4}", state) for index, state in enumerate(states)]


ON, OFF, STALE = Connectivity.ONLINE, Connectivity.OFFLINE, Connectivity.STALE


def test_the_verbs_are_those_of_the_contract() -> None:
    assert set(VERBS) == set(CommandVerb.__args__)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("devices", "words"),
    [
        (fleet(*[ON] * 29, OFF, Connectivity.LOST), "31 devices at 4 sites, 2 of them offline"),
        (fleet(ON, ON), "2 devices at 2 sites"),
        (fleet(ON, STALE), "2 devices at 2 sites, 1 of them stale"),
        (fleet(ON, STALE, OFF), "3 devices at 3 sites, 1 of them offline, 1 stale"),
        ([device("gw-1"), device("gw-2")], "2 devices at 1 site"),
        ([device("gw-1")], "acme/plant-1/gw-1"),
        ([device("gw-1", state=OFF)], "acme/plant-1/gw-1, which is offline"),
    ],
)
def test_where(devices: list[Device], words: str) -> None:
    assert where(devices) == words


def test_what_stands_against_it_is_said() -> None:
    devices = [device("gw-1", m="failed"), device("gw-2", state=OFF, n="running")]
    devices[0].measure_clock(300.0)
    restart = VERBS["restart_module"]
    assert consequence(devices, restart, {"name": "m"}, 60.0) == (
        "restarts module m on 2 devices at 1 site, 1 of them offline;"
        " who is offline gets it on coming back within 1m 00s, or not at all;"
        " 1 has no module of this name; 1 has a clock so far ahead that it has expired there: let it last longer"
    )
    assert modules_of(devices) == [("m", 1), ("n", 1)]


def test_arguments_become_what_the_wire_has() -> None:
    assert checked_args(VERBS["set_log_level"], {"level": "debug"}) == {"level": "DEBUG", "for_s": 900.0}
    assert checked_args(VERBS["set_log_level"], {"level": "WARN", "for_s": "2m"}) == {"level": "WARN", "for_s": 120.0}
    assert checked_args(VERBS["restart_module"], {"name": " m "}) == {"name": "m"}
    assert checked_args(VERBS["ping"], {}) == {}


@pytest.mark.parametrize(
    ("verb", "args", "words"),
    [
        ("ping", {"name": "m"}, "ping has no argument 'name'; it takes none"),
        ("restart_module", {}, "restart_module needs name"),
        ("restart_module", {"nam": "m"}, "restart_module has no argument 'nam'; it takes name"),
        ("restart_module", {"name": " "}, "name: a value of 1 to 256 characters expected"),
        ("set_log_level", {"level": "LOUD"}, "level: one of DEBUG, INFO, WARN, ERROR expected, not 'LOUD'"),
        ("set_log_level", {"level": "INFO", "for_s": "soon"}, "for_s: a duration such as 60s or 15m expected, not 'soon'"),
        ("set_log_level", {"level": "INFO", "for_s": "2d"}, "for_s: 1s to 1d 00h expected, not '2d'"),
    ],
)
def test_what_cannot_be_is_named(verb: str, args: dict[str, str], words: str) -> None:
    with pytest.raises(PlanError) as caught:
        checked_args(VERBS[verb], args)
    assert str(caught.value) == words


def test_a_short_filter_stands_for_all_and_for_whole_sites() -> None:
    known = {each.address: each for each in fleet(*[ON] * 8)}
    devices = list(known.values())
    assert filter_for(devices, known) == "device:*"
    assert (
        filter_for([each for each in devices if each.address.site in {"plant-1", "plant-3"}], known)
        == "site:plant-1,plant-3"
    )
    assert filter_for(devices[:5], known) is None
    assert filter_for(devices[:1], known) is None


def test_unknown_verbs_and_expiries_are_named() -> None:
    with pytest.raises(
        PlanError, match="unknown verb 'reboot'; there are: ping, restart_module, set_log_level, diagnostics"
    ):
        verb_named("reboot")
    with pytest.raises(PlanError, match="expires: 1s to 1d 00h expected"):
        expires("0")
    assert expires("5m") == 300


def test_the_command_line_says_the_same() -> None:
    args = checked_args(VERBS["set_log_level"], {"level": "DEBUG"})
    line = command_line(
        VERBS["set_log_level"], "site:plant-* -x", args, expires_s=120, reason="it's odd", options=" --context p"
    )
    assert shlex.split(line)[2:] == [
        "--context", "p", "set_log_level", "site:plant-* -x", "--arg", "level=DEBUG", "--arg", "for_s=900s",
        "--expires", "120s", "--reason", "it's odd",
    ]  # fmt: skip
    many = [Address("a", "b", f"d{number}") for number in range(26)]
    assert command_line(VERBS["ping"], many, {}, expires_s=60, reason="").endswith(" a/b/d23 ... and 2 more addresses")
    short = command_line(VERBS["ping"], [Address("a", "b", "c"), Address("a", "b", "d")], {}, expires_s=60, reason="")
    assert short == "fleetview command ping a/b/c a/b/d"


KNOWN = {each.address: each for each in [device("gw-1"), device("gw-10"), device("gw-11", "plant-2"), device("gw-11")]}


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["gw-1"], ["acme/plant-1/gw-1"]),
        (["acme/plant-2/gw-11"], ["acme/plant-2/gw-11"]),
        (["acme/plant-2/gw-11", "acme/plant-1/gw-1", "acme/plant-1/gw-1"], ["acme/plant-1/gw-1", "acme/plant-2/gw-11"]),
        (["site:plant-1", "device:gw-1*"], ["acme/plant-1/gw-1", "acme/plant-1/gw-10", "acme/plant-1/gw-11"]),
        (['"gw-1"'], sorted(map(str, KNOWN))),
    ],
)
def test_who_is_meant(words: list[str], names: list[str]) -> None:
    assert [str(each.address) for each in parse_targets(words).chosen(KNOWN)] == names


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (
            ["gw-2"],
            "no device gw-2 is known; did you mean gw-1 or gw-11 or gw-10?",
        ),
        (["gw-11"], "gw-11 is not unique: acme/plant-1/gw-11, acme/plant-2/gw-11"),
        (["acme/plant-1/x", "acme/plant-1/gw-1"], "no device acme/plant-1/x is known; did you mean acme/plant-1/gw-1"),
        (["site:nowhere"], "no device matches; 4 are known"),
    ],
)
def test_a_name_that_nobody_has_means_nobody(words: list[str], problem: str) -> None:
    with pytest.raises(TargetError) as caught:
        parse_targets(words).chosen(KNOWN)
    assert str(caught.value).startswith(problem)


def test_a_filter_that_is_none_is_said() -> None:
    with pytest.raises(QueryError):
        parse_targets(["heath:ok"])
