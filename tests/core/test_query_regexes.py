"""No regular expression that is taken can stall: counted by a plain backtracking matcher, step by step."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fleetview_agent.regexes.checked import MAX_STEPS, MAX_TEXT_CHARS, checked, in_pieces
from fleetview_agent.regexes.cost import worst_steps
from fleetview_agent.regexes.tree import Items, RegexRefused, compiled, parsed

MAX_COUNTED = 30_000


class TooManySteps(Exception):  # noqa: N818
    pass


class Backtracker:
    """Python's way to match, in which every look at a character is counted."""

    def __init__(self, text: str, allowed: float) -> None:
        self.text = text
        self.allowed = allowed
        self.steps = 0
        self._single: dict[str, re.Pattern[str]] = {}

    def search(self, items: Items) -> bool:
        return any(True for start in range(len(self.text) + 1) for _ in self._sequence(items, 0, start))

    def _sequence(self, items: Any, index: int, position: int) -> Iterator[int]:
        if index == len(items):
            yield position
            return
        code, value = items[index]
        for reached in self._part(code, value, position):
            yield from self._sequence(items, index + 1, reached)

    def _part(self, code: Any, value: Any, position: int) -> Iterator[int]:
        match str(code):
            case "SUBPATTERN":
                yield from self._sequence(value[3], 0, position)
            case "BRANCH":
                for branch in value[1]:
                    yield from self._sequence(branch, 0, position)
            case "MAX_REPEAT":
                yield from self._repeat(value, 0, position, greedy=True)
            case "MIN_REPEAT":
                yield from self._repeat(value, 0, position, greedy=False)
            case _:
                self.steps += 1
                if self.steps > self.allowed:
                    raise TooManySteps
                pattern = self._single.setdefault(repr((code, value)), compiled([(code, value)]))
                found = pattern.match(self.text, position)
                if found is not None:
                    yield found.end()

    def _repeat(self, value: Any, done: int, position: int, *, greedy: bool) -> Iterator[int]:
        least, most, inner = value
        if not greedy and done >= least:
            yield position
        if done < most:
            for reached in self._sequence(inner, 0, position):
                if reached > position or done < least:
                    yield from self._repeat(value, done + 1, reached, greedy=greedy)
        if greedy and done >= least:
            yield position


atoms = st.sampled_from(["a", "b", "c", ".", "[ab]", "[^a]", r"\w", r"\d", r"\s", "ab", "1", " ", "^", "$", r"\b"])
quantifiers = st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{2,}", "*?", "+?", "??"])


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.lists(inner, min_size=2, max_size=4).map("".join),
        st.tuples(inner, quantifiers).map(lambda parts: f"(?:{parts[0]}){parts[1]}"),
        st.tuples(inner, inner).map(lambda parts: f"({parts[0]}|{parts[1]})"),
        st.just(".*"),
    )


patterns = st.recursive(atoms, _grown, max_leaves=10)
texts = st.one_of(
    st.text("ab1 ", max_size=14),
    st.tuples(st.text("ab1 ", min_size=1, max_size=3), st.integers(1, 8), st.sampled_from(["", "c", "!", "\n"])).map(
        lambda parts: parts[0] * parts[1] + parts[2]
    ),
)


