"""Regular expressions that a person may type while a hundred thousand lines go by: none may stall the program.

Python's matcher tries alternatives one after the other, and there are expressions for which a line of 4 KiB holds more of
them than there will ever be time for. So an expression is taken only when its structure proves a bound on the steps that any
line can cost (`worst_steps`); what cannot be proved is refused, with a way out. It is made cheaper first where that changes
nothing of whether it is found: `.*` cuts it into pieces that are looked for one after the other, and a repetition at the
edge of a piece is as good as its smallest number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from fleetview_agent.regexes.cost import worst_steps
from fleetview_agent.regexes.tree import (
    MAX_PATTERN_CHARS,
    REPEATS,
    Item,
    Items,
    RegexRefused,
    compiled,
    inner,
    parsed,
    width,
)

MAX_TEXT_CHARS = 4096
"""What lies beyond in a text is not looked at."""
MAX_STEPS = 20_000_000
"""Some 50 ms for the worst line there is (2.6 ns a step, measured); an ordinary one costs a microsecond."""


_SEARCHES = 1 + MAX_TEXT_CHARS.bit_length()
"""How often a piece is searched for whose first end is found by halving the text."""


class Piece(NamedTuple):
    """A part of an expression, to be found somewhere behind the part before it."""

    pattern: re.Pattern[str]
    one_end: bool = True
    """What is found first also ends first. Otherwise the first end must be searched for, to leave most to what follows."""


@dataclass(frozen=True, slots=True)
class Regex:
    """A checked expression."""

    choices: tuple[tuple[Piece, ...], ...]
    """Of one of them all pieces are to be found, one behind the other."""
    steps: float
    """What a line of 4 KiB costs at most."""

    def found_in(self, text: str) -> bool:
        """Whether it is found in the first 4 KiB of a text."""
        text = text[:MAX_TEXT_CHARS]
        return any(in_order(pieces, text) for pieces in self.choices)


def in_order(pieces: tuple[Piece, ...], text: str) -> bool:
    """Whether all are found in a text, each behind the one before."""
    position, last = 0, len(pieces) - 1
    for index, piece in enumerate(pieces):
        match = piece.pattern.search(text, position)
        if match is None:
            return False
        position = match.end() if piece.one_end or index == last else _first_end(piece.pattern, text, match)
    return True


def _first_end(pattern: re.Pattern[str], text: str, match: re.Match[str]) -> int:
    """The smallest end of any match, by halving: no match begins before this one, the leftmost."""
    least, most = match.start(), match.end()
    while least < most:
        middle = (least + most) // 2
        if pattern.search(text, match.start(), middle) is None:
            least = middle + 1
        else:
            most = middle
    return least


def checked(pattern: str, *, max_steps: float = MAX_STEPS) -> Regex:
    """The expression, ready to be used; case does not matter. Raises RegexRefused."""
    tree = parsed(pattern)
    choices = [in_pieces(choice) for choice in _choices(_ungrouped(list(tree)))]
    steps = sum(map(_worst_steps, choices))
    if steps > max_steps:
        msg = (
            "this regular expression could stall on a hostile line: it has repetitions that may end in many places. Say more"
            ' exactly what is repeated ([^"]* or \\d+ for .+), or split it in two: field~~one field~~two'
        )
        raise RegexRefused(msg)
    made = (tuple(Piece(compiled(piece, tree), _fixed(piece)) for piece in pieces) for pieces in choices)
    return Regex(tuple(made), steps)


def _choices(items: Items) -> list[Items]:
    """The alternatives of an expression that is nothing else."""
    if len(items) == 1 and str(items[0][0]) == "BRANCH":
        return [_ungrouped(list(choice)) for choice in items[0][1][1]]
    return [items]


def in_pieces(items: Items) -> list[Items]:
    """The parts between `.*`, groups taken away, without what does not decide whether they are found.

    A piece may be cut off when the first of its ends can be told: all matches are equally long, or it does not ask what
    stands behind it, so that it can be searched for in ever shorter texts.
    """
    pieces: list[Items] = [[]]
    for item in items:
        least = _gap(item)
        if least is None:
            pieces[-1].append(item)
            continue
        pieces[-1] = [*_trimmed(pieces[-1]), *[_any(item)] * least]
        if _fixed(pieces[-1]) or not _asks_for_its_end(pieces[-1]):
            pieces.append([])
        else:
            pieces[-1].append(_any_number(item))
    found = [_trimmed(piece) for piece in pieces]
    return [piece for piece in found if piece] or [[]]


def _ungrouped(items: Items) -> Items:
    found: Items = []
    for code, value in items:
        if str(code) == "SUBPATTERN" and not value[1] and not value[2]:
            found += _ungrouped(list(value[3]))
        else:
            found.append((code, value))
    return found


def _gap(item: Item) -> int | None:
    """The smallest number of characters of a `.*`, `.+` or `.{3,}`; None for anything else."""
    code, value = item
    if str(code) not in REPEATS or str(value[1]) != "MAXREPEAT":
        return None
    return int(value[0]) if [str(inner) for inner, _ in value[2]] == ["ANY"] and value[0] <= MAX_PATTERN_CHARS else None


def _any(item: Item) -> Item:
    return item[1][2][0]  # type: ignore[no-any-return]


def _any_number(item: Item) -> Item:
    return item[0], (0, *item[1][1:])


def _trimmed(items: Items) -> Items:
    """Repetitions at both edges cut to their smallest number: whatever else they take, the search or the gap takes too."""
    found = _trimmed_end(items)
    return _trimmed_end(found[::-1])[::-1]


def _trimmed_end(items: Items) -> Items:
    found = list(items)
    while found and str(found[-1][0]) in REPEATS:
        code, (least, most, inner) = found[-1]
        if least == most:
            break
        found.pop()
        if least == 1:
            found += _ungrouped(list(inner))
        elif least:
            found.append((code, (least, least, inner)))
    return found


def _fixed(items: Items) -> bool:
    least, most = width(items)
    return least == most


def _asks_for_its_end(items: Items) -> bool:
    """Whether `$` or a word's border is in it, which a text that is cut shorter answers otherwise."""
    return any(
        (str(code) == "AT" and str(value) not in {"AT_BEGINNING", "AT_BEGINNING_STRING"})
        or any(map(_asks_for_its_end, inner(code, value)))
        for code, value in items
    )


def _worst_steps(pieces: list[Items]) -> float:
    return sum(
        worst_steps(piece, MAX_TEXT_CHARS) * (1 if _fixed(piece) or piece is pieces[-1] else _SEARCHES) for piece in pieces
    )
