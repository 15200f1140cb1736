"""What Prometheus answers, typed: values that are no numbers, bounds, and texts that end no string."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetview.core import series
from fleetview.core.series import NotAnAnswerError, quoted, read_answer, selector, step_s


def body(kind: str, result: Any, **more: Any) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": kind, "result": result}} | more


def read(content: Any) -> series.Answer:
    return read_answer(content, mono_s=5.0, unix_s=6.0)


def test_values_that_are_no_numbers() -> None:
    values = [[1, "NaN"], [2, "+Inf"], [3.5, "-Inf"], [4, "1e-3"]]
    (one,) = read(body("matrix", [{"metric": {"a": "b"}, "values": values}])).series
    assert math.isnan(one.values[0])
    assert list(one.values[1:]) == [math.inf, -math.inf, 0.001]
    assert (list(one.times_s), one.last, one.labels) == ([1, 2, 3.5, 4], 0.001, {"a": "b"})


def test_each_kind_of_result() -> None:
    vector = read(body("vector", [{"metric": {}, "value": [1, "7"]}]))
    assert [one.last for one in vector.series] == [7.0]
    assert read(body("scalar", [1, "7"])).series[0].last == 7.0
    assert read(body("string", [1, "x\x1b"])).text == "x␛"
    empty = read(body("vector", []))
    assert (empty.series, empty.points, empty.badge) == ((), 0, ())
    histogram = read(body("vector", [{"metric": {}, "histogram": [1, {}]}]))
    assert histogram.badge == ("1 native histograms are not shown",)


def test_what_is_not_the_whole_truth_is_told() -> None:
    answer = read(body("vector", [], isPartial=True, warnings=["store\x1b[2J gone"], infos=["not a counter"]))
    assert answer.partial
    assert answer.badge == ("the server says that the answer is partial", "store␛[2J gone", "not a counter")


def test_bounds_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series, "MAX_SERIES", 3)
    items = [{"metric": {"n": str(n)}, "value": [1, "1"]} for n in range(10)]
    answer = read(body("vector", items))
    assert (len(answer.series), answer.dropped_series) == (3, 7)
    assert "7 more series" in answer.badge[0]


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        {},
        {"status": "error"},
        {"status": "success"},
        {"status": "success", "data": None},
        body("streams", [{"metric": {}}]),
        body("vector", [{"metric": {}, "value": [1]}]),
        body("vector", [{"metric": {}, "value": [1, "many"]}]),
        body("vector", [{"metric": [], "value": [1, "1"]}]),
        body("matrix", {"a": 1}),
        body("matrix", [{"metric": {}, "values": 3}]),
    ],
)
def test_what_is_no_answer(content: Any) -> None:
    with pytest.raises(NotAnAnswerError):
        read(content)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.sampled_from(["status", "data", "result", "resultType", "metric", "value"]), inner)
        ),
    )
)
def test_any_json_is_read_or_refused(content: Any) -> None:
    for candidate in (content, {"status": "success", "data": content}, body("vector", content), body("matrix", [content])):
        try:
            read(candidate)
        except NotAnAnswerError:
            continue


@given(st.floats(1, 1e9), st.integers(0, 10_000), st.floats(0.001, 3600))
def test_steps_are_never_refused(range_s: float, columns: int, scrape_s: float) -> None:
    step = step_s(range_s, columns, scrape_s)
    assert step >= scrape_s
    assert math.floor(range_s / step * (1 - 1e-9)) + 1 <= 11_000


def test_a_step_is_a_column_but_no_finer_than_a_scrape() -> None:
    assert step_s(3600, 120, 15) == 30
    assert step_s(600, 120, 15) == 15


def test_labels_with_any_text() -> None:
    assert selector("up", {"site": 'a"b\\c\nd', "x": "é"}) == 'up{site="a\\"b\\\\c\\nd",x="é"}'
    assert quoted('"') == '"\\""'