@given(patterns, texts)
def test_a_pattern_never_needs_more_steps_than_its_bound(pattern: str, text: str) -> None:
    try:
        pieces = in_pieces(list(parsed(pattern)))
        bounds = [worst_steps(piece, len(text)) for piece in pieces]
    except RegexRefused:
        assume(False)
    for piece, bound in zip(pieces, bounds, strict=True):
        if bound <= MAX_COUNTED:
            Backtracker(text, bound).search(piece)  # raises TooManySteps


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("x(a+)+y", "x" + "a" * 18),
        ("x(a|a)*y", "x" + "a" * 18),
        ("x(a|ab|b)*y", "x" + "ab" * 14),
        (r"x(\w+\s?)*y", "x" + "a" * 18),
        ("x(?:a+?b?)*y", "x" + "a" * 18),
        ("xa*a*a*y", "x" + "a" * 60),
        ("xa+a{2,}a*?y", "x" + "a" * 60),
        ("a[ab]*c", "a" * 150),
        ("ab[ab]*c", "ab" * 100),
        ("aba[ab]*c", "ab" * 100),
        (r"x\s+\w+\s+y", "x x " * 60),
        ("x" + "a?" * 12 + "a" * 12, "x" + "a" * 11),
        ("(?:a|aa){1,9}b", "a" * 12),
    ],
)
def test_what_explodes_does_not_go_past_its_bound_either(pattern: str, text: str) -> None:
    for piece in in_pieces(list(parsed(pattern))):
        bound = worst_steps(piece, len(text))
        matcher = Backtracker(text, min(bound, MAX_COUNTED))
        try:
            matcher.search(piece)
        except TooManySteps:
            assert bound > MAX_COUNTED, pattern


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("a(bac|b).*ac", "abac"),
        ("a(b|bac).*ac", "abac"),
        ("(a|ab)(c|bcd)(d*).*d", "abcd"),
        ("b+.*b$", "b"),
        ("a(b*|bbc).*c", "abbc"),
        ("(ab|b)(a|).*a", "aba"),
        (r"^(a|ab)\b.*b", "ab"),
        ("a{2,}.+a{2}", "aaaaa"),
    ],
)
def test_what_is_cut_into_pieces_is_found_all_the_same(pattern: str, text: str) -> None:
    for end in range(len(text) + 1):
        assert checked(pattern).found_in(text[:end]) is (re.search(pattern, text[:end]) is not None)


@given(patterns, texts)
def test_a_pattern_that_is_taken_finds_what_re_finds(pattern: str, text: str) -> None:
    try:
        regex = checked(pattern)
    except RegexRefused:
        assume(False)
    assert regex.found_in(text) is (re.search(pattern, text, re.IGNORECASE | re.DOTALL) is not None)


@pytest.mark.parametrize(
    "pattern",
    [
        "timed? out",
        ".*foo.*bar.*baz.*",
        r"took \d+ ms, \d+ retries",
        r"^\d+$",
        r"user=\S+ from [0-9.]+",
        r"timeout\s+after\s+\w+\s+ms",
        r'"[^"]*" "[^"]*" "[^"]*"',
        r"a.*b|c.*d",
        r"\d{1,3}(\.\d{1,3}){3}:\d+",
        r"^(GET|POST) /api/.* (4|5)\d\d",
        r"KeyError '\w+'",
        "(error|warning) .*timed? ?out",
        r"user=\d+ .*denied",
        r'^(\d+) (\w+) .* "([^"]*)"$',
        r"[[]foo",
        "ÄRGER|straße",
    ],
)
def test_everyday_patterns_are_taken(pattern: str) -> None:
    assert checked(pattern).steps <= MAX_STEPS


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (r"x(a+)+y", "stall"),
        (r"x(a|a)*y", "stall"),
        (r"x(\w+\s?)*y", "stall"),
        (r"x(a|ab)*(c|bc)*y", "stall"),
        (r"^(([a-z])+.)+[A-Z]([a-z])+$", "stall"),
        (r"x\w*\w*\w*y", "stall"),
        (r"x" + r"a?" * 40 + "a" * 40 + "y", "stall"),
        (r"x(a*)*y", "may be empty"),
        (r"(a)\1", "refers to a group"),
        (r"(?=a)b", "looks ahead"),
        (r"(?<!a)b", "looks ahead or back"),
        (r"(?x) a", "flags"),
        (r"(?-i:a)", "looks ahead"),
        (r"(", "not a regular expression: missing )"),
        (r"a{99999999999}", "too high a number"),
        ("a" * 257, "257 characters; 256 are the most"),
        ("(" * 128 + ")" * 128, None),
    ],
)
def test_patterns_that_could_stall_or_are_none_are_refused_in_words(pattern: str, why: str | None) -> None:
    if why is None:
        checked(pattern)  # deep, and harmless
        return
    with pytest.raises(RegexRefused, match=re.escape(why)):
        checked(pattern)


def test_text_beyond_4_kib_is_not_looked_at() -> None:
    assert checked("b").found_in("a" * (MAX_TEXT_CHARS - 1) + "b")
    assert not checked("b").found_in("a" * MAX_TEXT_CHARS + "b")
