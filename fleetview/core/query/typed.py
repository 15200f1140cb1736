"""A filter while it is typed: what it means so far, and whether what is wrong with it may only be that it is not done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from fleetview.core.query.errors import QueryError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Typed(Generic[T]):
    """What a text means as a filter."""

    meaning: T | None
    """None when it means nothing yet: everything is let through."""
    problem: str | None = None
    """What is wrong with the text."""
    unfinished: bool = False
    """The mistake is the word that is being typed: nobody wants to hear of it before the next one."""


def as_typed(text: str, compiled: Callable[[str], T]) -> Typed[T]:
    """The filter that a text means.

    Of a text that cannot be read, what stands before the mistake stays in force: a field's name that is half typed must not
    empty the screen.
    """
    if not text.strip():
        return Typed(None)
    try:
        return Typed(compiled(text))
    except QueryError as err:
        before = as_typed(text[: err.position].rpartition(" ")[0], compiled)
        rest = text[err.position :]
        return Typed(before.meaning, str(err), unfinished=not any(map(str.isspace, rest)))
