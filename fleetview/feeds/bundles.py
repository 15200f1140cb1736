"""Bundles of diagnostics as files: one for each, in a folder that is kept small."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from fleetview.files import write_new

if TYPE_CHECKING:
    from fleetview.feeds.commands import Bundle

MAX_KEPT = 100
"""Files in the folder of the dashboard: whoever wants one for longer copies it."""


def file_name(bundle: Bundle) -> str:
    """Of a bundle in a folder of many."""
    return f"{'_'.join(bundle.address)}-{bundle.order.id}.json"


def write_bundle(path: Path, bundle: Bundle) -> None:
    """Write it to a file that is not there yet. Raises OSError, and ValueError for what is no JSON."""
    try:
        contents = json.loads(bundle.data)
    except RecursionError:
        msg = "nested too deeply"
        raise ValueError(msg) from None
    write_new(path, json.dumps(contents, indent=1).splitlines())


def keep_bundle(folder: Path, bundle: Bundle) -> Path:
    """Write it into a folder that holds the last hundred, and say where. Raises as `write_bundle` does."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file_name(bundle)
    write_bundle(path, bundle)
    files = sorted(folder.glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
    for old in files[:-MAX_KEPT]:
        with suppress(OSError):
            old.unlink()
    return path
