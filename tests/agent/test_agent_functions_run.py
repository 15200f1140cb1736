"""Functions in a real agent: run on their triggers, with nothing left behind."""

from __future__ import annotations

import json
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil
from support.agents import agent_process, watching
from support.processes import family
from support.wait import until

if TYPE_CHECKING:
    from pathlib import Path

    from support.broker import Broker


# A real agent

STAYS = """
import json, sys
for line in sys.stdin:
    call = json.loads(line)
    print("got", call["payload"], flush=True)
    if call["payload"] == "die":
        sys.exit(3)
    answer = {"done": call["id"], "error": "no"} if call["payload"] == "no" else {"done": call["id"]}
    print(json.dumps(answer), flush=True)
"""


async def test_an_agent_runs_functions_on_their_triggers(tmp_path: Path, broker: Broker) -> None:
    seen = tmp_path / "seen"
    modules = {
        "rule_engine": {},
        "on-rule": {"kind": "function", "command": ["sh", "-c", f"cat > {seen}; echo written"]},
        "often": {"kind": "function", "command": ["sh", "-c", "echo tick"], "on": {"every_s": 1}},
        "slow": {
            "kind": "function",
            "command": ["sh", "-c", "sleep 1000 & exec sleep 1000"],
            "timeout_s": 0.2,
            "on": {"topics": ["plant/slow"]},
        },
        "stays": {
            "kind": "function",
            "command": ["python3", "-c", STAYS],
            "idle_s": 1,
            "on": {"topics": ["plant/+/order"]},
            "limits": {"memory_mib": 512},
        },
    }
    rules = [{"name": "boot", "when": "disk >= 0", "run": "on-rule"}]
    async with watching(broker.url) as watch:
        with (
            family(tmp_path / "processes") as ours,
            agent_process(
                tmp_path, ours.environ, broker_url=broker.url, heartbeat_interval=0.2, modules=modules, rules=rules
            ) as agent,
        ):
            await until(lambda: watch.heartbeats and seen.exists() and seen.read_text().endswith("\n"))
            found = json.loads(seen.read_text())
            assert {"v": 1, "function": "on-rule", "trigger": "rule", "rule": "boot"}.items() <= found.items()
            await until(lambda: "written" in watch.texts and watch.texts.count("tick") >= 2)

            def states(name: str) -> list[tuple[str | None, str | None]]:
                beats = [info for beat in watch.heartbeats for info in beat.modules if info.name == name]
                return [(info.state, info.reason) for info in beats]

            async def order(payload: bytes, topic: str = "plant/3/order") -> None:
                await watch.session.publish(topic, payload, qos=1)

            await order(b"one")
            await until(lambda: "got one" in watch.texts)
            await order(b"two")
            await until(lambda: "got two" in watch.texts and ("running", "loaded, and idle") in states("stays"))
            loaded = [command for command in ours.commands() if "for line in sys.stdin" in command]
            assert len(loaded) == 1, "one process for both"
            await until(lambda: states("stays")[-1][0] == "stopped")
            await until(lambda: not [command for command in ours.commands() if "for line in sys.stdin" in command])
            assert not [text for text in watch.texts if '"done"' in text]
            await order(b"no")
            await until(lambda: ("backoff", "it answered: no") in states("stays"))
            await order(b"die")
            await until(lambda: ("backoff", "exit status 3") in states("stays"))
            await order(b"", "plant/slow")
            await until(lambda: ("backoff", "it took longer than 0.2 s") in states("slow"))
            await until(lambda: not [command for command in ours.commands() if command == "sleep 1000"])
            metrics = watch.heartbeats[-1].metrics
            assert (metrics["function_stays_calls_total"], metrics["function_stays_failures_total"]) == (4, 2)
            agent.process.send_signal(signal.SIGTERM)
            assert await agent.ended() == 0
            assert not ours.alive()


async def test_a_function_that_is_killed_with_its_agent_leaves_nothing_behind(tmp_path: Path, broker: Broker) -> None:
    pids = tmp_path / "pids"
    command = ["sh", "-c", f"sleep 1000 & echo $! $$ > {pids}; sleep 1000"]
    modules = {"f": {"kind": "function", "command": command, "on": {"every_s": 1}}}

    def alive() -> list[int]:
        found = []
        with suppress(OSError):
            for pid in map(int, pids.read_text().split()):
                with suppress(psutil.NoSuchProcess):
                    found += [pid] if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE else []
        return found

    with (
        family(tmp_path / "processes") as ours,
        agent_process(tmp_path, ours.environ, broker_url=broker.url, modules=modules) as agent,
    ):
        await until(lambda: len(alive()) == 2)
        agent.process.kill()
        await until(lambda: not alive())
