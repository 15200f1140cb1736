"""Texts compared without regard to case: the same, by `*` and `?`, or somewhere within."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from fleetview_agent.regexes.checked import Piece, in_order

if TYPE_CHECKING:
    from fleetview.core.query.tree import Word

TextTest = Callable[[str], bool]


def same(words: tuple[Word, ...], tidy: Callable[[str], str] = str.lower) -> TextTest:
    """Whether a text is one of these."""
    exact = frozenset(tidy(word.text) for word in words if not word.is_glob)
    patterns = [word.text.lower() for word in words if word.is_glob]
    begins = tuple(pattern[:-1] for pattern in patterns if _is_prefix(pattern))
    globs = [_whole(pattern) for pattern in patterns if not _is_prefix(pattern)]
    if not patterns:
        return lambda text: text.lower() in exact
    if not exact and not globs:
        return lambda text: text.lower().startswith(begins)

    def test(text: str) -> bool:
        folded = text.lower()
        return folded in exact or folded.startswith(begins) or any(glob.match(folded) for glob in globs)

    return test


def within(words: tuple[Word, ...]) -> TextTest:
    """Whether one of these is somewhere in a text."""
    needles = [word.text.lower() for word in words if not word.is_glob]
    globs = [_pieces(word.text.lower()) for word in words if word.is_glob]
    if len(needles) == 1 and not globs:
        needle = needles[0]
        return lambda text: needle in text.lower()

    def test(text: str) -> bool:
        folded = text.lower()
        return any(needle in folded for needle in needles) or any(in_order(glob, folded) for glob in globs)

    return test


def _is_prefix(glob: str) -> bool:
    return glob.find("*") == len(glob) - 1 and "?" not in glob


def _fixed(text: str) -> str:
    return "".join("." if char == "?" else re.escape(char) for char in text)


def _whole(glob: str) -> re.Pattern[str]:
    """In time that grows with the text only: what `*` has been ended by is not looked for again."""
    first, *others = (_fixed(part) for part in re.split(r"\*+", glob))
    if not others:
        return re.compile(rf"{first}\Z", re.DOTALL)
    *middle, last = others
    return re.compile(first + "".join(f"(?>.*?{part})" for part in middle) + rf".*{last}\Z", re.DOTALL)


def _pieces(glob: str) -> tuple[Piece, ...]:
    return tuple(Piece(re.compile(_fixed(part), re.DOTALL)) for part in re.split(r"\*+", glob) if part)
