"""Modules that are part of the agent live and die like processes."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from support.lent import lent
from support.wait import until

from fleetview_agent.health import Findings
from fleetview_agent.modules import builtin, registry
from fleetview_agent.modules.builtin import Context, ModuleError, program_of
from fleetview_agent.modules.output import Sink
from fleetview_agent.modules.registry import BUILT_IN, BuiltIn
from fleetview_agent.modules.spec import ModuleSpec
from fleetview_agent.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@dataclass
class Play:
    """Programs in place of the real ones: each life is in the hands of the test."""

    lives: dict[str, Life] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)

    async def run(self, context: Context) -> None:
        life = self.lives[context.name] = Life(context)
        self.started.append(context.name)
        try:
            await life.fate
        finally:
            self.ended.append(context.name)


class Life:
    def __init__(self, context: Context) -> None:
        self.context = context
        self.fate: asyncio.Future[None] = asyncio.get_running_loop().create_future()


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Play:
    found = Play()
    table = {name: BuiltIn("x:run") for name in ("rule_engine", "telemetry_collector")}
    monkeypatch.setattr(registry, "BUILT_IN", {**BUILT_IN, **table})
    monkeypatch.setattr(builtin, "program_of", lambda _: found.run)
    return found


@asynccontextmanager
async def supervising(tmp_path: Path, **modules: dict[str, Any]) -> AsyncIterator[Supervisor]:
    specs = {name: ModuleSpec.model_validate(keys) for name, keys in modules.items()}
    supervisor = Supervisor(
        specs,
        session="s",
        sink=Sink(lambda _: None, lambda: False, time.monotonic, lambda: 0),
        rng=random.Random(1),
        lend=lambda _: lent(tmp_path),
    )
    task = asyncio.create_task(supervisor.run())
    await asyncio.sleep(0)
    try:
        yield supervisor
        await supervisor.stop()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def states(supervisor: Supervisor) -> dict[str, str | None]:
    return {info.name: info.state for info in supervisor.infos()}


def reason(supervisor: Supervisor, name: str) -> str | None:
    return next(info.reason for info in supervisor.infos() if info.name == name)


async def test_dependants_wait_until_a_built_in_module_says_it_is_ready(tmp_path: Path, play: Play) -> None:
    modules: dict[str, dict[str, Any]] = {
        "rule_engine": {"depends_on": ["telemetry_collector"]},
        "telemetry_collector": {},
        "app": {"command": ["sleep", "1000"], "depends_on": ["rule_engine"]},
    }
    async with supervising(tmp_path, **modules) as supervisor:
        await until(lambda: play.started == ["telemetry_collector"])
        assert states(supervisor) == {"rule_engine": "waiting", "telemetry_collector": "starting", "app": "waiting"}
        play.lives["telemetry_collector"].context.ready()
        await until(lambda: "rule_engine" in play.lives)
        play.lives["rule_engine"].context.ready()
        await until(lambda: set(states(supervisor).values()) == {"running"})
        assert list(supervisor.groups()) == ["app"]
        await supervisor.stop()
        assert play.ended == ["rule_engine", "telemetry_collector"], "each after those that depend on it"


@pytest.mark.parametrize(
    ("err", "words"),
    [
        (ModuleError("the port is in use"), "the port is in use"),
        (KeyError("x"), "KeyError: 'x'"),
        (None, "it ended by itself"),
    ],
)
async def test_a_failure_is_seen_at_once_and_takes_what_it_said_along(
    tmp_path: Path, play: Play, err: Exception | None, words: str
) -> None:
    async with supervising(tmp_path, rule_engine={}, app={"command": ["sleep", "9"], "depends_on": ["rule_engine"]}) as it:
        await until(lambda: "rule_engine" in play.lives)
        life = play.lives["rule_engine"]
        life.context.ready()
        await until(lambda: states(it)["app"] == "running")
        life.context.show({"x_total": 1})
        life.context.find(Findings(degraded=["too hot"]))
        board = life.context.agent.board
        assert board.metrics == {"rule_engine": {"x_total": 1}}
        if err is None:
            life.fate.set_result(None)
        else:
            life.fate.set_exception(err)
        await until(lambda: states(it) == {"rule_engine": "backoff", "app": "waiting"})
        assert reason(it, "rule_engine") == words
        assert not board.metrics
        assert not board.findings
        await until(lambda: play.started == ["rule_engine"] * 2)
        assert next(info.restarts for info in it.infos()) == 1


async def test_a_restart_that_was_asked_for(tmp_path: Path, play: Play) -> None:
    async with supervising(tmp_path, rule_engine={}) as supervisor:
        await until(lambda: play.started == ["rule_engine"])
        play.lives["rule_engine"].context.ready()
        await until(lambda: states(supervisor) == {"rule_engine": "running"})
        supervisor.restart("rule_engine")
        await until(lambda: play.started == ["rule_engine"] * 2)
        assert play.ended == ["rule_engine"]


@pytest.mark.parametrize("name", [name for name, known in BUILT_IN.items() if known.program is not None])
def test_every_program_of_the_registry_is_there(name: str) -> None:
    assert asyncio.iscoroutinefunction(program_of(name))
