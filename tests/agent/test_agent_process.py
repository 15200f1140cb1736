"""Real agents on a real broker."""

from __future__ import annotations

import json
import re
import signal
import socket
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from support.agents import agent_process, run_agent, watching
from support.broker import Broker, mosquitto
from support.fakes import CONNACK, CONNECT, DISCONNECT, PUBACK, PUBLISH, SUBSCRIBE, Peer, fake_broker, mute, packet
from support.programs import free_port
from support.wait import until

from fleetview_agent.mqtt import TlsFiles
from fleetview_agent.wire import LogBatch, State, decode_log, encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection
    from pathlib import Path

    from support.agents import AgentProcess, Watch
    from support.tls import Authority

ADDRESS = "fleet/v1/default/default/gw-1"


@asynccontextmanager
async def running(tmp_path: Path, broker: Broker, **keys: object) -> AsyncIterator[tuple[AgentProcess, Watch]]:
    """A watched agent that has connected."""
    async with watching(broker.url) as watch:
        with agent_process(tmp_path, broker_url=broker.url, **keys) as agent:
            await until(lambda: watch.heartbeats)
            yield agent, watch


async def test_an_agent_registers_reports_and_leaves(tmp_path: Path, broker: Broker) -> None:
    async with running(tmp_path, broker, modules=["rule_engine"], labels={"ring": "canary"}, release="1.4.2") as (
        agent,
        watch,
    ):
        await until(lambda: len(watch.heartbeats) >= 3)
        agent.process.send_signal(signal.SIGTERM)
        assert await agent.ended(within_s=5) == 0
        await until(lambda: watch.has_state("offline"))

        (birth,) = watch.births
        assert birth.device == "gw-1"
        assert birth.modules == ["rule_engine"]
        assert birth.labels == {"ring": "canary"}
        assert birth.host is not None
        assert [(state.state, state.reason) for state in watch.states] == [
            ("online", None),
            ("offline", "stopped by SIGTERM"),
        ]
        assert [beat.seq for beat in watch.heartbeats] == list(range(len(watch.heartbeats)))
        assert {state.session for state in watch.states} == {beat.session for beat in watch.heartbeats} == {birth.session}
        beat = watch.heartbeats[1]
        assert beat.release == "1.4.2"
        assert [(module.name, module.state) for module in beat.modules] == [("rule_engine", "running")]
        assert beat.link is not None
        assert beat.link.rtt_ms is not None
        assert beat.metrics["process_resident_memory_bytes"]
        assert {"agent started", "agent is stopping"} <= set(watch.texts)
        assert {entry["service"] for entry in agent.journal} == {"fleetview-agent"}


async def test_what_is_retained_is_right_for_who_comes_later(tmp_path: Path, broker: Broker) -> None:
    async with running(tmp_path, broker) as (agent, _), watching(broker.url, client_id="late") as late:
        await until(lambda: late.births and late.states and late.heartbeats)
        assert all(retained for topic, _, retained in late.messages[:3])
        agent.process.send_signal(signal.SIGINT)
        assert await agent.ended() == 0
        await until(lambda: late.has_state("offline"))
        assert late.states[-1].reason == "stopped by SIGINT"


async def test_a_killed_agent_is_lost_by_its_will_and_its_next_session_is_newer(tmp_path: Path, broker: Broker) -> None:
    async with running(tmp_path, broker) as (agent, watch):
        agent.process.kill()
        await until(lambda: watch.has_state("lost"))
        (birth,) = watch.births
        assert watch.states[-1].session == birth.session
        assert watch.states[-1].at is None
        with agent_process(tmp_path, broker_url=broker.url):
            await until(lambda: len(watch.births) == 2 and watch.states[-1].state == "online")
        older, newer = (body.session for body in watch.births)
        assert older is not None
        assert newer is not None
        assert newer > older


async def test_a_clock_that_went_back_makes_no_older_session(tmp_path: Path, broker: Broker) -> None:
    folder = tmp_path / "state" / "gw-1"
    folder.mkdir(parents=True)
    future = "7ZZZZZZZZ0" + "0" * 16
    (folder / "session.json").write_text(json.dumps({"session": future}))
    async with running(tmp_path, broker) as (_, watch):
        assert watch.births[0].session is not None
        assert watch.births[0].session > future


async def test_an_agent_outlives_its_broker(tmp_path: Path, broker: Broker) -> None:
    async with running(tmp_path, broker) as (agent, _):
        broker.kill()
        await until(lambda: any("no link" in entry["message"] for entry in agent.journal))
        broker.start()
        async with watching(broker.url) as watch:
            await until(lambda: watch.has_state("online") and len(watch.heartbeats) >= 2)
            # this broker keeps nothing over a restart, so the device has to introduce itself again
            await until(lambda: watch.births)
            beat = watch.heartbeats[-1]
            assert beat.link is not None
            assert beat.link.reconnects == 1
            assert watch.births[0].session == beat.session
            numbers = [each.seq for each in watch.heartbeats]
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "what nobody could send has no number"
            # what it logged while there was no link arrives afterwards
            await until(lambda: any("no link" in text for text in watch.texts))


