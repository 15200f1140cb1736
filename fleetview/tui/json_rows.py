"""A log record as rows that fold: what it says at the top, then its JSON. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from fleetview.core.logbook import Entry
from fleetview.core.query.gaps import comparison
from fleetview.core.query.json_path import is_number
from fleetview.tui.glyphs import Glyphs
from fleetview.tui.log_rows import LEVEL_STYLE, clock_ms
from fleetview.tui.spans import EMPTY, Line, Span, StyleName, fit, visible, width_of, wrap

Place = tuple[str | int, ...]
"""The keys and indices that lead to a value."""
MAX_ROWS = 20_000
_MANY = 40
"""Values in a list or an object, above which it stands folded at first."""
_DEEP = 6
_MAX_TEXT = 64 * 1024
"""Characters of a text that is unfolded."""
_NAME = 40
_INDENT = 2
_MAX_INDENT = 40


@dataclass(frozen=True, slots=True)
class DetailRow:
    """A line of the detail, and what can be done with it."""

    line: Line
    value: Any = None
    """What is copied; None when there is nothing."""
    place: Place | None = None
    """Where it stands in the JSON."""
    foldable: bool = False
    condition: str | None = None
    """The filter for records that say the same."""

    @property
    def path(self) -> tuple[str, ...] | None:
        """The keys by which the filter language finds it; None when it cannot: what stands within objects in lists."""
        if self.place is None:
            return None
        place = self.place[:-1] if self.place and isinstance(self.place[-1], int) else self.place
        return None if any(isinstance(key, int) for key in place) or not place else tuple(map(str, place))


@dataclass(frozen=True, slots=True)
class Folds:
    """What stands otherwise than at first."""

    turned: frozenset[Place] = frozenset()

    def turn(self, place: Place) -> Folds:
        """Fold it, or unfold it."""
        return Folds(self.turned ^ {place})

    def is_open(self, place: Place, value: Any) -> bool:  # noqa: ANN401 (a JSON value)
        """Whether what it holds is shown."""
        at_first = not isinstance(value, str) and len(value) <= _MANY and len(place) < _DEEP
        return at_first is not (place in self.turned)


def detail_rows(entry: Entry, folds: Folds, width: int, glyphs: Glyphs) -> list[DetailRow]:
    """All rows of a record."""
    rows = [*_facts(entry, width), DetailRow(EMPTY)]
    try:
        fields = entry.fields()
    except ValueError:  # nested deeper than the parser goes
        raw = entry.raw[:_MAX_TEXT].decode("utf-8", "replace")
        rows.append(DetailRow((Span("as received; it is nested too deeply to be read", "head"),)))
        return rows + [DetailRow(line, value=raw) for line in wrap(raw, width - 1)]
    rows.append(DetailRow((Span("as received", "head"),)))
    found = _object(fields, (), folds, width, glyphs)
    rows += islice(found, MAX_ROWS)
    if next(found, None) is not None:
        rows.append(DetailRow((Span("… and more: fold something", "dim"),)))
    return rows


def _facts(entry: Entry, width: int) -> Iterator[DetailRow]:
    message = entry.message[:_MAX_TEXT]
    condition = None if len(message) > _NAME * 4 else comparison("message", message) if message else None
    style: StyleName = LEVEL_STYLE[entry.level] if entry.level.name in {"WARN", "ERROR"} else "bold"
    for line in wrap(message or "(no message)", width - 1, style):
        yield DetailRow(line, entry.message, condition=condition)
    yield DetailRow(EMPTY)
    when = f"{clock_ms(entry.time_ms)} UTC"
    if entry.time_is_receipt:
        when += ", the time of receipt: the record has no believable time of its own"
    trace, service = entry.trace_id, entry.service
    facts = [
        ("time", when, None),
        ("received", f"{clock_ms(entry.received_ms)} UTC", None),
        ("level", entry.level.text, comparison("level", entry.level.name.lower())),
        ("device", str(entry.address), comparison("device", entry.address.device)),
        ("service", service or "-", comparison("service", service) if service else "-exists(service)"),
        ("trace", trace or "-", comparison("trace", trace) if trace else None),
    ]
    if entry.seq is not None:
        facts.append(("number", f"{entry.seq} of stream {entry.stream}", None))
    for name, value, found in facts:
        first, *rest = wrap(value, width - 12)
        yield DetailRow((Span(f"{name:<10} ", "dim"), *first), value, condition=found)
        yield from (DetailRow((Span(" " * 11), *line), value, condition=found) for line in rest)


def _object(value: Any, place: Place, folds: Folds, width: int, glyphs: Glyphs) -> Iterator[DetailRow]:  # noqa: ANN401
    """The rows of what an object or a list holds."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield from _value(str(key) if isinstance(value, dict) else f"[{key}]", inner, (*place, key), folds, width, glyphs)


