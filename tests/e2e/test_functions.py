"""Functions and rules that come and go with configurations from afar, in a real agent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from support.agents import agent_process, watching
from support.wait import until

from fleetview_agent.wire import ConfigOffer, Desired, document_sha256, encode

if TYPE_CHECKING:
    from pathlib import Path

    from support.broker import Broker

TOPIC = "fleet/v1/default/default/gw-1"


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
