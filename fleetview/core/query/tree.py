"""What a filter says, as a tree. The same tree for devices and for log records, in memory and in SQL.

`str()` of a tree is a filter that is read back as the same tree. Positions do not count when trees are compared.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum

_BARE_VALUE = re.compile(r"""[^\s"(),:=<>~][^\s"(),]*""")
_BARE_WORD = re.compile(r"""(?:[^\s"()\-.,:=!<>~])(?:[^\s"():=!<>~]|!(?!=))*""")
_BARE_KEY = re.compile(r"""[^\s"().,:=!<>~?]+""")
_KEYWORDS = frozenset({"and", "or", "not"})


class Op(StrEnum):
    """How a field is compared."""

    IS = ":"
    EQ = "="
    """The same as `:`, for those who write it so."""
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    CONTAINS = "~"
    MATCHES = "~~"
    """A regular expression is found in it."""

    @property
    def is_order(self) -> bool:
        """Whether it asks for more or less."""
        return self in {Op.LT, Op.LE, Op.GT, Op.GE}


@dataclass(frozen=True, slots=True)
class Word:
    """A value, or a text that is searched for."""

    text: str
    quoted: bool = False
    """Stood in quotes: `*`, `?` and `..` stand for themselves."""
    position: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return quote(self.text) if self.quoted or not _BARE_VALUE.fullmatch(self.text) else self.text

    @property
    def is_glob(self) -> bool:
        """Whether `*` and `?` in it stand for other characters."""
        return not self.quoted and ("*" in self.text or "?" in self.text)


@dataclass(frozen=True, slots=True)
class Name:
    """The field that is meant: by name, or by the keys that lead to it in the JSON."""

    text: str
    """As written, without the `?`; empty for a path."""
    path: tuple[str, ...] = ()
    or_absent: bool = False
    """Ended in `?`: a thing without the field is meant too."""
    position: int = field(default=0, compare=False)

    def __str__(self) -> str:
        keys = "".join(f".{key if _BARE_KEY.fullmatch(key) else quote(key)}" for key in self.path)
        return f"{self.text}{keys}{'?' if self.or_absent else ''}"


@dataclass(frozen=True, slots=True)
class Text:
    """A text that is looked for where a person would look."""

    word: Word

    def __str__(self) -> str:
        text = self.word.text
        bare = not self.word.quoted and _BARE_WORD.fullmatch(text) and text.lower() not in _KEYWORDS
        return text if bare else quote(text)


@dataclass(frozen=True, slots=True)
class Compare:
    """A field against values, of which one must fit (none, for `!=`)."""

    name: Name
    op: Op
    words: tuple[Word, ...]

    def __str__(self) -> str:
        words = ",".join(str(word) for word in self.words)
        return f"{self.name}{self.op.value}{words if len(self.words) == 1 else f'({words})'}"


@dataclass(frozen=True, slots=True)
class Exists:
    """The field has a value."""

    name: Name

    def __str__(self) -> str:
        return f"exists({self.name})"


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite."""

    part: Node

    def __str__(self) -> str:
        return f"not {_bracketed(self.part)}"


@dataclass(frozen=True, slots=True)
class And:
    """All of them; everything, when there are none."""

    parts: tuple[Node, ...] = ()

    def __str__(self) -> str:
        return " ".join(_bracketed(part) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Or:
    """One of them."""

    parts: tuple[Node, ...]

    def __str__(self) -> str:
        return " or ".join(_bracketed(part) for part in self.parts)


Node = Text | Compare | Exists | Not | And | Or
EVERYTHING = And()


def all_of(parts: tuple[Node, ...]) -> Node:
    """What is true when all parts are, in its one form: an `and` within an `and` is no level of its own."""
    flat = tuple(inner for part in parts for inner in (part.parts if isinstance(part, And) else (part,)))
    return flat[0] if len(flat) == 1 else And(flat)


def any_of(parts: tuple[Node, ...]) -> Node:
    """What is true when one part is, in its one form."""
    flat = tuple(inner for part in parts for inner in (part.parts if isinstance(part, Or) else (part,)))
    return flat[0] if len(flat) == 1 else Or(flat)


def names_in(node: Node) -> frozenset[str]:
    """The names of all fields that a filter asks for, in lower case; a path into JSON is none of them."""
    match node:
        case And() | Or():
            return frozenset().union(*map(names_in, node.parts))
        case Not():
            return names_in(node.part)
        case Compare() | Exists():
            return frozenset({node.name.text.lower()})
    return frozenset()


def quote(text: str) -> str:
    """The text in quotes, as the language reads it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def unquote(text: str) -> str:
    r"""What stands in the quotes. A backslash stands for itself except before `"` and `\`: `"\d+"` is what it looks like."""
    return re.sub(r'\\(["\\])', r"\1", text[1:-1])


def _bracketed(part: Node) -> str:
    return f"({part})" if isinstance(part, (And, Or)) else str(part)
