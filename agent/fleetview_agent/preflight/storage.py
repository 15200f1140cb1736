"""The disk below the state folder: whether it can be written, has room, and how worn it is."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from fleetview_agent.preflight.findings import Answer, Finding
from fleetview_agent.preflight.inquiry import Inquiry
from fleetview_agent.preflight.machine import Machine

STATE_DIR, DISK, WEAR = "state_dir", "disk", "wear"

LEAST_FREE_BYTES = 64 << 20
"""For the spool, a configuration and its predecessor."""
ENOUGH_FREE_BYTES = 256 << 20
_FULL = 0.90
"""From here on ext4 slows down; the agent calls itself degraded."""
_LEAST_INODES = 1000
_MIB = 1 << 20
_WORN_PERCENT = 80
_WORN_OUT_PERCENT = 100
_IN_MEMORY = {"tmpfs", "ramfs", "overlay"}
_ON_WINDOWS = "not looked at on Windows"
_PRE_EOL = {2: "warning", 3: "error"}
"""Of PRE_EOL_INFO (JEDEC eMMC 5.1, 7.4.41) and bPreEOLInfo of UFS: 80 %, and 90 % of the reserved blocks are used up."""


def state_dir(inquiry: Inquiry) -> Answer:
    """Whether this user can write it."""
    folder = inquiry.store.folder
    there = _existing(folder)
    if not there.is_dir():
        return Finding(STATE_DIR, "error", f"{there} is not a folder; set state_dir to one")
    if not os.access(there, os.W_OK | os.X_OK):
        words = f"{there} cannot be written by this user; change its owner, or set state_dir"
        return Finding(STATE_DIR, "error", words)
    owner = folder.stat().st_uid if folder.exists() else 0
    if inquiry.machine.user_id == 0 != owner:
        words = f"{folder} belongs to user {owner}, and root may everything: ask as that user, sudo -u '#{owner}'"
        return Finding(STATE_DIR, "warning", words)
    return Finding(STATE_DIR, "ok", str(folder))


def disk(inquiry: Inquiry) -> Answer:
    """Whether there is room."""
    if sys.platform == "win32":
        return Finding(DISK, "skipped", _ON_WINDOWS)
    folder = _existing(inquiry.store.folder)
    found = inquiry.machine.statvfs(folder)
    free, taken = found.f_bavail * found.f_frsize, (found.f_blocks - found.f_bfree) * found.f_frsize
    used = taken / (taken + free) if taken + free else 1.0  # as df has it: what is reserved for root is neither
    words = f"{free / _MIB:,.0f} MiB free below {folder}, {used:.0%} used"
    if found.f_flag & os.ST_RDONLY:
        return Finding(DISK, "error", f"{folder} is mounted read-only: mount it rw, or look at dmesg for why it became so")
    if free < LEAST_FREE_BYTES:
        return Finding(DISK, "error", f"{words}: less than {LEAST_FREE_BYTES // _MIB} MiB, clear something away")
    if found.f_files and found.f_favail < _LEAST_INODES:
        return Finding(DISK, "error", f"{found.f_favail} inodes are free below {folder}: clear away small files")
    if free < ENOUGH_FREE_BYTES or used >= _FULL:
        return Finding(DISK, "warning", f"{words}: clear something away before it fills up")
    kind = _file_system(inquiry.machine, folder)
    if kind in _IN_MEMORY:
        where = "goes with the container" if kind == "overlay" else "is gone after a boot"
        words = f"{folder} is on {kind}, so state {where}: put a volume or a disk there"
        return Finding(DISK, "warning", words)
    return Finding(DISK, "ok", words + (f", {kind}" if kind else ""))


def wear(inquiry: Inquiry) -> Answer:
    """How much of its life the flash memory below it has used up."""
    if sys.platform == "win32":
        return Finding(WEAR, "skipped", _ON_WINDOWS)
    folder = _existing(inquiry.store.folder)
    device = _block_device(inquiry.machine, folder)
    if device is None:
        return Finding(WEAR, "skipped", f"what {folder} is on is not a disk of this machine")
    life, reserve = _told_wear(device)
    if not life:
        name = device.parent.name
        return Finding(WEAR, "skipped", f"{name} does not tell its wear, as only eMMC and UFS do without further tools")
    # In steps of 10 %, for each of two kinds of cells: 0x01 is up to 10 % used, 0x0B more than 100 % (eMMC 5.1, 7.4.40).
    used = max(life) * 10
    words = f"{device.parent.name} has used up to {min(used, _WORN_OUT_PERCENT)} % of its life"
    level = _PRE_EOL.get(max(reserve, default=0))
    if used > _WORN_OUT_PERCENT or level == "error":
        return Finding(WEAR, "error", f"{words}, its reserve is {_reserve(reserve)}: replace it before it turns read-only")
    if used > _WORN_PERCENT or level == "warning":
        return Finding(WEAR, "warning", f"{words}, its reserve is {_reserve(reserve)}: plan to replace it")
    return Finding(WEAR, "ok", words)


def _told_wear(device: Path) -> tuple[list[int], list[int]]:
    """What a disk says of the life that it has used up, and of its reserve: eMMC itself, UFS by its host controller."""
    if life := _numbers(device / "life_time"):
        return life, _numbers(device / "pre_eol_info")
    for host in device.resolve().parents:
        if life := [each for kind in "ab" for each in _numbers(host / f"health_descriptor/life_time_estimation_{kind}")]:
            return life, _numbers(host / "health_descriptor/eol_info")
    return [], []


def _reserve(found: list[int]) -> str:
    return {1: "in order", 2: "used to 80 %", 3: "used to 90 %"}.get(max(found, default=0), "not told")


def _numbers(path: Path) -> list[int]:
    try:
        return [int(word, 16) for word in path.read_text(encoding="ascii").split()]
    except (OSError, ValueError):
        return []


def _existing(folder: Path) -> Path:
    return next((each for each in (folder, *folder.parents) if each.exists()), Path("/"))


def _mounts(machine: Machine) -> Iterator[tuple[str, str]]:
    """Device number and kind of file system of each mount (proc_pid_mountinfo(5))."""
    for line in (machine.text("proc/self/mountinfo") or "").splitlines():
        mount, _, about = line.partition(" - ")
        match mount.split(), about.split():
            case [_, _, number, *_], [kind, *_]:
                yield number, kind


def _number(folder: Path) -> str:
    device = folder.stat().st_dev
    return f"{os.major(device)}:{os.minor(device)}"


def _file_system(machine: Machine, folder: Path) -> str | None:
    number = _number(folder)
    return next((kind for known, kind in _mounts(machine) if known == number), None)


def _block_device(machine: Machine, folder: Path) -> Path | None:
    """The `device` folder in sysfs of the disk, that of a partition's disk included."""
    link = machine.file(f"sys/dev/block/{_number(folder)}")
    if not link.exists():
        return None
    disk_or_partition = link.resolve()
    for each in (disk_or_partition, disk_or_partition.parent):
        if (each / "device").exists():
            return each / "device"
    return None
