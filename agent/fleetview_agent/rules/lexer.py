"""Cuts the text of a condition into words, numbers and signs, and tells what is wrong where."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

Kind = Literal["duration", "number", "word", "text", "sign", "end"]

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<duration>\d+(?:\.\d+)?(?:ms|s|m|h|d)\b)
  | (?P<number>-?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?%?)
  | (?P<word>[A-Za-z_][A-Za-z0-9_.:-]*)
  | (?P<text>"(?:\\.|[^"\\])*"|'[^']*')
  | (?P<sign>>=|<=|==|!=|!~|[<>=~(),])
    )""",
    re.VERBOSE,
)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SHOWN = 40


class RuleError(ValueError):
    """A condition cannot be read."""

    def __init__(self, text: str, position: int, words: str, known: Iterable[str] = ()) -> None:
        self.position = position
        """Where in the text, counted from 0; its length when the end came too early."""
        self._text = text
        found = _word_at(text, position)
        near = difflib.get_close_matches(found, list(known), n=1, cutoff=0.6) if found else []
        self.words = words + (f"; did you mean {near[0]}?" if near else "")
        super().__init__(f"{self.words} (column {position + 1})")

    def marked(self) -> str:
        """The text with a caret under the place."""
        text = " ".join(self._text.splitlines())
        begin = max(0, self.position - 60)
        shown = text[begin : begin + 120]
        return f"{shown}\n{' ' * (self.position - begin)}^"


def _word_at(text: str, position: int) -> str:
    found = re.compile(r"[A-Za-z0-9_.:-]+").match(text, position)
    return found[0][:_SHOWN] if found else ""


class Token(NamedTuple):
    """A word, number or sign."""

    kind: Kind
    text: str
    position: int

    @property
    def shown(self) -> str:
        """As an error quotes it."""
        if self.kind == "end":
            return "the end"
        return repr(self.text if len(self.text) <= _SHOWN else self.text[:_SHOWN] + "...")


def tokens(text: str) -> Iterator[Token]:
    """All of them, and one for the end. Raises RuleError."""
    position = 0
    while text[position:].strip():
        found = _TOKEN.match(text, position)
        if found is None or found.lastgroup is None:
            position += len(text[position:]) - len(text[position:].lstrip())
            unclosed = text[position] in "\"'"
            words = "a quotation that does not end" if unclosed else f"{text[position]!r} has no meaning here"
            raise RuleError(text, position, words)
        kind: Kind = found.lastgroup  # type: ignore[assignment]  # the names of its groups
        yield Token(kind, found[kind], found.start(kind))
        position = found.end()
    yield Token("end", "", len(text))


def seconds(text: str) -> float:
    """How long a duration such as 1.5h is."""
    number = text.rstrip("mshd")
    return float(number) * _UNITS[text[len(number) :]]


def unquoted(text: str) -> str:
    """What stands in quotation marks. Between single ones a backslash is a backslash."""
    inner = text[1:-1]
    # before a quotation mark or another backslash only, so that regular expressions need not be doubled
    return re.sub(r'\\(["\\])', r"\1", inner) if text.startswith('"') else inner
