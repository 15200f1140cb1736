"""A filter's tree to a function that says of one thing whether it is meant.

A comparison with an absent field is false, also one with `!=`; `field?` makes it true. What is dear is looked at last, and
values that thousands have in common are judged once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from fleetview.core.query import json_path, values
from fleetview.core.query.errors import QueryError, nearest, shown
from fleetview.core.query.fields import UNKNOWN, Field, Fields, Kind
from fleetview.core.query.figures import ORDER, ends_of, number_test, span_of, version_of
from fleetview.core.query.texts import TextTest, same, within
from fleetview.core.query.tree import And, Compare, Exists, Name, Node, Not, Op, Or, Text, Word
from fleetview_agent.regexes.checked import Regex, checked
from fleetview_agent.regexes.tree import RegexRefused

T = TypeVar("T")
Test = Callable[[Any], bool]

MAX_REGEXES = 8
_MAX_REMEMBERED = 4096
_REGEX_US = 2.0
_DEEP_US = 3.0


@dataclass(frozen=True, slots=True)
class Filter(Generic[T]):
    """What a filter means. Call it with a thing, or call `test`, which saves a tenth of a microsecond."""

    tree: Node
    test: Callable[[T], bool]
    cost_us: float
    """Microseconds per thing, roughly: for whoever cuts the work into slices."""
    uses_clock: bool
    """The answer may change although nothing of the thing did."""

    def __call__(self, thing: T) -> bool:
        return self.test(thing)


class _Part(NamedTuple):
    test: Test
    cost_us: float
    uses_clock: bool = False


def compile_tree(tree: Node, fields: Fields) -> Filter[Any]:
    """The predicate of a tree. Raises QueryError."""
    return Filter(tree, *Compiler(fields).part(tree))


class Compiler:
    """Compiles the parts of one filter, and counts the regular expressions in it."""

    def __init__(self, fields: Fields) -> None:
        self._fields = fields
        self._regexes = 0

    def part(self, node: Node) -> _Part:
        """The test of one part. Raises QueryError."""
        match node:
            case And():
                return _joined([self.part(part) for part in node.parts], _both, when_none=True)
            case Or():
                return _joined([self.part(part) for part in node.parts], _either, when_none=False)
            case Not():
                inner = self.part(node.part)
                test = inner.test
                return inner._replace(test=lambda thing: not test(thing))
            case Text():
                return self._text(node.word)
            case Exists():
                return self._exists(node.name)
            case Compare():
                return self._compare(node)

    def json_test(self, node: Compare | Exists) -> Callable[[Mapping[str, Any]], bool]:
        """The test of a part that asks for a `.path`, on the JSON itself. Raises QueryError."""
        if isinstance(node, Exists):
            path = node.name.path
            return lambda record: json_path.find(record, path) is not None
        return _of_json(node, self._json_value(node))

    def _text(self, word: Word) -> _Part:
        if not word.text.strip("*" if word.is_glob else None):
            raise QueryError(word.position, "there is nothing to look for")
        found, texts, deep = within((word,)), self._fields.texts, self._fields.deep
        cost_us = 0.8
        if deep is None:
            return _Part(lambda thing: any(map(found, texts(thing))), cost_us)
        needle = None if word.is_glob else word.text.lower()

        def test(thing: Any) -> bool:  # noqa: ANN401 (a device or a record)
            return any(map(found, texts(thing))) or any(map(found, json_path.extra_texts(deep(thing, needle))))

        return _Part(test, cost_us + _DEEP_US)

    def _exists(self, name: Name) -> _Part:
        if name.or_absent:
            raise QueryError(name.position, f"exists({name}) is always true: leave out the '?'")
        field = self._fields.find(name)
        if field.kind is Kind.JSON:
            read_json, inner = self._fields.json, self.json_test(Exists(name))
            return _Part(lambda thing: inner(read_json(thing)), field.cost_us)
        read = _reader(field)
        if field.many:
            return _Part(lambda thing: bool(read(thing)), field.cost_us, field.uses_clock)
        return _Part(lambda thing: read(thing) not in {None, UNKNOWN}, field.cost_us, field.uses_clock)

    def _compare(self, node: Compare) -> _Part:
        field = self._fields.find(node.name)
        if node.op.is_order and len(node.words) > 1:
            raise QueryError(node.words[1].position, f"{node.op.value} compares with one value")
        cost_us = field.cost_us + (_REGEX_US if node.op is Op.MATCHES else 0)
        if field.kind is Kind.JSON:
            read_json, inner = self._fields.json, self.json_test(node)
            return _Part(lambda thing: inner(read_json(thing)), cost_us)
        value = self._value_test(field, node)
        return _Part(_attached(field, value, node), cost_us, field.uses_clock)

    def _value_test(self, field: Field, node: Compare) -> Test:
        match field.kind:
            case Kind.WORDS:
                return self._words(field, node)
            case Kind.TEXT:
                return self._plain_text(field, node)
            case Kind.VERSION:
                return self._version(field, node)
        return number_test(field, node)

    def _plain_text(self, field: Field, node: Compare) -> TextTest:
        if node.op.is_order:
            message = f"{field.name} is a text and has no order: use : or != or ~ (contains)"
            raise QueryError(node.words[0].position, message)
        return self._text_test(node, field.tidy)

    def _text_test(self, node: Compare, tidy: Callable[[str], str] = str.lower) -> TextTest:
        match node.op:
            case Op.CONTAINS:
                _refuse_empty(node)
                return within(node.words)
            case Op.MATCHES:
                found = [self._regex(word) for word in node.words]
                return lambda text: any(regex.found_in(text) for regex in found)
        return same(node.words, tidy)

    def _regex(self, word: Word) -> Regex:
        self._regexes += 1
        if self._regexes > MAX_REGEXES:
            raise QueryError(
                word.position, f"more than {MAX_REGEXES} regular expressions in one filter: use fewer, or ~ (contains)"
            )
        try:
            return checked(word.text)
        except RegexRefused as err:
            raise QueryError(word.position, str(err)) from None

    def _words(self, field: Field, node: Compare) -> Test:
        if node.op.is_order:
            accepted = _ranked(field, node)
        elif node.op in {Op.CONTAINS, Op.MATCHES}:
            accepted = frozenset(filter(self._text_test(node), field.words))
        else:
            accepted = frozenset(each for word in node.words for each in _named(field, word))
        if node.name.or_absent:
            # the one who asks with `!=` gets the opposite of this
            accepted = accepted - {UNKNOWN} if node.op is Op.NE else accepted | {UNKNOWN}
        return accepted.__contains__

    def _version(self, field: Field, node: Compare) -> Test:
        if node.op in {Op.CONTAINS, Op.MATCHES}:
            return self._text_test(node)
        if node.op.is_order:
            compare, bound = ORDER[node.op], version_of(field, node.words[0])

            def ordered(text: str) -> bool:
                found = values.version(text)
                return found is not None and compare(found, bound)

            return ordered
        ranges = [
            (version_of(field, low), version_of(field, high)) for low, high in map(ends_of, node.words) if low and high
        ]
        keys = {values.version(word.text) for word in node.words if not word.is_glob} - {None}
        spelt = same(node.words)

        def equal(text: str) -> bool:
            found = values.version(text)
            if found is not None and (found in keys or any(low <= found <= high for low, high in ranges)):
                return True
            return spelt(text)

        return equal

    def _json_value(self, node: Compare) -> Test:
        if node.op.is_order:
            return _json_order(node)
        text = self._text_test(node)
        if node.op in {Op.CONTAINS, Op.MATCHES}:
            return lambda value: text(json_path.as_text(value))
        spans = [span for word in node.words if (span := span_of(word, values.number)) is not None]

        def test(value: Any) -> bool:  # noqa: ANN401 (a JSON value)
            if json_path.is_number(value) and any(low <= value <= high for low, high in spans):
                return True
            return text(json_path.as_text(value))

        return test


def _refuse_empty(node: Compare) -> None:
    for word in node.words:
        if not word.text.strip("*" if word.is_glob else None):
            raise QueryError(word.position, "there is nothing to look for")


# -- parts put together


def _both(one: Test, other: Test) -> Test:
    return lambda thing: one(thing) and other(thing)


def _either(one: Test, other: Test) -> Test:
    return lambda thing: one(thing) or other(thing)


def _joined(parts: list[_Part], join: Callable[[Test, Test], Test], *, when_none: bool) -> _Part:
    if not parts:
        return _Part(lambda _: when_none, 0.1)
    ordered = sorted(parts, key=lambda part: part.cost_us)
    tests = [part.test for part in ordered]
    while len(tests) > 1:  # in pairs of pairs: 256 parts are eight calls deep
        tests = [join(*tests[at : at + 2]) if at + 1 < len(tests) else tests[at] for at in range(0, len(tests), 2)]
    return _Part(tests[0], sum(part.cost_us for part in parts), any(part.uses_clock for part in parts))


# -- a value's test put on a field


def _reader(field: Field) -> Callable[[Any], Any]:
    if field.read is None:  # cannot be: Fields.find refuses it
        raise QueryError(0, f"{field.name} needs a clock")
    return field.read


class _Remembered(dict[Any, bool]):
    """Judges each value once. Bounded, for a hostile fleet has a new value each time."""

    def __init__(self, test: Test) -> None:
        super().__init__()
        self._test = test

    def __missing__(self, value: Any) -> bool:  # noqa: ANN401 (a text, or several)
        if len(self) >= _MAX_REMEMBERED:
            self.clear()
        found = self[value] = self._test(value)
        return found


def _attached(field: Field, value: Test, node: Compare) -> Test:
    read = _reader(field)
    judge = _any_of(value) if field.many else value
    if field.shared:
        judge = _Remembered(judge).__getitem__
    or_absent, wanted = node.name.or_absent, node.op is not Op.NE
    if field.many:

        def of_many(thing: Any) -> bool:  # noqa: ANN401 (a device or a record)
            found = read(thing)
            return judge(found) is wanted if found else or_absent

        return of_many

    def of_one(thing: Any) -> bool:  # noqa: ANN401 (a device or a record)
        found = read(thing)
        return or_absent if found is None else judge(found) is wanted

    return of_one


def _any_of(value: Test) -> Test:
    def test(found: Iterable[Any]) -> bool:
        return any(map(value, found))

    return test


def _of_json(node: Compare, value: Test) -> Callable[[Mapping[str, Any]], bool]:
    path, or_absent, wanted = node.name.path, node.name.or_absent, node.op is not Op.NE

    def test(record: Mapping[str, Any]) -> bool:
        found = json_path.find(record, path)
        if found is None:
            return or_absent
        return any(map(value, json_path.scalars(found))) is wanted

    return test


# -- words


def _named(field: Field, word: Word) -> frozenset[str]:
    """The field's words that are meant."""
    exact = field.tidy(word.text)
    if exact in field.words:
        return frozenset({exact})
    found = frozenset(filter(same((word,)), field.words))
    if not found:
        message = f"{field.name}: {shown(word.text)} is none of {', '.join(field.words)}"
        raise QueryError(word.position, message, nearest(word.text, field.words))
    return found


def _ranked(field: Field, node: Compare) -> frozenset[str]:
    word = node.words[0]
    if not field.order:
        raise QueryError(word.position, f"{field.name} has no order: use : or !=")
    bound = field.tidy(word.text)
    if bound not in field.order:
        message = f"{field.name}: {shown(word.text)} is none of {', '.join(field.order)}"
        raise QueryError(word.position, message, nearest(word.text, field.order))
    compare, rank = ORDER[node.op], field.order.index(bound)
    return frozenset(each for index, each in enumerate(field.order) if compare(index, rank))


# -- JSON


def _json_order(node: Compare) -> Test:
    """Numbers against numbers, texts against texts (so that times in RFC 3339 compare); never one against the other."""
    word, compare = node.words[0], ORDER[node.op]
    bound = None if word.quoted else values.number(word.text)
    if bound is not None:
        return lambda value: json_path.is_number(value) and compare(value, bound)
    text = word.text.lower()
    return lambda value: isinstance(value, str) and compare(value.lower(), text)
