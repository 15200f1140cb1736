"""Fields of the JSON that devices and applications send, whatever its shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from fleetview_agent.wire.records import FIXED_KEYS

MAX_LISTED = 256
"""Elements of a list that are looked at."""
_MAX_TEXTS = 10_000
_MAX_DEPTH = 32
_MAX_BITS = 1024
"""More than any number that means something; Python refuses to write out those of 4,300 digits."""


def find(record: Mapping[str, Any], path: tuple[str, ...]) -> Any:  # noqa: ANN401 (a JSON value)
    """The value at a path; None when there is none, and for null.

    A key may itself hold points, as `service.name` does in OpenTelemetry: `.service.name` finds it, too.
    """
    for length in range(len(path), 0, -1):
        found = record.get(".".join(path[:length]))
        if length == len(path):
            if found is not None:
                return found
        elif isinstance(found, dict) and (inner := find(found, path[length:])) is not None:
            return inner
    return None


def scalars(value: Any) -> list[Any]:  # noqa: ANN401 (a JSON value)
    """What can be compared: the value itself, or the elements of a list."""
    each = islice(value, MAX_LISTED) if isinstance(value, list) else (value,)
    return [one for one in each if isinstance(one, (str, int, float))]


def leaves(record: Mapping[str, Any], depth: int = 4) -> Iterator[tuple[tuple[str, ...], str]]:
    """The paths to what can be compared, each with a value of it, no deeper than `depth` keys."""
    for key, value in record.items():
        if isinstance(value, dict) and depth > 1:
            yield from (((key, *path), text) for path, text in leaves(value, depth - 1))
        else:
            yield from (((key,), as_text(one)) for one in scalars(value))


def is_number(value: Any) -> bool:  # noqa: ANN401 (a JSON value)
    """Whether it is a number; JSON's true is none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def as_text(value: str | float) -> str:
    """As JSON spells it."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() if value.bit_length() > _MAX_BITS:
            return ""
    return str(value)


def extra_texts(record: Mapping[str, Any]) -> Iterator[str]:
    """The values beside time, level, service, trace and message, as texts, at any depth."""
    return islice(_texts([value for name, value in record.items() if name not in FIXED_KEYS], _MAX_DEPTH), _MAX_TEXTS)


def _texts(value: Any, depth: int) -> Iterator[str]:  # noqa: ANN401 (a JSON value)
    match value:
        case str() | int() | float():
            yield as_text(value)
        case dict() | list() if depth:
            for inner in value.values() if isinstance(value, dict) else value:
                yield from _texts(inner, depth - 1)
