"""Preflight on the way to real brokers, and to some that misbehave."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
import time
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import pytest
from support.agents import agent_process, run_agent, watching
from support.broker import Broker, mosquitto
from support.fakes import CONNACK, CONNECT, PUBACK, PUBLISH, SUBSCRIBE, Peer, fake_broker, packet
from support.programs import free_port
from support.wait import until

from fleetview.demo.broker import running_broker
from fleetview.demo.choices import BrokerKind
from fleetview_agent.config import AgentConfig
from fleetview_agent.preflight import CHECKS, Finding, Inquiry, Machine, preflight
from fleetview_agent.preflight.broker import MQTT, PUBLISHING, RECEIVING
from fleetview_agent.preflight.findings import run_checks
from fleetview_agent.preflight.network import RESOLUTION, TCP, TIME, TLS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from support.tls import Authority

    from fleetview_agent.preflight.findings import Level

ADDRESS = "fleet/v1/default/default/gw-1"
STEPS = {RESOLUTION, TCP, TIME, TLS, MQTT, RECEIVING, PUBLISHING}
TO_BROKER = [check for check in CHECKS if check.subject in STEPS]


def inquiry_of(folder: Path, url: str, keys: Mapping[str, str] | None = None, *, ntp_port: int | None = None) -> Inquiry:
    config = {"agent_id": "gw-1", "broker_url": url, "state_dir": str(folder / "state"), **(keys or {})}
    return Inquiry(AgentConfig.model_validate(config), machine=Machine(ntp_port=ntp_port or free_port()))


async def asked(inquiry: Inquiry) -> dict[str, Finding]:
    """What was found on the way to the broker, one finding a subject."""
    return {finding.subject: finding async for finding in run_checks(TO_BROKER, inquiry)}


def levels(found: dict[str, Finding]) -> dict[str, Level]:
    return {subject: finding.level for subject, finding in found.items()}


ALL_WELL = {RESOLUTION: "ok", TCP: "ok", TIME: "skipped", TLS: "ok", MQTT: "ok", RECEIVING: "ok", PUBLISHING: "ok"}


async def test_all_well_and_nobody_is_told_anything(tmp_path: Path, broker: Broker) -> None:
    async with watching(broker.url) as watch:
        found = await asked(inquiry_of(tmp_path, broker.url))
        assert levels(found) == ALL_WELL
        assert "MQTT 5" in found[MQTT].words
        await watch.session.caught_up()
        assert [topic.removeprefix(ADDRESS).partition("-")[0] for topic, _, _ in watch.messages] == [
            "/log",
            "/command/preflight",
        ]
        assert not watch.records


async def test_a_broker_that_knows_only_311(tmp_path: Path) -> None:
    with running_broker(BrokerKind.AMQTT) as broker:
        found = await asked(inquiry_of(tmp_path, broker.url))
    assert levels(found) == ALL_WELL
    assert "MQTT 3.1.1" in found[MQTT].words


def swallowing(peer: Peer, *, subscriptions: int = 0) -> None:
    """A broker of 3.1.1 that acknowledges what it does not hand on."""
    kind, body = peer.read()
    assert kind == CONNECT
    if body[6] != 4:
        peer.send(packet(CONNACK, b"\x00\x01"))
        return
    peer.send(packet(CONNACK, b"\x00\x00"))
    while True:
        kind, body = peer.read()
        if kind == SUBSCRIBE:
            peer.grant(body, subscriptions)
        elif kind == PUBLISH:
            end = 2 + int.from_bytes(body[:2], "big")
            peer.send(packet(PUBACK, body[end : end + 2]))


async def test_a_broker_that_cannot_say_no_is_not_taken_at_its_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleetview_agent.preflight.broker.ECHO_S", 0.1)
    with fake_broker(swallowing) as fake:
        found = await asked(inquiry_of(tmp_path, fake.url))
    assert found[PUBLISHING].level == "warning"
    assert "did not come back" in found[PUBLISHING].words


async def test_subscriptions_that_are_refused(tmp_path: Path) -> None:
    with fake_broker(lambda peer: swallowing(peer, subscriptions=0x80)) as fake:
        found = await asked(inquiry_of(tmp_path, fake.url))
    assert found[RECEIVING].level == "error"
    assert f"{ADDRESS}/desired (refused)" in found[RECEIVING].words


@pytest.mark.parametrize("forbidden", ["log", "command/+/result"])
async def test_publishing_that_is_refused(tmp_path: Path, forbidden: str) -> None:
    allowed = {"birth", "state", "heartbeat", "log", "reported", "command/+/result"} - {forbidden}
    (tmp_path / "acl").write_text("".join(f"topic readwrite {ADDRESS}/{name}\n" for name in sorted(allowed)))
    with mosquitto(tmp_path, config_lines=[f"acl_file {tmp_path / 'acl'}"]) as broker:
        found = await asked(inquiry_of(tmp_path, broker.url))
    assert found[PUBLISHING].level == "error"
    assert "in the broker's ACL" in found[PUBLISHING].words


def is_connected(inquiry: Inquiry) -> bool:
    status = inquiry.store.status()
    return status is not None and status.link == "up"


async def test_the_agent_that_runs_proves_the_rest_or_does_not(tmp_path: Path) -> None:
    names = ("birth", "state", "log", "command/#", "reported")
    (tmp_path / "acl").write_text("".join(f"topic readwrite {ADDRESS}/{name}\n" for name in names))
    with (
        mosquitto(tmp_path) as free,
        mosquitto(tmp_path, config_lines=[f"acl_file {tmp_path / 'acl'}"]) as strict,
    ):
        for broker, level, word in ((free, "ok", "the agent that runs"), (strict, "error", "no heartbeat")):
            inquiry = inquiry_of(tmp_path, broker.url)
            with agent_process(tmp_path, broker_url=broker.url):
                await until(partial(is_connected, inquiry))
                if broker is free:
                    async with watching(broker.url) as watch:
                        await until(lambda: watch.heartbeats)
                found = await asked(inquiry)
            assert (found[PUBLISHING].level, word in found[PUBLISHING].words) == (level, True)
            (tmp_path / "state" / "gw-1" / "status.json").unlink()


async def test_nobody_there(tmp_path: Path) -> None:
    found = await asked(inquiry_of(tmp_path, f"mqtt://127.0.0.1:{free_port()}"))
    assert found[TCP].is_peer
    assert found[TCP].level == "error"
    assert [found[subject].words for subject in (TIME, TLS, MQTT)] == [
        "because tcp is an error",
        "because tcp is an error",
        "because tls was skipped",
    ]


async def test_a_host_that_is_none(tmp_path: Path) -> None:
    found = await asked(inquiry_of(tmp_path, "mqtt://hub..example"))
    assert (found[RESOLUTION].level, found[TCP].level) == ("error", "skipped")


# TLS and time


async def test_tls(tmp_path: Path, authority: Authority) -> None:
    issued = authority.issue("gw-1")
    files = {"tls_cert": str(issued.cert), "tls_key": str(issued.key), "tls_ca": str(authority.cafile)}
    with mosquitto(tmp_path, tls=authority) as broker:
        assert levels(await asked(inquiry_of(tmp_path, broker.url, files))) == ALL_WELL

        soon = inquiry_of(tmp_path, broker.url, files)
        soon.now += timedelta(days=9)
        found = await asked(soon)
        assert (found[TLS].level, "have it renewed" in found[TLS].words) == ("warning", True)

        early = inquiry_of(tmp_path, broker.url, files)
        early.now -= timedelta(days=400)
        found = await asked(early)
        assert (found[TIME].level, "set the clock" in found[TIME].words) == ("error", True)

        untrusted = await asked(inquiry_of(tmp_path, broker.url))
        assert (untrusted[TLS].level, untrusted[MQTT].level) == ("error", "skipped")
        assert not untrusted[TLS].is_peer

        unknown = await asked(inquiry_of(tmp_path, broker.url, {"tls_ca": str(authority.cafile)}))
        assert "asks for a client certificate" in unknown[MQTT].words


class _Ntp(NamedTuple):
    port: int


@contextmanager
def ntp_server(ahead_s: float) -> Iterator[_Ntp]:
    """A clock that is so far ahead of ours."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))

        def serve() -> None:
            while True:
                data, peer = listener.recvfrom(100)
                if not data:
                    return
                stamp = int((time.time() + ahead_s + 2_208_988_800) * 2**32)
                listener.sendto(
                    struct.pack("!BBBb3I2Q2Q", 0x24, 1, 0, 0, 0, 0, 0, 0, int.from_bytes(data[40:48]), stamp, stamp), peer
                )

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield _Ntp(listener.getsockname()[1])
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closer:
                closer.sendto(b"", listener.getsockname())
            thread.join()


