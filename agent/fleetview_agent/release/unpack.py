"""From the archive of a release to a folder. What is in an archive is hostile until it was looked at.

Plain files, folders and links to what is in the release are taken, and nothing else: no name that leads out, no device, no
setuid, no second file of a name, nothing behind a link, no more bytes or names than are allowed. Every file is forced to
the disk, and what it should be is written down, so that later it can be proven to be there.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Self

from fleetview_agent import durable
from fleetview_agent.release.errors import RefusedError
from fleetview_agent.release.inventory import FILE as INVENTORY
from fleetview_agent.release.inventory import shown

MOST_NAMES = 20_000
CHUNK = 64 * 1024

_LONGEST = 1024
_MOST_HEADER = 1024 * 1024
"""Bytes of a name or of extended attributes, which are read into memory at once."""
_ROOM_EVERY = 4 * 1024 * 1024
_SPECIAL = stat.S_ISUID | stat.S_ISGID


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a release may be, and how to know that there is room for it."""

    most_bytes: int
    room: Callable[[int], None] = lambda _: None
    """Called with the number of bytes that are written next. Raises RefusedError when the disk has none for them."""
    go_on: Callable[[], None] = lambda: None
    """Called now and then. Raises what it likes when it is to end."""


class _Stream:
    """The bytes of the tar file: never backwards, never too many, and never too many at once."""

    def __init__(self, file: gzip.GzipFile, most: int) -> None:
        self._file = file
        self._most = most

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MOST_HEADER:
            words = f"not an archive of a release: it has a header of {size:,} bytes"
            raise RefusedError(words)
        data = self._file.read(size)
        if self._file.tell() > self._most:
            words = f"it is more than {self._most:,} bytes when it is unpacked, and ota.max_unpacked_mib allows no more"
            raise RefusedError(words)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence != os.SEEK_SET or offset < self.tell():
            words = "not an archive of a release: it is not in one order"
            raise RefusedError(words)
        if offset > self._most:
            words = f"it is more than {self._most:,} bytes when it is unpacked, and ota.max_unpacked_mib allows no more"
            raise RefusedError(words)
        return self._file.seek(offset)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def unpack(archive: Path, folder: Path, bounds: Bounds) -> dict[str, Any]:
    """Unpack into `folder`, which must not be there yet; what was, by its name. Raises RefusedError and OSError.

    What a refused archive has left in `folder` is for the caller to take away.
    """
    _make_folder(folder)
    entries: dict[str, Any] = {}
    most = bounds.most_bytes + MOST_NAMES * tarfile.BLOCKSIZE
    try:
        with gzip.open(archive, "rb") as plain, _Stream(plain, most) as stream:
            stream_: Any = stream
            with tarfile.open(fileobj=stream_, mode="r:", format=tarfile.PAX_FORMAT) as tar:
                _Unpacking(folder, bounds, entries).take_all(tar)
            _only_zeros(stream)
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, UnicodeError, ValueError) as err:
        words = f"not a whole .tar.gz: {err}"
        raise RefusedError(words) from None
    _links_stay_inside(folder, entries)
    _sync_folders(folder)
    return entries


def _make_folder(path: Path) -> None:
    durable.make_folder(path)
    path.chmod(0o755)  # modules may run as another user


def _only_zeros(stream: _Stream) -> None:
    """Behind the last entry. The library takes a damaged header for the end."""
    while data := stream.read(CHUNK):
        if data.strip(b"\0"):
            words = "not a whole .tar.gz: it is damaged behind its last entry"
            raise RefusedError(words)


