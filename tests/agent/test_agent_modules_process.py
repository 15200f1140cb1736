"""Real agents that run real processes, on a real broker."""

from __future__ import annotations

import os
import signal
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from support.agents import agent_process, watching
from support.processes import family
from support.wait import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from support.agents import AgentProcess, Watch
    from support.broker import Broker

    from fleetview_agent.wire import ModuleInfo

SLEEP = "exec sleep 1000"


def module(script: str, **keys: object) -> dict[str, object]:
    return {"command": ["sh", "-c", script], **keys}


@asynccontextmanager
async def supervising(
    tmp_path: Path, broker: Broker, modules: dict[str, Any], **keys: object
) -> AsyncIterator[tuple[AgentProcess, Watch]]:
    """A watched agent with these modules. Its own heartbeats are an hour apart: what is seen earlier was news."""
    keys = {"heartbeat_interval": 3600, "modules": modules, **keys}
    async with watching(broker.url) as watch:
        with (
            family(tmp_path / "processes") as ours,
            agent_process(tmp_path, ours.environ, broker_url=broker.url, **keys) as agent,
        ):
            await until(lambda: watch.heartbeats)
            yield agent, watch


def seen(watch: Watch) -> list[dict[str, str | None]]:
    """The states of modules in each heartbeat."""
    return [{info.name: info.state for info in beat.modules} for beat in watch.heartbeats]


def now(watch: Watch, name: str) -> ModuleInfo:
    return next(info for info in watch.heartbeats[-1].modules if info.name == name)


def all_are(watch: Watch, state: str) -> bool:
    return set(seen(watch)[-1].values()) == {state}


