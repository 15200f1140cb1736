"""Commands of operators, to a real agent on a real broker."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.agents import agent_process, watching
from support.wait import until

from fleetview_agent.commands import Answer, judge
from fleetview_agent.wire import Command, CommandResult, encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from support.agents import Watch
    from support.broker import Broker

ADDRESS = "fleet/v1/default/default/gw-1"
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SLEEPER = {"command": ["sleep", "1000"]}


def command(verb: str, *, in_s: float = 60, **args: Any) -> bytes:
    expires_at = (datetime.now(UTC) + timedelta(seconds=in_s)).isoformat()
    return json.dumps({"v": 1, "verb": verb, "args": args, "expires_at": expires_at, "by": "ana@laptop"}).encode()


@pytest.mark.parametrize(
    ("verb", "expires_at", "status"),
    [
        ("ping", NOW + timedelta(seconds=1), None),
        ("ping", NOW, "expired"),
        ("reboot", NOW - timedelta(days=1), "expired"),
        ("reboot", NOW + timedelta(seconds=1), "unknown_verb"),
    ],
)
def test_what_is_done_at_all(verb: str, expires_at: datetime, status: str | None) -> None:
    payload = json.dumps({"verb": verb, "expires_at": expires_at.isoformat()}).encode()
    found = judge(payload, {"ping": no_verb}, NOW)
    assert (found.status if isinstance(found, Answer) else None) == status


@given(st.binary(max_size=60) | st.text().map(lambda verb: json.dumps({"verb": verb, "expires_at": "9999-01-01"}).encode()))
def test_a_hostile_command_is_answered_and_never_done(payload: bytes) -> None:
    found = judge(payload, {"ping": no_verb}, NOW)
    if isinstance(found, Command):
        assert found.verb == "ping"
    else:
        assert encode(CommandResult(status=found.status, message=found.words, at=NOW))


def no_verb(args: object) -> AsyncIterator[Answer]:
    raise AssertionError(args)


def results(watch: Watch, command_id: str) -> list[tuple[str, str]]:
    return [
        (body["status"], body["message"])
        for topic, payload, _ in watch.messages
        if topic == f"{ADDRESS}/command/{command_id}/result"
        for body in [json.loads(payload)]
    ]


@asynccontextmanager
async def commanded(tmp_path: Path, broker: Broker, **keys: object) -> AsyncIterator[Watch]:
    async with watching(broker.url) as watch:
        with agent_process(tmp_path, broker_url=broker.url, heartbeat_interval=3600, **keys):
            await until(lambda: watch.heartbeats)
            yield watch


async def send(watch: Watch, command_id: str, payload: bytes, *, retain: bool = False) -> None:
    await watch.session.publish(f"{ADDRESS}/command/{command_id}", payload, qos=1, retain=retain)


async def test_ping_and_what_cannot_be_done(tmp_path: Path, broker: Broker) -> None:
    async with commanded(tmp_path, broker) as watch:
        await send(watch, "a", command("ping"))
        await send(watch, "b", command("ping", in_s=-1))
        await send(watch, "c", command("reboot"))
        await send(watch, "d", b"nonsense")
        await until(lambda: all(results(watch, name) for name in "abcd"))
        assert [results(watch, name)[0][0] for name in "abcd"] == ["succeeded", "expired", "unknown_verb", "failed"]
        assert results(watch, "c")[0][1] == "this agent does not know 'reboot'; it knows ping, restart_module"


async def test_a_command_that_comes_twice_is_done_once_and_answered_twice(tmp_path: Path, broker: Broker) -> None:
    async with commanded(tmp_path, broker, modules={"m": SLEEPER}) as watch:
        payload = command("restart_module", name="m")
        await send(watch, "a", payload)
        await until(lambda: len(results(watch, "a")) == 2)
        await send(watch, "a", payload)
        await until(lambda: len(results(watch, "a")) == 3)
        assert [status for status, _ in results(watch, "a")] == ["accepted", "succeeded", "succeeded"]
        await until(
            lambda: watch.heartbeats[-1].modules[0].restarts == 1 and watch.heartbeats[-1].modules[0].state == "running"
        )
        await send(watch, "b", command("ping"))
        await until(lambda: results(watch, "b"))
        assert watch.heartbeats[-1].modules[0].restarts == 1


async def test_a_retained_command_is_not_done(tmp_path: Path, broker: Broker) -> None:
    async with watching(broker.url) as watch:
        await send(watch, "old", command("ping"), retain=True)
        with agent_process(tmp_path, broker_url=broker.url):
            await until(lambda: [text for text in watch.texts if text.startswith("a retained command is not carried out")])
            await send(watch, "new", command("ping"))
            await until(lambda: results(watch, "new"))
            assert not results(watch, "old")


async def test_a_module_that_failed_is_restarted_on_command(tmp_path: Path, broker: Broker) -> None:
    works = tmp_path / "works"
    modules: dict[str, Any] = {
        "m": {"command": ["sh", "-c", f"[ -e {works} ] && exec sleep 1000; exit 3"], "restart": "never"},
        "telemetry_collector": {},
    }
    async with commanded(tmp_path, broker, modules=modules) as watch:
        await until(lambda: watch.heartbeats[-1].modules[0].state == "failed")
        assert "module m failed: exit status 3" in watch.heartbeats[-1].reasons
        works.touch()
        await send(watch, "a", command("restart_module", name="m"))
        await until(lambda: len(results(watch, "a")) == 2)
        assert results(watch, "a") == [("accepted", "module m is being restarted"), ("succeeded", "module m is running")]
        for command_id, args, words in (
            ("b", {"name": "mm"}, "no module is called 'mm'; did you mean m?"),
            ("c", {}, "args.name: the name of a module expected"),
        ):
            await refused(watch, command_id, args, words)


async def refused(watch: Watch, command_id: str, args: dict[str, Any], words: str) -> None:
    await send(watch, command_id, command("restart_module", **args))
    await until(lambda: results(watch, command_id))
    ((status, message),) = results(watch, command_id)
    assert status == "failed"
    assert message.startswith(words)