def _value(  # noqa: PLR0917
    name: str,
    value: Any,  # noqa: ANN401 (a JSON value)
    place: Place,
    folds: Folds,
    width: int,
    glyphs: Glyphs,
) -> Iterator[DetailRow]:
    margin = " " * min(_INDENT * (len(place) - 1), _MAX_INDENT, width // 3)
    shown = visible(name[:_NAME])
    if len(name) > _NAME or width_of(shown) > width // 2:
        shown = fit(name, min(_NAME, width // 2)).rstrip()
    room = max(1, width - len(margin) - 2 - width_of(shown) - 2)
    style: StyleName = "plain"
    if isinstance(value, (dict, list)):
        empty, some = ("{}", "{…}") if isinstance(value, dict) else ("[]", "[…]")
        if not value:
            yield _row(margin, " ", shown, empty, "dim", value, place, foldable=False)
        elif folds.is_open(place, value):
            yield _row(margin, glyphs.unfolded, shown, "", "dim", value, place, foldable=True)
            yield from _object(value, place, folds, width, glyphs)
        else:
            yield _row(margin, glyphs.folded, shown, f"{some}  {len(value):,}", "dim", value, place, foldable=True)
        return
    text = json.dumps(value[:_MAX_TEXT] if isinstance(value, str) else value, ensure_ascii=False)
    long = isinstance(value, str) and (len(text) > room or width_of(visible(text)) > room)
    is_open = long and folds.is_open(place, value)
    sign = " " if not long else glyphs.unfolded if is_open else glyphs.folded
    if is_open:
        yield _row(margin, sign, shown, f"{len(value):,} characters", "dim", value, place, foldable=True)
        for line in wrap(value[:_MAX_TEXT], width - len(margin) - 4):
            yield DetailRow((Span(margin + "    "), *line), value, place, foldable=True)
        return
    if value is None or isinstance(value, bool) or is_number(value):
        style = "accent"
    yield _row(margin, sign, shown, fit(text, room).rstrip(), style, value, place, foldable=long)


def _row(  # noqa: PLR0917
    margin: str,
    sign: str,
    name: str,
    text: str,
    style: StyleName,
    value: Any,  # noqa: ANN401 (a JSON value)
    place: Place,
    *,
    foldable: bool,
) -> DetailRow:
    return DetailRow(
        (Span(f"{margin}{sign} ", "dim"), Span(f"{name}: ", "key"), Span(text, style)), value, place, foldable=foldable
    )


def copied_value(value: Any) -> str:  # noqa: ANN401 (a JSON value)
    """A value as text: a text as it is, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def condition_of(row: DetailRow) -> str | None:
    """The filter for records that say the same; None when the language has none."""
    if row.condition is not None or row.path is None:
        return row.condition
    if isinstance(row.value, (dict, list)) or row.value is None:
        return f"exists({path_of(row)})"
    return comparison(row.path, copied_value(row.value))


def path_of(row: DetailRow) -> str | None:
    """The path as the filter language spells it: `.a.b`."""
    return None if row.path is None else comparison(row.path, "x").removesuffix(":x")
