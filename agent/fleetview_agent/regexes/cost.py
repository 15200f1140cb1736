"""An upper bound on the steps that a regular expression can cost, proved from its structure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from fleetview_agent.regexes.tree import (
    MAX_PATTERN_CHARS,
    NOT_KNOWN,
    PLAIN,
    REPEATS,
    Chars,
    Item,
    Items,
    RegexRefused,
    chars_of,
    inner,
    width,
)

_ANCHORS = {"AT_END": frozenset({10}), "AT_END_STRING": frozenset[int]()}
"""What may stand behind an anchor that only holds at the end: `$` also holds before a last line feed."""


class Cost(NamedTuple):
    """What a part of an expression costs at one place of the text."""

    ways: float
    """How often what follows is tried in full."""
    steps: float
    """Characters looked at, at most."""
    first: Chars
    """What may come first, what follows included when the part may be empty."""
    peek: float
    """Steps until what follows is found not to begin here."""


def worst_steps(items: Items, length: int) -> float:
    """The steps that searching a text of this length can cost at most. Raises RegexRefused for what cannot be bounded.

    The tree is gone through from its end, so that each part knows what may follow it. A repetition whose characters cannot
    begin what follows has one end worth trying, however often it is given back; any other has as many as there are numbers
    of repetitions. A repetition of something that itself can end in several places multiplies with each round, which no
    text of 4 KiB survives: that is the shape of every expression that explodes, nested or with alternatives that overlap.

    How many starts can be dear: one, when it is anchored; of starts with a fixed beginning, one per its period. And when no
    repetition can run over a whole beginning, a repetition that starts here ends before, or shortly behind, the next start,
    so all starts together cost what a few do.
    """
    each = _sequence(items, frozenset(), 0.0, length).steps
    if items and str(items[0][0]) == "AT" and str(items[0][1]) in {"AT_BEGINNING", "AT_BEGINNING_STRING"}:
        return length + each
    begin = _beginning(items)
    starts = (length / _period(begin) + 1) * each + (length + 1) * max(1, len(begin))
    runs = [_all_chars([item]) for item in items if _is_run(item)]
    loose = [item for item in items if not _is_run(item)]
    if all(any(run.isdisjoint(chars) for chars in begin) for run in runs):
        overlaps = (width(loose)[1] + len(runs) + 1) * max(1, len(begin))
        apart = overlaps * each + (length + 1) * (_sequence(items, frozenset(), 0.0, 0).steps + 1)
        return min(starts, apart)
    return starts


def _is_run(item: Item) -> bool:
    return item[1][0] != item[1][1] if str(item[0]) in REPEATS else math.isinf(width([item])[1])


def _beginning(items: Items) -> list[Chars]:
    """What the first characters of every match are, as far as that is one character after the other."""
    found: list[Chars] = []
    for code, value in items:
        name = str(code)
        if name in PLAIN:
            found.append(chars_of(code, value))
        elif name in REPEATS and len(value[2]) == 1 and str(value[2][0][0]) in PLAIN:
            found += [chars_of(*value[2][0])] * min(int(value[0]), MAX_PATTERN_CHARS)
            if value[0] != value[1]:
                break
        else:
            break
    return found


def _period(begin: list[Chars]) -> int:
    """How far apart two places must be where the same beginning fits."""
    for shift in range(1, len(begin)):
        if all(not one.isdisjoint(other) for one, other in zip(begin, begin[shift:], strict=False)):
            return shift
    return max(1, len(begin))


def _all_chars(items: Sequence[tuple[Any, Any]]) -> Chars:
    """Every character that a match may hold."""
    found: set[int] = set()
    for code, value in items:
        if str(code) in PLAIN:
            found |= chars_of(code, value)
        found.update(*map(_all_chars, inner(code, value)))
    return frozenset(found)


def _sequence(items: Sequence[tuple[Any, Any]], follow: Chars, peek: float, length: int) -> Cost:
    total = Cost(1.0, 0.0, follow, peek)
    for code, value in reversed(items):
        part = _part(str(code), code, value, total, length)
        total = Cost(part.ways * total.ways, _sum(part.steps, part.ways * total.steps), part.first, part.peek)
    return total


def _sum(*numbers: float) -> float:
    """Without NaN: no number of ways times nothing is nothing."""
    return sum(0.0 if math.isnan(each) else each for each in numbers)


def _part(name: str, code: object, value: Any, after: Cost, length: int) -> Cost:  # noqa: ANN401 (a private module's trees)
    if name in PLAIN:
        return Cost(1.0, 1.0, chars_of(code, value), 1.0)
    match name:
        case "AT":
            return Cost(1.0, 1.0, _ANCHORS.get(str(value), after.first), 1.0 + after.peek)
        case "SUBPATTERN" if not value[1] and not value[2]:
            return _sequence(value[3], after.first, after.peek, length)
        case "BRANCH":
            return _branch([_sequence(branch, after.first, after.peek, length) for branch in value[1]])
        case "MAX_REPEAT" | "MIN_REPEAT":
            return _repeat(value, after, length)
    raise RegexRefused(NOT_KNOWN)


def _branch(branches: list[Cost]) -> Cost:
    seen: set[int] = set()
    overlap = False
    for branch in branches:
        overlap = overlap or not seen.isdisjoint(branch.first)
        seen |= branch.first
    return Cost(
        (sum if overlap else max)(branch.ways for branch in branches),
        sum(branch.steps for branch in branches),
        frozenset(seen),
        sum(branch.peek for branch in branches),
    )


def _repeat(value: tuple[int, int, Items], after: Cost, length: int) -> Cost:
    least, most, repeated = value
    shortest = width(repeated)[0]
    if shortest == 0 and most > 1:
        msg = "a repetition of something that may be empty: leave out the inner or the outer * or ?"
        raise RegexRefused(msg)
    if most == 1:
        once = _sequence(repeated, after.first, after.peek, length)
        if least or once.first.isdisjoint(after.first):
            return (
                once if least else Cost(once.ways, once.steps + after.peek, once.first | after.first, once.peek + after.peek)
            )
        return Cost(once.ways + 1, once.steps + 1, once.first | after.first, once.peek + after.peek)
    begin = _first(repeated)
    follow = begin | after.first
    each = _sequence(repeated, follow, after.peek + _atoms(repeated), length)
    rounds = min(most, int(length // max(1.0, shortest)))
    first = each.first if least else each.first | after.first
    peek = each.peek + after.peek
    if each.ways > 1:
        ways = math.inf if rounds * math.log(each.ways) > 100 else (rounds + 1) * each.ways**rounds  # noqa: PLR2004 (e**100)
        return Cost(ways, ways * (each.steps + after.peek + 1), first, peek)
    one_end = least == most or begin.isdisjoint(after.first)
    ways = 1.0 if one_end else max(1.0, rounds - least + 1.0)
    return Cost(ways, (rounds + 1) * (each.steps + after.peek + 1), first, peek)


def _first(items: Sequence[tuple[Any, Any]]) -> Chars:
    """The characters with which a match can begin; of what may be empty, also those behind it."""
    found: set[int] = set()
    for code, value in items:
        if str(code) in PLAIN:
            found |= chars_of(code, value)
        found.update(*map(_first, inner(code, value)))
        if width([(code, value)])[0] > 0:
            break
    return frozenset(found)


def _atoms(items: Sequence[tuple[Any, Any]]) -> int:
    """How many characters and anchors an expression has: no more can be looked at in one place."""
    return sum(sum(map(_atoms, within)) if (within := inner(code, value)) else 1 for code, value in items)
