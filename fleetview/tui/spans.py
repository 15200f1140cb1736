"""Lines of styled text as plain values: what a view returns, what a widget draws, and what tells which cells changed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple, TypeAlias

from rich.cells import cell_len, set_cell_size

from fleetview.core.text import clean

StyleName = Literal[
    "plain", "dim", "bold", "head", "title", "key", "accent", "lost", "critical", "degraded", "stale", "offline", "sleeping",
    "unseen", "ok", "outage", "debug", "info", "warn", "error", "rule", "cursor", "found",
]  # fmt: skip
STYLE_NAMES: tuple[StyleName, ...] = (
    "plain", "dim", "bold", "head", "title", "key", "accent", "lost", "critical", "degraded", "stale", "offline", "sleeping",
    "unseen", "ok", "outage", "debug", "info", "warn", "error", "rule", "cursor", "found",
)  # fmt: skip


class Span(NamedTuple):
    """Text of one style. The text is harmless: whatever came from a device went through `visible`, `fit` or `wrap`."""

    text: str
    style: StyleName = "plain"


Line: TypeAlias = tuple[Span, ...]
EMPTY: Line = ()
_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_MARK = "[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
_STACKED = re.compile(f"({_MARK}{{2}}){_MARK}+")
_ASCII = {"…": "~", "°": " "}
_LOOKED_AT = 8
"""Characters looked at for each cell there is room for: a message of a megabyte must not cost more than a line of it."""
_NARROWEST = 8


def width_of(text: str) -> int:
    """Terminal cells that a text takes."""
    return len(text) if text.isascii() else cell_len(text)


def visible(text: str) -> str:
    """The text cleaned, and of the width that terminals agree on."""
    text = clean(text)
    # Variation selectors make one cell of some terminals two of others; of stacked marks, the rows above and below suffer.
    return text if text.isascii() else _STACKED.sub(r"\1", _SELECTORS.sub("", text))


def fit(text: str, width: int, *, right: bool = False) -> str:
    """The text made harmless, and cut (with `…`) or filled to exactly `width` cells."""
    text = visible(text[: _LOOKED_AT * (width + 1)])
    if text.isascii():
        if len(text) > width:
            return text[: max(0, width - 1)] + "…" if width > 0 else ""
        return text.rjust(width) if right else text.ljust(width)
    size = cell_len(text)
    if size > width:
        return set_cell_size(text, max(0, width - 1)) + "…" if width > 0 else ""
    return " " * (width - size) + text if right else text + " " * (width - size)


def ascii_only(text: str) -> str:
    """The text in ASCII, in as many cells: of ours `…` becomes `~`, and what a plain terminal may not have becomes `?`."""
    plain = "".join(char if char.isascii() else _ASCII.get(char, "?" * cell_len(char)) for char in text)
    return plain[: width_of(text)].ljust(width_of(text))


def line_width(line: Line) -> int:
    """Terminal cells that a line takes."""
    return sum(width_of(span.text) for span in line)


def whole_spans(line: Line, width: int) -> Line:
    """As many of the first spans as fit whole; the first one always, for it says what the line is about."""
    fitting = 1
    while fitting < len(line) and line_width(line[: fitting + 1]) <= width:
        fitting += 1
    return line[:fitting]


def pad(line: Line, width: int) -> Line:
    """The line cut or filled to exactly `width` cells. What nobody made harmless before is made so here."""
    found: list[Span] = []
    left = width
    for given in line:
        span = given if given.text.isprintable() else Span(visible(given.text), given.style)
        size = width_of(span.text)
        if size > left:
            found.append(Span(fit(span.text, left), span.style))
            left = 0
            break
        found.append(span)
        left -= size
    if left > 0:
        found.append(Span(" " * left))
    return tuple(found)


def beside(left: Iterable[Line], right: Iterable[Line], left_width: int, gap: int = 2) -> Iterator[Line]:
    """Two columns of lines, the left one padded."""
    lefts, rights = list(left), list(right)
    for index in range(max(len(lefts), len(rights))):
        ours = lefts[index] if index < len(lefts) else EMPTY
        theirs = rights[index] if index < len(rights) else EMPTY
        yield (*pad(ours, left_width), Span(" " * gap), *theirs)


def wrap(text: str, width: int, style: StyleName = "plain", indent: int = 0) -> Iterator[Line]:
    """The text made harmless, in lines of at most `width` cells (of no less than 8), broken at spaces where possible."""
    text = visible(text)
    room = max(_NARROWEST, width)
    begin, margin = 0, 0
    while begin < len(text):
        size = max(2, room - margin)
        end = begin + _fitting(text[begin : begin + _LOOKED_AT * size], size)
        if end < len(text):
            space = text.rfind(" ", begin, end + 1)
            end = space if space - begin > size // 2 else end
        yield (Span(" " * margin + text[begin:end], style),)
        while text[end : end + 1] == " ":
            end += 1
        begin, margin = end, indent


def _fitting(text: str, size: int) -> int:
    """How many characters of a text fit into so many cells; at least one."""
    if text.isascii():
        return min(size, len(text))
    piece = set_cell_size(text, size) if cell_len(text) > size else text
    while not text.startswith(piece):  # a wide character that was cut through is a blank there
        piece = piece[:-1]
    return max(1, len(piece))


def changed_range(before: Line | None, after: Line) -> tuple[int, int] | None:
    """The cells, from and to, in which a line differs from what stood there; None if in none.

    One range, for Textual (8.2) sends every dirty range of a line from the widget's left edge on.
    """
    if before is None or len(before) != len(after):
        return (0, line_width(after))
    begin, end, x = -1, 0, 0
    for old, new in zip(before, after, strict=True):
        size = width_of(new.text)
        if old is not new and old != new:
            if width_of(old.text) != size:
                return (0, line_width(after))
            begin, end = (x if begin < 0 else begin), x + size
        x += size
    return None if begin < 0 else (begin, end)
