"""What fleetview needs of Textual (8.2) beyond its public face, in one place: a test fails when it is mended or moves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import textual.screen
from textual import constants
from textual.driver import Driver
from textual.keys import REPLACED_KEYS, Keys, _character_to_key, key_to_character
from textual.screen import Screen
from textual.scrollbar import ScrollBarRender

MODIFIERS = frozenset({"ctrl", "alt", "shift", "super", "hyper", "meta"})
KEY_NAMES = frozenset(key.value for key in Keys if not key.value.startswith("<")) | {"space", "comma"}


@dataclass(slots=True)
class Written:
    """What went to the terminal."""

    bytes: int = 0


class PlainScrollBar(ScrollBarRender):
    """Without the block characters that a plain terminal lacks."""

    VERTICAL_BARS: ClassVar[list[str]] = [" "] * len(ScrollBarRender.VERTICAL_BARS)
    HORIZONTAL_BARS: ClassVar[list[str]] = [" "] * len(ScrollBarRender.HORIZONTAL_BARS)


def counting(driver: type[Driver], written: Written) -> type[Driver]:
    """A driver that counts what it writes. All that an app shows goes through `write`."""

    class CountingDriver(driver):  # type: ignore[misc,valid-type]  # a class that is chosen when the program runs
        def write(self, data: str) -> None:
            written.bytes += len(data) if data.isascii() else len(data.encode())
            super().write(data)

    return CountingDriver


def limit_repaints(screens: Iterable[Screen[Any]], per_s: int | None) -> None:
    """Repaint at most so often from now on; None for what TEXTUAL_FPS says.

    Textual reads that when it is imported; a screen makes its timer from the constant when it first needs it.
    """
    period = 1 / (constants.MAX_FPS if per_s is None else min(per_s, constants.MAX_FPS))
    if period == textual.screen.UPDATE_PERIOD:
        return
    textual.screen.UPDATE_PERIOD = period  # type: ignore[misc]
    for screen in screens:
        timer = screen._Screen__update_timer  # type: ignore[attr-defined]  # noqa: SLF001
        if timer is not None:
            timer.stop()
            screen._Screen__update_timer = None  # type: ignore[attr-defined]  # noqa: SLF001
            screen.refresh()  # what the timer had still to show


def key_name(key: str) -> str:
    """The toolkit's name of a key: `question_mark` for `?`."""
    return _character_to_key(key) if len(key) == 1 else key


def is_key(name: str) -> bool:
    """Whether the toolkit knows a key by this name."""
    *modifiers, base = name.split("+")
    typed = key_to_character(base)  # of `esc`, too, by the name that Unicode gives the control character
    known = base in KEY_NAMES or base in REPLACED_KEYS or (typed is not None and typed.isprintable())
    return known and all(modifier in MODIFIERS for modifier in modifiers)