class _Unpacking:
    def __init__(self, folder: Path, bounds: Bounds, entries: dict[str, Any]) -> None:
        self._folder = folder
        self._bounds = bounds
        self._entries = entries
        self._bytes = 0
        self._room_for = 0

    def take_all(self, tar: tarfile.TarFile) -> None:
        for count, member in enumerate(tar, 1):
            self._bounds.go_on()
            if count > MOST_NAMES:
                words = f"it holds more than {MOST_NAMES:,} names"
                raise RefusedError(words)
            name = _name(member)
            if name is not None:
                self._take(tar, member, name)

    def _take(self, tar: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> None:
        self._make_way(name)
        if name in self._entries and not (member.isdir() and self._entries[name] == {"folder": True}):
            words = f"{shown(name)} is in it twice"
            raise RefusedError(words)
        if member.isdir():
            _make_folder(self._folder / name)
            self._entries[name] = {"folder": True}
        elif member.issym():
            self._link(name, member.linkname)
        elif member.type in {tarfile.REGTYPE, tarfile.AREGTYPE} and not member.issparse():
            self._file(tar, member, name)
        else:
            words = f"{shown(name)} is {_KINDS.get(member.type, 'something')}; only files, folders and links are taken"
            raise RefusedError(words)

    def _make_way(self, name: str) -> None:
        """The folders above it, which may have no entry of their own, and must not be links or files."""
        for above in reversed(PurePosixPath(name).parents[:-1]):
            entry = self._entries.setdefault(str(above), {"folder": True})
            if entry != {"folder": True}:
                words = f"{shown(name)} stands below {shown(str(above))}, which is no folder"
                raise RefusedError(words)
            _make_folder(self._folder / above)

    def _link(self, name: str, target: str) -> None:
        inside = os.path.normpath(PurePosixPath(name).parent / target)
        if not target or target.startswith("/") or "\0" in target or inside == ".." or inside.startswith("../"):
            words = f"{shown(name)} is a link out of the release, to {shown(target)}"
            raise RefusedError(words)
        durable.step("link", self._folder / name)
        (self._folder / name).symlink_to(target)
        self._entries[name] = {"link": target}

    def _file(self, tar: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> None:
        self._bytes += member.size
        if self._bytes > self._bounds.most_bytes:
            words = (
                f"it is more than {self._bounds.most_bytes:,} bytes when it is unpacked; ota.max_unpacked_mib allows no more"
            )
            raise RefusedError(words)
        source: Any = tar.extractfile(member)
        mode = 0o755 if member.mode & 0o111 else 0o644
        digest = hashlib.sha256()
        durable.write_new(self._folder / name, self._chunks(source, member.size, digest.update), mode=mode)
        self._entries[name] = {"size": member.size, "sha256": digest.hexdigest(), "mode": mode}

    def _chunks(self, source: BinaryIO, size: int, seen: Callable[[bytes], None]) -> Iterator[bytes]:
        left = size
        while left:
            self._bounds.go_on()
            if self._room_for <= 0:
                self._bounds.room(_ROOM_EVERY)
                self._room_for = _ROOM_EVERY
            data = source.read(min(CHUNK, left))
            if not data:
                words = "not a whole .tar.gz: unexpected end"
                raise RefusedError(words)
            left -= len(data)
            self._room_for -= len(data)
            seen(data)
            yield data


_KINDS = {
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
    tarfile.REGTYPE: "a sparse file",
}


def _name(member: tarfile.TarInfo) -> str | None:
    """The name of an entry, below the release's folder; None for that folder itself. Raises RefusedError."""
    name = member.name
    parts = PurePosixPath(name).parts
    called = shown(name)
    if name.startswith("/") or ".." in parts:
        words = f"{called} leads out of the release"
        raise RefusedError(words)
    try:
        raw = name.encode()
    except UnicodeEncodeError:
        raw = b"\0"
    if b"\0" in raw or b"\n" in raw or len(raw) > _LONGEST or any(len(part.encode()) > 255 for part in parts):  # noqa: PLR2004
        words = f"{called} is no name for a file: UTF-8 of at most {_LONGEST} bytes without line feeds expected"
        raise RefusedError(words)
    if member.mode & _SPECIAL:
        words = f"{called} is setuid or setgid"
        raise RefusedError(words)
    if parts[:1] == (INVENTORY,):
        words = f"{called} is a name that the agent needs for itself"
        raise RefusedError(words)
    return str(PurePosixPath(name)) if parts else None


def _links_stay_inside(folder: Path, entries: dict[str, Any]) -> None:
    """A link to a link may lead out though each looks well."""
    root = folder.resolve()
    for name, entry in entries.items():
        if "link" in entry:
            path = folder / name
            try:
                found = path.resolve(strict=True)
            except (OSError, RuntimeError):  # a loop
                words = f"{shown(name)} is a link to nothing"
                raise RefusedError(words) from None
            if not found.is_relative_to(root):
                words = f"{shown(name)} is a link out of the release"
                raise RefusedError(words)


def _sync_folders(folder: Path) -> None:
    for at, _, _ in os.walk(folder, topdown=False):
        durable.sync_folder(Path(at))
