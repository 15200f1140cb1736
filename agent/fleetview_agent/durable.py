"""All that the agent does to files which have to survive a cut of power, one step at a time.

After a cut between any two steps every name stands for what it stood for before or after: files are written beside their
place, forced to the disk and renamed. `before` is called ahead of each step; tests end the process there.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

FOLDER_MODE = 0o750

Step = str
"""`write`, `sync`, `rename`, `link`, `mkdir`, `remove`."""

before: Callable[[Step, Path], None] | None = None
"""Called with every step and the path that it is about, in whatever thread takes it."""


def step(what: Step, path: Path) -> None:
    """Announce a step. Whoever does one that is not here calls this ahead of it."""
    if before is not None:
        before(what, path)


def write_atomically(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Put `data` in place of the file: after a crash it is the old or the new one. Raises OSError."""
    make_folder(path.parent)
    fd, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(fd, "wb") as file:
            write(file, data, Path(temporary))
            if durable:
                sync_file(file, Path(temporary))
        rename(Path(temporary), path, durable=durable)
    except BaseException:
        with contextlib.suppress(OSError):  # the first error is the one to tell
            Path(temporary).unlink()
        raise


def write_new(path: Path, chunks: Iterable[bytes], *, mode: int) -> None:
    """Write a file that is not there yet, and force it to the disk. Raises OSError, also when there is one."""
    step("write", path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    with os.fdopen(os.open(path, flags, mode), "wb") as file:
        for chunk in chunks:
            write(file, chunk, path)
        if hasattr(os, "fchmod"):
            os.fchmod(file.fileno(), mode)  # whatever the umask
        sync_file(file, path)


def write(file: BinaryIO, data: bytes, path: Path) -> None:
    """Write to an open file. `path` is what the step is called by."""
    step("write", path)
    file.write(data)


def sync_file(file: BinaryIO, path: Path) -> None:
    """Force what was written to the disk."""
    step("sync", path)
    file.flush()
    os.fsync(file.fileno())


def rename(path: Path, target: Path, *, durable: bool = True) -> None:
    """Give a file or a folder another name, in place of the file that has it. Raises OSError."""
    step("rename", target)
    path.replace(target)
    if durable:
        sync_folder(target.parent)


def replace_link(link: Path, target: str) -> None:
    """Let a symbolic link point to `target`, from one moment to the next, whether it was there or not. Raises OSError."""
    beside = link.with_name(f".{link.name}.new")
    beside.unlink(missing_ok=True)
    step("link", link)
    beside.symlink_to(target)
    rename(beside, link)


def make_folder(path: Path, *, mode: int = FOLDER_MODE) -> None:
    """Make a folder, and those above it, unless they are there."""
    if not path.is_dir():
        step("mkdir", path)
        path.mkdir(mode=mode, parents=True, exist_ok=True)


def remove(path: Path) -> None:
    """Take a file or a link away, if it is there. Raises OSError."""
    if path.is_symlink() or path.exists():
        step("remove", path)
        path.unlink(missing_ok=True)
        sync_folder(path.parent)


def remove_tree(path: Path) -> None:
    """Take a folder away with all that is in it, if it is there: first its name, so that nobody finds half of it by that."""
    if not path.is_dir() or path.is_symlink():
        remove(path)
        return
    if not path.name.startswith("."):
        doomed = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        rename(path, doomed / path.name)
        path = doomed
    step("remove", path)
    shutil.rmtree(path)


def sync_folder(folder: Path) -> None:
    """Force the names in a folder to the disk. A file system that cannot do that for folders does it with the files."""
    step("sync", folder)
    fd = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(fd)
    finally:
        os.close(fd)
