"""Follows the log files of a device's applications, and makes records of their lines.

Files are found by patterns, again and again, as applications come and go. Each look does a bounded amount of work. Where a
file was read up to is saved only as far as its records are settled (delivered, or in a spool that survives): after a
restart a record may come twice, but none is missing.
"""

from __future__ import annotations

import glob
import logging
import os
import stat
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol

from fleetview_agent.config import LogFile
from fleetview_agent.followed import FollowedFile, Identity, Line, Position
from fleetview_agent.lines import record_of_line
from fleetview_agent.spool import Record

MAX_FILES = 256
"""Each costs a file descriptor, and there are 1,024 by default."""
MAX_FIRST_BYTES = 1024 * 1024
"""Of a file that was there before this agent ever ran; what is older is history that nobody waits for."""
FILE_BYTES_A_LOOK = 128 * 1024
LOOK_BYTES = 512 * 1024
"""At most, in one look: about 50 ms of work on a slow device."""
SCAN_INTERVAL_S = 2.0
STEP_BYTES = 32 * 1024
STEP_LINES = 500
"""Read before asking again whether sources should wait. What these become fits into the fifth of a `MemorySpool` that is
kept free for it, even when each byte is a control character, which takes six in JSON."""
_GONE_FOR_S = 10.0
"""A writer goes on writing to a renamed file until it opens the new one."""
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".zip", ".lz4")

_log = logging.getLogger(__name__)


class Destination(Protocol):
    """Where records go."""

    def take(self, records: Sequence[Record], /) -> int:
        """Take records in; the number of the last."""


