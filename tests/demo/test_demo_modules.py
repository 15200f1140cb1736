"""The modules of the demo's real agents: they go wrong on schedule, and are healed."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from support.agents import watching
from support.programs import require
from support.wait import until

from fleetview.demo.modules import APPLICATION, PLAYED, Ports, module_tables
from fleetview.demo.stage import on_stage
from fleetview_agent.configload import load
from fleetview_agent.modules.restarts import Restarts

if TYPE_CHECKING:
    from pathlib import Path


async def test_modules_of_the_real_agents_go_wrong_on_schedule_and_are_healed(monkeypatch: pytest.MonkeyPatch) -> None:
    require("mosquitto")
    monkeypatch.setattr("fleetview.demo.agents._DELAY_S", 0.0)
    soon = tuple(
        tuple(module._replace(plan_s=(2.0, 3600.0) if module.plan_s else ()) for module in played) for played in PLAYED
    )
    monkeypatch.setattr("fleetview.demo.stage.PLAYED", soon)
    with on_stage(devices=3) as stage:
        async with watching(stage.broker.url) as watch:

            def seen(name: str, state: str, word: str = "") -> bool:
                modules = [module for beat in watch.heartbeats for module in beat.modules if module.name == name]
                return any(module.state == state and word in (module.reason or "") for module in modules)

            def recovered(name: str) -> bool:
                modules = [module for beat in watch.heartbeats for module in beat.modules if module.name == name]
                return modules[-1].state == "running" and modules[-1].restarts > 0

            await until(lambda: seen("fieldbus", "backoff", "SIGKILL"), within_s=40)
            await until(lambda: seen("gateway", "waiting", "fieldbus"), within_s=40)
            await until(lambda: seen("bridge", "backoff", "exit status 1"), within_s=40)
            await until(lambda: seen("historian", "backoff", "answered 503"), within_s=40)
            await until(lambda: seen("vision", "backoff", "exit status 1"), within_s=40)
            await until(lambda: any("out of memory" in text for text in watch.texts), within_s=40)
            names = [module.name for played in PLAYED for module in played if module.plan_s]
            await until(lambda: all(recovered(name) for name in names), within_s=40)
            assert not any(seen(name, "failed") for name in names)
        assert not list(stage.troubles())


def test_no_module_is_ever_given_up_nor_made_to_wait_long() -> None:
    """A day of the schedule against the agent's own rules."""
    for module in (module for played in PLAYED for module in played if module.plan_s):
        restarts, now_s, run = Restarts(Random(1)), 0.0, 0
        while now_s < 86_400:
            ran_s = module.plan_s[min(run, len(module.plan_s) - 1)]
            now_s, run = now_s + ran_s, run + 1
            delay_s = restarts.failed(now_s, ran_s)
            assert delay_s is not None, f"{module.name} is given up in run {run}"
            assert delay_s <= 4
            now_s += delay_s


def test_when_all_is_to_be_calm_the_modules_are_too(tmp_path: Path) -> None:
    for played in PLAYED:
        config = tmp_path / "agent.toml"
        config.write_text(
            f'agent_id = "a"\nbroker_url = "mqtt://b"\n{module_tables(played, tmp_path, Ports(1, 2), well=True)}'
        )
        specs = dict(load(config, environ={}).config.module_specs)
        assert specs.pop("telemetry_collector").command is None
        assert set(specs) == {module.name for module in played} | {APPLICATION}
        for name, spec in specs.items():
            assert spec.command is not None
            assert spec.command[-1] == ("2" if name == APPLICATION else "1"), "nothing follows the port: no run ends"
