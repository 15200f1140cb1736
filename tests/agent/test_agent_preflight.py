"""Preflight: the order of its checks, and the kernel, memory and disk of machines that are not here."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.machines import World, new_world, only

from fleetview_agent.preflight import CHECKS, Finding, Machine, exit_code
from fleetview_agent.preflight.findings import Check, run_checks
from fleetview_agent.preflight.storage import disk, state_dir, wear
from fleetview_agent.preflight.system import cgroup, confinement, kernel, memory, open_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path) -> World:
    return new_world(tmp_path)


# The order


def test_what_a_check_needs_stands_before_it() -> None:
    seen: set[str] = set()
    for check in CHECKS:
        assert set(check.needs) <= seen, check.subject
        assert check.subject not in seen
        seen.add(check.subject)


Plan = list[tuple[list[int], str]]
plans: st.SearchStrategy[Plan] = st.lists(
    st.tuples(st.lists(st.integers(0, 9), max_size=3), st.sampled_from(["ok", "warning", "error", "raises"])), max_size=10
)


@given(plans)
async def test_a_check_is_skipped_exactly_when_something_that_it_rests_on_went_wrong(plan: Plan) -> None:
    ran: list[str] = []

    def ask(subject: str, outcome: str) -> Callable[[None], Finding]:
        def answer(_: None) -> Finding:
            ran.append(subject)
            if outcome == "raises":
                raise OSError(outcome)
            return Finding(subject, outcome, "words")  # type: ignore[arg-type]

        return answer

    checks = [
        Check(str(index), ask(str(index), outcome), tuple({str(need) for need in needs if need < index}))
        for index, (needs, outcome) in enumerate(plan)
    ]
    found = {finding.subject: finding async for finding in run_checks(checks, None)}
    assert list(found) == [check.subject for check in checks]
    for check, (_, outcome) in zip(checks, plan, strict=True):
        bad = [need for need in check.needs if found[need].level in {"error", "skipped"}]
        assert (found[check.subject].level == "skipped") == bool(bad)
        assert (check.subject in ran) == (not bad)
        if bad:
            assert found[check.subject].words.startswith("because ")
        elif outcome == "raises":
            assert found[check.subject].level == "warning"


async def test_a_check_that_hangs_is_left_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleetview_agent.preflight.findings.CHECK_S", 0.05)
    let_go = threading.Event()

    def hang(_: None) -> Finding:
        let_go.wait(30)
        return Finding("disk", "ok", "")

    found = [finding async for finding in run_checks([Check("disk", hang)], None)]
    let_go.set()
    assert [(finding.level, "hang" in finding.words) for finding in found] == [("error", True)]


def test_exit_codes() -> None:
    good, bad = Finding("a", "warning", ""), Finding("b", "error", "")
    peer = Finding("c", "error", "", is_peer=True)
    assert exit_code([]) == exit_code([good]) == 0
    assert exit_code([good, bad]) == exit_code([peer, bad]) == 1
    assert exit_code([peer, good]) == 3


# Kernel, control groups, access control


@pytest.mark.parametrize(
    ("release", "level"),
    [
        ("6.1.0-18-arm64", "ok"),
        ("5.4.0", "ok"),
        ("5.10-rc1", "ok"),
        ("5.3.18", "error"),
        ("4.19.0", "error"),
        ("", "warning"),
    ],
)
async def test_kernel(world: World, release: str, level: str) -> None:
    world.has("proc/sys/kernel/osrelease", f"{release}\n")
    assert (await only(kernel, world))[0] == level


async def test_control_groups(world: World) -> None:
    assert (await only(cgroup, world))[0] == "warning"
    world.has("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io pids\n")
    level, words = await only(cgroup, world)
    assert (level, "without memory" in words) == ("warning", True)
    world.has("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids\n")
    assert await only(cgroup, world) == ("ok", "version 2")


async def test_access_control(world: World) -> None:
    assert "neither" in (await only(confinement, world))[1]
    world.has("sys/module/apparmor/parameters/enabled", "Y\n")
    world.has("proc/self/attr/current", "docker-default (enforce)\n")
    assert await only(confinement, world) == ("ok", "AppArmor is on; this process is docker-default (enforce)")
    world.has("sys/fs/selinux/enforce", "0")
    level, words = await only(confinement, world)
    assert (level, "setenforce 1" in words) == ("warning", True)
    world.has("sys/fs/selinux/enforce", "1")
    assert (await only(confinement, world))[0] == "ok"


# Memory and open files


def meminfo(total_mib: int, available_mib: int) -> str:
    return f"MemTotal: {total_mib * 1024} kB\nMemFree: 1 kB\nMemAvailable:   {available_mib * 1024} kB\n"


@pytest.mark.parametrize(("available", "level"), [(30, "error"), (100, "warning"), (500, "ok")])
async def test_memory(world: World, available: int, level: str) -> None:
    world.has("proc/meminfo", meminfo(1000, available))
    assert (await only(memory, world))[0] == level


async def test_memory_of_the_control_group_and_of_the_groups_above(world: World) -> None:
    world.has("proc/meminfo", meminfo(1000, 900))
    world.has("proc/self/cgroup", "0::/system.slice/agent.service\n")
    world.has("sys/fs/cgroup/system.slice/agent.service/memory.max", "max\n")
    world.has("sys/fs/cgroup/system.slice/memory.max", str(200 << 20))
    world.has("sys/fs/cgroup/system.slice/memory.current", str(180 << 20))
    level, words = await only(memory, world)
    assert (level, words.split(":")[0]) == ("error", "20 of 200 MiB are free")


async def test_memory_that_modules_may_take_together(tmp_path: Path) -> None:
    specs = {name: {"command": ["x"], "limits": {"memory_mib": 500}} for name in ("a", "b")}
    world = new_world(tmp_path, modules=specs)
    world.has("proc/meminfo", meminfo(1000, 900))
    level, words = await only(memory, world)
    assert (level, "add up to 1,000" in words) == ("warning", True)


@pytest.mark.parametrize(
    ("limit", "level"), [("unlimited", "ok"), ("1024", "ok"), ("150", "warning"), ("80", "error"), ("?", "warning")]
)
async def test_open_files(tmp_path: Path, limit: str, level: str) -> None:
    world = new_world(tmp_path, modules={"a": {"command": ["x"]}})
    world.inquiry.log_files = 28
    world.has("proc/self/limits", f"Limit  Soft  Hard  Units\nMax open files    {limit}    4096   files\n")
    assert (await only(open_files, world))[0] == level


# The disk


class Room(NamedTuple):
    f_bavail: int
    f_bfree: int
    f_blocks: int = 1_000_000
    f_frsize: int = 4096
    f_files: int = 100_000
    f_favail: int = 90_000
    f_flag: int = 0


def with_room(world: World, room: Room) -> World:
    machine = world.inquiry.machine
    faked = Machine(machine.root, machine.path, kernel_clock=machine.kernel_clock, statvfs=lambda _: room)  # type: ignore[arg-type,return-value]
    world.inquiry.machine = faked
    return world


@pytest.mark.parametrize(
    ("room", "level", "word"),
    [
        (Room(500_000, 500_000), "ok", "free"),
        (Room(500_000, 500_000, f_flag=os.ST_RDONLY), "error", "read-only"),
        (Room(10_000, 10_000), "error", "less than"),
        (Room(80_000, 80_000), "warning", "92% used"),
        (Room(500_000, 500_000, f_favail=12), "error", "12 inodes"),
        (Room(500_000, 500_000, f_files=0, f_favail=0), "ok", "free"),  # btrfs counts none
    ],
)
async def test_room(world: World, room: Room, level: str, word: str) -> None:
    found = await only(disk, with_room(world, room))
    assert (found[0], word in found[1]) == (level, True)


def device_of(path: Path) -> str:
    number = path.stat().st_dev
    return f"{os.major(number)}:{os.minor(number)}"


async def test_a_state_folder_in_memory(world: World, tmp_path: Path) -> None:
    world.has("proc/self/mountinfo", f"36 35 {device_of(tmp_path)} / /x rw,noatime shared:1 - tmpfs tmpfs rw\n")
    found = await only(disk, with_room(world, Room(500_000, 500_000)))
    assert (found[0], "gone after a boot" in found[1]) == ("warning", True)


@pytest.mark.parametrize(
    ("life", "reserve", "level"),
    [
        ("0x01 0x02", "0x01", "ok"),
        ("0x01 0x0a", "0x01", "warning"),
        ("0x0b 0x01", "0x01", "error"),
        ("0x03 0x03", "0x03", "error"),
    ],
)
async def test_wear_of_flash(world: World, tmp_path: Path, life: str, reserve: str, level: str) -> None:
    disk_folder = "sys/devices/mmc0/block/mmcblk0"
    world.has(f"{disk_folder}/device/life_time", f"{life}\n")
    world.has(f"{disk_folder}/device/pre_eol_info", f"{reserve}\n")
    (world.root / disk_folder / "mmcblk0p2").mkdir()
    link = world.root / f"sys/dev/block/{device_of(tmp_path)}"
    link.parent.mkdir(parents=True)
    link.symlink_to(world.root / disk_folder / "mmcblk0p2")
    found = await only(wear, world)
    assert (found[0], found[1].startswith("mmcblk0 has used up to")) == (level, True)


async def test_wear_of_flash_behind_a_ufs_host(world: World, tmp_path: Path) -> None:
    host = "sys/devices/platform/soc/1d84000.ufshc"
    disk_folder = f"{host}/host0/target0:0:0/0:0:0:0/block/sda"
    for name, value in (("life_time_estimation_a", "0x02"), ("life_time_estimation_b", "0x0a"), ("eol_info", "0x01")):
        world.has(f"{host}/health_descriptor/{name}", f"{value}\n")
    (world.root / disk_folder / "sda3").mkdir(parents=True)
    (world.root / disk_folder / "device").symlink_to("../../../0:0:0:0")
    link = world.root / f"sys/dev/block/{device_of(tmp_path)}"
    link.parent.mkdir(parents=True)
    link.symlink_to(world.root / disk_folder / "sda3")
    found = await only(wear, world)
    assert found == ("warning", "sda has used up to 100 % of its life, its reserve is in order: plan to replace it")


async def test_wear_that_nobody_tells(world: World) -> None:
    assert (await only(wear, world))[0] == "skipped"


async def test_a_state_folder_that_is_none(world: World, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    found = await only(state_dir, world)
    assert (found[0], "is not a folder" in found[1]) == ("error", True)


async def test_root_is_told_that_it_may_everything(tmp_path: Path) -> None:
    world = new_world(tmp_path)
    folder = world.inquiry.store.folder
    folder.mkdir(parents=True)
    assert (await only(state_dir, world))[0] == "ok"
    if os.geteuid() == 0:
        os.chown(folder, 4711, 4711)
    world.inquiry.machine = Machine(world.root, user_id=0)
    found = await only(state_dir, world)
    assert (found[0], "ask as that user" in found[1]) == ("warning", True)
