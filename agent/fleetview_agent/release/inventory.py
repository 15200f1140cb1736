"""What was unpacked of a release, file by file, so that it can be proven to be there later."""

from __future__ import annotations

import hashlib
import json
import stat
from pathlib import Path
from typing import Any

from fleetview_agent import durable
from fleetview_agent.release.errors import RefusedError

FILE = ".inventory.json"
"""In the folder of a release."""


def write(folder: Path, facts: dict[str, Any], entries: dict[str, Any]) -> None:
    """Write down what was unpacked, beside what is known of the release."""
    durable.write_atomically(folder / FILE, json.dumps({**facts, "entries": entries}).encode())


def shown(name: str) -> str:
    """A name from an archive, for a person to read."""
    return json.dumps(name if len(name) <= 80 else f"{name[:77]}...")  # noqa: PLR2004  (escaped: it goes to a terminal)


def read(folder: Path) -> dict[str, Any]:
    """What was written down of a release. Raises RefusedError."""
    try:
        value = json.loads((folder / FILE).read_bytes())
    except (OSError, ValueError) as err:
        words = f"release {folder.name} cannot be used: {FILE}: {getattr(err, 'strerror', None) or err}"
        raise RefusedError(words) from None
    if not isinstance(value, dict) or not isinstance(value.get("entries"), dict):
        words = f"release {folder.name} cannot be used: {FILE} is damaged"
        raise RefusedError(words)
    return value


def prove(folder: Path, *, contents: bool = True) -> dict[str, Any]:
    """Make sure that a release is there, to the last byte or (without `contents`) by names and sizes; its inventory.

    Raises RefusedError, which names the first file that is not as it was.
    """
    facts = read(folder)
    for name, entry in facts["entries"].items():
        if not _is_as_it_was(folder / name, entry, contents=contents):
            words = f"release {folder.name} is damaged: {shown(name)} is not as it was unpacked"
            raise RefusedError(words)
    return facts


def _is_as_it_was(path: Path, entry: dict[str, Any], *, contents: bool) -> bool:
    try:
        found = path.lstat()
        if "link" in entry:
            return stat.S_ISLNK(found.st_mode) and str(path.readlink()) == entry["link"]
        if "folder" in entry:
            return stat.S_ISDIR(found.st_mode)
        if not stat.S_ISREG(found.st_mode) or found.st_size != entry["size"]:
            return False
        return not contents or sha256_of(path) == entry["sha256"]
    except (OSError, KeyError, TypeError):
        return False


def sha256_of(path: Path) -> str:
    """Of a file's contents, 64 hex digits. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
