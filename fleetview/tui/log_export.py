"""Writes the records that are shown to a file, one JSON object per line."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fleetview.core.log_json import record_json
from fleetview.core.logbook import Entry
from fleetview.core.sorted_rows import Row
from fleetview.files import write_new
from fleetview.tui.spans import visible

if TYPE_CHECKING:
    from fleetview.tui.app import FleetApp


def export(app: FleetApp, path: Path, rows: list[list[Row]], *, complete: bool) -> None:
    """Write the rows in a thread, for a million of them take a while, and say how it went."""
    app.run_worker(partial(_write, app, path, rows, complete=complete), thread=True, group="export", exit_on_error=False)


def _write(app: FleetApp, path: Path, rows: list[list[Row]], *, complete: bool) -> None:
    severity: Literal["information", "error"] = "information"
    try:
        number = write_new(path, (record_json(row) for some in rows for row in some if isinstance(row, Entry)))
    except OSError as err:
        words, severity = f"{path} cannot be written: {err.strerror or err}", "error"
    else:
        rest = "" if complete else "; older ones were still being looked at"
        words = f"{number:,} records written to {path.absolute()}{rest}"
    app.call_from_thread(partial(app.notify, visible(words), severity=severity, markup=False))
