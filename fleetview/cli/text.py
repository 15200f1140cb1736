"""Plain text for a terminal or a pipe: aligned columns, colour only where somebody looks and wants it."""

from __future__ import annotations

import os
import shutil
import sys
import unicodedata
from typing import TYPE_CHECKING

from fleetview.core.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

_COLOURS = {
    Trouble.LOST: "31",
    Trouble.CRITICAL: "31",
    Trouble.DEGRADED: "33",
    Trouble.STALE: "33",
    Trouble.OFFLINE: "2",
    Trouble.SLEEPING: "2",
    Trouble.UNSEEN: "2",
}
_GAP = "  "


def wants_colour(stream: TextIO) -> bool:
    """Whether colours are for a person: a terminal that has them, and NO_COLOR not set (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"


def painted(text: str, trouble: Trouble, *, colour: bool) -> str:
    """The text in the colour of a trouble, which the text itself has to name."""
    code = _COLOURS.get(trouble) if colour else None
    return text if code is None else f"\x1b[{code}m{text}\x1b[0m"


def width_of(text: str) -> int:
    """How many cells a clean text takes."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def aligned(rows: Sequence[Sequence[str]], right: frozenset[int] = frozenset()) -> list[str]:
    """Rows as lines with aligned columns; the columns in `right` flush right, the last one as long as it is."""
    widths = [max(map(width_of, column)) for column in zip(*rows, strict=True)]
    return [_GAP.join(_cells(row, widths, right)).rstrip() for row in rows]


def _cells(row: Sequence[str], widths: Sequence[int], right: frozenset[int]) -> list[str]:
    found = []
    for index, (cell, width) in enumerate(zip(row, widths, strict=True)):
        pad = " " * (width - width_of(cell))
        found.append(pad + cell if index in right else cell if index == len(widths) - 1 else cell + pad)
    return found


def fitted(line: str, stream: TextIO) -> str:
    """The line cut to the width of a terminal; as it is elsewhere."""
    if not stream.isatty():
        return line
    columns = shutil.get_terminal_size().columns
    if width_of(line) <= columns:
        return line
    while width_of(line) > columns - 3:
        line = line[:-1]
    return line + "..."


def narrate(words: str) -> None:
    """A word to the person; data alone goes to stdout."""
    print(f"fleetview: {words}", file=sys.stderr, flush=True)
