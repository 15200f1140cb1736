"""One log file that is followed: which file it is, how far it was read, and its lines.

A file is told by device and inode, not by name, so that rotation by rename changes nothing; and by its first bytes, because
inodes are used again and files are truncated and refilled between two looks.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

MAX_LINE_BYTES = 16 * 1024
"""Kept of one line."""
_HEAD_BYTES = 256


class Identity(NamedTuple):
    """Device and inode."""

    device: int
    inode: int


class Line(NamedTuple):
    """A line without its end. `length` is that of the whole line, of which `data` may be the beginning."""

    data: bytes
    length: int


@dataclass(frozen=True, slots=True)
class Position:
    """How far a file was read, to be saved."""

    path: str
    identity: Identity
    offset: int
    head_bytes: int
    head_sha256: str
    """Of the first `head_bytes` of the file."""

    def fits(self, fd: int) -> bool:
        """Whether the open file is the one that was read so far."""
        head = os.pread(fd, self.head_bytes, 0)
        return os.fstat(fd).st_size >= self.offset and _digest(head) == self.head_sha256


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


@dataclass(slots=True)
class FollowedFile:
    """An open file and the place in it."""

    path: str
    fd: int
    identity: Identity
    service: str
    offset: int = 0
    """Of the next byte to read."""
    line_start: int = 0
    """Of the line that is not complete yet."""
    gone_since_s: float | None = None
    """When no name that is followed led to it any more."""
    truncations: int = 0
    _head: bytes = b""
    _partial: bytearray = field(default_factory=bytearray)
    _partial_length: int = 0
    _settled: int = 0
    """The offset up to which all records are settled."""
    _unsettled: deque[tuple[int, int]] = field(default_factory=deque)
    """Number of a record, and the offset behind its line."""

    @classmethod
    def at(cls, path: str, fd: int, identity: Identity, service: str, offset: int) -> FollowedFile:
        """The file, to be read from this offset on."""
        followed = cls(path, fd, identity, service, offset=offset, line_start=offset, _settled=offset)
        followed._grow_head()
        return followed

    def read(self, max_bytes: int, max_lines: int) -> list[Line]:
        """Complete lines that were not read yet, within these bounds. Raises OSError."""
        lines: list[Line] = []
        size = os.fstat(self.fd).st_size
        if size < self.offset or (size > self.offset and self._begins_otherwise()):
            lines += self.rest()
            self._start_over()
        if size > self.offset:
            self._split(os.pread(self.fd, max_bytes, self.offset), lines, max_lines)
            self._grow_head()
        return lines

    def rest(self) -> list[Line]:
        """The last line, if it has no end and never will."""
        if not self._partial_length:
            return []
        self.line_start = self.offset
        return [self._complete()]

    def taken(self, last_seq: int) -> None:
        """Note that the lines up to here have become records, the last of which has this number."""
        self._unsettled.append((last_seq, self.line_start))

    def position(self, settled_through: int) -> Position:
        """From where to go on after a restart, when the records up to this number are settled."""
        while self._unsettled and self._unsettled[0][0] <= settled_through:
            _, self._settled = self._unsettled.popleft()
        head = self._head[: self._settled]
        return Position(self.path, self.identity, self._settled, len(head), _digest(head))

    def all_settled(self, settled_through: int) -> bool:
        """Whether nothing that was read could still be lost."""
        return not self._unsettled or self._unsettled[-1][0] <= settled_through

    def _begins_otherwise(self) -> bool:
        return os.pread(self.fd, len(self._head), 0) != self._head

    def _start_over(self) -> None:
        self.offset = self.line_start = self._settled = 0
        self._unsettled.clear()
        self._head = b""
        self.truncations += 1

    def _grow_head(self) -> None:
        if len(self._head) < _HEAD_BYTES and self.offset > len(self._head):
            self._head = os.pread(self.fd, min(self.offset, _HEAD_BYTES), 0)

    def _split(self, chunk: bytes, lines: list[Line], max_lines: int) -> None:
        start = 0
        while len(lines) < max_lines and (end := chunk.find(b"\n", start)) >= 0:
            self._keep(chunk[start:end])
            lines.append(self._complete())
            start = end + 1
            self.line_start = self.offset + start
        if len(lines) < max_lines:
            self._keep(chunk[start:])
            start = len(chunk)
        self.offset += start

    def _complete(self) -> Line:
        data, length = bytes(self._partial), self._partial_length
        self._partial.clear()
        self._partial_length = 0
        return Line(data[:-1], length - 1) if data.endswith(b"\r") else Line(data, length)

    def _keep(self, part: bytes) -> None:
        self._partial_length += len(part)
        self._partial += part[: max(0, MAX_LINE_BYTES - len(self._partial))]
