"""Preflight: what the configuration asks of the machine: logs, programs, container engines, ports."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.machines import World, asked, config_of, new_world, only

from fleetview_agent.preflight.ports import ports
from fleetview_agent.preflight.workload import engine, log_files, modules, releases
from fleetview_agent.store import Status

if TYPE_CHECKING:
    from pathlib import Path


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


async def test_the_port_of_the_collector_is_the_agents_own(tmp_path: Path) -> None:
    world = new_world(tmp_path, modules=["telemetry_collector"], telemetry={"listen": "9101"})
    assert (await only(ports, world))[1].startswith("9101: free")
    listens(world, 9101, pid=12)
    assert (await only(ports, world))[0] == "error"
    store = world.inquiry.store
    with store.held():
        store.save_status(Status(12, "", 0.0, 20.0, "up", 0.0, ""))
        assert (await only(ports, world))[0] == "ok"
        store.save_status(Status(13, "", 0.0, 20.0, "up", 0.0, ""))
        assert (await only(ports, world))[0] == "error"


@pytest.mark.parametrize(
    ("names", "ota", "level", "word"),
    [
        ([], {}, "ok", "not needed"),
        (["ota_updater"], {}, "warning", "none is taken"),
        (["ota_updater"], {"allow_unsigned": True}, "warning", "from anybody"),
    ],
)
async def test_releases(tmp_path: Path, names: list[str], ota: dict[str, object], level: str, word: str) -> None:
    found = await only(releases, new_world(tmp_path, modules=names, ota=ota))
    assert (found[0], word in found[1]) == (level, True)
