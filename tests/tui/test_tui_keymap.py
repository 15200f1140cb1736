"""Keys of one's own: what is refused, by name; and that what is accepted works."""

from __future__ import annotations

import pytest

from fleetview.config import Display
from fleetview.tui.bindings import FOLLOWING, all_bindings, key_lines, keymap, keymap_problems
from fleetview.tui.screens.device import DeviceScreen
from fleetview.tui.screens.fleet import FleetScreen
from fleetview.tui.screens.keys import KeysScreen
from fleetview.tui.screens.logs import LogScreen
from fleetview.tui.widgets.command_bar import CommandBar
from tui.stage import Told, address, dashboard


def fleet() -> Told:
    told = Told()
    told.online("gw-1", "gw-2")
    told.log(address("gw-1"), "link down")
    return told


@pytest.mark.parametrize(
    ("keys", "problems"),
    [
        ({"fleet.logs": "f2"}, []),
        ({"fleet.logs": "l, f2 ,ctrl+l"}, []),
        ({"app.keys": "?,f1"}, []),
        ({"fleet.logs": "L", "fleet.all_logs": "l"}, []),
        ({"fleet.lgs": "l"}, ["keys.fleet.lgs: unknown binding; did you mean 'fleet.logs'?; `fleetview --keys` lists all"]),
        ({"fleet.logs": "esc"}, ["keys.fleet.logs: 'esc' is not the name of a key; did you mean 'escape'?"]),
        ({"fleet.logs": "pgup"}, ["keys.fleet.logs: 'pgup' is not the name of a key; did you mean 'pageup'?"]),
        ({"fleet.logs": "F2"}, ["keys.fleet.logs: 'F2' is not the name of a key; did you mean 'f2'?"]),
        ({"fleet.logs": "shift+l"}, ["keys.fleet.logs: 'shift+l' is called 'L'"]),
        ({"fleet.logs": "strg+l"}, ["keys.fleet.logs: 'strg+l' is not the name of a key; did you mean 'ctrl+l'?"]),
        ({"app.quit": "ctrl+m"}, ["keys.app.quit: 'ctrl+m' never arrives: terminals send it for enter"]),
        (
            {"app.quit": ""},
            ["keys.app.quit: a key is missing; keys are separated by commas, and the comma itself is called comma"],
        ),
        (
            {"fleet.logs": "L"},
            ["keys.fleet.logs: 'L' is also the key of fleet.all_logs (The logs of the whole fleet); change one of them"],
        ),
        (
            {"device.copy": "q"},
            ["keys.device.copy: 'q' is also the key of app.quit (Leave fleetview); change one of them"],
        ),
        (
            {"app.quit": "?"},
            [
                "keys.app.quit: 'question_mark' is also the key of app.keys (The keys that work right now); change one of them",
            ],
        ),
        ({"logs.pause": "l"}, []),
    ],
)
def test_what_is_wrong_with_keys(keys: dict[str, str], problems: list[str]) -> None:
    found = keymap_problems(keys)
    assert found[: len(problems)] == problems
    assert bool(found) == bool(problems)


def test_a_letter_may_be_typed_where_a_letter_is_a_key() -> None:
    assert keymap_problems({"filter.done": "f5", "app.quit": "X"}) == []
    assert "app.reconnect" in keymap_problems({"filter.done": "enter,ctrl+r"})[0]


def test_boxes_go_along_with_the_app() -> None:
    assert set(FOLLOWING) | set(FOLLOWING.values()) <= set(all_bindings())
    assert keymap({"app.keys": "f1"}) == {"app.keys": "f1", "overlay.keys": "f1"}
    assert keymap({"app.keys": "f1", "overlay.keys": "?"})["overlay.keys"] == "question_mark"


def test_the_list_of_keys_has_them_as_configured() -> None:
    lines = list(key_lines(Display(keys={"fleet.logs": "f2,l"})))
    assert "on the fleet screen" in lines
    (logs,) = (line for line in lines if line.split()[0] == "fleet.logs")
    assert logs.split() == ["fleet.logs", "f2", "l", "The", "logs", "of", "the", "device", "under", "the", "cursor"]
    assert {line.split()[0] for line in lines if line.startswith("  ")} == set(all_bindings())


async def test_other_keys_work_and_the_old_ones_do_not() -> None:
    async with dashboard(
        fleet(), keys={"fleet.logs": "L", "fleet.all_logs": "l", "app.keys": "f1", "app.commands": "f8,:"}
    ) as stage:
        assert "f1 keys" in stage.rows[-1]
        await stage.press("L")
        assert "logs acme/plant-1/gw-1" in stage.text
        await stage.press("escape", "l")
        assert isinstance(stage.app.screen, LogScreen)
        assert "all devices" in stage.text
        await stage.press("question_mark")
        assert isinstance(stage.app.screen, LogScreen)
        await stage.press("f1")
        assert isinstance(stage.app.screen, KeysScreen)
        await stage.press("end")
        assert "f1  The keys that work right now" in stage.text
        await stage.press("f8")
        assert stage.app.screen.query(CommandBar)
        await stage.press("escape", "escape", "escape")
        assert isinstance(stage.app.screen, FleetScreen)


async def test_keys_of_lists_and_inputs_can_be_others() -> None:
    async with dashboard(fleet(), keys={"list.down": "s", "typing.take": "ctrl+e", "list.choose": "o,enter"}) as stage:
        await stage.press("s", "o")
        assert isinstance(stage.app.screen, DeviceScreen)
        assert "acme/plant-1/gw-2" in stage.text
        await stage.press("escape", "colon", "l", "i", "ctrl+e")
        await stage.type("slow")
        await stage.press("enter")
        assert stage.app.pace.link == "slow"
