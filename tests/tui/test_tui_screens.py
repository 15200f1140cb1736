"""What holds on every screen: help, palette, banner, themes, sizes, leaving, hostile text."""

from __future__ import annotations

import re

import pytest

from fleetview.feeds.states import Backoff, Connecting, Refused, Up
from fleetview.tui.glyphs import ASCII
from fleetview.tui.screens.device import DeviceScreen, Document
from fleetview.tui.screens.fleet import FleetScreen
from fleetview.tui.screens.keys import KeysScreen
from fleetview.tui.screens.logs import LogScreen
from fleetview.tui.screens.record import RecordScreen
from fleetview.tui.widgets.filter_line import FilterLine
from fleetview_agent.endpoint import Failure, FailureKind
from tui.stage import Told, address, dashboard

WAYS: dict[str, tuple[str, ...]] = {
    "fleet": (),
    "device": ("enter",),
    "charts of a device": ("enter", "m"),
    "metrics": ("M",),
    "logs": ("L",),
    "record": ("L", "enter"),
    "keys": ("question_mark",),
    "keys of a record": ("L", "enter", "question_mark"),
    "device from its logs": ("l", "d"),
}
"""The keys to every screen."""
REFUSED = Failure(FailureKind.REFUSED, "broker.example:8883 refused the connection: no broker listens there")


def fleet() -> Told:
    told = Told()
    told.online("gw-1", "gw-2")
    told.online("gw-3", health="critical", reasons=("disk full",))
    told.log(address("gw-3"), "no space left", level="ERROR")
    return told


# -- leaving


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_q_leaves_from_everywhere(way: tuple[str, ...]) -> None:
    async with dashboard(fleet()) as stage:
        await stage.press(*way)
        await stage.pilot.press("q")
        assert stage.app._exit
        assert not stage.app.return_code


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_escape_leads_back_to_the_fleet(way: tuple[str, ...]) -> None:
    async with dashboard(fleet()) as stage:
        await stage.press(*way)
        for _ in way:
            await stage.press("escape")
        assert isinstance(stage.app.screen, FleetScreen)
        assert len(stage.app.screen_stack) == 1


async def test_q_is_a_letter_in_a_filter() -> None:
    async with dashboard(fleet()) as stage:
        await stage.press("slash", "q", "l", "question_mark", "slash", "colon")
        assert stage.app.screen.query_one(FilterLine).text == "ql?/:"
        assert isinstance(stage.app.screen, FleetScreen)


# -- help


def keys_of(text: str) -> set[str]:
    """What the help says the keys do."""
    return {found[1] for found in re.finditer(r"│ +\S+(?: \S+)*  (\S.*?) +│", text)}


async def test_help_lists_the_keys_of_this_screen_and_no_others() -> None:
    async with dashboard(fleet(), size=(120, 48)) as stage:
        await stage.press("question_mark")
        found = keys_of(stage.text)
        assert {"Open what is under the cursor", "The logs of the whole fleet", "Leave fleetview", "One line up"} <= found
        assert "Hold still, or follow again" not in found
        await stage.press("escape", "L", "question_mark")
        found = keys_of(stage.text)
        assert {"Hold still, or follow again", "Open what is under the cursor", "More records: a lower level"} <= found
        assert "The logs of the whole fleet" not in found
        await stage.press("escape", "escape", "enter", "question_mark")
        found = keys_of(stage.text)
        assert {"The logs of this device", "Copy the device as JSON"} <= found
        assert "Open what is under the cursor" not in found, "a document has no cursor"


async def test_help_while_a_filter_is_typed_offers_no_letters() -> None:
    async with dashboard(fleet()) as stage:
        await stage.press("slash")
        assert "enter to the list" in stage.rows[-1]
        assert "esc no filter" in stage.rows[-1]
        assert not re.search(r" (/|l|L|y|q|\?) ", stage.rows[-1])


async def test_help_of_a_record_tells_of_the_record() -> None:
    async with dashboard(fleet()) as stage:
        await stage.press("L", "enter", "question_mark")
        assert isinstance(stage.app.screen, KeysScreen)
        found = keys_of(stage.text)
        assert {"Copy the value under the cursor", "Close"} <= found
        assert "Hold still, or follow again" not in found
        await stage.press("question_mark")
        assert isinstance(stage.app.screen, KeysScreen)
        await stage.press("escape")
        assert isinstance(stage.app.screen, RecordScreen)