def pid_in(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def is_alive(pid: int | None) -> bool:
    assert pid is not None
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def guards_of(agent: AgentProcess) -> list[psutil.Process]:
    return [child for child in psutil.Process(agent.process.pid).children() if "fleetview-agent-guard" in child.cmdline()]


async def test_modules_start_behind_what_they_depend_on_once_that_is_ready(tmp_path: Path, broker: Broker) -> None:
    go, ready, early = (tmp_path / name for name in ("go", "ready", "early"))
    modules = {
        "ui": module(f"[ -e {ready} ] || touch {early}; {SLEEP}", depends_on=["bridge"], version="2.0"),
        "bridge": module(f"[ -e {ready} ] || touch {early}; {SLEEP}", depends_on=["db"]),
        "db": module(
            f"until [ -e {go} ]; do sleep 0.02; done; touch {ready}; {SLEEP}", ready={"file": str(ready), "interval_s": 0.1}
        ),
        "other": module(SLEEP),
        "rule_engine": {},
    }
    async with supervising(tmp_path, broker, modules) as (_, watch):
        waiting = {"ui": "waiting", "bridge": "waiting", "db": "starting", "other": "running", "rule_engine": "running"}
        await until(lambda: seen(watch)[-1] == waiting)
        assert now(watch, "bridge").reason == "db is not ready yet"
        assert watch.births[0].modules == list(modules)
        go.touch()
        await until(lambda: set(seen(watch)[-1].values()) == {"running"})
        assert not early.exists()
        assert watch.heartbeats[-1].health == "ok" or watch.heartbeats[-1].reasons  # this machine may have troubles
        assert not [reason for reason in watch.heartbeats[-1].reasons if "module" in reason]
        assert now(watch, "ui").version == "2.0"
        assert now(watch, "ui").restarts == 0
        await until(lambda: "module ui is running" in watch.texts)
        told = [text for text in watch.texts if text.startswith("module ") and text.endswith("is running")]
        assert (
            told.index("module db is running") < told.index("module bridge is running") < told.index("module ui is running")
        )


async def test_a_dependency_is_killed_and_its_dependants_wait_and_come_back(tmp_path: Path, broker: Broker) -> None:
    def with_pid(name: str) -> str:
        return f"echo $$ > {tmp_path / name}; {SLEEP}"

    modules = {
        "db": module(with_pid("db")),
        "ui": module(with_pid("ui"), depends_on=["db"]),
        "other": module(with_pid("other")),
    }
    async with supervising(tmp_path, broker, modules) as (_, watch):
        await until(lambda: all_are(watch, "running") and pid_in(tmp_path / "db") and pid_in(tmp_path / "ui"))
        db, ui, other = (pid_in(tmp_path / name) for name in ("db", "ui", "other"))
        assert db is not None
        before = len(watch.heartbeats)
        os.kill(db, signal.SIGKILL)
        await until(lambda: {"db": "backoff", "ui": "waiting", "other": "running"} in seen(watch)[before:])
        (beat, *_) = [beat for beat in watch.heartbeats[before:] if beat.modules[0].state == "backoff"]
        assert beat.modules[0].reason == "killed by SIGKILL"
        assert "module db is in backoff: killed by SIGKILL" in beat.reasons
        assert beat.health in {"degraded", "critical"}
        await until(lambda: not is_alive(ui))
        await until(lambda: all_are(watch, "running"))
        assert [now(watch, name).restarts for name in modules] == [1, 1, 0]
        await until(lambda: pid_in(tmp_path / "ui") not in {None, ui})
        assert pid_in(tmp_path / "other") == other


OFFSPRING = """
sleep 1000 & echo $! > {folder}/child
setsid sleep 1000 & echo $! > {folder}/fled
env -i sleep 1000 & echo $! > {folder}/bare
echo $$ > {folder}/leader
trap '' TERM
while :; do sleep 1000; done
"""
KIN = ("child", "fled", "bare", "leader")


@pytest.mark.parametrize("how", ["agent killed", "agent stopped", "module killed"])
async def test_no_process_is_left_behind(tmp_path: Path, broker: Broker, how: str) -> None:
    modules = {"m": module(OFFSPRING.format(folder=tmp_path), stop_grace_s=0.1, restart="never")}
    async with supervising(tmp_path, broker, modules) as (agent, watch):
        await until(lambda: all(pid_in(tmp_path / name) for name in KIN))
        pids = {name: pid_in(tmp_path / name) for name in KIN}
        assert all(is_alive(pid) for pid in pids.values())
        guards = guards_of(agent)
        assert len(guards) == 1
        match how:
            case "agent killed":
                agent.process.kill()
            case "agent stopped":
                agent.process.send_signal(signal.SIGTERM)
            case _:
                os.kill(pids["leader"] or 0, signal.SIGKILL)
                await until(lambda: all_are(watch, "failed"))
        await until(lambda: not any(is_alive(pid) for pid in pids.values()))
        if how != "module killed":
            await agent.ended()
            await until(lambda: not guards[0].is_running())
        if how == "agent stopped":
            await until(lambda: watch.has_state("offline"))
            assert all_are(watch, "stopped")


async def test_the_kernel_ends_a_module_when_agent_and_guard_are_killed(tmp_path: Path, broker: Broker) -> None:
    modules = {"m": module(f"echo $$ > {tmp_path / 'leader'}; {SLEEP}")}
    async with supervising(tmp_path, broker, modules) as (agent, _):
        await until(lambda: pid_in(tmp_path / "leader"))
        (guard,) = guards_of(agent)
        guard.kill()
        agent.process.kill()
        await until(lambda: not is_alive(pid_in(tmp_path / "leader")))


async def test_all_are_stopped_each_after_its_dependants(tmp_path: Path, broker: Broker) -> None:
    log = tmp_path / "order"
    script = "trap 'sleep 0.2; echo {name} >> {log}; exit 0' {signal}; echo up; while :; do sleep 0.02; done"
    modules = {
        name: module(
            script.format(name=name, log=log, signal=how),
            depends_on=others,
            stop_signal=how,
        )
        for name, others, how in (("db", [], "INT"), ("bridge", ["db"], "TERM"), ("ui", ["bridge"], "USR1"))
    }
    async with supervising(tmp_path, broker, modules) as (agent, watch):
        await until(lambda: watch.texts.count("up") == 3)
        agent.process.send_signal(signal.SIGTERM)
        assert await agent.ended() == 0
        assert log.read_text().split() == ["ui", "bridge", "db"]


async def test_what_a_module_writes_are_log_records(tmp_path: Path, broker: Broker) -> None:
    lines = [
        '{"level":"error","message":"as json","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","user":"u-17"}',
        "WARN as text",
    ]
    script = f"echo '{lines[0]}'; echo '{lines[1]}' >&2; echo $COLOUR; printf 'without an end'"
    modules = {"writer": module(script, env={"COLOUR": "blue"}, restart="never")}
    async with supervising(tmp_path, broker, modules) as (_, watch):
        await until(lambda: {"as json", "WARN as text", "blue", "without an end"} <= set(watch.texts))
        ours = {record["message"]: record for record in watch.records.values() if record.get("service") == "writer"}
        assert set(ours) == {"as json", "WARN as text", "blue", "without an end"}
        assert (ours["as json"]["level"], ours["as json"]["user"]) == ("ERROR", "u-17")
        assert (ours["WARN as text"]["level"], ours["WARN as text"]["outlet"]) == ("WARN", "stderr")
        assert {record["module_name"] for record in ours.values()} == {"writer"}
        await until(lambda: all_are(watch, "stopped"))
        assert now(watch, "writer").reason == "exit status 0"
        assert not [reason for reason in watch.heartbeats[-1].reasons if "writer" in reason]


async def test_a_module_that_floods_is_cut_counted_and_does_not_crowd_others_out(tmp_path: Path, broker: Broker) -> None:
    modules = {
        "flood": module(
            "i=0; while [ $i -lt 40 ]; do head -c 65536 /dev/zero | tr '\\0' '\\n' | sed s/^/y/; i=$((i+1)); done; " + SLEEP
        ),
        "calm": module(f"echo calm; {SLEEP}"),
    }
    async with supervising(tmp_path, broker, modules, heartbeat_interval=0.5) as (_, watch):
        await until(lambda: watch.heartbeats[-1].metrics["module_log_lines_dropped_total"])
        await until(lambda: [text for text in watch.texts if "of module flood: it writes more than 1000 a second" in text])
        await until(lambda: "calm" in watch.texts)
        assert watch.texts.count("y") >= 1000


async def test_a_module_that_is_not_healthy_is_restarted(tmp_path: Path, broker: Broker) -> None:
    alive = tmp_path / "alive"
    probe = {"file": str(alive), "interval_s": 0.1, "start_period_s": 0, "retries": 2}
    modules = {"m": module(f"touch {alive}; {SLEEP}", ready={**probe, "retries": 100}, healthy=probe)}
    async with supervising(tmp_path, broker, modules) as (_, watch):
        await until(lambda: all_are(watch, "running"))
        alive.unlink()
        await until(lambda: watch.heartbeats[-1].modules[0].state == "backoff")
        assert now(watch, "m").reason == f"not healthy: {alive} is not there"
        await until(lambda: all_are(watch, "running"))
        assert now(watch, "m").restarts == 1


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"command": ["no-such-program-here"]}, "cannot be started: no-such-program-here: No such file or directory"),
        ({"command": ["/etc/passwd"]}, "cannot be started: /etc/passwd: Permission denied"),
        ({"command": ["true"], "cwd": "/no/such/folder"}, "cannot be started: /no/such/folder: No such file or directory"),
        ({"command": ["true"], "user": "nobody-we-know"}, "no user is called 'nobody-we-know' on this machine"),
        ({"command": ["sh", "-c", "exit 7"]}, "exit status 7"),
        (
            {"command": ["sh", "-c", "while :; do :; done"], "limits": {"cpu_time_s": 1}},
            "killed by SIGXCPU: cpu_time_s = 1 is used up",
        ),
        (
            {
                "command": ["sleep", "1000"],
                "ready": {"tcp": 1, "interval_s": 0.05, "start_period_s": 0, "retries": 2},
            },
            "not ready: 1: ",
        ),
    ],
)
async def test_why_a_module_does_not_run_is_said(
    tmp_path: Path, broker: Broker, keys: dict[str, object], words: str
) -> None:
    async with supervising(tmp_path, broker, {"m": keys}) as (_, watch):
        await until(lambda: now(watch, "m").state == "backoff")
        assert (now(watch, "m").reason or "").startswith(words)
        assert [reason for reason in watch.heartbeats[-1].reasons if reason.startswith(f"module m is in backoff: {words}")]


