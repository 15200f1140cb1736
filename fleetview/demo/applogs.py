"""The application logs that the demo's real agents follow: one in JSON, one in pino's dialect, one in plain text."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random

_LARGEST_BYTES = 128 * 1024
"""Then the file is emptied in place, as logrotate's copytruncate does; a demo that runs for days fills no disk."""
_PAUSE_S = (3.0, 8.0)
_EVENTS = (
    ("INFO", "measured part {part}: within tolerance"),
    ("INFO", "measured part {part}: within tolerance"),
    ("INFO", "measured part {part}: within tolerance"),
    ("DEBUG", "probe settled after {ms} ms"),
    ("WARN", "part {part} at the edge of its tolerance"),
    ("ERROR", "probe did not settle within {ms} ms"),
)
_WEIGHTS = (30, 20, 20, 15, 4, 1)
_PINO_LEVELS = {"DEBUG": 20, "INFO": 30, "WARN": 40, "ERROR": 50}


def _structured(level: str, text: str, now: datetime) -> str:
    time = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({"timestamp": time, "service": "metrology", "level": level, "message": text})


def _pino(level: str, text: str, now: datetime) -> str:
    return json.dumps(
        {"level": _PINO_LEVELS[level], "time": int(now.timestamp() * 1000), "name": "metrology-ui", "msg": text}
    )


def _plain(level: str, text: str, _now: datetime) -> str:
    return f"{level}: {text}"


_DIALECTS: tuple[Callable[[str, str, datetime], str], ...] = (_structured, _pino, _plain)


def _append(path: Path, line: str) -> None:
    # Opened anew for each line, and only if it is there: its folder vanishes with the agent that follows it.
    with path.open("r+", encoding="utf-8") as file:
        if file.seek(0, 2) > _LARGEST_BYTES:
            file.truncate(0)
            file.seek(0)
        file.write(line + "\n")


def app_line(dialect: int, rng: Random, now: datetime) -> str:
    """One line of an application; `dialect` counts on through the dialects."""
    level, text = rng.choices(_EVENTS, _WEIGHTS)[0]
    text = text.format(part=rng.randrange(1000, 9999), ms=rng.randrange(80, 900))
    return _DIALECTS[dialect % len(_DIALECTS)](level, text, now)


async def write_app_logs(paths: Sequence[Path], stop: asyncio.Event) -> None:
    """Writes to these files until `stop`; a file that is gone is given up."""
    rng = Random()  # noqa: S311  # a simulation
    writing = dict(enumerate(paths))
    while not stop.is_set():
        for dialect, path in list(writing.items()):
            try:
                _append(path, app_line(dialect, rng, datetime.now(UTC)))
            except OSError:
                del writing[dialect]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), rng.uniform(*_PAUSE_S))
