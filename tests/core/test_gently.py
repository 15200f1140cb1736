"""JSON in steps is JSON: the same values, and errors for the same texts, as the standard library has."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fleetview.core import gently

if TYPE_CHECKING:
    from collections.abc import Callable

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES, st.sampled_from([None, 1, "\t"]))
def test_the_same_values(value: Any, indent: int | str | None) -> None:
    text = json.dumps(value, indent=indent)
    assert gently.loads(text) == json.loads(text) == value
    assert gently.loads(f" \n{text}\r\t") == value


@given(VALUES, st.integers(0, 200), st.sampled_from(["", ",", "]", "}", '"', ":", "x", " "]))
@example({"a": 1}, 5, ",")
@example([1, 2], 3, "]")
def test_errors_for_the_same_texts(value: Any, at: int, what: str) -> None:
    text = json.dumps(value)
    spoilt = text[:at] + what + text[at + 1 :]
    assert _read(gently.loads, spoilt) == _read(json.loads, spoilt)


def _read(loads: Callable[[str], Any], text: str) -> Any:
    try:
        return loads(text)
    except ValueError:
        return ValueError


def test_each_element_of_an_outermost_array_is_handed_over_as_it_comes() -> None:
    text = '{"a": {"result": [[1], {"b": [2, 3]}]}, "warnings": ["w"]}'
    assert gently.loads(text, repr) == {"a": {"result": ["[1]", "{'b': [2, 3]}"]}, "warnings": ["'w'"]}


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000])
def test_depth_is_an_error_and_no_crash(text: str) -> None:
    with pytest.raises((ValueError, RecursionError)):
        gently.loads(text)
