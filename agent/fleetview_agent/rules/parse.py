"""Reads the text of a condition.

    condition = part, { "or", part }            part = term, { "and", term }
    term      = "not", term | lasting           lasting = ( comparison | "(", condition, ")" ), [ "for", duration ]

Where `for` could mean one part or all of them ("a and b for 2m"), parentheses are asked for.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import NoReturn, cast, get_args

from fleetview_agent.regexes.checked import checked
from fleetview_agent.regexes.tree import RegexRefused
from fleetview_agent.rules.lexer import RuleError, Token, seconds, tokens, unquoted
from fleetview_agent.rules.tree import (
    All,
    Any,
    Compare,
    Comparison,
    Condition,
    FieldIs,
    Figure,
    Lasting,
    LinkIs,
    Logs,
    Metric,
    ModuleIs,
    Not,
    Number,
    Rate,
    Vital,
)
from fleetview_agent.wire.messages import ModuleState

MOST_CHARS = 2000
MOST_DEPTH = 20
MOST_COUNTED = 10_000
"""Log records within a window: the moment of each is remembered."""
LONGEST_S = 7 * 86400.0
MOST_REGEX_STEPS = 500_000
"""A millisecond for the worst line: the agent reads a thousand a second."""
FIGURES: tuple[Figure, ...] = get_args(Figure)
STATES: tuple[ModuleState, ...] = get_args(ModuleState)
LEVELS = ("DEBUG", "INFO", "WARN", "ERROR")
_FRACTIONS = ("cpu", "memory", "disk")
_NAMES = (*FIGURES, "metrics.NAME", "rate(metrics.NAME, 5m)", "module.NAME", "link", "log(...)")
_COMPARISONS = get_args(Comparison)


def parse(text: str, modules: Collection[str] | None = None) -> Condition:
    """The condition that a text means. Raises RuleError.

    `modules` are those that there are; None: any name is taken.
    """
    if len(text) > MOST_CHARS:
        raise RuleError(text, MOST_CHARS, f"more than {MOST_CHARS} characters")
    return _Parser(text, modules).whole()


class _Parser:
    def __init__(self, text: str, modules: Collection[str] | None) -> None:
        self._text = text
        self._modules = modules
        self._tokens = list(tokens(text))
        self._at = 0
        self._keys = 0
        self._depth = 0

    def whole(self) -> Condition:
        condition = self._condition()
        if self._next.kind != "end":
            self._refuse(f"'and', 'or' or the end expected, not {self._next.shown}", known=("and", "or", "for"))
        return condition

    # Words

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._next
        self._at += token.kind != "end"
        return token

    def _is(self, *texts: str) -> bool:
        return self._next.kind in {"word", "sign"} and self._next.text in texts

    def _took(self, text: str) -> bool:
        found = self._is(text)
        self._at += found
        return found

    def _expect(self, text: str, where: str) -> None:
        if not self._took(text):
            self._refuse(f"{text!r} expected {where}, not {self._next.shown}")

    def _error(self, words: str, at: Token, known: Collection[str] = ()) -> RuleError:
        return RuleError(self._text, at.position, words, known)

    def _refuse(self, words: str, *, at: Token | None = None, known: Collection[str] = ()) -> NoReturn:
        raise self._error(words, at or self._next, known)

    def _key(self) -> int:
        self._keys += 1
        return self._keys

    # Conditions

    def _condition(self) -> Condition:
        parts = [self._part(is_first=True)]
        while self._took("or"):
            parts.append(self._part(is_first=False))
        return parts[0] if len(parts) == 1 else Any(tuple(parts))

    def _part(self, *, is_first: bool) -> Condition:
        terms = [self._term(may_last=is_first)]
        while self._took("and"):
            terms.append(self._term(may_last=False))
        return terms[0] if len(terms) == 1 else All(tuple(terms))

    def _term(self, *, may_last: bool) -> Condition:
        if self._took("not"):
            self._deeper()
            opposite = self._term(may_last=False)
            self._depth -= 1
            return Not(opposite)
        inner = self._nested() if self._is("(") else self._comparison()
        if not self._is("for"):
            return inner
        if not may_last:
            self._refuse("what is it that lasts so long? Put parentheses: (A and B) for 2m, or A and (B for 2m)")
        self._take()
        return Lasting(self._key(), inner, self._duration("after 'for'"))

    def _nested(self) -> Condition:
        opening = self._take()
        self._deeper()
        inner = self._condition()
        self._depth -= 1
        if not self._took(")"):
            self._refuse(f"')' expected for the '(' in column {opening.position + 1}, not {self._next.shown}")
        return inner

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > MOST_DEPTH:
            self._refuse(f"nested more than {MOST_DEPTH} deep")

    def _duration(self, where: str) -> float:
        token = self._next
        if token.kind != "duration":
            self._refuse(f"a duration such as 30s, 2m or 1h expected {where}, not {token.shown}")
        duration_s = seconds(self._take().text)
        if not 0 < duration_s <= LONGEST_S:
            self._refuse(f"a duration of more than nothing and at most {LONGEST_S / 86400:g}d expected", at=token)
        return duration_s

    # Comparisons

    def _comparison(self) -> Condition:
        token = self._next
        if token.kind != "word":
            self._refuse(f"a condition such as cpu > 0.9 expected, not {token.shown}")
        head, dot, rest = token.text.partition(".")
        match head, dot:
            case "module", ".":
                return self._module(rest)
            case "link", "":
                return self._link()
            case "log", "":
                return self._logs()
        number = self._number(token)
        comparison = self._compared()
        return Compare(number, comparison, self._bound(number))

    def _number(self, token: Token) -> Number:
        if token.text in FIGURES:
            return Vital(cast("Figure", self._take().text))
        if token.text.startswith("metrics."):
            return Metric(self._metric())
        if token.text == "rate":
            self._take()
            self._expect("(", "after 'rate'")
            metric = self._metric()
            self._expect(",", "and then a duration")
            window_s = self._duration("after the ','")
            self._expect(")", "at the end of 'rate('")
            return Rate(self._key(), metric, window_s)
        words = f"{token.shown} is not known; there are {', '.join(_NAMES)}"
        raise self._error(words, token, (*FIGURES, "metrics", "module", "link", "log", "rate", "not"))

    def _metric(self) -> str:
        token = self._take()
        head, _, name = token.text.partition(".")
        plain = name.replace("_", "").replace(":", "")
        if token.kind != "word" or head != "metrics" or not plain.isascii() or not plain.isalnum() or name[0].isdigit():
            self._refuse(f"a metric such as metrics.requests_total expected, not {token.shown}", at=token)
        return name

    def _compared(self) -> Comparison:
        token = self._take()
        text = "==" if token.text == "=" else token.text
        if token.kind != "sign" or text not in _COMPARISONS:
            self._refuse(f"one of {' '.join(_COMPARISONS)} expected, not {token.shown}", at=token)
        return cast("Comparison", text)

    def _bound(self, number: Number) -> float:
        token = self._take()
        if token.kind == "duration" and isinstance(number, Vital) and number.name == "uptime_s":
            return seconds(token.text)
        if token.kind != "number":
            self._refuse(f"a number expected, not {token.shown}", at=token)
        value = float(token.text.removesuffix("%")) / (100 if token.text.endswith("%") else 1)
        if not math.isfinite(value):
            self._refuse("a finite number expected", at=token)
        if isinstance(number, Vital) and number.name in _FRACTIONS and not 0 <= value <= 1:
            self._refuse(f"{number.name} is a fraction of 0 to 1: write 0.9, or 90%", at=token)
        return value

    def _equality(self) -> bool:
        """Whether `!=` stands there."""
        token = self._take()
        if token.text not in {"==", "=", "!="}:
            self._refuse(f"== or != expected, not {token.shown}", at=token)
        return token.text == "!="

    def _module(self, name: str) -> Condition:
        token = self._take()
        if not name:
            self._refuse("the name of a module expected after 'module.'", at=token)
        if self._modules is not None and name not in self._modules:
            known = [f"module.{each}" for each in self._modules]
            there = "" if known else "; there are none"
            self._refuse(f"no module is called {name!r}{there}", at=token, known=known)
        negated = self._equality()
        token = self._take()
        if token.text not in STATES:
            self._refuse(f"one of {', '.join(STATES)} expected, not {token.shown}", at=token, known=STATES)
        return ModuleIs(name, token.text, negated)

    def _link(self) -> Condition:
        self._take()
        negated = self._equality()
        token = self._take()
        if token.text not in {"up", "down"}:
            self._refuse(f"up or down expected, not {token.shown}", at=token)
        return LinkIs((token.text == "up") is not negated)

    # Logs

    def _logs(self) -> Condition:
        self._take()
        self._expect("(", "after 'log'")
        fields = [] if self._is(")") else [self._field()]
        while self._took(","):
            fields.append(self._field())
        self._expect(")", "or ',' after a field")
        comparison = self._compared()
        token = self._take()
        if token.kind != "number" or not token.text.isdigit() or int(token.text) > MOST_COUNTED:
            self._refuse(f"a whole number of at most {MOST_COUNTED} expected, not {token.shown}", at=token)
        bound = int(token.text)
        self._expect("in", "and then a duration, as in log(...) > 5 in 1m")
        return Compare(Logs(self._key(), tuple(fields), self._duration("after 'in'"), bound + 1), comparison, bound)

    def _field(self) -> FieldIs:
        token = self._take()
        if token.kind != "word":
            self._refuse(
                f"a field of a log record, such as service, level or message, expected, not {token.shown}", at=token
            )
        sign = self._take()
        comparison = "==" if sign.text == "=" else sign.text
        by_rank = token.text == "level"
        allowed = _COMPARISONS if by_rank else ("==", "!=", "~", "!~")
        if sign.kind != "sign" or comparison not in allowed:
            self._refuse(f"one of {' '.join(allowed)} expected, not {sign.shown}", at=sign)
        value = self._take()
        if value.kind not in {"word", "number", "text", "duration"}:
            self._refuse(f"a value expected, not {value.shown}", at=value)
        text = unquoted(value.text) if value.kind == "text" else value.text
        if by_rank and text.upper() not in LEVELS:
            self._refuse(f"one of {', '.join(LEVELS)} expected, not {value.shown}", at=value, known=LEVELS)
        if comparison not in {"~", "!~"}:
            return FieldIs(token.text, comparison, text.upper() if by_rank else text)  # type: ignore[arg-type]
        try:
            return FieldIs(token.text, comparison, text, checked(text, max_steps=MOST_REGEX_STEPS))  # type: ignore[arg-type]
        except RegexRefused as err:
            raise self._error(str(err), value) from None
