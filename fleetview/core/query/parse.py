"""A filter's text to its tree.

lark is imported when the first filter is read: it costs more than the program may take until its first picture. Nobody gets
to read lark's own words: `_Guard` looks at the tokens on their way into the parser, `_MISTAKES` has words for the rest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pkgutil import get_data
from typing import TYPE_CHECKING, Any, cast

from fleetview.core.query.errors import QueryError, shown
from fleetview.core.query.tree import EVERYTHING, Compare, Exists, Name, Node, Not, Op, Text, Word, all_of, any_of, unquote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lark import Lark, Token

MAX_CHARS = 4096
MAX_DEPTH = 32
"""Brackets and negations within one another. Nobody reads more, and everything that walks a tree may recurse."""
MAX_TERMS = 256

_WORD_LIKE = frozenset({"WORD", "VALUE", "STRING", "PATH"})
_JOINING = frozenset({"and", "or"})
_HABITS = {"&&": "and", "&": "and", "||": "or", "|": "or"}
"""What other languages write."""
_KEY = re.compile(r'\.(?:"((?:[^"\\]|\\.)*)"|([^\s"().,:=!<>~?]+))', re.DOTALL)
_LOOK_BACK = 80
"""Characters before a mistake that are looked at. Searching them costs the square of their number."""
_SURROGATE = re.compile("[\ud800-\udfff]")


def parse(text: str) -> Node:
    """The tree of a filter; an empty one means everything. Raises QueryError."""
    if len(text) > MAX_CHARS:
        raise QueryError(MAX_CHARS, f"the filter has {len(text):,} characters; {MAX_CHARS:,} are the most: make it shorter")
    if (found := _SURROGATE.search(text)) is not None:
        raise QueryError(found.start(), "here stands a byte that is no text in UTF-8: take it out")
    if not text.strip():
        return EVERYTHING
    from lark.exceptions import UnexpectedInput  # noqa: PLC0415 (see above)

    try:
        return cast("Node", _parser().parse(text))
    except UnexpectedInput as err:
        token = getattr(err, "token", None)  # that of the end carries the position of the last one before it
        at_end = token is not None and token.type == "$END"
        raise _explained(text, len(text) if at_end else cast("int", err.pos_in_stream)) from None


@cache
def _parser() -> Lark:
    from lark import Lark  # noqa: PLC0415 (see above)

    return Lark(
        (get_data(__name__, "grammar.lark") or b"").decode(),
        parser="lalr",
        lexer="contextual",
        transformer=cast("Any", _Builder()),  # anything with methods named like the rules will do
        postlex=_Guard(),
        maybe_placeholders=False,
    )


class _Builder:
    """Reductions to nodes. It checks nothing: that is done where a position and a reason are known."""

    def start(self, parts: list[Node]) -> Node:
        return any_of(tuple(parts))

    any_of = start

    def all_of(self, parts: list[Node]) -> Node:
        return all_of(tuple(parts))

    def negated(self, parts: list[Node]) -> Node:
        return Not(parts[0])

    def group(self, parts: list[Node]) -> Node:
        return parts[0]

    def has(self, parts: list[Name]) -> Node:
        return Exists(parts[0])

    def compared(self, parts: tuple[Name, Token, tuple[Word, ...]]) -> Node:
        name, op, words = parts
        return Compare(name, Op(op.value), words)

    def values(self, words: list[Word]) -> tuple[Word, ...]:
        return tuple(words)

    def value(self, tokens: list[Token]) -> Word:
        return _word(tokens[0])

    def name(self, tokens: list[Token]) -> Name:
        return _name(tokens[0])

    def free(self, tokens: list[Token]) -> Node:
        return Text(_word(tokens[0]))


def _start(token: Token) -> int:
    return token.start_pos or 0


def _word(token: Token) -> Word:
    if token.type == "STRING":
        return Word(unquote(token.value), quoted=True, position=_start(token))
    return Word(token.value, position=_start(token))


def _name(token: Token) -> Name:
    text, or_absent = token.value.removesuffix("?"), token.value.endswith("?")
    if token.type == "WORD":
        return Name(text, or_absent=or_absent, position=_start(token))
    keys = (unquote(f'"{key[1]}"') if key[1] is not None else key[2] for key in _KEY.finditer(text))
    return Name("", tuple(keys), or_absent, _start(token))


class _Guard:
    """Watches the tokens go by: bounds depth and number, and finds the mistakes that are best seen in two neighbours."""

    always_accept: tuple[str, ...] = ()

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        """The same tokens. Raises QueryError."""
        before: Token | None = None
        brackets: list[tuple[int, int]] = []  # where each was opened, and the negations before it
        negations = terms = 0
        for token in stream:
            _look(before, token)
            match token.type:
                case "_NOT" | "_MINUS":
                    negations += 1
                case "LPAR":
                    brackets.append((_start(token), negations))
                    negations = 0
                case "RPAR":
                    if not brackets:
                        raise QueryError(_start(token), "a bracket is closed that was not opened")
                    brackets.pop()
                    negations = 0
                case _:
                    negations = 0
                    terms += token.type in _WORD_LIKE
            if negations + sum(inner + 1 for _, inner in brackets) > MAX_DEPTH:
                raise QueryError(
                    _start(token), f"more than {MAX_DEPTH} brackets and negations within one another: use fewer"
                )
            if terms > MAX_TERMS:
                raise QueryError(
                    _start(token), f"more than {MAX_TERMS} words and values: use fewer, or `*` for several at once"
                )
            before = token
            yield token
        if brackets:
            raise QueryError(brackets[-1][0], "a bracket is opened and not closed")


def _look(before: Token | None, token: Token) -> None:
    if token.type == "WORD" and token.value.lower() in _JOINING:  # where it could join, it is a token of its own
        word = token.value.lower()
        raise QueryError(_start(token), f'nothing stands before {word!r}; to look for the word, write "{word}" in quotes')
    if token.type == "LPAR" and before is not None and before.type in _WORD_LIKE and before.end_pos == token.start_pos:
        message = f"a bracket right behind {shown(before.value)}: put a blank between them, or the whole in quotes"
        raise QueryError(_start(token), message)
    if token.type == "WORD" and token.value in _HABITS:
        habit = _HABITS[token.value]
        raise QueryError(_start(token), f"{token.value!r} is not how parts are joined", habit)


@dataclass(frozen=True, slots=True)
class _Mistake:
    """What is wrong, told by what stands before and behind the place where reading stopped."""

    before: str
    behind: str
    words: str
    """May name the groups of both."""
    suggestion: str | None = None


_OP = r"!=|<=|>=|~~|[:=<>~]"
_MISTAKES = (
    _Mistake("", r'"(?:[^"\\]|\\.)*\\?$', "a quote is opened and not closed"),
    _Mistake("", r"-(?:\s|$)", 'there is nothing to look for behind the "-"; the character itself goes in quotes'),
    _Mistake(rf"(?:{_OP})\s*$", rf"(?P<op>{_OP})", "two operators in a row; a value that begins with {op!r} goes in quotes"),
    _Mistake(rf"(?P<name>[^\s\"():=!<>~]+)\s*(?P<op>{_OP})\s*\(?\s*$", "", "{name}: a value is missing behind {op!r}"),
    _Mistake(r",\s*$", "", "a value is missing behind the comma"),
    _Mistake(r"(?i:\b(?P<word>and|or))\s*$", "", "nothing stands behind {word!r}; to look for the word, put it in quotes"),
    _Mistake(r"(?i:\bnot|-)\s*$", "", "there is nothing to look for behind the negation"),
    _Mistake(r"(?i:\bexists)\s*\([^()]*$", "", "exists takes one field: exists(.name)"),
    _Mistake("", rf"(?P<op>{_OP})", "a field's name is missing before {op!r}; names stand without quotes"),
    _Mistake("", "!", '"!" is not how something is negated', "-"),
    _Mistake("", ",", "a comma joins the values of one field, as in site:a,b; the character itself goes in quotes"),
    _Mistake("", r"\.", "a field of the JSON is written .name and compared, as in .code=500; text goes in quotes"),
    _Mistake(r"\(\s*$", r"\)", "nothing stands in the brackets"),
    _Mistake("", r"\)", "a bracket is closed too early"),
    _Mistake(r"[:=<>~]\s*\([^()]*$", "", "several values in brackets are joined by commas: (a,b)"),
    _Mistake(r'(?P<path>\.[^\s"()]+)\s*$', "", "what about {path}? compare it, or ask exists({path}); text goes in quotes"),
    _Mistake("", "$", "the filter ends too early"),
)


def _explained(text: str, position: int) -> QueryError:
    for mistake in _MISTAKES:
        before = re.search(mistake.before, text[max(0, position - _LOOK_BACK) : position], re.DOTALL)
        behind = re.match(mistake.behind, text[position:], re.DOTALL)
        if before is not None and behind is not None:
            words = mistake.words.format(**before.groupdict(), **behind.groupdict())
            return QueryError(position, words, mistake.suggestion)
    return QueryError(position, f"{shown(text[position:].split(maxsplit=1)[0])} was not expected here; put text in quotes")
