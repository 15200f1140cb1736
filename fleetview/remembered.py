"""How a person left the screens of a context: columns, order, groups. In a file of its own that nobody has to write."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any


class Remembered:
    """What is remembered of one context. Without a file it lives as long as the program."""

    def __init__(self, file: Path | None = None, context: str = "") -> None:
        self._file = file
        self._context = context
        found = None if file is None else _read(file).get(context)
        self._values: dict[str, Any] = found if isinstance(found, dict) else {}

    def get(self, name: str) -> Any:  # noqa: ANN401  # JSON; whoever reads it looks at its type, for anybody may have written it
        """A value; None when nothing is remembered under that name."""
        return self._values.get(name)

    def put(self, name: str, value: Any) -> None:  # noqa: ANN401
        """Remember a value; None forgets it. What cannot be written is remembered until the program ends."""
        if value is None:
            self._values.pop(name, None)
        else:
            self._values[name] = value

    def save(self) -> None:
        """Write the file: whole or not at all. Raises OSError."""
        if self._file is None:
            return
        contexts = _read(self._file) | {self._context: self._values}  # another program may have written it meanwhile
        self._file.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._file.with_name(f".{self._file.name}.{os.getpid()}")
        try:
            with temporary.open("w", encoding="utf-8") as out:
                json.dump(contexts, out, indent=1)
                out.flush()
                os.fsync(out.fileno())
            temporary.replace(self._file)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


def _read(file: Path) -> dict[str, Any]:
    """What stands in the file; nothing when it cannot be used, for all in it can be chosen again with a few keys."""
    with suppress(OSError, ValueError):
        found = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return found
    return {}
