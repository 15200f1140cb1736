"""The keys that work right now, read from the bindings themselves: what the key line and the help show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from textual.keys import key_to_character
from textual.screen import Screen

_NAMED = {"↑": "up", "↓": "down", "←": "left", "→": "right", "⌫": "bksp"}
"""Signs that Textual (8.2) shows for keys, by words: not every terminal has them."""


_TYPED = {"slash": "/", "backslash": "\\", "at": "@", "minus": "-", "plus": "+", "underscore": "_"}
"""What Textual (8.2) calls by other names than Unicode does, and so finds no character for."""


@dataclass(frozen=True, slots=True)
class Working:
    """A binding that works now."""

    name: str
    """Its id, by which it can be remapped."""
    keys: tuple[str, ...]
    """As a person calls them."""
    word: str
    tooltip: str
    shown: bool
    """Useful enough for the key line."""

    @property
    def group(self) -> str:
        """Where it belongs: `list.up` to `list`."""
        return self.name.partition(".")[0]


def working_keys(screen: Screen[Any]) -> list[Working]:
    """The bindings that work on a screen now, the nearest to what has the focus first."""
    focused = screen.focused
    found: dict[str, Working] = {}
    for key, active in screen.active_bindings.items():
        binding = active.binding
        if binding.id is None or binding.system or not active.enabled:
            continue
        # Textual (8.2) cannot tell of all of them that they are typed into an input that has the focus.
        if focused is not None and focused.check_consume_key(key, _TYPED.get(key) or key_to_character(key)):
            continue
        name = _plain(screen.app.get_key_display(binding))
        known = found.get(binding.id)
        if known is None:
            tooltip = binding.tooltip or binding.description
            found[binding.id] = Working(binding.id, (name,), binding.description, tooltip, binding.show)
        elif name not in known.keys:
            found[binding.id] = Working(known.name, (*known.keys, name), known.word, known.tooltip, known.shown)
    return list(found.values())


def _plain(name: str) -> str:
    return _NAMED.get(name, name)