@pytest.mark.parametrize("way", [(), ("enter",), ("L",)], ids=["fleet", "device", "logs"])
async def test_the_key_line_fits_80_columns_and_always_names_help(way: tuple[str, ...]) -> None:
    async with dashboard(fleet(), size=(80, 24)) as stage:
        await stage.press(*way)
        line = stage.rows[-1]
        assert line.endswith("? keys")
        assert line.startswith(" enter open" if way != ("enter",) else " esc back")


# -- the palette


async def test_the_palette_finds_a_device() -> None:
    async with dashboard(fleet()) as stage:
        await stage.press("ctrl+p")
        await stage.type("gw-2")
        await stage.see("Device acme/plant-1/gw-2")
        await stage.press("enter")
        await stage.see("acme/plant-1/gw-2   ● online")
        assert isinstance(stage.app.screen, DeviceScreen)


async def test_the_palette_makes_no_command_per_device() -> None:
    told = Told()
    for number in range(3000):
        told.birth(address(f"gw-{number:04}"))
    async with dashboard(told) as stage:
        assert len(list(stage.app.get_system_commands(stage.app.screen))) < 10
        await stage.press("ctrl+p")
        await stage.see("The logs of the whole fleet")
        await stage.type("GW-299")
        await stage.see("gw-2990")


# -- the link


async def test_a_lost_link_is_a_banner_with_its_age_and_goes_when_it_is_back() -> None:
    async with dashboard(fleet()) as stage:
        rows = stage.row_of("gw-3")
        stage.feed.state = Backoff(REFUSED, stage.told.now.mono_s + 5)
        stage.told.fleet.link_down(stage.told.now.mono_s)
        await stage.tick(1)
        await stage.tick(71)
        assert "● down" in stage.rows[0]
        assert "blind for 1m 11s: broker.example:8883 refused the connection: no broker listens there" in stage.rows[1]
        assert "● online" in stage.rows[stage.row_of("gw-3")], "nobody is blamed for our own blindness"
        assert stage.row_of("gw-3") > rows
        stage.feed.state = Up(stage.told.now.mono_s, "5")
        stage.told.fleet.link_up(stage.told.now.mono_s)
        await stage.tick(1)
        assert "blind" not in stage.text
        assert stage.row_of("gw-3") == rows


@pytest.mark.parametrize("way", [(), ("enter",), ("L",)], ids=["fleet", "device", "logs"])
async def test_every_screen_shows_that_the_broker_does_not_let_us_in(way: tuple[str, ...]) -> None:
    words = "broker.example:8883 does not let user 'ana' in: check user and password"
    async with dashboard(fleet(), size=(80, 24)) as stage:
        await stage.press(*way)
        stage.feed.state = Refused(Failure(FailureKind.AUTHORISATION, words), stage.told.now.mono_s + 60)
        await stage.tick(1)
        shown = " ".join(" ".join(stage.rows[1:5]).split())
        assert "does not let user 'ana' in: check user and password" in shown
        assert "next try in 1m" in shown


async def test_a_refused_subscription_is_named() -> None:
    state = Up(0.0, "5", (("fleet/v1/+/+/+/log", "not authorised"),))
    async with dashboard(fleet(), state=state) as stage:
        assert "the broker refused 1 subscriptions: fleet/v1/+/+/+/log (not authorised)" in stage.rows[1]


async def test_before_the_first_connection() -> None:
    async with dashboard(Told(), state=Connecting(1)) as stage:
        assert "● connecting" in stage.rows[0]


async def test_trying_again_at_once() -> None:
    async with dashboard(fleet()) as stage:
        await stage.press("ctrl+r")
        assert stage.feed.retried == 1


# -- devices that go while one looks


async def test_a_device_that_is_removed_while_its_screen_is_open() -> None:
    told = fleet()
    async with dashboard(told) as stage:
        await stage.press("enter")
        told.removed(address("gw-3"))
        await stage.tick(1)
        assert "removed from the fleet; this is the last that was known of it" in stage.text
        assert "disk full" in stage.text
        told.birth(address("gw-3"), session="S2")
        await stage.tick(1)
        assert "removed" not in stage.text
        assert "nothing is wrong with it" in stage.text
        await stage.press("escape")
        assert isinstance(stage.app.screen, FleetScreen)