async def test_birth_is_not_said_again_to_a_broker_that_remembers(tmp_path: Path) -> None:
    with mosquitto(tmp_path, config_lines=["persistence true", f"persistence_location {tmp_path}/"]) as broker:
        async with running(tmp_path, broker):
            broker.stop()  # saves what is retained
            broker.start()
            async with watching(broker.url) as watch:
                await until(lambda: any(beat.link and beat.link.reconnects == 1 for beat in watch.heartbeats))
                assert [retained for topic, _, retained in watch.messages if topic.endswith("birth")] == [True]


def on_state_topic(watch: Watch) -> list[bytes]:
    return [payload for topic, payload, _ in watch.messages if topic.endswith("/state")]


@pytest.mark.parametrize("said", [b"", b"nonsense", encode(State(session="0OLDER", state="lost"))])
async def test_a_foreign_state_on_its_own_topic_is_put_right(tmp_path: Path, broker: Broker, said: bytes) -> None:
    async with running(tmp_path, broker) as (agent, watch):
        await watch.session.publish(f"{ADDRESS}/state", said, qos=1, retain=True)
        await until(lambda: len(on_state_topic(watch)) >= 3)
        before, foreign, after = on_state_topic(watch)[:3]
        assert foreign == said
        assert json.loads(before)["session"] == json.loads(after)["session"]
        assert json.loads(after)["state"] == "online"
        assert not [entry for entry in agent.journal if "another agent" in entry["message"]]


async def test_another_agent_of_the_same_id_is_named_and_not_shouted_down(tmp_path: Path, broker: Broker) -> None:
    async with running(tmp_path, broker) as (first, watch):
        other = encode(State(session="7CLONE", state="online", at=datetime.now(UTC)))
        for _ in range(20):
            await watch.session.publish(f"{ADDRESS}/state", other, qos=1, retain=True)
        await until(lambda: [entry for entry in first.journal if "another agent" in entry["message"]])
        (entry, *_) = [entry for entry in first.journal if "another agent" in entry["message"]]
        assert entry["level"] == "ERROR"
        assert entry["other_session"] == "7CLONE"
        answers = [state for state in watch.states if state.session == watch.births[0].session]
        assert len(answers) <= 4


async def test_followed_logs_arrive(tmp_path: Path, broker: Broker) -> None:
    log = tmp_path / "app.log"
    log.write_text('{"level": "error", "message": "one", "user": "u-17"}\nWARN two\n')
    pattern = str(tmp_path / "*.log")
    async with running(tmp_path, broker, logs={"files": [{"path": pattern, "service": "auth"}]}) as (agent, watch):
        await until(lambda: {"one", "WARN two"} <= set(watch.texts))
        with log.open("a") as file:
            file.writelines(f"line {number}\n" for number in range(3000))
        await until(lambda: "line 2999" in watch.texts)
        ours = [record for record in watch.records.values() if record["service"] == "auth"]
        assert [(record["level"], record["message"]) for record in ours[:2]] == [("ERROR", "one"), ("WARN", "WARN two")]
        assert ours[0]["user"] == "u-17"
        assert [record["message"] for record in ours[2:]] == [f"line {number}" for number in range(3000)]
        assert sorted(seq for _, seq in watch.records) == list(range(len(watch.records))), "no number is missing"
        await until(lambda: watch.heartbeats[-1].spool and watch.heartbeats[-1].spool.records == 0)
        agent.process.send_signal(signal.SIGTERM)
        assert await agent.ended() == 0
        with agent_process(tmp_path, broker_url=broker.url, logs={"files": [{"path": pattern}]}):
            with log.open("a") as file:
                file.write("after the restart\n")
            await until(lambda: "after the restart" in watch.texts)
            assert watch.texts.count("line 2999") == 1


async def test_lines_written_without_a_broker_arrive_when_it_is_back(tmp_path: Path, broker: Broker) -> None:
    log = tmp_path / "app.log"
    async with running(tmp_path, broker, logs={"files": [{"path": str(log)}]}) as (agent, _):
        broker.kill()
        log.write_text("".join(f"line {number}\n" for number in range(20_000)))
        await until(lambda: [entry for entry in agent.journal if entry["message"] == "following a log file"])
        agent.process.send_signal(signal.SIGSTOP)  # until somebody watches: logs are not retained
        broker.start()
        async with watching(broker.url) as watch:
            agent.process.send_signal(signal.SIGCONT)
            await until(lambda: "line 19999" in watch.texts, within_s=40)
            assert not [record for record in watch.records.values() if record.get("event") == "gap"]
            lines = [text for text in watch.texts if text.startswith("line ")]
            assert lines == [f"line {number}" for number in range(20_000)]


