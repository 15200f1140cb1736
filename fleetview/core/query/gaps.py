"""Which gaps are of interest to who asks for records: nobody knows the level of a record that is missing.

So level and service are no reason to hide a gap; where it happened is. A filter for texts, fields or a trace means certain
records, and a gap anywhere in the fleet is none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleetview.core.query.tree import EVERYTHING, And, Compare, Exists, Node, Not, Or, Text, all_of, any_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from fleetview.core.logbook import Entry

_UNKNOWN = frozenset({"level", "severity", "service"})


def gap_filter(text: str) -> Callable[[Entry], bool]:
    """The records before which a gap is of interest, even when they are not. Raises QueryError."""
    from fleetview.core.query.fields import log_fields  # noqa: PLC0415 (nobody pays for a language that is not spoken)
    from fleetview.core.query.parse import parse  # noqa: PLC0415
    from fleetview.core.query.predicate import compile_tree  # noqa: PLC0415

    return compile_tree(without_unknown(parse(text)), log_fields()).test


def without_unknown(tree: Node) -> Node:
    """The tree with what asks for level or service taken for granted."""
    match tree:
        case And():
            return all_of(tuple(map(without_unknown, tree.parts)))
        case Or():
            parts = tuple(map(without_unknown, tree.parts))
            return EVERYTHING if EVERYTHING in parts else any_of(parts)
        case Not():
            # The opposite of "might be" is not "cannot be": what asks for both goes as a whole.
            return EVERYTHING if _asks_unknown(tree.part) else tree
        case Compare() | Exists():
            return EVERYTHING if tree.name.text.lower() in _UNKNOWN and not tree.name.path else tree
        case Text():
            return tree


def _asks_unknown(tree: Node) -> bool:
    match tree:
        case And() | Or():
            return any(map(_asks_unknown, tree.parts))
        case Not():
            return _asks_unknown(tree.part)
        case Compare() | Exists():
            return tree.name.text.lower() in _UNKNOWN and not tree.name.path
        case Text():
            return False