class Tail:
    """All followed files of an agent.

    `clock` is monotonic and in seconds, `now_ms` the time since 1970, `saved` what `positions` returned in an earlier run
    (None: this is the first one), `hold` whether sources should wait at present.
    """

    def __init__(
        self,
        files: Sequence[LogFile],
        destination: Destination,
        *,
        clock: Callable[[], float],
        now_ms: Callable[[], int],
        saved: Iterable[Position] | None = None,
        hold: Callable[[], bool] = lambda: False,
    ) -> None:
        self._files = files
        self._destination = destination
        self._clock = clock
        self._now_ms = now_ms
        self._hold = hold
        self._saved = None if saved is None else {position.identity: position for position in saved}
        self._followed: dict[Identity, FollowedFile] = {}
        self._next_scan_s = float("-inf")
        self._first_scan = True
        self._turn = 0
        self._resting: dict[Identity, FollowedFile] = {}
        """Closed, because no pattern leads to them any more; one may again."""
        self.problems: dict[str, str] = {}
        """What keeps a file from being read, in words, by path."""

    def reconfigure(self, files: Sequence[LogFile]) -> None:
        """Follow what these lead to. What both lead to is read on, and what came back is read from where it was left."""
        self._files = files
        self.problems.clear()
        self._next_scan_s = float("-inf")
        found = {path: entry for entry in files for path in glob.glob(entry.path, recursive=True)}  # noqa: PTH207  (as below)
        for followed in list(self._followed.values()):
            path = followed.path
            entry = found.get(path) or next((entry for entry in files if _leads_to(entry.path, path)), None)
            if entry is not None:
                followed.service = _service(path, entry)
                continue
            self._close(followed)
            self._resting[followed.identity] = followed
            _log.info("not following a log file any more", extra={"file": path})
        while len(self._resting) > MAX_FILES:
            del self._resting[next(iter(self._resting))]

    def look(self) -> bool:
        """Read what is new, within bounds. True when there is more to read at once."""
        if self._clock() >= self._next_scan_s:
            self._scan()
            self._next_scan_s = self._clock() + SCAN_INTERVAL_S
        until = LOOK_BYTES
        more = False
        for followed in self._in_turn():
            read, rest = self._read_on(followed, min(until, FILE_BYTES_A_LOOK))
            until -= read
            more = more or rest
        return more and not self._hold()

    def _in_turn(self) -> list[FollowedFile]:
        """All files, beginning with another one each time, so that a flood in some starves no other."""
        files = list(self._followed.values())
        self._turn = (self._turn + 1) % max(1, len(files))
        return files[self._turn :] + files[: self._turn]

    def positions(self, settled_through: int) -> list[Position]:
        """From where to go on after a restart, when the records up to this number are settled."""
        both = (*self._followed.values(), *self._resting.values())
        return [followed.position(settled_through) for followed in both]

    def forget_finished(self, settled_through: int) -> None:
        """Close the files that have no name any more and are read to the end."""
        for followed in list(self._followed.values()):
            gone_s = None if followed.gone_since_s is None else self._clock() - followed.gone_since_s
            if gone_s is None or gone_s < _GONE_FOR_S or self._read_on(followed, FILE_BYTES_A_LOOK)[1]:
                continue
            self._take(followed, followed.rest())
            if followed.all_settled(settled_through):
                self._close(followed)

    def close(self) -> None:
        """Close all files."""
        for followed in list(self._followed.values()):
            self._close(followed)

    def _close(self, followed: FollowedFile) -> None:
        os.close(followed.fd)
        del self._followed[followed.identity]

    def _read_on(self, followed: FollowedFile, max_bytes: int) -> tuple[int, bool]:
        """Read on for at most so many bytes; how many it were, and whether there may be more."""
        read = 0
        while read < max_bytes and not self._hold():
            step = self._step(followed)
            if step == 0:
                return read, False
            read += step
        return read, True

    def _step(self, followed: FollowedFile) -> int:
        truncations, before = followed.truncations, followed.offset
        try:
            lines = followed.read(STEP_BYTES, STEP_LINES)
        except OSError as err:
            self._note(followed.path, f"log file {followed.path} cannot be read: {err.strerror}")
            return 0
        self.problems.pop(followed.path, None)
        if followed.truncations > truncations:
            _log.info("log file was truncated: reading it from its beginning", extra={"file": followed.path})
            before = 0
        self._take(followed, lines)
        return followed.offset - before

    def _take(self, followed: FollowedFile, lines: list[Line]) -> None:
        records = [self._record(followed, line) for line in lines if line.data.strip()]
        if records:
            followed.taken(self._destination.take(records))

    def _record(self, followed: FollowedFile, line: Line) -> Record:
        cut = line.length if line.length > len(line.data) else None
        return record_of_line(line.data, service=followed.service, now_ms=self._now_ms(), cut_from_bytes=cut)

    # Finding files

    def _scan(self) -> None:
        found: set[Identity] = set()
        for entry in self._files:
            for path in sorted(glob.glob(entry.path, recursive=True)):  # noqa: PTH207  (Path.glob takes no absolute pattern)
                identity = self._found(path, entry)
                if identity is not None:
                    found.add(identity)
        if self._first_scan:
            self._follow_moved()
        for followed in self._followed.values():
            if followed.identity in found:
                followed.gone_since_s = None
            elif followed.gone_since_s is None:
                followed.gone_since_s = self._clock()
        self._first_scan = False
        self._forget_problems()

    def _found(self, path: str, entry: LogFile) -> Identity | None:
        if path.endswith(_COMPRESSED):
            return None
        try:
            status = os.stat(path)  # noqa: PTH116  (glob yields text, and there may be many)
        except OSError as err:
            if not isinstance(err, FileNotFoundError):
                self._note(path, f"log file {path} cannot be read: {err.strerror}")
            return None
        if stat.S_ISDIR(status.st_mode):
            return None
        if not stat.S_ISREG(status.st_mode):
            self._note(path, f"log file {path} is not a regular file")
            return None
        identity = Identity(status.st_dev, status.st_ino)
        if identity in self._followed:
            self._followed[identity].path = path
        elif len(self._followed) >= MAX_FILES:
            self._note(path, f"log file {path} is not read: {MAX_FILES} files are followed already")
        else:
            self._follow(path, _service(path, entry))
        return identity

    def _follow(self, path: str, service: str) -> None:
        try:
            fd = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        except OSError as err:
            self._note(path, f"log file {path} cannot be read: {err.strerror}")
            return
        status = os.fstat(fd)
        identity = Identity(status.st_dev, status.st_ino)
        if identity in self._followed:  # renamed in between
            os.close(fd)
            return
        self.problems.pop(path, None)
        offset = self._beginning(path, fd, identity, status.st_size)
        self._followed[identity] = FollowedFile.at(path, fd, identity, service, offset)
        _log.info("following a log file", extra={"file": path, "offset": offset})

    def _beginning(self, path: str, fd: int, identity: Identity, size: int) -> int:
        resting = self._resting.pop(identity, None)
        if resting is not None and os.fstat(fd).st_size >= resting.line_start and resting.position(-1).fits(fd):
            return resting.line_start
        saved = None if self._saved is None else self._saved.pop(identity, None)
        if saved is not None and saved.fits(fd):
            return saved.offset
        if not self._first_scan or self._saved is not None or size <= MAX_FIRST_BYTES:
            return 0
        start = size - MAX_FIRST_BYTES
        newline = os.pread(fd, 64 * 1024, start).find(b"\n")
        start += newline + 1
        _log.warning("skipped the older part of a log file", extra={"file": path, "skipped_bytes": start})
        return start

    def _follow_moved(self) -> None:
        """Follow what was renamed away while no agent ran, to its end. Rotation leaves files in their folder."""
        for position in list((self._saved or {}).values()):
            if not any(_leads_to(entry.path, position.path) for entry in self._files):
                continue  # nobody wants it any more
            for path in _siblings(position.path):
                if _identity(path) == position.identity and len(self._followed) < MAX_FILES:
                    self._follow(path, self._service_of(position.path))

    def _service_of(self, path: str) -> str:
        entry = next((entry for entry in self._files if Path(path).match(entry.path) and entry.service), None)
        return _service(path, entry)

    # Problems

    def _note(self, path: str, words: str) -> None:
        if self.problems.get(path) != words:
            _log.error(words, extra={"file": path})
            self.problems[path] = words

    def _forget_problems(self) -> None:
        for path in list(self.problems):
            if not os.path.lexists(path):
                del self.problems[path]


def _service(path: str, entry: LogFile | None) -> str:
    return (entry.service if entry is not None else None) or Path(path).name.split(".")[0] or "unknown"


def _leads_to(pattern: str, path: str) -> bool:
    """Whether the pattern leads to a file of this name, which need not be there any more."""
    return fnmatchcase(path, pattern) or fnmatchcase(path, pattern.replace("**/", ""))


def _siblings(path: str) -> list[str]:
    folder = os.path.dirname(path) or "."  # noqa: PTH120  (as above)
    try:
        names = os.listdir(folder)  # noqa: PTH208  (as above)
    except OSError:
        return []
    return [os.path.join(folder, name) for name in names if not name.endswith(_COMPRESSED)]  # noqa: PTH118  (as above)


def _identity(path: str) -> Identity | None:
    try:
        status = os.stat(path)  # noqa: PTH116  (as above)
    except OSError:
        return None
    return Identity(status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None