async def test_a_broker_that_takes_no_logs_is_a_reason(tmp_path: Path) -> None:
    (tmp_path / "acl").write_text("".join(f"topic readwrite {ADDRESS}/{name}\n" for name in ("birth", "state", "heartbeat")))
    with mosquitto(tmp_path, config_lines=[f"acl_file {tmp_path / 'acl'}"]) as broker:
        async with running(tmp_path, broker) as (_, watch):
            await until(lambda: watch.heartbeats[-1].health == "degraded")
            (reason,) = watch.heartbeats[-1].reasons
            assert reason.startswith("logs cannot be shipped: ")
            assert "not authori" in reason


@asynccontextmanager
async def secured(tmp_path: Path, authority: Authority) -> AsyncIterator[tuple[Broker, Watch]]:
    lines = ["use_identity_as_username true", f"acl_file {tmp_path / 'acl'}"]
    (tmp_path / "acl").write_text("user watcher\ntopic readwrite #\npattern readwrite fleet/v1/+/+/%u/#\n")
    with mosquitto(tmp_path, tls=authority, config_lines=lines) as broker:
        own = authority.issue("watcher")
        async with watching(broker.url, tls=TlsFiles(authority.cafile, own.cert, own.key)) as watch:
            yield broker, watch


async def test_tls_with_the_certificate_of_the_device(tmp_path: Path, authority: Authority) -> None:
    async with secured(tmp_path, authority) as (broker, watch):
        issued = authority.issue("gw-1")
        files = {"tls_cert": str(issued.cert), "tls_key": str(issued.key), "tls_ca": str(authority.cafile)}
        with agent_process(tmp_path, broker_url=broker.url, **files) as agent:
            await until(lambda: watch.heartbeats)
            assert watch.births[0].certificate is not None
            assert watch.births[0].certificate.not_after == issued.not_after
            agent.process.send_signal(signal.SIGTERM)
            assert await agent.ended() == 0
            await until(lambda: watch.has_state("offline"))
        found = run_agent(["check", "--config", str(tmp_path / "agent.json")])
        assert found.returncode == 0
        assert re.search(r"ok +certificate .*CN 'gw-1'", found.stdout)
        assert re.search(r"ok +tls .*days are left", found.stdout)


async def test_a_broker_that_asks_for_a_certificate(tmp_path: Path, authority: Authority) -> None:
    with mosquitto(tmp_path, tls=authority) as broker:
        await fails_with(tmp_path, "certificate", broker_url=broker.url, tls_ca=str(authority.cafile))


async def test_a_certificate_that_is_not_there_yet(tmp_path: Path) -> None:
    journal = await fails_with(
        tmp_path, "certificate", broker_url="mqtts://127.0.0.1:1", tls_cert=str(tmp_path / "agent.crt")
    )
    assert "cannot be read" in journal


async def test_no_broker(tmp_path: Path) -> None:
    assert "refused the connection" in await fails_with(tmp_path, "refused", broker_url=f"mqtt://127.0.0.1:{free_port()}")


async def test_a_mute_broker(tmp_path: Path) -> None:
    with fake_broker(mute) as fake:
        assert "did not answer" in await fails_with(tmp_path, "mute", also_check=False, broker_url=fake.url)


async def test_a_broker_that_does_not_let_the_agent_in(tmp_path: Path) -> None:
    with mosquitto(tmp_path, anonymous=False) as broker:
        await fails_with(tmp_path, "authorisation", broker_url=broker.url, least_wait_s=60)


async def fails_with(tmp_path: Path, kind: str, *, least_wait_s: float = 0, also_check: bool = True, **keys: object) -> str:
    """Runs an agent that cannot connect: it says why in words, tries again later, and still stops at once."""
    with agent_process(tmp_path, **keys) as agent:
        await until(lambda: [entry for entry in agent.journal if "no link" in entry["message"]])
        (entry, *_) = [entry for entry in agent.journal if "no link" in entry["message"]]
        assert entry["kind"] == kind
        assert entry["level"] == "WARN"
        assert entry["retry_in_s"] >= least_wait_s
        agent.process.send_signal(signal.SIGTERM)
        assert await agent.ended(within_s=5) == 0
    if also_check:
        found = run_agent(["check", "--config", str(tmp_path / "agent.json")])
        assert found.returncode == (3 if kind in {"refused", "unreachable"} else 1)
        assert re.search("^error", found.stdout, re.MULTILINE)
        assert found.stderr == ""
    message: str = entry["message"]
    return message


