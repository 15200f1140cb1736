"""Charts as lines: a value is in the cell it must be, at every width, and ASCII is enough."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetview.core.charts import Scale, Span
from fleetview.tui.chart_lines import GUTTER, Curve, Plot, bar_lines, plot_lines
from fleetview.tui.glyphs import ASCII, UNICODE, Glyphs
from fleetview.tui.spans import line_width


def drawn(plot: Plot, glyphs: Glyphs) -> list[str]:
    lines = list(plot_lines(plot, glyphs))
    assert all(line_width(line) == GUTTER + plot.columns for line in lines)
    return ["".join(span.text for span in line)[GUTTER:] for line in lines]


def plot(values: list[float | None], rows: int = 4, **more: object) -> Plot:
    span = Span(0.0, 60.0 * len(values), 60.0)
    return Plot([Curve(values)], Scale(0.0, 1.0), "percent", span, len(values), rows, **more)  # type: ignore[arg-type]


@settings(max_examples=60)
@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=1, max_size=200), st.integers(1, 20))
def test_every_value_is_in_its_row_at_every_width(values: list[float | None], rows: int) -> None:
    ascii_rows = drawn(plot(values, rows), ASCII)[:-1][::-1]
    braille = drawn(plot(values, rows), UNICODE)[:-1][::-1]
    for column, value in enumerate(values):
        if value is None:
            assert all(row[column] == " " for row in ascii_rows + braille)
            continue
        row = Scale(0.0, 1.0).row_of(value, rows)
        assert [at for at, text in enumerate(ascii_rows) if text[column] == "*"] == [row]
        assert row is not None
        dots = ord(braille[row][column]) - 0x2800
        height = Scale(0.0, 1.0).row_of(value, rows * 4)
        assert height is not None
        assert height // 4 == row
        assert dots & (0x80, 0x20, 0x10, 0x08)[height % 4], "the right half has the value's dot"


def test_by_hand() -> None:
    assert drawn(plot([0.0, 0.3, 0.6, 0.9, None, 0.1]), ASCII)[:-1] == ["   *  ", "  *   ", " *    ", "*    *"]


def test_a_jump_is_joined() -> None:
    assert drawn(plot([0.0, 1.0]), ASCII)[:-1] == [" *", " |", " |", "* "]


def test_what_is_usual_lies_below() -> None:
    shown = drawn(plot([0.9, None, None], band=([0.0] * 3, [0.6] * 3), median=[0.3] * 3), ASCII)[:-1]
    assert shown == ["*  ", ",,,", "---", ",,,"]


def test_bounds_marks_and_the_crosshair() -> None:
    many: list[float | None] = [None] * 30
    shown = drawn(plot(many, bounds={0.8: "critical"}, marks={2: "R"}, cross=20), ASCII)
    assert shown[0] == "..:" + "." * 27
    assert shown[1] == "  :" + " " * 27
    assert shown[-1].startswith("--R-")
    assert shown[-1][20] == "^"
    assert "00:21" in shown[-1], "the end of the column that is read"
    styles = [span.style for span in list(plot_lines(plot(many, cross=20), ASCII))[1]]
    assert "cursor" in styles


def test_the_scale_stands_beside_it() -> None:
    lines = ["".join(span.text for span in line) for line in plot_lines(plot([0.5] * 20), ASCII)]
    assert lines[0].startswith("    100%|")
    assert lines[3].startswith("      0%|")
    assert lines[4].strip().startswith("00:00-")
    assert lines[4].endswith("-00:20")


def test_a_letter_ends_each_of_several_lines() -> None:
    two = Plot([Curve([0.1, 0.1], letter="a"), Curve([0.9, None], letter="b")], Scale(0.0, 1.0), "count",
               Span(0.0, 120.0, 60.0), 2, 2)  # fmt: skip
    assert drawn(two, ASCII)[:-1] == ["b ", "*a"]


@pytest.mark.parametrize("width", [20, 40, 80, 160])
@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_bars(width: int, glyphs: Glyphs) -> None:
    rows = [("gw-1", 1.0, "100%", "critical"), ("gw-2", 0.5, "50%", "plain"), ("gw-3", float("nan"), "NaN", "plain"),
            ("gw-4", float("inf"), "+Inf", "plain"), ("gw-5", -1.0, "-1", "plain")]  # fmt: skip
    lines = list(bar_lines(rows, width, glyphs))  # type: ignore[arg-type]
    assert all(line_width(line) <= width for line in lines)
    sizes = [len(line[2].text) for line in lines]
    assert sizes[0] == sizes[3] > 0
    assert sizes[1] == round(sizes[0] / 2)
    assert sizes[2] == sizes[4] == 0
