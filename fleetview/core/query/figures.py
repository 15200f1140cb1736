"""Figures in comparisons: which there are, how each is written, and from what to what a value reaches."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from fleetview.core.query import values
from fleetview.core.query.errors import QueryError, shown
from fleetview.core.query.fields import Field, Kind
from fleetview.core.query.tree import Compare, Op, Word

ORDER: Mapping[Op, Callable[[Any, Any], bool]] = {
    Op.LT: operator.lt,
    Op.LE: operator.le,
    Op.GT: operator.gt,
    Op.GE: operator.ge,
}

_READERS: Mapping[Kind, tuple[Callable[[str], float | None], str]] = {
    Kind.NUMBER: (values.number, "a number such as 12 or 0.5"),
    Kind.FRACTION: (values.fraction, "a fraction such as 0.8 or 80%"),
    Kind.TEMPERATURE: (values.temperature_c, "degrees Celsius such as 70"),
    Kind.DURATION: (values.duration_s, "a duration such as 90s, 5m or 1h30m"),
    Kind.SIZE: (values.size_bytes, "a size such as 500kB, 10MB or 4MiB"),
}


def number_test(field: Field, node: Compare) -> Callable[[float], bool]:
    """Whether a figure is what a comparison asks for. Raises QueryError."""
    if node.op in {Op.CONTAINS, Op.MATCHES}:
        raise QueryError(node.words[0].position, f"{field.name} is no text: use : != < <= > >=")
    if node.op.is_order:
        compare, (bound, end) = ORDER[node.op], _number_of(field, node.words[0])
        if bound != end:
            raise QueryError(node.words[0].position, f"{node.op.value} compares with one value; a range goes with :")
        return lambda value: compare(value, bound)
    spans = [_number_of(field, word) for word in node.words]
    return lambda value: any(low <= value <= high for low, high in spans)


def _number_of(field: Field, word: Word) -> tuple[float, float]:
    read, expected = _READERS[field.kind]
    span = span_of(replace(word, quoted=False), read)  # quotes do no harm: a figure is nothing but a figure
    if span is not None:
        return span
    percent = field.kind is Kind.FRACTION and values.number(word.text) is not None
    message = f"{field.name}: {shown(word.text)} is not {expected}"
    raise QueryError(word.position, message, f"{word.text}%" if percent else None)


def span_of(word: Word, read: Callable[[str], float | None]) -> tuple[float, float] | None:
    """From what to what a value reaches: `1..5`, or a number alone. None for what is neither."""
    low, high = ends_of(word)
    if low is not None and high is not None:
        least, most = read(low.text), read(high.text)
        return None if least is None or most is None else (least, most)
    found = None if word.quoted else read(word.text)
    return None if found is None else (found, found)


def ends_of(word: Word) -> tuple[Word | None, Word | None]:
    """Both ends of `1..5`."""
    low, dots, high = word.text.partition("..")
    if word.quoted or not (low and dots and high):
        return None, None
    return Word(low, position=word.position), Word(high, position=word.position + len(low) + 2)


def version_of(field: Field, word: Word) -> values.VersionKey:
    """The key of a version that is compared with. Raises QueryError."""
    found = values.version(word.text)
    if found is None:
        raise QueryError(word.position, f"{field.name}: {shown(word.text)} is not a version such as 1.4.2")
    return found
