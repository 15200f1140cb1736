"""What may be typed next in a filter: names of fields, and values: those there are, and those that were seen.

Whoever shows this knows what was seen. It works on any text, finished or not, and never complains.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

from fleetview.core.query.fields import Field, Fields, Kind
from fleetview.core.query.parse import MAX_CHARS
from fleetview.core.query.tree import Word

MAX_OFFERED = 50
MAX_LOOKED_AT = 10_000
"""Candidates of one field: a fleet with millions of distinct values must not hold up a key."""

_LOOK_BACK = 512
"""Characters before the cursor that decide what is offered. Searching them costs the square of their number."""

_NAME = re.compile(r'[^\s"(),:=!<>~]+')
_VALUE = re.compile(r'[^\s"(),]+')
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_AT_NAME = re.compile(r'(?!-)[^\s"(),:=!<>~]*$')
_AT_VALUE = re.compile(
    r"""(?P<name>[^\s"(),:=!<>~]+)\s*(?:!=|<=|>=|~~|[:=<>~])\s*\(?\s*"""
    r"""(?:(?:"(?:[^"\\]|\\.)*"|[^\s"(),]+)\s*,\s*)*"""
    r"""(?P<typed>"(?:[^"\\]|\\.)*|[^\s"(),]*)$""",
    re.DOTALL,
)
"""A field, an operator, values that are done, and one that is not."""
_ORDERED = frozenset({Kind.FRACTION, Kind.TEMPERATURE, Kind.DURATION, Kind.SIZE, Kind.NUMBER})


@dataclass(frozen=True, slots=True)
class Completion:
    """One offer: put `text` in the place of the characters from `start` to `end`."""

    start: int
    end: int
    text: str
    hint: str


def complete(text: str, cursor: int, candidates: Mapping[str, Iterable[str]], fields: Fields) -> list[Completion]:
    """What fits at the cursor, best first. `candidates` are values seen by field, also by `label.ring` and `.path`."""
    text = text[:MAX_CHARS]
    cursor = max(0, min(cursor, len(text)))
    before = text[max(0, cursor - _LOOK_BACK) : cursor]
    if (value := _AT_VALUE.search(before)) is not None:
        typed = value["typed"]
        quoted = _STRING.match(text, cursor - len(typed)) if typed.startswith('"') else None
        start, end = cursor - len(typed), _end(_VALUE, text, cursor) if quoted is None else max(quoted.end(), cursor)
        offers = _values(typed.lstrip('"'), value["name"].lstrip("-"), candidates, fields)
        return [Completion(start, end, str(Word(offer, quoted=_is_special(offer))), hint) for offer, hint in offers]
    name = _AT_NAME.search(before)
    typed = "" if name is None else name[0]
    start, end = cursor - len(typed), _end(_NAME, text, cursor)
    return [Completion(start, end, offer, hint) for offer, hint in _names(typed, candidates, fields)]


def _end(word: re.Pattern[str], text: str, cursor: int) -> int:
    match = word.match(text, cursor)
    return cursor if match is None else match.end()


def _is_special(value: str) -> bool:
    return "*" in value or "?" in value or ".." in value


def _names(typed: str, candidates: Mapping[str, Iterable[str]], fields: Fields) -> list[tuple[str, str]]:
    known = {field.name: _opened(field) for field in fields.named.values() if field.read is not None}
    for name in islice(candidates, MAX_LOOKED_AT):
        if name.startswith((".", "label.")) and name not in known and _NAME.fullmatch(name):
            known[name] = (f"{name}:", "seen")
    known["exists"] = ("exists(", "whether a field is there")
    return [known[name] for name in _best(typed, known)]


def _opened(field: Field) -> tuple[str, str]:
    return f"{field.name}{'>' if field.kind in _ORDERED else ':'}", field.hint


def _values(typed: str, name: str, candidates: Mapping[str, Iterable[str]], fields: Fields) -> list[tuple[str, str]]:
    word = name.removesuffix("?").lower()
    word = fields.aliases.get(word, word)
    field = fields.named.get(word)
    seen = candidates.get(word) or candidates.get(name.removesuffix("?")) or ()
    offers = dict.fromkeys([*(field.words if field is not None else ()), *islice(seen, MAX_LOOKED_AT)])
    return [(offer, "" if field is None else field.name) for offer in _best(typed, offers)]


def _best(typed: str, offers: Iterable[str]) -> list[str]:
    """Those that begin with what is typed, then those that hold it; each kept in its order."""
    folded = typed.lower()
    fitting = [(offer, offer.lower().find(folded)) for offer in offers]
    begins = [offer for offer, at in fitting if at == 0]
    return [*begins, *(offer for offer, at in fitting if at > 0)][:MAX_OFFERED]
