"""One connection: what it says, what it hears, and the words when there is none. Real mosquitto but for its impossible faults."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import fakes
from support.broker import mosquitto
from support.heard import Heard, to
from support.tls import Authority
from support.wait import until

from fleetview_agent.mqtt import BrokerUrl, FailureKind, LinkError, TlsFiles, WillMessage, open_session

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.broker import Broker


async def why(url: str, *, client_id: str = "probe", **options: Any) -> tuple[FailureKind, str]:
    """The failure of an attempt that must fail."""
    with pytest.raises(LinkError) as caught:
        async with open_session(BrokerUrl.parse(url), client_id=client_id, on_message=to([]), **options):
            pass
    return caught.value.failure.kind, caught.value.failure.words


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_says_and_hears(broker: Broker, protocol: Any) -> None:
    heard: Heard = []
    url = BrokerUrl.parse(broker.url)
    async with open_session(url, client_id="one", on_message=to(heard), protocol=protocol) as session:
        assert session.protocol == protocol
        await session.publish("a/kept", b"1", qos=1, retain=True)
        assert await session.subscribe([("a/#", 0)]) == []
        await session.publish("a/live", b"2", qos=1)
        await session.publish("a/live", b"3", qos=0)
        session.publish_nowait("a/live", b"4")
        await until(lambda: len(heard) == 4)
    assert heard == [("a/kept", b"1", True), ("a/live", b"2", False), ("a/live", b"3", False), ("a/live", b"4", False)]
    await until(lambda: "one disconnected" in broker.log)


async def test_a_goodbye_keeps_the_will_back_and_an_error_lets_it_out(broker: Broker) -> None:
    heard: Heard = []
    url = BrokerUrl.parse(broker.url)
    will = WillMessage("will", b"lost", retain=False)

    async def run(session_id: str, ending: Exception | None) -> None:
        async with open_session(
            url, client_id=session_id, on_message=to([]), will=replace(will, payload=session_id.encode())
        ):
            if ending is not None:
                raise ending

    async with open_session(url, client_id="watch", on_message=to(heard)) as watch:
        await watch.subscribe([("will", 1)])
        await run("leaves", None)
        with pytest.raises(ZeroDivisionError):
            await run("fails", ZeroDivisionError())
        await until(lambda: heard)
    assert heard == [("will", b"fails", False)]


async def test_being_cancelled_is_a_goodbye(broker: Broker) -> None:
    inside = asyncio.Event()

    async def stay() -> None:
        will = WillMessage("will", b"lost")
        async with open_session(BrokerUrl.parse(broker.url), client_id="stay", on_message=to([]), will=will) as session:
            inside.set()
            await session.wait_closed()

    task = asyncio.create_task(stay())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: "stay disconnected" in broker.log)


async def test_the_broker_goes_away_under_a_publish(broker: Broker) -> None:
    async with open_session(BrokerUrl.parse(broker.url), client_id="one", on_message=to([])) as session:
        os.kill(broker.pid, signal.SIGSTOP)
        publishing = asyncio.create_task(session.publish("a", b"x", qos=1))
        await until(lambda: session.unsent == 0)
        broker.kill()
        with pytest.raises(LinkError) as caught:
            await publishing
        assert caught.value.failure.kind is FailureKind.LOST
        assert str(broker.port) in caught.value.failure.words
        assert (await session.wait_closed()).kind is FailureKind.LOST
        with pytest.raises(LinkError):
            session.publish_nowait("a", b"x")
        with pytest.raises(LinkError):
            await session.subscribe([("a", 0)])


async def test_what_on_message_raises_comes_out(broker: Broker) -> None:
    def broken(topic: str | bytes, payload: bytes, retained: bool) -> None:
        raise ZeroDivisionError

    async def run() -> None:
        async with open_session(BrokerUrl.parse(broker.url), client_id="one", on_message=broken) as session:
            await session.subscribe([("a", 0)])
            await session.publish("a", b"x", qos=0)
            async with asyncio.timeout(20):
                await session.wait_closed()

    with pytest.raises(ZeroDivisionError):
        await run()


async def test_no_broker_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    kind, words = await why(f"mqtt://127.0.0.1:{port}")
    assert kind is FailureKind.REFUSED
    assert words == f"127.0.0.1:{port} refused the connection: no broker listens there"


async def test_no_such_host() -> None:
    kind, words = await why("mqtt://broker.invalid")
    assert kind is FailureKind.UNREACHABLE
    assert "cannot find broker.invalid" in words


async def test_password_and_refused_publish(tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    # Made by mosquitto_passwd for user "ana", password "right".
    passwords.write_text("ana:" + _hashed("right") + "\n")
    acl = tmp_path / "acl"
    acl.write_text("user ana\ntopic read #\ntopic write mine/#\n")
    lines = [f"password_file {passwords}", f"acl_file {acl}"]
    with mosquitto(tmp_path, config_lines=lines, anonymous=False) as broker:
        where = f"127.0.0.1:{broker.port}"
        for protocol in ("5", "3.1.1"):
            kind, words = await why(f"mqtt://ana:wrong@{where}", protocol=protocol)
            assert (kind, "wrong" in words) == (FailureKind.AUTHORISATION, False)
            assert words.startswith(f"{where} does not let user 'ana' in")
        kind, words = await why(f"mqtt://{where}")
        assert kind is FailureKind.AUTHORISATION
        assert "user name" in words
        async with open_session(BrokerUrl.parse(f"mqtt://ana:right@{where}"), client_id="a", on_message=to([])) as session:
            await session.publish("mine/1", b"x")
            with pytest.raises(LinkError) as caught:
                await session.publish("yours/1", b"x")
    assert caught.value.failure.kind is FailureKind.AUTHORISATION
    assert "yours/1" in caught.value.failure.words


def _hashed(password: str) -> str:
    """As mosquitto_passwd of Mosquitto 2 writes it: PBKDF2 with SHA-512."""
    import base64
    import hashlib

    salt = b"0123456789ab"
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 101)
    return f"$7$101${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


async def test_tls_with_a_client_certificate(tmp_path: Path, authority: Authority) -> None:
    ours = authority.issue("gw-1")
    with mosquitto(tmp_path, tls=authority) as broker:
        tls = TlsFiles(authority.cafile, ours.cert, ours.key)
        heard: Heard = []
        url = BrokerUrl.parse(f"mqtts://localhost:{broker.port}")
        async with open_session(url, client_id="gw-1", on_message=to(heard), tls=tls) as session:
            assert session.protocol == "5"
            await session.subscribe([("a", 0)])
            # More than one TLS record: what OpenSSL holds back must be read without another event on the socket.
            await session.publish("a", b"x" * 200_000)
            await session.publish("a", b"y")
            await until(lambda: len(heard) == 2)
        assert [len(payload) for _, payload, _ in heard] == [200_000, 1]

        stranger = Authority(tmp_path / "other", "other authority")
        theirs = stranger.issue("gw-1")
        late = authority.issue("gw-1", expired=True)
        cases = {
            "no certificate": (TlsFiles(authority.cafile), FailureKind.CERTIFICATE, "asks for a client certificate"),
            "its authority is unknown here": (
                TlsFiles(stranger.cafile, ours.cert, ours.key),
                FailureKind.CERTIFICATE,
                "cafile",
            ),
            "our authority is unknown there": (
                TlsFiles(authority.cafile, theirs.cert, theirs.key),
                FailureKind.CERTIFICATE,
                "not issued by an authority that it trusts",
            ),
            "ours has expired": (TlsFiles(authority.cafile, late.cert, late.key), FailureKind.CERTIFICATE, "it has expired"),
        }
        for case, (files, expected, part) in cases.items():
            kind, words = await why(str(url), tls=files)
            assert (kind, part in words, str(broker.port) in words) == (expected, True, True), (case, words)
        kind, words = await why(f"mqtt://localhost:{broker.port}")
        assert (kind, "mqtts://" in words) == (FailureKind.PROTOCOL, True), words


async def test_certificates_of_the_broker(tmp_path: Path, authority: Authority, broker: Broker) -> None:
    tls = TlsFiles(authority.cafile)
    with mosquitto(tmp_path, tls=authority, require_certificate=False, server_names=["other.example"]) as renamed:
        kind, words = await why(f"mqtts://localhost:{renamed.port}", tls=tls)
        assert kind is FailureKind.HOSTNAME
        assert "'localhost'" in words
    kind, words = await why(f"mqtts://localhost:{broker.port}", tls=tls)
    assert (kind, "TLS" in words) == (FailureKind.PROTOCOL, True)


async def test_the_certificate_of_the_broker_has_expired(tmp_path: Path, authority: Authority) -> None:
    expired = authority.issue("broker", expired=True)
    lines = [f"cafile {authority.cafile}", f"certfile {expired.cert}", f"keyfile {expired.key}"]
    with mosquitto(tmp_path, config_lines=lines) as broker:
        kind, words = await why(f"mqtts://localhost:{broker.port}", tls=TlsFiles(authority.cafile))
    assert kind is FailureKind.CERTIFICATE
    assert "has expired" in words


async def test_files_that_cannot_be_used(tmp_path: Path, authority: Authority) -> None:
    one, two = authority.issue("one"), authority.issue("two")
    locked = authority.issue("locked", passphrase=b"secret")
    text = tmp_path / "text.pem"
    text.write_text("not PEM")
    cases = [
        (TlsFiles(tmp_path / "absent.pem"), "absent.pem cannot be read: No such file"),
        (TlsFiles(text), "text.pem holds no certificate authority"),
        (TlsFiles(authority.cafile, one.cert, two.key), "does not belong to the certificate"),
        (TlsFiles(authority.cafile, text, one.key), "hold no certificate"),
        (TlsFiles(authority.cafile, locked.cert, locked.key), "encrypted with a passphrase"),
        (TlsFiles(authority.cafile, None, one.key), "no certificate to go with it"),
        (TlsFiles(authority.cafile, one.cert), "hold no certificate with its key"),
    ]
    for files, part in cases:
        kind, words = await why("mqtts://localhost:1", tls=files)
        assert (kind, part in words) == (FailureKind.CERTIFICATE, True), words


@pytest.mark.parametrize("behave", [fakes.only_311, fakes.only_311_hanging_up])
async def test_falls_back_to_the_older_protocol(behave: Callable[[fakes.Peer], None]) -> None:
    with fakes.fake_broker(behave) as fake:
        async with open_session(BrokerUrl.parse(fake.url), client_id="one", on_message=to([])) as session:
            assert session.protocol == "3.1.1"
            assert await session.subscribe([("a", 0)]) == []
        assert fake.connections == 2
        kind, _ = await why(fake.url, protocol="5")
        assert kind is FailureKind.PROTOCOL


@pytest.mark.parametrize(
    ("behave", "expected", "part"),
    [
        (fakes.mute, FailureKind.MUTE, "did not answer within 0.2 s"),
        (fakes.garbage, FailureKind.PROTOCOL, "not MQTT"),
        (fakes.hangs_up, FailureKind.PROTOCOL, "closed the connection without an answer"),
        (lambda peer: peer.greet(3 if peer.version == 4 else 0x88), FailureKind.REFUSED, "takes nobody now"),
        (lambda peer: peer.greet(0x85), FailureKind.AUTHORISATION, "client id 'probe'"),
    ],
)
async def test_faults_before_the_session(behave: Any, expected: FailureKind, part: str) -> None:
    with fakes.fake_broker(behave) as fake:
        kind, words = await why(fake.url, connect_timeout_s=0.2 if behave is fakes.mute else 5)
    assert (kind, part in words) == (expected, True), words
    assert str(fake.port) in words


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_refused_subscriptions_are_told(protocol: Any) -> None:
    filters = [(f"a/{number}", 0) for number in range(20)]
    with fakes.fake_broker(fakes.refuses_subscriptions) as fake:
        async with open_session(BrokerUrl.parse(fake.url), client_id="one", on_message=to([]), protocol=protocol) as session:
            refused = await session.subscribe(filters)
    assert refused == [(name, "not authorized" if protocol == "5" else "refused") for name, _ in filters]


async def test_a_link_that_ends_within_a_packet() -> None:
    with fakes.fake_broker(fakes.vanishes_in_a_packet) as fake:
        async with open_session(BrokerUrl.parse(fake.url), client_id="one", on_message=to([])) as session:
            await session.subscribe([("#", 0)])
            failure = await session.wait_closed()
    assert (failure.kind, failure.words) == (FailureKind.LOST, f"127.0.0.1:{fake.port} closed the connection")


async def test_no_more_under_way_than_the_broker_takes() -> None:
    """paho 2.2.0 ignores Receive Maximum, and a broker ends a session that exceeds it."""

    def behave(peer: fakes.Peer) -> None:
        peer.read()
        peer.send(fakes.packet(fakes.CONNACK, b"\x00\x00\x03\x21\x00\x02"))
        peer.version = 5
        peer.socket.settimeout(0.2)
        for _ in range(5):
            first, second = peer.read(), peer.read()
            with pytest.raises(TimeoutError):
                peer.read()
            for _, body in (first, second):
                peer.send(fakes.packet(fakes.PUBACK, body[3:5]))
        peer.socket.settimeout(None)
        peer.serve()

    with fakes.fake_broker(behave) as fake:
        async with open_session(BrokerUrl.parse(fake.url), client_id="one", on_message=to([])) as session:
            async with asyncio.timeout(20):
                await asyncio.gather(*(session.publish("a", b"x") for _ in range(10)))


async def test_connack_and_end_in_one_breath() -> None:
    """aiomqtt 2.5.1 forgets an end that comes before its `__aenter__` returns."""

    def flash(peer: fakes.Peer) -> None:
        peer.read()
        peer.send(b"\x20\x03\x00\x00\x00" + b"\xe0\x02\x8b\x00")

    with fakes.fake_broker(flash) as fake:
        async with open_session(BrokerUrl.parse(fake.url), client_id="one", on_message=to([])) as session:
            async with asyncio.timeout(20):
                failure = await session.wait_closed()
    assert failure.kind is FailureKind.LOST
    assert "server shutting down" in failure.words


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_hostile_topics_do_not_end_the_session(protocol: Any) -> None:
    """With aiomqtt's own iterator the first of them would (aiomqtt 2.5.1)."""
    heard: Heard = []
    with fakes.fake_broker(fakes.hostile_topics) as fake:
        url = BrokerUrl.parse(fake.url)
        async with open_session(url, client_id="one", on_message=to(heard), protocol=protocol) as session:
            await session.subscribe([("#", 0)])
            await until(lambda: ("a/b", b"after", False) in heard)
    assert heard[0] == (b"fleet/v1/acme/s\xff\xfe/d/state", b"{}", False)
    assert heard[1][0] == "fleet/v1/+/#/d/state"