async def test_a_page_that_is_read_does_not_jump() -> None:
    told = fleet()
    for number in range(30):
        told.heartbeat(address("gw-3"), "critical", f"reason {number}")
        told.wait(1)
    async with dashboard(told, size=(80, 24)) as stage:
        await stage.press("enter", "pagedown")
        page = stage.app.screen.query_one(Document)
        top = page.scroll_offset.y
        assert top > 0
        await stage.tick(1)
        assert page.scroll_offset.y == top
        await stage.press("end")
        assert page.at_bottom
        await stage.press("home")
        assert page.scroll_offset.y == 0


# -- sizes and looks


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_resizing_to_and_fro(way: tuple[str, ...]) -> None:
    async with dashboard(fleet(), size=(80, 24)) as stage:
        await stage.press(*way)
        small = stage.rows
        await stage.pilot.resize_terminal(240, 70)
        await stage.tick(0.1)
        assert len(stage.rows) == 70
        assert max(map(len, stage.rows)) > 120
        await stage.pilot.resize_terminal(80, 24)
        await stage.tick(0.1)
        assert stage.rows == small


async def test_the_cursor_stays_in_sight_when_the_screen_shrinks() -> None:
    told = Told()
    told.online(*(f"gw-{number:03}" for number in range(100)))
    async with dashboard(told, size=(120, 48)) as stage:
        await stage.press("pagedown")
        name = "gw-042"
        assert name in stage.text
        await stage.pilot.resize_terminal(80, 24)
        await stage.tick(0.1)
        assert name in stage.text


async def test_a_theme_change_repaints() -> None:
    async with dashboard(fleet()) as stage:

        def colours() -> set[str]:
            strips = stage.app.screen._compositor.render_strips()
            return {str(segment.style.color) for strip in strips for segment in strip if segment.style}

        stage.app.theme = "textual-dark"
        await stage.pilot.pause()
        dark, text = colours(), stage.text
        stage.app.theme = "textual-light"
        await stage.pilot.pause()
        assert not colours() & dark
        assert stage.text == text
        stage.app.theme = "textual-dark"
        await stage.pilot.pause()
        assert colours() == dark


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_a_plain_terminal_gets_plain_characters(way: tuple[str, ...]) -> None:
    told = fleet()
    told.log(address("gw-1"), "grüße 漢字 …", "x" * 500)
    for number in range(50):
        told.birth(address(f"more-{number}"))
    async with dashboard(told, glyphs=ASCII, size=(80, 24)) as stage:
        await stage.press(*way)
        assert [row for row in stage.rows if not row.isascii()] == []
        assert {len(row) <= 80 for row in stage.rows} == {True}


# -- hostile text


async def test_hostile_words_break_no_row_of_any_screen() -> None:
    hostile = "\x1b[2J\x1b]0;title\x07[bold red]x[/] \u202ereversed\r\nnext\t"
    told = Told()
    who = address("gw-1")
    told.birth(who, labels={"ring": hostile}, host={"hostname": hostile})
    told.heartbeat(
        who, "critical", hostile, release=hostile, modules=[{"name": hostile, "state": "failed", "reason": hostile}]
    )
    told.log(who, hostile, service=hostile, evil=hostile)
    told.online("gw-2")
    visible = "␛[2J␛]0;title␇[bold red]x[/] <202E>reversed␍␊next␉"
    async with dashboard(told, size=(200, 50)) as stage:
        assert visible in stage.rows[stage.row_of("gw-1")]
        assert stage.row_of("gw-2") == stage.row_of("gw-1") + 1
        await stage.press("enter")
        assert f"why  {visible}" in stage.text
        await stage.press("l")
        assert visible in stage.text
        await stage.press("enter")
        assert visible in stage.text
        assert isinstance(stage.app.screen, RecordScreen)
        await stage.press("escape", "escape", "escape")
        await stage.press("slash")
        await stage.type("[bold]:x ")
        assert "[bold]" in stage.rows[stage.row_of("unknown field")], "what is typed is no markup either"
        await stage.press("escape", "L")
        assert isinstance(stage.app.screen, LogScreen)
        raw = "".join(stage.rows)
        assert not any(char in raw for char in "\x1b\x07\r\n\t\u202e")
