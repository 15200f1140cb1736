"""Preflight on machines that are not here: files below a root of the test's own, programs, clocks."""

from __future__ import annotations

import asyncio
import json
import os
import struct
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tls import Authority

from fleetview_agent.config import AgentConfig
from fleetview_agent.preflight import CHECKS, Finding, Inquiry, Machine, exit_code
from fleetview_agent.preflight.clock import KernelClock, offset, read_kernel_clock, request
from fleetview_agent.preflight.findings import Check, run_checks
from fleetview_agent.preflight.identity import certificate, chain, expiry, key
from fleetview_agent.preflight.network import clock
from fleetview_agent.preflight.ports import ports
from fleetview_agent.preflight.storage import disk, state_dir, wear
from fleetview_agent.preflight.system import cgroup, confinement, kernel, memory, open_files
from fleetview_agent.preflight.workload import engine, log_files, modules

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from fleetview_agent.preflight.findings import Answer, Level


class World(NamedTuple):
    """A machine of the test's own."""

    root: Path
    inquiry: Inquiry

    def has(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def config_of(folder: Path, **keys: object) -> AgentConfig:
    usual = {"agent_id": "gw-1", "broker_url": "mqtt://hub", "state_dir": str(folder / "state")}
    return AgentConfig.model_validate({**usual, **keys})


@pytest.fixture
def world(tmp_path: Path) -> World:
    return new_world(tmp_path)


def new_world(folder: Path, **keys: object) -> World:
    root, programs = folder / "root", folder / "bin"
    for made in (root / "proc", programs):
        made.mkdir(parents=True, exist_ok=True)
    machine = Machine(root=root, path=str(programs), kernel_clock=lambda: None)
    return World(root, Inquiry(config_of(folder, **keys), machine=machine))


async def asked(check: Callable[[Inquiry], Answer | Awaitable[Answer]], inquiry: Inquiry) -> list[Finding]:
    answer = check(inquiry)
    found = await answer if asyncio.isfuture(answer) or asyncio.iscoroutine(answer) else answer
    return [found] if isinstance(found, Finding) else list(found)  # type: ignore[arg-type]


async def only(check: Callable[[Inquiry], Answer | Awaitable[Answer]], world: World) -> tuple[Level, str]:
    (finding,) = await asked(check, world.inquiry)
    return finding.level, finding.words


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


# What the configuration asks for


async def test_logs_and_programs(tmp_path: Path) -> None:
    (tmp_path / "a.log").touch()
    world = new_world(
        tmp_path,
        logs={"files": [{"path": f"{tmp_path}/*.log"}, {"path": f"{tmp_path}/none/*.log"}]},
        modules={"here": {"command": ["sh"]}, "gone": {"command": ["no-such-program"]}},
    )
    assert [finding.level for finding in await asked(log_files, world.inquiry)] == ["ok", "warning"]
    assert world.inquiry.log_files == 1
    assert [finding.level for finding in await asked(modules, world.inquiry)] == ["ok", "error"]


DOCKER = {"Driver": "overlay2", "LoggingDriver": "json-file", "ServerVersion": "27.1"}
PODMAN = {"store": {"graphDriverName": "overlay"}, "host": {"logDriver": "journald"}, "version": {"Version": "5.0"}}


def engine_world(folder: Path, name: str, says: object, status: int = 0) -> World:
    world = new_world(folder, modules={"a": {"command": [f"/usr/bin/{name}", "run", "x"]}})
    program = folder / "bin" / name
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(says)}\nEND\necho 'it says no' >&2\nexit {status}\n")
    program.chmod(0o755)
    return world


@pytest.mark.parametrize(
    ("name", "says", "daemon", "levels", "word"),
    [
        ("docker", DOCKER, None, ["ok", "warning"], "max-size"),
        ("docker", DOCKER, {"log-opts": {"max-size": "10m"}}, ["ok", "ok"], "bounded"),
        ("docker", DOCKER | {"LoggingDriver": "local"}, None, ["ok", "ok"], "bounded"),
        ("docker", DOCKER | {"Driver": "overlayfs", "LoggingDriver": "journald"}, None, ["ok", "ok"], "overlayfs"),
        ("docker", DOCKER | {"Driver": "vfs", "LoggingDriver": "local"}, None, ["warning", "ok"], "vfs, not overlay2"),
        ("docker", {"ServerErrors": ["Cannot connect to the daemon"]}, None, ["error"], "Cannot connect"),
        ("podman", PODMAN, None, ["ok", "ok"], "journald"),
        ("docker", [], None, ["error"], "it says no"),
    ],
)
async def test_container_engine(
    tmp_path: Path, *, name: str, says: object, daemon: object, levels: list[str], word: str
) -> None:
    world = engine_world(tmp_path, name, says)
    if daemon is not None:
        world.has("etc/docker/daemon.json", json.dumps(daemon))
    found = await asked(engine, world.inquiry)
    assert [finding.level for finding in found] == levels
    assert any(word in finding.words for finding in found)


