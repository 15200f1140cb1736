"""What every screen and widget of the dashboard keeps to, read from the code itself."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.binding import Binding
from textual.dom import DOMNode
from textual.screen import Screen

import fleetview.tui
from fleetview.tui.bindings import all_bindings, keymap_problems
from fleetview.tui.view import View

ROOM = Path(fleetview.tui.__file__).parent
SOURCES = sorted(ROOM.rglob("*.py"))
TAKEN = {
    "ctrl+a": "the prefix of screen",
    "ctrl+b": "the prefix of tmux",
    "ctrl+c": "the shell's",
    "ctrl+d": "the shell's",
    "ctrl+h": "what some terminals send for Backspace",
    "ctrl+i": "what terminals send for Tab",
    "ctrl+j": "what terminals send for Enter",
    "ctrl+m": "what terminals send for Enter",
    "ctrl+q": "flow control",
    "ctrl+s": "flow control",
    "ctrl+z": "the shell's",
    "tab": "moves between widgets",
}


def classes() -> Iterator[type[DOMNode]]:
    """Every screen, widget and app that the dashboard defines."""
    for module in pkgutil.walk_packages(fleetview.tui.__path__, "fleetview.tui."):
        for found in vars(importlib.import_module(module.name)).values():
            if inspect.isclass(found) and issubclass(found, DOMNode) and found.__module__ == module.name:
                yield found


def bindings() -> list[tuple[str, Binding]]:
    found = []
    for owner in classes():
        for binding in vars(owner).get("BINDINGS", ()):
            assert isinstance(binding, Binding), f"{owner.__name__} has a binding that is a tuple"
            found.append((owner.__name__, binding))
    return found


BINDINGS = bindings()


def test_there_are_bindings_to_look_at() -> None:
    assert len(BINDINGS) > 25


@pytest.mark.parametrize(("owner", "binding"), BINDINGS, ids=[f"{owner}.{binding.id}" for owner, binding in BINDINGS])
def test_a_binding_can_be_remapped_and_explains_itself(owner: str, binding: Binding) -> None:
    assert binding.id is not None
    assert re.fullmatch(r"[a-z]+\.[a-z_]+", binding.id)
    assert binding.description
    assert binding.tooltip
    assert binding.tooltip[0].isupper()
    first, *others = binding.key.split(",")
    assert first not in TAKEN, TAKEN.get(first)
    assert first != "backspace", "Backspace is an extra at most: terminals do not agree what they send for it"
    assert not set(others) & (TAKEN.keys() - {"tab"})
    assert " " not in binding.key, "blanks in lists of keys break keymaps"


def test_ids_are_unique() -> None:
    assert [name for name, number in Counter(binding.id for _, binding in BINDINGS).items() if number > 1] == []


def test_every_binding_is_listed_and_checked() -> None:
    assert {binding.id for _, binding in BINDINGS} == set(all_bindings())


def test_the_defaults_do_not_clash_but_where_the_nearer_one_is_meant() -> None:
    assert keymap_problems({name: ",".join(bound.keys) for name, bound in all_bindings().items()}) == []


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(ROOM)))
def test_colours_are_the_themes(source: Path) -> None:
    text = source.read_text()
    assert not re.search(r"""#[0-9a-fA-F]{3}\b|#[0-9a-fA-F]{6}\b|\brgba?\(|Color\(\d|from_rgb|\bhsl\(""", text)


@pytest.mark.parametrize("sheet", sorted(ROOM.rglob("*.tcss")), ids=lambda path: path.name)
def test_style_sheets_name_no_colours_of_their_own(sheet: Path) -> None:
    assert not re.search(r"#[0-9a-fA-F]{3,6}\s*[;%]|\brgba?\(", sheet.read_text())


def test_every_screen_has_its_style_sheet_beside_it() -> None:
    screens = [found for found in classes() if issubclass(found, Screen) and found is not View]
    assert len(screens) >= 5
    for screen in screens:
        sheet = screen.CSS_PATH
        assert isinstance(sheet, str)
        owner = next(base for base in screen.__mro__ if "CSS_PATH" in vars(base))
        module = Path(inspect.getfile(owner))
        assert module.with_suffix(".tcss").name == sheet
        assert module.with_suffix(".tcss").exists()


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(ROOM)))
def test_files_are_short(source: Path) -> None:
    assert len(source.read_text().splitlines()) <= 400


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(ROOM)))
def test_nothing_from_devices_can_be_taken_for_markup(source: Path) -> None:
    text = source.read_text()
    for widget in re.findall(r"\b(?:Static|Label)\(.*", text):
        assert "markup=False" in widget
    assert "from_markup" not in text
