"""What an agent keeps on its disk: the last session, positions in log files, and how it is, for `fleetview-agent health`.

All in one folder for each agent id below `state_dir`, so that agents can share it. A disk that cannot be written does not
stop the agent: `problem` says what is wrong, heartbeats carry it on, and what is to be kept is kept in memory.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from fleetview_agent.durable import write_atomically
from fleetview_agent.followed import Identity, Position

if sys.platform != "win32":
    import fcntl

_log = logging.getLogger(__name__)

LinkWord = Literal["connecting", "up", "backoff", "refused", "stopped"]


class InUseError(Exception):
    """Another agent with this id runs on this machine, and keeps its state in the same folder."""


@dataclass(frozen=True, slots=True)
class Status:
    """How the running agent is, as `fleetview-agent health` reads it."""

    pid: int
    boot_id: str
    at_s: float
    """Of the machine's monotonic clock, which all its processes share until it boots again."""
    interval_s: float
    """How often this is written."""
    link: LinkWord
    link_since_s: float
    link_words: str
    """Why there is no link; empty while there is one."""


class Store:
    """The folder of one agent."""

    def __init__(self, state_dir: Path, agent_id: str) -> None:
        self.folder = state_dir / agent_id
        self.problem: str | None = None
        """Why the folder cannot be written, in words; None while it can."""

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep every other agent out of the folder. Raises InUseError when one is in there."""
        try:
            self.folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            file = (self.folder / "lock").open("ab")
        except OSError as err:
            self.problem = self._words(err)
            yield
            return
        with file:
            if not _try_lock(file.fileno()):
                msg = (
                    f"another agent runs as {self.folder.name!r} and keeps its state in {self.folder};"
                    " stop it, or give this one another agent_id or state_dir"
                )
                raise InUseError(msg)
            yield

    def is_held(self) -> bool:
        """Whether an agent runs in this folder. Raises OSError when that cannot be told."""
        try:
            file = (self.folder / "lock").open("rb")
        except FileNotFoundError:
            return False
        with file:
            return not _try_lock(file.fileno())

    def last_session(self) -> str | None:
        """The session of the last run, if it is known."""
        session = self._read("session.json").get("session")
        return session if isinstance(session, str) else None

    def save_session(self, session: str) -> None:
        """Keep the session for the next run."""
        self._write("session.json", {"session": session})

    def positions(self) -> list[Position] | None:
        """Positions in log files; None if there never were any."""
        entries = self._read("positions.json").get("files")
        if not isinstance(entries, list):
            return None
        return [position for entry in entries if (position := _position(entry)) is not None]

    def save_positions(self, positions: Sequence[Position]) -> None:
        """Keep the positions in log files."""
        self._write("positions.json", {"files": [asdict(position) for position in positions]})

    def status(self) -> Status | None:
        """How the agent last said it was; None if it never did."""
        try:
            return Status(**self._read("status.json"))
        except TypeError:
            return None

    def save_status(self, status: Status) -> None:
        """Say how the agent is. Not forced to the disk: it is worth nothing after a power failure, and flash wears out."""
        self._write("status.json", asdict(status), durable=False)

    def _read(self, name: str) -> dict[str, Any]:
        try:
            value = json.loads((self.folder / name).read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as err:
            _log.warning(
                "a state file cannot be read and is ignored", extra={"file": str(self.folder / name), "why": str(err)}
            )
            return {}
        return value if isinstance(value, dict) else {}

    def _write(self, name: str, value: dict[str, Any], *, durable: bool = True) -> None:
        try:
            write_atomically(self.folder / name, json.dumps(value).encode(), durable=durable)
        except OSError as err:
            self._failed(err)
            return
        if self.problem is not None:
            _log.info("state_dir can be written again", extra={"folder": str(self.folder)})
            self.problem = None

    def _words(self, err: OSError) -> str:
        return f"state_dir {self.folder} cannot be written: {err.strerror}"

    def _failed(self, err: OSError) -> None:
        words = self._words(err)
        if words != self.problem:
            _log.error(words)
            self.problem = words


def boot_id() -> str | None:
    """New for each boot of the machine; None where the kernel has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None


def _try_lock(fd: int) -> bool:
    if sys.platform == "win32":  # has no flock: there it is on the operator to run one agent at a time
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _position(entry: Any) -> Position | None:  # noqa: ANN401  (what a file holds)
    try:
        position = Position(**{**entry, "path": str(entry["path"]), "identity": Identity(*entry["identity"])})
        numbers: tuple[object, ...] = (position.offset, position.head_bytes, *position.identity)
    except (TypeError, KeyError):
        return None
    return position if all(isinstance(number, int) and number >= 0 for number in numbers) else None
