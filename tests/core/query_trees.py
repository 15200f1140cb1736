"""Trees of filters and log records, generated; and what a filter means, written down once more in the plainest way."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Any

from hypothesis import strategies as st
from pydantic_core import to_json

from fleetview.core.logbook import Entry
from fleetview.core.query.tree import And, Compare, Exists, Name, Node, Not, Op, Or, Text, Word, all_of, any_of
from fleetview_agent.wire import Address, Level

LETTERS = 'aAbÄä*?"\\ ().,:=~\x00é'
PLAIN_LETTERS = "aAbä1*?."
TEXT_FIELDS = ("service", "message", "trace", "site", "tenant", "device", "address")
LEVELS = ("debug", "info", "warn", "error")
PATHS = (("code",), ("a",), ("a", "b"), ("odd key",), ("none",))
VALUES = (":", "=", "!=", "~")

bare = st.text("aAbÄä1*?-", min_size=1, max_size=4).filter(lambda text: text[0] != "-" and text.strip("*"))
words = st.one_of(
    st.builds(Word, bare),
    st.builds(Word, st.text(LETTERS, min_size=1, max_size=5).filter(str.strip), quoted=st.just(True)),
    st.sampled_from(["uplink", "acme", "plant-7", "gw-*", "gw-1", "5", "500", "1e2", "true", "4bf9*"]).map(Word),
)
numbers = st.sampled_from(["0", "-1", "5", "5.5", "500", "1e2"]).map(Word)
or_absent = st.booleans()


def _compare(name: st.SearchStrategy[Name], op: st.SearchStrategy[str], each: st.SearchStrategy[Word]) -> Any:
    return st.builds(Compare, name, op.map(Op), st.lists(each, min_size=1, max_size=3).map(tuple))


def _order(name: st.SearchStrategy[Name], each: st.SearchStrategy[Word]) -> Any:
    return st.builds(Compare, name, st.sampled_from(["<", "<=", ">", ">="]).map(Op), each.map(lambda word: (word,)))


text_names = st.builds(Name, st.sampled_from(TEXT_FIELDS), or_absent=or_absent)
level_names = st.builds(Name, st.just("level"), or_absent=or_absent)
path_names = st.builds(Name, st.just(""), st.sampled_from(PATHS), or_absent)
leaves: st.SearchStrategy[Node] = st.one_of(
    st.builds(Text, words),
    _compare(text_names, st.sampled_from(VALUES), words),
    _compare(
        level_names, st.sampled_from([":", "=", "!="]), st.sampled_from([*LEVELS, "unknown", "?", "warning"]).map(Word)
    ),
    _order(level_names, st.sampled_from(LEVELS).map(Word)),
    _compare(path_names, st.sampled_from(VALUES), st.one_of(words, numbers)),
    _order(path_names, st.one_of(words, numbers)),
    st.builds(Exists, st.builds(Name, st.sampled_from(["level", *TEXT_FIELDS]))),
    st.builds(Exists, st.builds(Name, st.just(""), st.sampled_from(PATHS))),
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.lists(inner, min_size=2, max_size=4).map(lambda parts: all_of(tuple(parts))),
        st.lists(inner, min_size=2, max_size=4).map(lambda parts: any_of(tuple(parts))),
    ),
    max_leaves=8,
)

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 6), st.sampled_from([5.0, 5.5, 500]), st.text(LETTERS, max_size=5), bare,
    st.sampled_from(["5", "500"]),
)  # fmt: skip
json_values = st.one_of(
    scalars,
    st.lists(scalars, max_size=3),
    st.fixed_dictionaries({}, optional={"b": scalars, "c": st.lists(scalars, max_size=2)}),
)
extras = st.fixed_dictionaries({}, optional={"code": scalars, "a": json_values, "a.b": scalars, "odd key": scalars})


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    level = draw(st.sampled_from(Level))
    service = draw(st.sampled_from(["", "uplink", "Rule", "äÄ", "b\x00a"]))
    message = draw(st.one_of(st.text(LETTERS, max_size=8), st.sampled_from(["", "uplink down", "500"])))
    trace = draw(st.sampled_from([None, "4bf92f3577b34da6a3ce929d0e0e4736", "a"]))
    raw = {"level": level.name, "service": service, "message": message, "trace_id": trace, **draw(extras)}
    return Entry(
        number=1,
        address=Address("acme", draw(st.sampled_from(["plant-7", "plant-A"])), draw(st.sampled_from(["gw-1", "gw-B"]))),
        time_ms=0,
        time_is_receipt=False,
        level=level,
        service=service,
        trace_id=trace,
        message=message,
        raw=to_json(raw),
        received_ms=0,
        stream=None,
        seq=None,
    )


# -- what it means


def means(node: Node, entry: Entry) -> bool:
    match node:
        case And():
            return all(means(part, entry) for part in node.parts)
        case Or():
            return any(means(part, entry) for part in node.parts)
        case Not():
            return not means(node.part, entry)
        case Text():
            fixed = {"level", "service", "message", "trace_id"}
            extra = [value for name, value in entry.fields().items() if name not in fixed]
            places = [entry.message, entry.service, str(entry.address), *_flat(extra)]
            return any(_contains(place, node.word) for place in places)
        case Exists():
            return _value(node.name, entry) is not None
        case Compare():
            return _compared(node, entry)


def _compared(node: Compare, entry: Entry) -> bool:
    value = _value(node.name, entry)
    if node.name.text == "level" and not node.op.is_order:
        wanted = {{"?": "unknown", "warning": "warn"}.get(word.text, word.text) for word in node.words}
        if value is None and node.name.or_absent:
            return True
        return (entry.level.name.lower() in wanted) is (node.op is not Op.NE)
    if value is None:
        return node.name.or_absent
    each = [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, (str, int, float))]
    fits = any(_fits(node, one, word) for one in each for word in node.words)
    return not fits if node.op is Op.NE else fits


def _fits(node: Compare, value: Any, word: Word) -> bool:
    number = None if word.quoted or not node.name.path else _number(word.text)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    match node.op:
        case Op.CONTAINS:
            return _contains(_text(value), word)
        case Op.IS | Op.EQ | Op.NE:
            return (is_number and number is not None and value == number) or _same(_text(value), word)
    low: Any
    high: Any
    low, high = (value, number) if number is not None else (_text(value).lower(), word.text.lower())
    if node.name.text == "level":
        low, high = LEVELS.index(value), LEVELS.index(word.text)
    elif (number is not None) is not is_number or (number is None and not isinstance(value, str)):
        return False
    return bool({Op.LT: low < high, Op.LE: low <= high, Op.GT: low > high, Op.GE: low >= high}[node.op])


def _value(name: Name, entry: Entry) -> Any:
    if name.path:
        return _dig(entry.fields(), name.path)
    return {
        "level": None if entry.level is Level.UNKNOWN else entry.level.name.lower(),
        "service": entry.service or None,
        "message": entry.message or None,
        "trace": entry.trace_id,
        "address": str(entry.address),
        **entry.address._asdict(),
    }[name.text]


def _dig(record: dict[str, Any], path: tuple[str, ...]) -> Any:
    whole = record.get(".".join(path))
    if whole is not None or len(path) == 1:
        return whole
    inner = record.get(path[0])
    return inner.get(path[1]) if isinstance(inner, dict) else None


def _flat(value: Any) -> list[str]:
    if isinstance(value, (dict, list)):
        return [text for each in (value.values() if isinstance(value, dict) else value) for text in _flat(each)]
    return [] if value is None else [_text(value)]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"-?\d+(\.\d*)?(e\d+)?", text, re.ASCII) else None


def _same(text: str, word: Word) -> bool:
    return fnmatchcase(text.lower(), word.text.lower()) if word.is_glob else text.lower() == word.text.lower()


def _contains(text: str, word: Word) -> bool:
    pattern = word.text.lower()
    return fnmatchcase(text.lower(), f"*{pattern}*") if word.is_glob else pattern in text.lower()