async def test_a_module_that_bounds_its_logs_itself(tmp_path: Path) -> None:
    world = engine_world(tmp_path, "docker", DOCKER)
    command = ["docker", "run", "--log-opt", "max-size=5m", "x"]
    world.inquiry.config = config_of(tmp_path, modules={"a": {"command": command}})
    assert [finding.level for finding in await asked(engine, world.inquiry)] == ["ok", "ok"]


async def test_container_engine_that_fails_or_is_not_there(tmp_path: Path) -> None:
    world = engine_world(tmp_path, "docker", DOCKER, status=1)
    assert "it says no" in (await only(engine, world))[1]
    (tmp_path / "bin" / "docker").unlink()
    assert (await only(engine, world))[0] == "error"
    assert (await only(engine, new_world(tmp_path, modules={"a": {"command": ["sh"]}})))[0] == "ok"


# Ports


def listens(world: World, port: int, *, pid: int | None, mark: str = "") -> None:
    world.has(
        "proc/net/tcp",
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        f"   0: 0100007F:{port:04X} 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100\n",
    )
    if pid is not None:
        world.has(f"proc/{pid}/comm", "nginx\n")
        world.has(f"proc/{pid}/environ", f"A=b\0{mark}\0")
        (world.root / f"proc/{pid}/fd").mkdir()
        (world.root / f"proc/{pid}/fd/3").symlink_to("socket:[4711]")


def with_ports(folder: Path) -> World:
    probes = {
        "web": {"command": ["sh"], "ready": {"http": "http://127.0.0.1:8080/ready"}, "healthy": {"tcp": 8080}},
        "far": {"command": ["sh"], "ready": {"tcp": "hub.example.com:9000"}},
    }
    return new_world(folder, modules=probes)


async def test_ports_that_are_free(tmp_path: Path) -> None:
    world = with_ports(tmp_path)
    listens(world, 9000, pid=12)
    assert (await only(ports, world))[1].startswith("8080: free")


@pytest.mark.parametrize(
    ("pid", "mark", "level", "word"),
    [
        (12, "", "error", "taken by nginx (pid 12): "),
        (12, "FLEETVIEW_MODULE=01JD/other", "error", "of module other"),
        (12, "FLEETVIEW_MODULE=01JD/web", "ok", "held by the module"),
        (None, "", "error", "only root can see"),
    ],
)
async def test_ports_that_are_taken(tmp_path: Path, pid: int | None, mark: str, level: str, word: str) -> None:
    world = with_ports(tmp_path)
    listens(world, 8080, pid=pid, mark=mark)
    found = await only(ports, world)
    assert (found[0], word in found[1]) == (level, True)


async def test_ports_that_two_modules_want(tmp_path: Path) -> None:
    world = new_world(tmp_path, modules={name: {"command": ["sh"], "ready": {"tcp": 8080}} for name in ("a", "b")})
    found = await only(ports, world)
    assert (found[0], "a and b" in found[1]) == ("warning", True)


# The clock


async def test_clock(world: World) -> None:
    def by_kernel(known: KernelClock | None) -> None:
        machine = world.inquiry.machine
        world.inquiry.machine = Machine(machine.root, machine.path, kernel_clock=lambda: known)

    assert (await only(clock, world))[0] == "warning"  # nobody tells
    by_kernel(KernelClock(in_step=False, error_s=16.0))
    found = await only(clock, world)
    assert (found[0], "systemd-timesyncd" in found[1]) == ("warning", True)
    by_kernel(KernelClock(in_step=True, error_s=0.0125))
    assert "12 ms" in (await only(clock, world))[1]
    world.inquiry.now = datetime(1970, 1, 1, tzinfo=UTC)
    assert (await only(clock, world))[0] == "error"


@pytest.mark.parametrize(("answer", "level"), [("yes", "ok"), ("no", "warning"), ("what?", "warning")])
async def test_a_clock_that_only_systemd_tells_of(world: World, tmp_path: Path, answer: str, level: str) -> None:
    program = tmp_path / "bin" / "timedatectl"
    program.write_text(f"#!/bin/sh\necho '{answer}'\n")
    program.chmod(0o755)
    assert (await only(clock, world))[0] == level


def test_the_kernels_own_word() -> None:
    known = read_kernel_clock()
    assert known is None or known.error_s >= 0


