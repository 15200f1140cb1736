"""The trees of regular expressions, as Python's own parser makes them: what they may match, and how long.

`re._parser` and `re._compiler` are private; their shape is that of Python 3.11 to 3.14, and the tests compare what is said
here with what the matcher does. This is the one module that knows them. (Their public names of old warn of their end.)
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Any

MAX_PATTERN_CHARS = 256

_FLAGS = re.IGNORECASE | re.DOTALL
_LATIN = 256
# Characters beyond Latin-1 count by region: digits, blanks, other word characters, and the rest.
_DIGIT, _SPACE, _WORD, _REST = range(_LATIN, _LATIN + 4)
_REGIONS = frozenset({_DIGIT, _SPACE, _WORD, _REST})
_CATEGORIES = {
    "CATEGORY_DIGIT": frozenset({_DIGIT}),
    "CATEGORY_NOT_DIGIT": _REGIONS - {_DIGIT},
    "CATEGORY_SPACE": frozenset({_SPACE}),
    "CATEGORY_NOT_SPACE": _REGIONS - {_SPACE},
    "CATEGORY_WORD": frozenset({_DIGIT, _WORD}),
    "CATEGORY_NOT_WORD": _REGIONS - {_DIGIT, _WORD},
}
PLAIN = frozenset({"LITERAL", "NOT_LITERAL", "ANY", "IN"})
"""What stands for exactly one character."""
REPEATS = frozenset({"MAX_REPEAT", "MIN_REPEAT"})
_LATIN_TEXT = "".join(map(chr, range(_LATIN)))
NOT_KNOWN = "what looks ahead or back, or refers to a group, cannot be used in a regular expression here: leave it out"

Item = tuple[Any, Any]
"""What it is, and what it holds, which differs for each."""
Items = list[Item]
Chars = frozenset[int]
"""Characters by number; those beyond Latin-1 by region."""


class RegexRefused(ValueError):  # noqa: N818 (it is no error of the program)
    """An expression is not taken. Its text says why, and what to do."""


def parsed(pattern: str) -> Any:  # noqa: ANN401 (a class of a private module)
    """The tree of an expression. Raises RegexRefused."""
    if len(pattern) > MAX_PATTERN_CHARS:
        msg = f"the regular expression has {len(pattern):,} characters; {MAX_PATTERN_CHARS} are the most"
        raise RegexRefused(msg)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a "[[", to standard error, where a dashboard stands
            tree = import_module("re._parser").parse(pattern, int(_FLAGS))
    except re.error as err:
        msg = f"not a regular expression: {err.msg}" + ("" if err.pos is None else f" at its character {err.pos + 1}")
        raise RegexRefused(msg) from None
    except (OverflowError, RecursionError):
        msg = "not a regular expression that can be used: too deep, or too high a number of repetitions"
        raise RegexRefused(msg) from None
    if tree.state.flags & ~int(_FLAGS | re.UNICODE):
        msg = "flags such as (?x) are not known here: case never matters, and `.` means every character"
        raise RegexRefused(msg)
    return tree


def compiled(items: Items, tree: Any = None) -> re.Pattern[str]:  # noqa: ANN401 (a class of a private module)
    """A part of a tree, ready to be used. A part that holds groups needs the tree that it is from."""
    state = (parsed("") if tree is None else tree).state
    part = import_module("re._parser").SubPattern(state, items)
    found: re.Pattern[str] = import_module("re._compiler").compile(part, int(_FLAGS))
    return found


def inner(code: object, value: Any) -> list[Items]:  # noqa: ANN401 (a private module's trees)
    """The sequences within a group, a choice or a repetition."""
    match str(code):
        case "SUBPATTERN":
            return [value[3]]
        case "BRANCH":
            return list(value[1])
        case "MAX_REPEAT" | "MIN_REPEAT":
            return [value[2]]
    return []


def width(items: Sequence[tuple[Any, Any]]) -> tuple[float, float]:
    """The fewest and the most characters of a match."""
    least = most = 0.0
    for code, value in items:
        match str(code):
            case "SUBPATTERN":
                low, high = width(value[3])
            case "BRANCH":
                widths = [width(branch) for branch in value[1]]
                low, high = min(width[0] for width in widths), max(width[1] for width in widths)
            case "MAX_REPEAT" | "MIN_REPEAT":
                each = width(value[2])
                low, high = value[0] * each[0], (value[1] * each[1] if str(value[1]) != "MAXREPEAT" else math.inf)
                high = 0.0 if math.isnan(high) else high
            case "AT":
                low = high = 0
            case _:
                low = high = 1
        least, most = least + low, most + high
    return least, most


def chars_of(code: object, value: Any) -> Chars:  # noqa: ANN401 (a private module's trees)
    """What one character of an expression may be. Latin-1 is asked of the matcher itself, beyond it categories decide."""
    name = str(code)
    if name not in PLAIN:
        raise RegexRefused(NOT_KNOWN)
    found = compiled([(code, value)]).findall(_LATIN_TEXT)
    return frozenset(map(ord, found)) | _beyond(name, value)


def _beyond(name: str, value: Any) -> Chars:  # noqa: ANN401 (a private module's trees)
    match name:
        case "LITERAL":
            return _region_of(value)
        case "IN":
            found: set[int] = set()
            for code, inner in value:
                match str(code):
                    case "LITERAL":
                        found |= _region_of(inner)
                    case "RANGE":
                        found |= _REGIONS if inner[1] >= _LATIN else frozenset()
                    case "CATEGORY":
                        found |= _CATEGORIES.get(str(inner), _REGIONS)
            if str(value[0][0]) != "NEGATE":
                return frozenset(found)
            # Only what a category takes away is gone as a whole.
            gone = [_CATEGORIES.get(str(inner), frozenset()) for code, inner in value if str(code) == "CATEGORY"]
            return _REGIONS.difference(*gone)
    return _REGIONS


def _region_of(char: int) -> Chars:
    if char < _LATIN:
        return frozenset()
    text = chr(char)
    if text.isdecimal():
        return frozenset({_DIGIT})
    if text.isspace():
        return frozenset({_SPACE})
    return frozenset({_WORD} if text.isalnum() else {_REST})