async def test_limits_hold(tmp_path: Path, broker: Broker) -> None:
    limits = {"memory_mib": 256, "open_files": 64, "cpu_time_s": 100}
    modules = {"m": module(f"echo $(ulimit -v) $(ulimit -n) $(ulimit -t); {SLEEP}", limits=limits)}
    async with supervising(tmp_path, broker, modules) as (_, watch):
        await until(lambda: f"{256 * 1024} 64 100" in watch.texts)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_a_module_runs_as_its_user_and_still_dies_with_the_agent(tmp_path: Path, broker: Broker) -> None:
    modules = {"m": {"command": ["sh", "-c", f"echo $(id -un) $USER $$; {SLEEP}"], "user": "nobody", "cwd": "/"}}
    async with supervising(tmp_path, broker, modules) as (agent, watch):
        await until(lambda: [text for text in watch.texts if text.startswith("nobody nobody ")])
        (text,) = [text for text in watch.texts if text.startswith("nobody nobody ")]
        pid = int(text.split()[-1])
        assert is_alive(pid)
        agent.process.kill()
        await until(lambda: not is_alive(pid))


async def test_modules_do_not_learn_what_configures_the_agent(tmp_path: Path, broker: Broker) -> None:
    modules = {"m": module("env | grep -c ^FLEETVIEW_AGENT_; echo done", restart="never")}
    os.environ["FLEETVIEW_AGENT_BROKER_URL"] = broker.url
    try:
        async with supervising(tmp_path, broker, modules) as (_, watch):
            await until(lambda: "done" in watch.texts)
            assert "0" in watch.texts
    finally:
        del os.environ["FLEETVIEW_AGENT_BROKER_URL"]