def ntp_answer(question: bytes, theirs_s: float, *, first: int = 0x24, stratum: int = 2) -> bytes:
    stamp = int((theirs_s + 2_208_988_800) % 2**32 * 2**32)
    return struct.pack("!BBBb3I2Q2Q", first, stratum, 0, 0, 0, 0, 0, 0, int.from_bytes(question[40:]), stamp, stamp)


@given(st.floats(-2e9, 2e9), st.floats(0, 5), st.integers(0, 4_000_000_000))
def test_how_far_two_clocks_are_apart(ahead_s: float, trip_s: float, ours_s: int) -> None:
    question = request()
    answer = ntp_answer(question, ours_s + trip_s / 2 - ahead_s)
    found = offset(question, answer, ours_s, ours_s + trip_s)
    assert found is not None
    assert found.in_step
    assert found.ahead_s == pytest.approx(ahead_s, abs=1e-3)
    assert found.within_s == pytest.approx(trip_s / 2, abs=1e-3)


@given(st.binary(max_size=80))
def test_what_is_no_answer(data: bytes) -> None:
    question = request()
    if data[24:32] != question[40:]:
        assert offset(question, data, 0.0, 1.0) is None


def test_an_answer_to_another_question_is_none() -> None:
    assert offset(request(), ntp_answer(request(), 1.0), 0.0, 1.0) is None


def test_an_answer_of_a_clock_that_is_not_in_step() -> None:
    question = request()
    for answer in (ntp_answer(question, 0, first=0xE4), ntp_answer(question, 0, stratum=16)):
        found = offset(question, answer, 0, 0)
        assert found is not None
        assert not found.in_step


# Certificates


def with_tls(folder: Path, cert: Path, key_file: Path, ca: Path | None) -> World:
    keys = {"tls_cert": str(cert), "tls_key": str(key_file), "tls_ca": None if ca is None else str(ca)}
    return new_world(folder, broker_url="mqtts://hub", **keys)


async def levels_of(world: World) -> list[str]:
    return [finding.level for check in (certificate, key, chain, expiry) for finding in await asked(check, world.inquiry)]


async def test_a_certificate_that_is_in_order(tmp_path: Path, authority: Authority) -> None:
    issued = authority.issue("gw-1")
    issued.key.chmod(0o600)
    world = with_tls(tmp_path, issued.cert, issued.key, authority.cafile)
    assert await levels_of(world) == ["ok"] * 5  # its own expiry, and that of the authority
    world.inquiry.now = issued.not_after - timedelta(days=2)
    assert await levels_of(world) == ["ok", "ok", "ok", "warning", "ok"]
    world.inquiry.now = issued.not_after + timedelta(days=1)
    assert await levels_of(world) == ["ok", "ok", "ok", "error", "ok"]
    world.inquiry.now = datetime(2001, 1, 1, tzinfo=UTC)
    assert await levels_of(world) == ["ok", "ok", "ok", "error", "error"]


async def test_a_key_of_another_certificate_and_one_that_is_no_secret(tmp_path: Path, authority: Authority) -> None:
    ours, other = authority.issue("gw-1"), authority.issue("gw-2")
    level, words = await only(key, with_tls(tmp_path, ours.cert, other.key, authority.cafile))
    assert (level, "does not belong" in words) == ("error", True)
    ours.key.chmod(0o644)
    level, words = await only(key, with_tls(tmp_path, ours.cert, ours.key, authority.cafile))
    assert (level, "chmod o=" in words) == ("warning", True)


async def test_a_certificate_of_another_authority(tmp_path: Path, authority: Authority) -> None:

    other = Authority(tmp_path / "other", "another authority")
    issued = authority.issue("gw-1")
    level, words = await only(chain, with_tls(tmp_path, issued.cert, issued.key, other.cafile))
    assert (level, "not issued by one of" in words) == ("warning", True)
    assert (await only(chain, with_tls(tmp_path, issued.cert, issued.key, None)))[0] == "warning"


async def test_an_expired_certificate_is_not_called_one_of_another_authority(tmp_path: Path, authority: Authority) -> None:
    issued = authority.issue("gw-1", expired=True)
    assert (await only(chain, with_tls(tmp_path, issued.cert, issued.key, authority.cafile)))[0] == "ok"


async def test_files_that_are_not_what_they_should_be(tmp_path: Path, authority: Authority) -> None:
    nothing = tmp_path / "nothing"
    assert (await only(certificate, with_tls(tmp_path, nothing, nothing, authority.cafile)))[0] == "error"
    nothing.write_text("no PEM")
    assert (await only(certificate, with_tls(tmp_path, nothing, nothing, authority.cafile)))[0] == "error"
    issued = authority.issue("gw-1")
    found = await asked(expiry, with_tls(tmp_path, issued.cert, issued.key, nothing).inquiry)
    assert [finding.level for finding in found] == ["ok", "error"]
