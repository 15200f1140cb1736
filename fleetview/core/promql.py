"""What may be typed next in a query: names of metrics and functions, and names of labels where labels belong.

Works on any text, finished or not, and never complains: whether it is right, the server says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from fleetview.core.query.complete import Completion
from fleetview.core.text import clean

MOST = 50
_WORD = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
_REST = re.compile(r"[a-zA-Z0-9_:]*")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^()]*\Z")
FUNCTIONS = (
    "abs", "avg", "avg_over_time", "bottomk", "ceil", "changes", "clamp", "count", "count_over_time", "delta", "deriv",
    "floor", "histogram_quantile", "increase", "irate", "label_replace", "ln", "max", "max_over_time", "min",
    "min_over_time", "predict_linear", "quantile", "quantile_over_time", "rate", "round", "sort_desc", "stddev", "sum",
    "sum_over_time", "time", "timestamp", "topk",
)  # fmt: skip


def complete_promql(text: str, cursor: int, metrics: Sequence[str], labels: Sequence[str]) -> list[Completion]:
    """What fits at the cursor, those that begin with what is typed before those that hold it."""
    cursor = max(0, min(cursor, len(text)))
    before = text[:cursor]
    if _in_quotes(before):
        return []
    found = _WORD.search(before)
    if found is None:
        return []
    typed, start = found[0].lower(), found.start()
    rest = _REST.match(text, cursor)
    end = cursor if rest is None else rest.end()
    if before[:start].count("{") > before[:start].count("}") or _GROUPING.search(before[:start]):
        offers = [(name, "label") for name in _fitting(labels, typed)]
    else:
        offers = [(name, "metric") for name in _fitting(metrics, typed)]
        offers += [(name, "function") for name in FUNCTIONS if name.startswith(typed)]
    return [Completion(start, end, clean(name), hint) for name, hint in offers[:MOST]]


def _fitting(names: Iterable[str], typed: str) -> list[str]:
    held = [name for name in names if typed in name.lower()]
    return sorted(held, key=lambda name: (not name.lower().startswith(typed), name))


def _in_quotes(before: str) -> bool:
    quote = ""
    escaped = False
    for char in before:
        if escaped:
            escaped = False
        elif quote and char == "\\":
            escaped = True
        elif quote:
            quote = "" if char == quote else quote
        elif char in "\"'`":
            quote = char
    return bool(quote)
