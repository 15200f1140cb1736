"""A record of what was changed in the world from here: lines of JSON in the state folder, each written whole and synced.

An order is two lines: before anything is sent, so that a crash cannot hide it, and what came of it.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fleetview_agent.wire import format_time

if TYPE_CHECKING:
    from datetime import datetime

    from fleetview.core.commandbook import Order

FILE = "audit.jsonl"
MAX_BYTES = 16 * 1024 * 1024
"""Then it becomes `audit.jsonl.1`, in the place of the one before."""
_MOST_NAMED = 1_000
"""Devices whose outcome is named, of those where it was no success."""


class Audit:
    """The record of one user on this machine. `where` names the fleet that is acted on."""

    def __init__(self, folder: Path, where: str) -> None:
        self._path = folder / FILE
        self._where = where

    def began(self, order: Order, at: datetime) -> None:
        """An order is about to be sent. Raises OSError."""
        self._append(
            {
                **self._head(order, at, "command_sent"),
                "args": dict(order.args),
                "reason": order.reason,
                "expires_s": order.expires_s,
                "devices": [str(address) for address in order.requests],
            }
        )

    def ended(self, order: Order, at: datetime) -> None:
        """Nothing more is waited for. Raises OSError."""
        others = [
            {"device": str(request.address), "outcome": request.outcome.value, "message": request.message}
            for request in order.requests.values()
            if request.outcome != "succeeded"
        ]
        counts = {outcome.value: number for outcome, number in order.counts.items() if number}
        self._append({**self._head(order, at, "command_ended"), "outcomes": counts, "unsuccessful": others[:_MOST_NAMED]})

    def _head(self, order: Order, at: datetime, event: str) -> dict[str, Any]:
        return {
            "at": format_time(at),
            "event": event,
            "id": order.id,
            "by": order.by,
            "fleet": self._where,
            "verb": order.verb,
        }

    def _append(self, record: dict[str, Any]) -> None:
        line = json.dumps(record).encode() + b"\n"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            if self._path.stat().st_size + len(line) > MAX_BYTES:
                self._path.replace(self._path.with_name(f"{FILE}.1"))
        # One write to a file opened for appending: two programs that do so at once do not mix their lines.
        fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(fd, line)
            os.fsync(fd)
        finally:
            os.close(fd)
