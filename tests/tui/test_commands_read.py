"""What a line behind `:` means, and what may be typed there: without a screen."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetview.tui import commands
from fleetview.tui.commands import BY_NAME, COMMANDS, CommandError, alias_problems, devices_meant, read
from fleetview.tui.history import History
from fleetview.tui.offers import Known, command_offers, taken
from tui.stage import address

ALIASES = {"crit": "devices health:critical", "lg": "logs"}
KNOWN = Known(
    ALIASES,
    themes=lambda: ["nord", "textual-dark", "textual-light"],
    devices=lambda: {"site": ["plant-1", "plant-2"], "address": ["acme/plant-1/gw-1", "acme/plant-2/gw-2"]},
    logs=lambda: {"service": ["uplink"]},
)


@pytest.mark.parametrize(
    ("line", "name", "argument"),
    [
        ("logs level>=error site:plant-7", "logs", "level>=error site:plant-7"),
        ("l", "logs", ""),
        (":d  health:critical ", "devices", "health:critical"),
        ("fleet", "devices", ""),
        ("LOGS x", "logs", "x"),
        ("device gw-0042", "device", "gw-0042"),
        ("q", "quit", ""),
        ("help", "keys", ""),
        ("crit", "devices", "health:critical"),
        ("crit site:plant-7", "devices", "health:critical site:plant-7"),
        ("lg level>=warn", "logs", "level>=warn"),
        ("link slow", "link", "slow"),
    ],
)
def test_lines(line: str, name: str, argument: str) -> None:
    call = read(line, ALIASES)
    assert call is not None
    assert (call.command.name, call.argument) == (name, argument)


@pytest.mark.parametrize("line", ["", "  ", ":", " : "])
def test_nothing_typed(line: str) -> None:
    assert read(line, ALIASES) is None


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("lgs", "unknown command 'lgs'; did you mean 'logs'?"),
        ("devcies", "unknown command 'devcies'; did you mean 'devices'?"),
        (
            "zzzzz",
            "unknown command 'zzzzz'; known: devices, device, logs, alerts, metrics, rollouts, ping, restart, loglevel, diagnostics, commands, keys, theme, link, bytes, reconnect, quit, crit, lg",
        ),
        ("device", "device NAME: NAME is missing"),
        ("theme ", "theme NAME: NAME is missing"),
        ("quit now", "quit takes nothing behind it, not 'now'"),
        ("link medium", "link: slow or fast expected, not 'medium'"),
        ("x" * 5000, "the command has 5,000 characters; 4,096 are the most"),
    ],
)
def test_lines_that_are_no_command(line: str, words: str) -> None:
    with pytest.raises(CommandError) as caught:
        read(line, ALIASES)
    assert str(caught.value) == words


def test_every_name_belongs_to_one_command() -> None:
    names = [name for command in COMMANDS for name in (command.name, *command.others)]
    assert len(names) == len(set(names)) == len(BY_NAME)
    assert all(name == name.lower() for name in names)


def test_aliases_that_cannot_be() -> None:
    assert alias_problems(ALIASES) == []
    assert alias_problems({"crit": "devces x", "logs": "devices", "a b": "logs", "empty": " ", ":x": "logs"}) == [
        "aliases.crit: unknown command 'devces'; did you mean 'devices'?",
        "aliases.logs: 'logs' is a command of fleetview's own; call the alias something else",
        "aliases.a b: an alias is one word, and does not begin with a colon",
        'aliases.empty: a command is missing, such as "devices health:critical"',
        "aliases.:x: an alias is one word, and does not begin with a colon",
    ]
    assert alias_problems({"a": "crit", "crit": "logs"}) != [], "an alias of an alias would need an end"


def test_the_device_that_is_meant() -> None:
    one, ten, other = address("gw-1"), address("gw-10"), address("gw-1", "plant-2")
    assert devices_meant([one, ten], "gw-1") == [one]
    assert devices_meant([one, ten], "GW-10") == [ten]
    assert devices_meant([one, ten, other], "gw-1") == [one, ten, other]
    assert devices_meant([one, ten, other], "acme/plant-2/gw-1") == [other]
    assert devices_meant([one, ten, other], "t-2/") == [other]
    assert devices_meant([one], "x") == []


# -- what is offered


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("th|", ["theme "]),
        (":th|", [":theme "]),
        ("cr|", ["crit"]),
        ("q|", ["quit"]),
        ("fl|", ["devices "]),
        ("theme n|", ["theme nord"]),
        ("theme dark|", ["theme textual-dark"]),
        ("link |", ["link slow", "link fast"]),
        ("device gw|", ["device acme/plant-1/gw-1", "device acme/plant-2/gw-2"]),
        ("d site:|", ["d site:plant-1", "d site:plant-2"]),
        ("devices -heal|", ["devices -health:"]),
        ("logs  serv|", ["logs  service:"]),
        ("logs service:|", ["logs service:uplink"]),
        ("crit sit|", ["crit site:"]),
        ("lg service:u|", ["lg service:uplink"]),
        ("quit |", []),
        ("nonsense x|", []),
        ("dev|ices x", ["devices x", "device x"]),
    ],
)
def test_offers(line: str, expected: list[str]) -> None:
    cursor = line.index("|")
    line = line.replace("|", "")
    assert [taken(line, offer)[0] for offer in command_offers(line, cursor, KNOWN)] == expected


def test_with_nothing_typed_everything_is_offered() -> None:
    offered = [offer.text.strip() for offer in command_offers("", 0, KNOWN)]
    assert offered == [*(command.name for command in COMMANDS), *ALIASES]


@given(st.text("delvicsgqtho: -/\"'()|,>x", max_size=25), st.integers(0, 25))
def test_offers_stand_within_the_line_whatever_is_typed(line: str, cursor: int) -> None:
    cursor = min(cursor, len(line))
    for offer in command_offers(line, cursor, KNOWN):
        assert 0 <= offer.start <= offer.end <= len(line)
        text, place = taken(line, offer)
        assert 0 <= place <= len(text)


@given(st.text(max_size=60))
def test_any_line_is_read_or_refused_in_words(line: str) -> None:
    with suppress(CommandError):
        call = read(line, ALIASES)
        assert call is None or call.command in COMMANDS


def test_history_walks_back_and_forth_and_holds_each_line_once() -> None:
    history = History()
    for line in ("one", "two", "one", "three"):
        history.add(line)
    assert [history.step(-1) for _ in range(4)] == ["three", "one", "two", "two"]
    assert [history.step(1) for _ in range(4)] == ["one", "three", "", ""]
    assert history.holds("three") is False
    history.step(-1)
    assert history.holds("three")


def test_commands_needs_no_toolkit() -> None:
    source = commands.__file__
    assert source is not None
    with open(source) as file:  # noqa: PTH123
        assert "textual" not in file.read()
