"""What an alert's expression compares with what: `cpu > 0.9` is a course and a bound. Works on the text alone.

Only what is sure is told: of an expression with an `or` outside of brackets, nobody can say which side a value is from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

_BOUND = re.compile(r"(==|!=|<=|>=|<|>)\s*(?:bool\s+)?([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|[-+]?inf)\s*\Z", re.IGNORECASE)
_WORD = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LONGEST = 4_000
"""Characters: what is longer was written by no person."""
_QUOTES = frozenset("\"'`")


class Comparison(NamedTuple):
    """A course, and where it is beyond what is wanted."""

    course: str
    """PromQL."""
    operator: str
    bound: str

    @property
    def below(self) -> bool:
        """Whether small values are the bad ones."""
        return self.operator.startswith("<")


@lru_cache(maxsize=4096)
def comparison_of(query: str) -> Comparison | None:
    """What an expression compares, when it does that last; of `a > 1 and b > 2` the first part, whose values it has."""
    if len(query) > _LONGEST:
        return None
    text = _bare(query)
    words = list(_operators(text))
    if any(word == "or" for _, word in words):
        return None
    if words:
        return comparison_of(text[: words[0][0]])
    found = _BOUND.search(text)
    if found is None or _depth(text[: found.start()]) or not (course := text[: found.start()].strip()):
        return None
    return Comparison(course, found[1], found[2])


def threshold_of(query: str) -> str | None:
    """`> 0.9` for an expression that compares with it."""
    found = comparison_of(query)
    return None if found is None else f"{found.operator} {found.bound}"


def _bare(query: str) -> str:
    """Without brackets around all of it."""
    text = query.strip()
    while text.startswith("(") and text.endswith(")") and _closes(text) == len(text) - 1:
        text = text[1:-1].strip()
    return text


def _closes(text: str) -> int:
    """Where the bracket closes with which a text begins; -1 for nowhere."""
    return next((at for at, depth in _places(text) if depth == 0), -1)


def _depth(text: str) -> int:
    """How many brackets are open at the end of a text."""
    depth = 0
    for _, depth in _places(text):  # noqa: B007  # the last is wanted
        pass
    return depth


def _operators(text: str) -> Iterator[tuple[int, str]]:
    """The set operators outside of all brackets, and where they stand."""
    skipped = -1
    for at, depth in _places(text):
        if depth or at <= skipped:
            continue
        if (found := _WORD.match(text, at)) is not None:
            skipped = found.end() - 1
            if found[0].lower() in {"and", "or", "unless"}:
                yield at, found[0].lower()


def _places(text: str) -> Iterator[tuple[int, int]]:
    """Each character outside of quotes, and how many brackets are open behind it."""
    depth, quote, escaped = 0, "", False
    for at, char in enumerate(text):
        if escaped:
            escaped = False
        elif quote:
            escaped = char == "\\" and quote != "`"
            quote = "" if char == quote else quote
        elif char in _QUOTES:
            quote = char
        else:
            depth += (char in "([{") - (char in ")]}")
            yield at, depth
