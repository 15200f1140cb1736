"""Log level and diagnostics on command: a real agent on a real broker, and what a bundle may hold."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.agents import agent_process, watching
from support.operators import command, commanded, results, send
from support.wait import until

from fleetview_agent import diagnostics
from fleetview_agent.config import AgentConfig
from fleetview_agent.diagnostics import pack
from fleetview_agent.masking import masked_config
from fleetview_agent.preflight import Finding
from fleetview_agent.recent import MAX_CHARS, MAX_RECORDS, Recent
from fleetview_agent.wire.bundles import MAX_PACKED_BYTES, Pieces

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from support.agents import Watch
    from support.broker import Broker


SLEEPER = {"command": ["sleep", "1000"]}


def bundle(watch: Watch, command_id: str) -> dict[str, Any]:
    pieces = Pieces(command_id)
    for record in watch.records.values():
        pieces.take(record)
    found: dict[str, Any] = json.loads(pieces.bundle())
    return found


def arrived(watch: Watch, command_id: str) -> bool:
    pieces = Pieces(command_id)
    for record in watch.records.values():
        pieces.take(record)
    return pieces.complete


async def test_the_log_level_reverts_by_itself(tmp_path: Path, broker: Broker) -> None:
    async with commanded(tmp_path, broker, log_level="WARN") as watch:
        await send(watch, "a", command("ping"))
        await until(lambda: results(watch, "a"))
        await send(watch, "b", command("set_log_level", level="debug", for_s=2))
        await send(watch, "c", command("ping"))
        await until(lambda: results(watch, "b") and results(watch, "c"))
        assert results(watch, "b") == [("succeeded", "log level is DEBUG for 2 s, and then as configured again")]
        await until(lambda: "log level is WARN again" in watch.texts)
        await send(watch, "d", command("ping"))
        await send(watch, "e", command("reboot"))
        await until(lambda: [text for text in watch.texts if text.startswith("command unknown_verb")])
        asked = [record["command"] for record in watch.records.values() if record["message"] == "command ping"]
        assert asked == ["c"]


async def test_a_restart_of_the_agent_ends_it_too_and_the_later_one_counts(tmp_path: Path, broker: Broker) -> None:
    async with commanded(tmp_path, broker, log_level="ERROR") as watch:
        await send(watch, "a", command("set_log_level", level="INFO", for_s=1))
        await send(watch, "b", command("set_log_level", level="DEBUG", for_s=3600))
        await until(lambda: results(watch, "b"))
        await send(watch, "c", command("ping"))
        await until(lambda: "command ping" in watch.texts)
        assert "log level is ERROR again" not in watch.texts
    async with watching(broker.url, client_id="later") as watch:
        with agent_process(tmp_path, broker_url=broker.url, log_level="ERROR"):
            await until(lambda: any(not retained for _, _, retained in watch.messages))
            await send(watch, "d", command("ping"))
            await until(lambda: results(watch, "d"))
            await send(watch, "e", command("set_log_level", level="DEBUG", for_s=1))
            await until(lambda: "log level is ERROR again" in watch.texts)
            assert "command ping" not in watch.texts


async def test_arguments_that_cannot_be_are_named(tmp_path: Path, broker: Broker) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({}, "args.level: one of DEBUG, INFO, WARN, ERROR expected, not 'None'"),
        ({"level": "LOUD"}, "args.level: one of DEBUG, INFO, WARN, ERROR expected, not 'LOUD'"),
        ({"level": "INFO", "for_s": 0}, "args.for_s: 1 to 86400 seconds expected, not '0'"),
        ({"level": "INFO", "for_s": "1h"}, "args.for_s: 1 to 86400 seconds expected, not '1h'"),
        ({"level": "INFO", "for_s": True}, "args.for_s: 1 to 86400 seconds expected, not 'True'"),
    ]
    async with commanded(tmp_path, broker) as watch:
        for number, (args, _) in enumerate(wrong):
            await send(watch, f"c{number}", command("set_log_level", **args))
        await until(lambda: all(results(watch, f"c{number}") for number in range(len(wrong))))
        assert [results(watch, f"c{number}") for number in range(len(wrong))] == [[("failed", words)] for _, words in wrong]


async def test_diagnostics_come_in_pieces_and_hold_no_secrets(tmp_path: Path, broker: Broker) -> None:
    modules = {
        "m": {**SLEEPER, "env": {"TOKEN": "hush-1"}},
        "n": {"command": ["sh", "-c", "echo hello from n; exec sleep 1000", "--password", "hush-2", "--api-key=hush-3"]},
    }
    url = broker.url.replace("//", "//gw-1:hush-4@")
    async with watching(broker.url) as watch:
        with agent_process(tmp_path, broker_url=url, heartbeat_interval=3600, modules=modules):
            await until(lambda: "hello from n" in watch.texts)
            await send(watch, "d1", command("diagnostics"))
            await until(lambda: len(results(watch, "d1")) == 2 and arrived(watch, "d1"))
            (accepted, _), (succeeded, words) = results(watch, "d1")
            assert (accepted, succeeded) == ("accepted", "succeeded")
            file = tmp_path / "state" / "gw-1" / "diagnostics.json.gz"
            assert words.endswith(f"kept as {file}")
            found = bundle(watch, "d1")
            assert json.loads(gzip.decompress(file.read_bytes())) == found
            assert found["device"] == "default/default/gw-1"
            assert [(module["name"], module["state"]) for module in found["modules"]] == [("m", "running"), ("n", "running")]
            assert found["heartbeat"]["resources"]["memory"] > 0
            assert {"state_dir", "modules", "mqtt"} <= {check["subject"] for check in found["checks"]}
            assert next(check for check in found["checks"] if check["subject"] == "mqtt")["level"] == "ok"
            assert "hello from n" in [record["message"] for record in found["logs"]]
            assert found["configuration"]["broker_url"] == f"mqtt://gw-1:***@{broker.host}:{broker.port}"
            assert "hush" not in json.dumps(found)
            await send(watch, "d2", command("diagnostics"))
            await send(watch, "d3", command("diagnostics"))
            await until(lambda: len(results(watch, "d2")) == 2 and results(watch, "d3"))
            assert results(watch, "d3")[0][1].startswith("a bundle is being gathered already")
            await until(lambda: arrived(watch, "d2"))
            pieces = [record for record in bundle(watch, "d2")["logs"] if record["message"].startswith("diagnostics d1")]
            assert pieces


def test_what_is_secret_is_masked_wherever_it_stands() -> None:
    config = AgentConfig.model_validate(
        {
            "agent_id": "gw-1",
            "broker_url": "mqtts://u:hush@hub:8883",
            "labels": {"ring": "canary", "api_token": "hush"},
            "tls_key": "/certs/agent.key",
            "modules": {
                "m": {
                    "command": ["m", "--token=hush", "-v", "--db-password", "hush", "http://u:hush@db/"],
                    "ready": {"command": ["ask", "--api_key", "hush"]},
                    "env": {"A": "hush"},
                }
            },
        }
    )
    masked = masked_config(config)
    assert "hush" not in json.dumps(masked)
    assert masked["modules"]["m"]["command"] == ["m", "--token=***", "-v", "--db-password", "***", "http://u:***@db/"]
    assert masked["labels"] == {"ring": "canary", "api_token": "***"}
    assert masked["tls_key"] == "/certs/agent.key"


async def hangs() -> AsyncIterator[Finding]:
    yield Finding("state_dir", "ok", "/state")
    await asyncio.Event().wait()


async def breaks() -> AsyncIterator[Finding]:
    yield Finding("state_dir", "ok", "/state")
    msg = "no such file"
    raise OSError(msg)


@pytest.mark.parametrize(
    ("checks", "words"),
    [(hangs, "not done within 0.05 s; the rest is unknown"), (breaks, "broke off: OSError: no such file")],
)
async def test_checks_that_hang_or_break_do_not_cost_the_bundle(
    checks: Callable[[], AsyncIterator[Finding]], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnostics, "CHECKS_S", 0.05)
    found = await diagnostics.checked(checks)
    assert [(entry["subject"], entry["level"]) for entry in found] == [("state_dir", "ok"), ("check", "error")]
    assert found[1]["words"] == words


@given(st.lists(st.tuples(st.integers(0, 40_000), st.integers(1, 40)), max_size=40))
def test_recent_records_are_bounded_and_the_newest_stay(sizes: list[tuple[int, int]]) -> None:
    recent = Recent()
    number = 0
    for size, count in sizes:
        batch = [{"message": f"{number + index} " + "x" * size, "level": "INFO"} for index in range(count)]
        number += count
        recent.take(batch)
    kept = [int(str(record["message"]).split()[0]) for record in recent.records()]
    assert kept == list(range(number - len(kept), number))
    assert len(kept) <= MAX_RECORDS
    assert sum(len(str(record["message"])) for record in recent.records()) <= MAX_CHARS
    assert bool(kept) is bool(number)


def test_a_bundle_that_is_too_large_gives_up_its_oldest_logs_first() -> None:
    import random

    noise = random.Random(1)
    logs = [{"message": f"{number} {noise.randbytes(1500).hex()}"} for number in range(600)]
    packed = pack({"v": 1, "configuration": {"a": 1}, "logs": logs})
    assert len(packed) <= MAX_PACKED_BYTES
    found = json.loads(gzip.decompress(packed))
    assert found["older_logs"] == "left out: too large"
    assert found["logs"]
    assert found["logs"][-1] == logs[-1]
    huge = pack({"v": 1, "id": "c1", "configuration": {"a": noise.randbytes(3_000_000).hex()}, "logs": []})
    assert json.loads(gzip.decompress(huge))["cut"].endswith("too large")
