"""A real agent carries out its rules, with and without a broker."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING

from support.agents import agent_process, run_agent, watching
from support.wait import until

from fleetview_agent.mqtt import BrokerUrl, open_session

if TYPE_CHECKING:
    from pathlib import Path

    from support.broker import Broker


async def test_an_agent_carries_out_its_rules(tmp_path: Path, broker: Broker) -> None:
    log, pids = tmp_path / "app.log", tmp_path / "pids"
    log.touch()
    said: list[tuple[str, bytes]] = []
    rules = [
        {
            "name": "logins",
            "when": 'log(service=auth, level>=ERROR, message~"login failed") > 2 in 1m',
            "health": "critical",
            "reason": "somebody tries passwords",
            "log": {"level": "error", "message": "too many failed logins"},
            "publish": {"event": "logins/failed"},
            "restart": "app",
        },
        {"name": "up", "when": "module.app == running", "publish": {"topic": "plant/app", "payload": {"is": "up"}}},
    ]
    keys = {
        "modules": {"rule_engine": {}, "app": {"command": ["sh", "-c", f"echo $$ >> {pids}; exec sleep 1000"]}},
        "logs": {"files": [{"path": str(log), "service": "auth"}]},
        "rules": rules,
        "publish_topics": ["plant/+"],
    }

    def hear(topic: str | bytes, payload: bytes, _: bool) -> None:
        said.append((str(topic), payload))

    def started() -> list[str]:
        with suppress(OSError):
            return pids.read_text().split()
        return []

    async with (
        watching(broker.url) as watch,
        open_session(BrokerUrl.parse(broker.url), tls=None, client_id="plant", on_message=hear) as session,
    ):
        assert not await session.subscribe([("plant/#", 1), ("fleet/v1/default/default/gw-1/event/#", 1)])
        with agent_process(tmp_path, broker_url=broker.url, heartbeat_interval=3600, **keys):
            await until(lambda: said == [("plant/app", b'{"is": "up"}')])
            await until(lambda: len(started()) == 1)
            with log.open("a") as file:
                file.writelines(f"ERROR login failed: u-{number}\n" for number in range(3))
            await until(lambda: watch.heartbeats[-1].health == "critical")
            assert "somebody tries passwords" in watch.heartbeats[-1].reasons
            assert watch.heartbeats[-1].metrics["rules_active"]
            await until(lambda: len(started()) == 2)
            await until(lambda: len(said) > 1)
            topic, payload = said[1]
            assert topic == "fleet/v1/default/default/gw-1/event/logins/failed"
            assert {"rule": "logins", "reason": "somebody tries passwords", "values": {"log": 3}}.items() <= json.loads(
                payload
            ).items()
            await until(lambda: "too many failed logins" in watch.texts)
            (found,) = [each for each in watch.records.values() if each["message"] == "too many failed logins"]
            assert (found["level"], found["service"], found["rule"]) == ("ERROR", "rule_engine", "logins")


async def test_rules_need_no_network_and_what_they_publish_waits_for_it(tmp_path: Path, broker: Broker) -> None:
    marker = tmp_path / "marker"
    rules = [
        {"name": "offline", "when": "link == down for 1s", "restart": "app", "publish": {"event": "offline"}},
        {"name": "hot", "when": "disk >= 0", "health": "degraded", "reason": "there is a disk"},
    ]
    modules = {"rule_engine": {}, "app": {"command": ["sh", "-c", f"echo . >> {marker}; exec sleep 1000"]}}
    said: list[str] = []
    broker.kill()
    with agent_process(tmp_path, broker_url=broker.url, modules=modules, rules=rules) as agent:
        await until(lambda: marker.exists() and marker.read_text() == ".\n.\n")
        assert [entry for entry in agent.journal if entry["message"] == "rule offline fires: link == down for 1s"]
        broker.start()
        async with open_session(
            BrokerUrl.parse(broker.url), tls=None, client_id="w", on_message=lambda topic, *_: said.append(str(topic))
        ) as session:
            assert not await session.subscribe([("fleet/v1/default/default/gw-1/event/#", 1)])
            await until(lambda: said == ["fleet/v1/default/default/gw-1/event/offline"], 40)
        async with watching(broker.url) as watch:
            await until(lambda: watch.heartbeats and "there is a disk" in watch.heartbeats[-1].reasons)


def test_config_check_shows_where_a_rule_is_wrong(tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text(
        'agent_id = "gw-1"\nbroker_url = "mqtt://localhost"\nmodules = ["rule_engine"]\n'
        '[[rules]]\nname = "hot"\nwhen = "cpu > 0.9 and dsk > 90%"\nhealth = "degraded"\nrestrat = "x"\n'
    )
    found = run_agent(["config", "check", "--config", str(config)])
    assert found.returncode == 2
    assert found.stderr.splitlines() == [f'{config}: rules[0].restrat: unknown key (value "x"); did you mean restart?']
    config.write_text(config.read_text().replace("restrat", "restart"))
    found = run_agent(["config", "check", "--config", str(config)])
    assert found.stderr.splitlines() == [
        (
            f"{config}: rules[0].when: 'dsk' is not known; there are cpu, memory, disk, temperature_c, uptime_s, spool.records,"
            " spool.bytes, spool.dropped, metrics.NAME, rate(metrics.NAME, 5m), module.NAME, link, log(...);"
            " did you mean disk? (column 15)"
        ),
        "    cpu > 0.9 and dsk > 90%",
        "                  ^",
        f"{config}: rules[0].restart: no module is called 'x'; there are: rule_engine",
    ]


def test_what_nobody_would_carry_out_is_an_error(tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text(
        'agent_id = "gw-1"\nbroker_url = "mqtt://localhost"\n[telemetry]\ninterval_s = 5\n'
        '[[rules]]\nname = "hot"\nwhen = "cpu > 0.9"\nhealth = "degraded"\n'
    )
    found = run_agent(["config", "check", "--config", str(config)])
    assert found.stderr.splitlines() == [
        f"{config}: telemetry: nothing would be done with it: add telemetry_collector to modules",
        f"{config}: rules: nothing would be done with it: add rule_engine to modules",
    ]
