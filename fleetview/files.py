"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile


def write_new(path: Path, lines: Iterable[str]) -> int:
    """Write lines to a file that is not there yet, and return how many. Raises OSError, FileExistsError among it.

    Under another name first, synced, and then linked to its own: nobody sees half of it, not after a crash either, and what
    somebody else put there meanwhile is not overwritten.
    """
    number = 0
    with NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        temporary = Path(file.name)
        try:
            for line in lines:
                file.write(line)
                file.write("\n")
                number += 1
            file.flush()
            os.fsync(file.fileno())
            _name(temporary, path)
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return number


def _name(temporary: Path, path: Path) -> None:
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if path.exists():
            raise FileExistsError(path) from None
        temporary.replace(path)
