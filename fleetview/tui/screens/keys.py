"""The keys that work right now, drawn from the bindings themselves."""

from __future__ import annotations

from typing import Any

from textual.screen import Screen

from fleetview.tui.keymap import working_keys
from fleetview.tui.screens.overlay import Overlay
from fleetview.tui.spans import EMPTY, Line, Span

_LAST = {"list": 1, "app": 2}
"""What works everywhere comes after what the screen is for."""
_HEADINGS = {"list": "moving", "app": "everywhere", "overlay": "this box"}


class KeysScreen(Overlay):
    """Help for the screen below."""

    def __init__(self, below: Screen[Any]) -> None:
        super().__init__()
        self._keys = sorted(working_keys(below), key=lambda key: _LAST.get(key.group, 0))

    def heading(self) -> Line:
        return (Span("keys that work here", "title"), Span("   esc", "key"), Span(" closes", "dim"))

    def document(self, width: int) -> list[Line]:  # noqa: ARG002
        size = max((len(" ".join(key.keys)) for key in self._keys), default=0)
        lines: list[Line] = []
        group = ""
        for key in self._keys:
            if key.group != group:
                group = key.group
                lines += [EMPTY, (Span(_HEADINGS.get(group, group), "head"),)]
            lines.append((Span(f"  {' '.join(key.keys).rjust(size)}", "key"), Span(f"  {key.tooltip}")))
        return [
            *lines,
            EMPTY,
            (Span("state", "head"),),
            (
                Span(
                    "  a `?` behind a state: nothing live has come yet, it is what the retained messages make plausible",
                    "dim",
                ),
            ),
            (Span("  a `?` before a health: the last that it reported before it went away", "dim"),),
            (Span("  a grey figure is not current; its age stands beside it", "dim"),),
        ]