class Scripted:
    """A broker of MQTT 3.1.1 by hand, which acknowledges only what a test wants it to."""

    def __init__(self, *, unacknowledged: Collection[str] = (), version: int = 4) -> None:
        self.unacknowledged = set(unacknowledged)
        self.version = version
        self.published: list[tuple[str, bytes]] = []
        self.goodbyes = 0
        self.peers: list[Peer] = []

    def hang_up(self) -> None:
        """End the connection that stands."""
        self.peers[-1].socket.shutdown(socket.SHUT_RDWR)

    def __call__(self, peer: Peer) -> None:
        kind, body = peer.read()
        assert kind == CONNECT
        if body[6] != self.version:
            peer.send(packet(CONNACK, b"\x00\x01"))
            return
        peer.send(packet(CONNACK, b"\x00\x00"))
        self.peers.append(peer)
        while True:
            kind, body = peer.read()
            if kind == SUBSCRIBE:
                peer.grant(body, 0)
            elif kind == DISCONNECT:
                self.goodbyes += 1
            elif kind == PUBLISH:
                self.published_by(peer, body)

    def published_by(self, peer: Peer, body: bytes) -> None:
        end = 2 + int.from_bytes(body[:2], "big")
        channel = body[2:end].decode().rpartition("/")[2]
        heartbeat = channel == "heartbeat"
        self.published.append((channel, body[end if heartbeat else end + 2 :]))
        if not heartbeat and channel not in self.unacknowledged:
            peer.send(packet(PUBACK, body[end : end + 2]))

    def channels(self) -> list[str]:
        return [channel for channel, _ in self.published]


async def test_a_broker_that_knows_only_311(tmp_path: Path) -> None:
    broker = Scripted()
    with fake_broker(broker) as fake, agent_process(tmp_path, broker_url=fake.url) as agent:
        await until(lambda: "heartbeat" in broker.channels())
        assert broker.channels()[:2] == ["birth", "state"]
        (entry,) = [entry for entry in agent.journal if entry["message"].startswith("connected")]
        assert entry["protocol"] == "3.1.1"
        agent.process.send_signal(signal.SIGTERM)
        assert await agent.ended() == 0
        await until(lambda: broker.goodbyes == 1)


@pytest.mark.parametrize("moment", ["heartbeat", "state"])
async def test_a_goodbye_that_nobody_acknowledges_is_left_to_the_will(tmp_path: Path, moment: str) -> None:
    """While up, and while saying that it is online: with a DISCONNECT the broker would not publish the will."""
    broker = Scripted(unacknowledged={"state"} if moment == "state" else ())
    with fake_broker(broker) as fake, agent_process(tmp_path, broker_url=fake.url) as agent:
        await until(lambda: moment in broker.channels())
        broker.unacknowledged.add("state")
        agent.process.send_signal(signal.SIGTERM)
        assert await agent.ended(within_s=8) == 0
    assert broker.goodbyes == 0


async def test_what_was_not_acknowledged_is_sent_again_with_the_same_numbers(tmp_path: Path) -> None:
    broker = Scripted(unacknowledged={"log"})

    def batches() -> list[LogBatch]:
        return [decode_log(payload) for channel, payload in broker.published if channel == "log"]

    with fake_broker(broker) as fake, agent_process(tmp_path, broker_url=fake.url):
        await until(batches)
        first = batches()[0]
        broker.unacknowledged.clear()
        broker.hang_up()
        await until(lambda: len(batches()) > 1)
        again = batches()[1]
        assert (again.stream, again.first_seq) == (first.stream, first.first_seq)
        assert again.records[: len(first.records)] == first.records


async def test_an_agent_that_cannot_write_its_state_still_reports(tmp_path: Path, broker: Broker) -> None:
    (tmp_path / "file").write_text("")
    async with running(tmp_path, broker, state_dir=str(tmp_path / "file")) as (_, watch):
        assert watch.heartbeats[0].health == "degraded"
        assert "cannot be written" in watch.heartbeats[0].reasons[0]


async def test_health_of_a_running_agent(tmp_path: Path, broker: Broker) -> None:
    config = str(tmp_path / "agent.json")
    async with running(tmp_path, broker) as (agent, _):
        found = run_agent(["health", "--config", config])
        assert (found.returncode, found.stdout.split(":")[0]) == (0, "healthy")
        second = run_agent(["run", "--config", config])
        assert second.returncode == 2
        assert "another agent runs as 'gw-1'" in second.stderr
        agent.process.kill()
        await agent.ended()
        found = run_agent(["health", "--config", config])
        assert found.returncode == 1
        assert "no agent runs" in found.stdout
