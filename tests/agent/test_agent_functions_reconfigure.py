"""Other functions in place of those there are: what stays as it is stays loaded, and goes on counting."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

from support.agents import agent_process, watching
from support.wait import until

from fleetview_agent.functions.lives import Call, Dropped, FunctionLives, Run, Unload
from fleetview_agent.modules.spec import ModuleSpec
from fleetview_agent.wire import ConfigOffer, Desired, document_sha256, encode

if TYPE_CHECKING:
    from pathlib import Path

    from support.broker import Broker

TOPIC = "fleet/v1/default/default/gw-1"


def function(**keys: Any) -> ModuleSpec:
    return ModuleSpec.model_validate({"kind": "function", "command": ["x"], "idle_s": 60, **keys})


def with_one_loaded(**more: ModuleSpec) -> FunctionLives:
    lives = FunctionLives({"f": function(), **more}, rng=random.Random(1), obstacle=lambda _: None)
    assert Run("f", Call("t", {}, 0)) in lives.trigger("f", Call("t", {}, 0), 0)
    lives.returned("f", None, 1, is_gone=False)
    return lives


def states(lives: FunctionLives) -> dict[str, str | None]:
    return {info.name: info.state for info in lives.infos()}


def test_what_stays_the_same_stays_loaded() -> None:
    lives = with_one_loaded()
    assert not lives.reconfigure({"f": function(idle_s=5, version="2"), "g": function()}, 2)
    assert states(lives) == {"f": "running", "g": "stopped"}


def test_what_would_be_another_process_is_unloaded_and_its_calls_wait_for_that() -> None:
    lives = with_one_loaded()
    assert Unload("f") in lives.reconfigure({"f": function(command=["y"])}, 2)
    call = Call("t", {}, 3)
    assert Run("f", call) not in lives.trigger("f", call, 3), "the one before is still ending"
    assert Run("f", call) in lives.gone("f", None, 4)


def test_what_is_gone_is_unloaded_and_counts_on_when_it_comes_back() -> None:
    lives = with_one_loaded()
    actions = lives.reconfigure({}, 2)
    assert Unload("f") in actions
    assert states(lives) == {}
    lives.gone("f", "exit status 1", 3)
    assert lives.all_unloaded
    lives.reconfigure({"f": function()}, 4)
    assert (states(lives), lives.totals()["f"]) == ({"f": "stopped"}, (1, 0))


def test_calls_of_what_is_gone_are_dropped() -> None:
    lives = FunctionLives({"f": function()}, rng=random.Random(1), obstacle=lambda _: "db is waiting")
    call = Call("t", {}, 0)
    lives.trigger("f", call, 0)
    assert Dropped("f", call, "it was taken out of the configuration") in lives.reconfigure({}, 1)


async def test_functions_and_rules_come_and_go_with_the_configuration(tmp_path: Path, broker: Broker) -> None:
    async with watching(broker.url) as watch:
        keys: dict[str, Any] = {"modules": {"rule_engine": {}}, "verify_s": 0.3, "heartbeat_interval": 0.4}
        with agent_process(tmp_path, None, broker_url=broker.url, **keys):
            await until(lambda: watch.heartbeats)

            async def applies(gen: int, document: dict[str, Any]) -> None:
                offer = ConfigOffer(version=gen, sha256=document_sha256(document), document=document)
                payload = encode(Desired.model_validate({"gen": gen, "config": offer}))
                await watch.session.publish(f"{TOPIC}/desired", payload, qos=1, retain=True)
                await until(
                    lambda: [
                        told.config
                        for told in watch.reported
                        if told.gen == gen and told.config and told.config.status == "applied"
                    ]
                )

            script = f"cat > {tmp_path}/called"
            told = {"kind": "function", "command": ["sh", "-c", script], "on": {"topics": ["plant/doors"]}}
            rule = {"name": "up", "when": "uptime_s > 0", "run": "note"}
            note = {"kind": "function", "command": ["sh", "-c", f"touch {tmp_path}/noted"]}
            await applies(1, {"modules": {"told": told, "note": note}, "rules": [rule]})
            await until((tmp_path / "noted").exists)
            await until(lambda: {info.name for info in watch.heartbeats[-1].modules} == {"rule_engine", "told", "note"})
            await watch.session.publish("plant/doors", b"open", qos=1)
            await until(lambda: (tmp_path / "called").exists() and (tmp_path / "called").read_text())
            assert json.loads((tmp_path / "called").read_text())["payload"] == "open"
            await applies(2, {"modules": {}, "rules": []})
            await until(lambda: {info.name for info in watch.heartbeats[-1].modules} == {"rule_engine"})
