"""Commands from `fleetview` to real agents on a real mosquitto: every verb, who does not answer, and what goes wrong on the way."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.agents import agent_process, watching
from support.broker import mosquitto
from support.commands import fleetview
from support.operators import sending
from support.terminal import Terminal
from support.wait import until, wait_until

from fleetview.cli.commanding import _understood
from fleetview.config import ConfigError
from fleetview.core.commandbook import Order, Outcome
from fleetview_agent.endpoint import LinkError
from fleetview_agent.wire import Address

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.agents import AgentProcess, Watch
    from support.broker import Broker

GW = Address("default", "default", "gw-1")
MODULES = {"m": {"command": ["sleep", "1000"]}}


def audited(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tmp_path / "audit" / "audit.jsonl").read_text().splitlines()]


def outcome(order: Order) -> Outcome:
    return order.requests[GW].outcome


@pytest.fixture
def agent(tmp_path: Path, broker: Broker) -> Iterator[AgentProcess]:
    with agent_process(tmp_path, broker_url=broker.url, modules=MODULES, log_level="WARN") as running:
        yield running


async def ask(broker: Broker, tmp_path: Path, *arguments: str) -> Any:
    state = {"XDG_STATE_HOME": str(tmp_path / "xdg")}
    return await asyncio.to_thread(fleetview, "command", *arguments, "--broker", broker.url, "--yes", **state)


async def alive(watch: Watch) -> None:
    await until(lambda: watch.heartbeats and watch.heartbeats[-1].modules[0].state == "running")


@pytest.mark.usefixtures("agent")
async def test_every_verb_from_the_command_line(tmp_path: Path, broker: Broker) -> None:
    async with watching(broker.url) as watch:
        await alive(watch)
        ping = await ask(broker, tmp_path, "ping", "gw-1", "--json")
        (told,) = ping.objects
        assert (ping.code, told["address"], told["outcome"]) == (0, str(GW), "succeeded")
        assert told["message"].startswith("fleetview-agent ")
        restart = await ask(
            broker, tmp_path, "restart_module", str(GW), "--arg", "name=m", "--reason", "stuck", "--expires", "30s"
        )
        assert restart.code == 0
        assert restart.out.startswith(f"succeeded     {GW}  module m is running")
        assert f"restarts module m on {GW}" in restart.err
        assert "1 succeeded" in restart.err
        await until(lambda: watch.heartbeats[-1].modules[0].restarts == 1)
        assert "command ping" not in watch.texts
        level = await ask(broker, tmp_path, "set_log_level", "site:default", "--arg", "level=INFO", "--arg", "for_s=1s")
        assert (level.code, "log level is INFO for 1 s" in level.out) == (0, True)
        await until(lambda: "log level is WARN again" in watch.texts)
        output = tmp_path / "bundle.json"
        bundle = await ask(broker, tmp_path, "diagnostics", str(GW), "--output", str(output))
        assert (bundle.code, f"the diagnostics of {GW} are in {output}" in bundle.err) == (0, True)
        found = json.loads(output.read_text())
        assert (found["device"], [module["name"] for module in found["modules"]]) == (str(GW), ["m"])
        again = await ask(broker, tmp_path, "diagnostics", str(GW), "--output", str(output))
        assert (again.code, "is there already" in again.err) == (2, True)
    lines = [json.loads(line) for line in (tmp_path / "xdg" / "fleetview" / "audit.jsonl").read_text().splitlines()]
    assert [(line["event"], line["verb"]) for line in lines] == [
        (event, verb)
        for verb in ("ping", "restart_module", "set_log_level", "diagnostics")
        for event in ("command_sent", "command_ended")
    ]
    sent, ended = lines[2:4]
    assert (sent["reason"], sent["args"], sent["devices"]) == ("stuck", {"name": "m"}, [str(GW)])
    assert (ended["id"], ended["outcomes"], "@" in ended["by"]) == (sent["id"], {"succeeded": 1}, True)


@pytest.mark.usefixtures("agent")
async def test_what_does_not_succeed_is_exit_1(tmp_path: Path, broker: Broker) -> None:
    async with watching(broker.url) as watch:
        await alive(watch)
        failed = await ask(broker, tmp_path, "restart_module", "gw-1", "--arg", "name=mm")
        assert (failed.code, failed.out.split()[:2]) == (1, ["failed", str(GW)])
        assert "no module is called 'mm'; did you mean m?" in failed.out
        assert "1 has no module of this name" in failed.err
        nobody = await ask(broker, tmp_path, "ping", "gw-2")
        assert (nobody.code, nobody.out) == (1, "")
        assert "no device gw-2 is known; did you mean gw-1?" in nobody.err
        nothing = await ask(broker, tmp_path, "ping", "site:elsewhere")
        assert (nothing.code, "no device matches; 1 are known" in nothing.err) == (1, True)
        closed = await ask(broker, tmp_path, "ping", "gw-1", "--read-only")
        assert (closed.code, "is read-only (--read-only)" in closed.err) == (1, True)
        assert not [topic for topic, _, _ in watch.messages if "/command/" in topic and "gw-2" in topic]


def test_a_person_is_asked_first(tmp_path: Path, broker: Broker) -> None:
    with agent_process(tmp_path, broker_url=broker.url, modules=MODULES):
        wait_until(lambda: "gw-1/heartbeat" in broker.log)
        asks = [sys.executable, "-m", "fleetview", "command", "--broker", broker.url, "restart_module", "gw-1", "--arg"]
        with Terminal([*asks, "name=m"]) as terminal:
            terminal.wait("restarts module m on default/default/gw-1")
            terminal.wait("Why:")
            terminal.type("stuck\n")
            terminal.wait("Do it? [y/N]")
            terminal.type("n\n")
            terminal.wait_end()
            assert (terminal.process.returncode, "succeeded" in terminal.text()) == (1, False)
        with Terminal([*asks, "name=m", "--reason", "stuck"]) as terminal:
            terminal.wait("Do it? [y/N]")
            terminal.type("y\n")
            terminal.wait("module m is running")
            terminal.wait_end()
            assert terminal.process.returncode == 0


def test_usage_and_a_broker_that_is_not_there(tmp_path: Path) -> None:
    cases = [
        (["ping", "gw-1"], 2, "there is no terminal to ask on"),
        (["reboot", "gw-1", "--yes"], 2, "unknown verb 'reboot'"),
        (["ping", "heath:ok", "--yes"], 2, "did you mean 'health'"),
        (["ping", "gw-1", "--yes", "--broker", "mqtt://127.0.0.1:9"], 3, "127.0.0.1:9 refused the connection"),
    ]
    for arguments, code, words in cases:
        ran = fleetview("command", *arguments, XDG_STATE_HOME=str(tmp_path))
        assert (ran.code, words in ran.err) == (code, True), (arguments, ran.err)


def test_what_is_typed_wrong_is_named() -> None:
    for verb, arg, output, words in (
        ("restart_module", [], None, "restart_module needs name"),
        ("ping", ["x"], None, "--arg: KEY=VALUE expected, not 'x'"),
        ("ping", [], Path("x"), "--output: ping has nothing to write; only diagnostics has"),
        ("diagnostics", [], Path(__file__), f"--output: {__file__} is there already; choose another name, or a folder"),
    ):
        with pytest.raises(ConfigError) as caught:
            _understood(verb, arg, ["gw-1"], "60s", reason=None, output=output)
        assert caught.value.problems == (words,)


async def test_who_is_frozen_does_not_answer_and_does_not_do_it_later(
    tmp_path: Path, broker: Broker, agent: AgentProcess
) -> None:
    async with watching(broker.url) as watch, sending(broker, tmp_path) as sender:
        await alive(watch)
        agent.process.send_signal(signal.SIGSTOP)
        order = await sender.order("restart_module", {"name": "m"}, [GW], reason="stuck", expires_s=1)
        await until(lambda: outcome(order) is Outcome.NO_ANSWER)
        await until(lambda: len(audited(tmp_path)) == 2)
        assert audited(tmp_path)[1]["unsuccessful"] == [{"device": str(GW), "outcome": "no_answer", "message": ""}]
        agent.process.send_signal(signal.SIGCONT)
        await until(lambda: outcome(order) is Outcome.EXPIRED)
        assert order.requests[GW].late
        assert order.requests[GW].message.startswith("expired at ")
        ping = await sender.order("ping", {}, [GW], reason="", expires_s=60)
        await until(lambda: outcome(ping) is Outcome.SUCCEEDED)
        await until(lambda: watch.heartbeats[-1].modules[0].restarts == 0)


async def test_who_was_not_there_gets_it_on_coming_back(tmp_path: Path, broker: Broker) -> None:
    async with sending(broker, tmp_path) as sender:
        order = await sender.order("ping", {}, [GW], reason="", expires_s=60)
        await until(lambda: outcome(order) is Outcome.SENT)
        with agent_process(tmp_path, broker_url=broker.url):
            await until(lambda: outcome(order) is Outcome.SUCCEEDED)
        assert order.requests[GW].sends == 2


async def test_a_broker_that_goes_down_in_between_costs_no_answer(
    tmp_path: Path, broker: Broker, agent: AgentProcess
) -> None:
    async with watching(broker.url) as watch, sending(broker, tmp_path) as sender:
        await alive(watch)
        agent.process.send_signal(signal.SIGSTOP)
        order = await sender.order("restart_module", {"name": "m"}, [GW], reason="", expires_s=60)
        await until(lambda: outcome(order) is Outcome.SENT)
        broker.kill()
        agent.process.send_signal(signal.SIGCONT)
        broker.start()
        sender._feed.connection.retry_now()
        await until(lambda: outcome(order) is Outcome.SUCCEEDED)
    async with watching(broker.url, client_id="later") as watch:
        await until(lambda: watch.heartbeats)
        assert watch.heartbeats[-1].modules[0].restarts == 1, "it was done once"


async def test_a_broker_that_does_not_let_us_is_named_and_a_reader_cannot_send(tmp_path: Path) -> None:
    rules = tmp_path / "acl"
    rules.write_text("topic read fleet/v1/#\n")
    with mosquitto(tmp_path, config_lines=[f"acl_file {rules}"]) as broker:
        async with sending(broker, tmp_path) as sender:
            many = [GW, *(GW._replace(device=f"gw-{number}") for number in range(2, 100))]
            order = await sender.order("ping", {}, many, reason="", expires_s=2)
            await until(lambda: outcome(order) is Outcome.NOT_SENT)
            assert "not authorized" in order.requests[GW].message
            await until(lambda: order.open == 0)
            assert order.counts[Outcome.NOT_SENT] > 80
            assert broker.log.count("Denied PUBLISH") < 20
        denied = broker.log.count("PUBLISH from fleetview-")
        async with sending(broker, tmp_path, read_only=True) as sender:
            await until(lambda: sender._feed.connection.counts.links)
            with pytest.raises(LinkError, match="read-only: nothing is sent"):
                await sender._feed.connection.publish("fleet/v1/a/b/c/command/x", b"{}")
            assert broker.log.count("PUBLISH from fleetview-") == denied