@pytest.mark.parametrize(
    ("ahead_s", "level", "word"), [(0, "ok", "127.0.0.1"), (20, "warning", "behind"), (-3600, "error", "ahead of")]
)
async def test_time_by_ntp_of_the_brokers_host(
    tmp_path: Path, broker: Broker, ahead_s: float, level: str, word: str
) -> None:
    with ntp_server(ahead_s) as server:
        found = await asked(inquiry_of(tmp_path, broker.url, ntp_port=server.port))
    assert (found[TIME].level, word in found[TIME].words) == (level, True)


# All of it


async def test_every_subject_is_answered_here_too(tmp_path: Path, broker: Broker) -> None:
    found = [finding async for finding in preflight(inquiry_of(tmp_path, broker.url))]
    assert list(dict.fromkeys(finding.subject for finding in found)) == [check.subject for check in CHECKS]
    assert all(finding.words and "\n" not in finding.words for finding in found)


async def test_as_json_and_with_exit_codes(tmp_path: Path, broker: Broker) -> None:
    config = tmp_path / "agent.json"
    config.write_text(json.dumps({"agent_id": "gw-1", "broker_url": broker.url, "state_dir": str(tmp_path / "state")}))
    command = ["check", "--json", "--config", str(config)]
    found = await asyncio.to_thread(run_agent, command)
    rows = [json.loads(line) for line in found.stdout.splitlines()]
    assert found.returncode == (1 if any(row["level"] == "error" for row in rows) else 0)
    assert {"subject": MQTT, "level": "ok", "words": f"connected to 127.0.0.1:{broker.port} by MQTT 5"} in rows
    wrong = await asyncio.to_thread(run_agent, [*command, "--set", "site=a b"])
    (row,) = [json.loads(line) for line in wrong.stdout.splitlines()]
    assert (wrong.returncode, row["subject"], row["level"]) == (2, "configuration", "error")
    assert row["words"] in wrong.stderr
