"""Lines of spans take exactly the cells they are given, whatever text comes from a device."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from fleetview.tui import spans
from fleetview.tui.spans import (
    STYLE_NAMES,
    Line,
    Span,
    StyleName,
    ascii_only,
    beside,
    changed_range,
    fit,
    line_width,
    pad,
    visible,
    whole_spans,
    width_of,
    wrap,
)

HOSTILE = "\x1b[31m\x07\r\n\t\u202e\u2066\u200b\u200d\ufe0f\u0301\u0488\U000e0041e\u0301\u0301\u0301"
WIDE = "漢字かな한글🔥👩‍👩‍👧🇩🇪❤️ﬀ"
texts = st.one_of(
    st.text(max_size=60),
    st.text(alphabet=HOSTILE + WIDE + "abc …[bold]/", max_size=60),
    st.text(alphabet="漢字a ", max_size=60),
    st.text(alphabet="ab  ", max_size=120),
)
widths = st.integers(min_value=0, max_value=100)
styles: st.SearchStrategy[StyleName] = st.sampled_from(STYLE_NAMES)
lines: st.SearchStrategy[Line] = st.lists(st.builds(Span, texts.map(visible), styles), max_size=6).map(tuple)


def text_of(line: Line) -> str:
    return "".join(span.text for span in line)


@given(texts, widths, st.booleans())
def test_a_text_fits_exactly(text: str, width: int, right: bool) -> None:
    found = fit(text, width, right=right)
    assert cell_len(found) == width_of(found) == width
    assert not any(char in found for char in "\x1b\n\r\t\u202e")


@given(texts)
def test_a_text_that_fits_is_not_touched(text: str) -> None:
    shown = visible(text)
    assert fit(text, width_of(shown) + 3).startswith(shown)
    assert fit(text, width_of(shown) + 3, right=True).endswith(shown)


@given(texts)
def test_a_plain_terminal_gets_as_many_cells(text: str) -> None:
    plain = ascii_only(visible(text))
    assert plain.isascii()
    assert len(plain) == width_of(visible(text))


def test_a_text_that_is_cut_says_so() -> None:
    assert fit("telemetry_collector", 10) == "telemetry…"
    assert fit("漢字漢字", 6) == "漢字 …", "half a wide character is a blank"


@given(lines, widths)
def test_a_line_is_padded_exactly(line: Line, width: int) -> None:
    padded = pad(line, width)
    assert line_width(padded) == width
    if line_width(line) <= width:
        assert padded[: len(line)] == line


@given(texts, st.integers(min_value=8, max_value=80), st.integers(min_value=0, max_value=4))
def test_wrapping_keeps_the_width_and_loses_no_character(text: str, width: int, indent: int) -> None:
    wrapped = list(wrap(text, width, "plain", indent))
    assert all(line_width(line) <= width for line in wrapped)
    assert "".join(text_of(line) for line in wrapped).replace(" ", "") == visible(text).replace(" ", "")


def test_wrapping_breaks_between_words() -> None:
    assert [text_of(line) for line in wrap("the spool is full: sources held", 16, indent=2)] == [
        "the spool is",
        "  full: sources",
        "  held",
    ]


@given(st.lists(lines, max_size=5), st.lists(lines, max_size=5), st.integers(min_value=1, max_value=60))
def test_columns_stand_beside_each_other(left: list[Line], right: list[Line], width: int) -> None:
    both = list(beside(left, right, width, gap=3))
    assert len(both) == max(len(left), len(right))
    for index, line in enumerate(both):
        theirs = right[index] if index < len(right) else ()
        assert line_width(line) == width + 3 + line_width(theirs)


def test_what_nobody_made_harmless_is_made_so_when_it_is_drawn() -> None:
    assert text_of(pad((Span("a\x1b[2Jb"), Span("\u202e")), 14)) == "a\u241b[2Jb<202E>  "


def test_what_terminals_draw_differently_is_taken_out() -> None:
    assert visible("\u26a0\ufe0f full") == "\u26a0 full"
    assert visible("e" + "\u0301" * 300) == "e\u0301\u0301", "marks that would grow into the rows above"
    assert visible("[bold]\x1b[31m\u202e") == "[bold]\u241b[31m<202E>"


def test_a_long_text_is_wrapped_and_cut_within_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = []

    def counting(text: str) -> int:
        measured.append(len(text))
        return cell_len(text)

    monkeypatch.setattr(spans, "cell_len", counting)
    text = "ö漢 " * 33_000
    assert cell_len(fit(text, 80)) == 80
    assert sum(measured) < 2_000, "of a row, no more is looked at than can be seen"
    assert sum(len(text_of(line)) for line in wrap(text, 80)) > 90_000
    assert sum(measured) < 20 * len(text), "each line looks at itself, not at all that follows"


def cells(line: Line) -> list[tuple[str, StyleName]]:
    """A narrow line, cell by cell."""
    return [(char, span.style) for span in line for char in span.text]


narrow = st.lists(st.builds(Span, st.text(alphabet="ab ", max_size=4), styles), max_size=5).map(tuple)


@given(narrow, narrow)
def test_the_changed_range_holds_every_cell_that_differs(before: Line, after: Line) -> None:
    width = max(line_width(before), line_width(after))
    before, after = pad(before, width), pad(after, width)
    changed = changed_range(before, after)
    differing = [x for x, (old, new) in enumerate(zip(cells(before), cells(after), strict=True)) if old != new]
    if differing:
        assert changed is not None
        assert changed[0] <= differing[0]
        assert differing[-1] < changed[1]
    if before == after:
        assert changed is None


def test_one_cell_that_ticks_changes_its_span_only() -> None:
    before = (Span(" state "), Span("4s ", "dim"), Span("why"))
    assert changed_range(before, (Span(" state "), Span("5s ", "dim"), Span("why"))) == (7, 10)
    assert changed_range(before, (Span(" state "), Span("4s ", "stale"), Span("why"))) == (7, 10)
    assert changed_range(None, before) == (0, 13)
    assert changed_range(before, before[:2]) == (0, 10)


def test_what_does_not_fit_whole_is_left_out_but_for_the_first() -> None:
    line = (Span("one"), Span(" two"), Span(" three"), Span(" 4"))
    assert whole_spans(line, 15) == line
    assert whole_spans(line, 12) == line[:2]
    assert whole_spans(line, 2) == line[:1]
    assert whole_spans((), 2) == ()
