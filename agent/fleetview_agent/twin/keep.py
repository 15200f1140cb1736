"""Keeps the twin on the disk: files in the agent's folder, each replaced in one step (`durable`).

`last_good.json` is the last configuration that was verified. It is written by `save_last_good` and by nothing else, once
the device was well with it. `twin.json` is all else, the configuration that is being tried among it. `doubt.json` is there
as long as there is one about the file on the device (`local`). A file that cannot be
used is left where it is, for a person to look at, and the agent does without.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, NamedTuple, get_args

from fleetview_agent import durable
from fleetview_agent.twin.model import Configuration, Doubt, Kept
from fleetview_agent.wire import document_sha256
from fleetview_agent.wire.messages import ConfigStatus

STATE_FILE = "twin.json"
LAST_GOOD_FILE = "last_good.json"
DOUBT_FILE = "doubt.json"


class Found(NamedTuple):
    """What is on the disk."""

    kept: Kept
    last_good: Configuration | None
    problems: list[str]
    """Of files that cannot be used, in words."""


def load(folder: Path) -> Found:
    """Read both files. Raises nothing."""
    problems: list[str] = []
    kept = _read(folder / STATE_FILE, _kept, problems) or Kept()
    last_good = _read(folder / LAST_GOOD_FILE, _configuration, problems)
    return Found(kept, last_good, problems)


def save(folder: Path, kept: Kept) -> None:
    """Keep this. Raises OSError."""
    durable.write_atomically(folder / STATE_FILE, json.dumps(asdict(kept)).encode())


def save_last_good(folder: Path, configuration: Configuration) -> None:
    """Keep a configuration that was verified. Raises OSError."""
    durable.write_atomically(folder / LAST_GOOD_FILE, json.dumps(asdict(configuration)).encode())


def load_doubt(folder: Path) -> tuple[Doubt | None, str | None]:
    """The doubt about the file on the device, if there is one, and a problem in words, if there is one. Raises nothing."""
    problems: list[str] = []
    return _read(folder / DOUBT_FILE, _doubt, problems), next(iter(problems), None)


def digest(table: Mapping[str, Any]) -> str:
    """A hash of what a file says, whatever its comments and order."""
    return hashlib.sha256(json.dumps(table, sort_keys=True, default=str).encode()).hexdigest()


def save_doubt(folder: Path, doubt: Doubt) -> None:
    """Keep this. Raises OSError."""
    durable.write_atomically(folder / DOUBT_FILE, json.dumps(asdict(doubt)).encode())


def forget_doubt(folder: Path) -> None:
    """There is none any more. Raises OSError."""
    durable.remove(folder / DOUBT_FILE)


def clear_away(folder: Path) -> None:
    """Remove what writes left behind that were cut short. Raises OSError."""
    for name in (STATE_FILE, LAST_GOOD_FILE, DOUBT_FILE):
        for path in folder.glob(f".{name}.*"):
            durable.remove(path)


def _read(path: Path, make: Any, problems: list[str]) -> Any:  # noqa: ANN401  (generic functions of one line would be longer)
    try:
        return make(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as err:
        why = err.strerror if isinstance(err, OSError) else str(err)
        problems.append(f"{path} cannot be used, and is ignored: {why}")
        return None


def _configuration(value: Mapping[str, Any]) -> Configuration:
    found = Configuration(value["version"], value["sha256"], value["document"])
    if not isinstance(found.document, dict) or document_sha256(found.document) != found.sha256:
        msg = f"the document of configuration {found.version} is not the one that was kept"
        raise ValueError(msg)
    return found


def _kept(value: Mapping[str, Any]) -> Kept:
    known = {field.name: value[field.name] for field in fields(Kept) if field.name in value}
    trying = known.get("trying")
    kept = Kept(**{**known, "trying": None if trying is None else _configuration(trying)})
    numbers: tuple[object, ...] = (kept.gen, kept.attempts, kept.epoch or 0)
    if not all(isinstance(number, int) for number in numbers) or kept.status not in {None, *get_args(ConfigStatus)}:
        msg = "not what an agent keeps of its twin"
        raise ValueError(msg)
    return kept


def _doubt(value: Mapping[str, Any]) -> Doubt:
    found = Doubt(value["sha256"], value["before"], value["attempts"], value["reason"])
    if not (isinstance(found.before, dict) and isinstance(found.attempts, int)):
        msg = "not what an agent keeps of its file"
        raise TypeError(msg)
    return found
