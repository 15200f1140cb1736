"""What is wrong with a filter, in words: where, why, and what was probably meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_SHOWN_CHARS = 40


class QueryError(ValueError):
    """A filter cannot be read."""

    def __init__(self, position: int, message: str, suggestion: str | None = None) -> None:
        self.position = position
        """Where in the text, counted from 0; the length of the text when its end came too early."""
        self.message = message
        self.suggestion = suggestion
        """What was probably meant."""
        hint = "" if suggestion is None else f"; did you mean {suggestion!r}?"
        super().__init__(f"{message} (at column {position + 1}){hint}")


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is spelt most like this one; None when none is like it."""
    import difflib  # noqa: PLC0415 (10 ms for those who make no mistakes)

    close = difflib.get_close_matches(word[:_SHOWN_CHARS].lower(), list(known), n=1, cutoff=0.6)
    return close[0] if close else None


def shown(text: str) -> str:
    """A piece of a filter as an error quotes it: not longer than a line allows."""
    return repr(text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "...")
