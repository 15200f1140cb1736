"""JSON read in steps, so that a thread that reads a large answer does not keep the interpreter from everybody else.

`json.loads` holds the interpreter's lock from the first byte to the last: 200 ms for 10 MiB of points, in which no key is
answered. Here each element of the outermost array is a step of its own, and other threads get their turn in between.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


def loads(text: str, each: Callable[[Any], Any] | None = None) -> Any:  # noqa: ANN401 (whatever stands there)
    """What `json.loads` makes of it. Raises ValueError or RecursionError, as that does.

    `each` is given every element of an outermost array, and what it returns stands there instead: what is large can be made
    small at once, for freeing a million lists at the end is a pause of its own.
    """
    reader = _Reader(text, each or _as_it_is)
    reader.space()
    value = reader.value()
    if reader.at != len(text):
        msg = f"only one value expected, and another begins at {reader.at}"
        raise ValueError(msg)
    return value


class _Reader:
    def __init__(self, text: str, each: Callable[[Any], Any]) -> None:
        self._text = text
        self._each = each
        self.at = 0

    def value(self) -> Any:  # noqa: ANN401
        """The value that begins here, in steps."""
        match self._next():
            case "{":
                return self._object()
            case "[":
                return self._array()
            case _:
                return self._step()

    def space(self) -> None:
        match = _SPACE.match(self._text, self.at)
        self.at = self.at if match is None else match.end()

    def _next(self) -> str:
        return self._text[self.at : self.at + 1]

    def _step(self) -> Any:  # noqa: ANN401
        value, self.at = _DECODER.raw_decode(self._text, self.at)
        self.space()
        return value

    def _object(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        more = not self._opened("}")
        while more:
            name = self._step()
            if not isinstance(name, str):
                msg = f"a name expected before {self.at}"
                raise ValueError(msg)  # noqa: TRY004 (as json.loads does)
            self._pass(":")
            found[name] = self.value()
            more = self._goes_on("}")
        return found

    def _array(self) -> list[Any]:
        found: list[Any] = []
        more = not self._opened("]")
        while more:
            found.append(self._each(self._step()))
            more = self._goes_on("]")
        return found

    def _opened(self, end: str) -> bool:
        """Passes the bracket; whether it is closed at once."""
        self.at += 1
        self.space()
        if self._next() != end:
            return False
        self._pass(end)
        return True

    def _goes_on(self, end: str) -> bool:
        """Passes a comma, after which there must be more, or the end."""
        if self._next() == ",":
            self._pass(",")
            return True
        self._pass(end)
        return False

    def _pass(self, what: str) -> None:
        if self._next() != what:
            msg = f"{what} expected at {self.at}"
            raise ValueError(msg)
        self.at += 1
        self.space()


def _as_it_is(item: Any) -> Any:  # noqa: ANN401
    return item
