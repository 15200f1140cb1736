"""The images as a container engine runs them, confined as compose.yaml says, against a real broker: `make images-test`.

What can be told of them without an engine stands in test_deploy_images.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.agents import watching
from support.broker import Broker, mosquitto
from support.containers import COMPOSE, UID, Container, Engine, Service, belongs_to_the_image, engine, service, started
from support.programs import free_port
from support.terminal import Terminal
from support.tls import Authority
from support.wait import until, wait_until

from fleetview_agent.mqtt import TlsFiles
from fleetview_agent.wire import ConfigOffer, Desired, document_sha256, encode

pytestmark = [pytest.mark.images, pytest.mark.timeout(180)]

SAMPLE_BROKER = "mqtts://hub.example.com:8883"
NAME = "edge-agent-001"
"""The CN of the certificate of compose's agent."""
WITHIN_S = 60.0

_STATUS = """\
import glob, json
found = {}
for path in glob.glob("/proc/[0-9]*"):
    command = open(path + "/cmdline").read().split("\\0")
    if "run" in command and any(part.endswith("fleetview-agent") for part in command[:2]) and "python" in command[0]:
        found = dict(line.split(":", 1) for line in open(path + "/status"))
print(json.dumps({name: found[name].split() for name in ("Uid", "Gid", "CapBnd", "CapEff", "NoNewPrivs", "Seccomp")}))
"""
_WRITES = """\
import json, os
refused = {}
for folder in ("/", "/etc/fleetview-agent", "/opt/fleetview", "/var/lib/fleetview-agent", "/tmp"):
    try:
        open(os.path.join(folder, "probe"), "w").close()
    except OSError as err:
        refused[folder] = err.errno
print(json.dumps(sorted(refused)))
"""


@pytest.fixture(scope="module")
def containers() -> Engine:
    return engine()


@pytest.fixture
def secured(tmp_path: Path, authority: Authority) -> Iterator[Broker]:
    with mosquitto(tmp_path, tls=authority) as running:
        yield running


def files(service_folder: Path, authority: Authority, **names: str) -> None:
    """Certificates as compose.yaml mounts them: who it is by the file's name."""
    certs = service_folder / "certs"
    certs.mkdir(parents=True)
    (certs / "ca.crt").write_bytes(authority.cafile.read_bytes())
    for file, name in names.items():
        issued = authority.issue(name)
        issued.cert.rename(certs / f"{file}.crt")
        issued.key.rename(certs / f"{file}.key")


@pytest.fixture
def viewer(authority: Authority) -> TlsFiles:
    issued = authority.issue("viewer")
    return TlsFiles(authority.cafile, issued.cert, issued.key)


@pytest.fixture
def agent(containers: Engine, tmp_path: Path, authority: Authority, secured: Broker) -> Iterator[Service]:
    """The service `agent` with a module and a heartbeat that tests need not wait for."""
    folder = tmp_path / "compose"
    files(folder, authority, agent=NAME)
    text = (COMPOSE.parent / "agent.toml").read_text()
    assert SAMPLE_BROKER in text
    more = "heartbeat_interval = 0.5\nverify_s = 0.5\n"
    module = "[modules.ticking]\ncommand = ['/bin/sh', '-c', 'while :; do echo tick; sleep 0.2; done']\n"
    (folder / "agent.toml").write_text(more + text.replace(SAMPLE_BROKER, secured.url) + module)
    belongs_to_the_image(folder)
    with service(containers, "agent", folder) as found:
        yield found


async def test_the_agent_is_confined_and_does_its_work(
    agent: Service, containers: Engine, secured: Broker, viewer: TlsFiles
) -> None:
    async with watching(secured.url, tls=viewer) as watch:
        with started(containers, agent) as container:
            await until(lambda: len(watch.heartbeats) > 2 and "tick" in watch.texts, WITHIN_S)
            assert {(birth.device, birth.deployment) for birth in watch.births} == {(NAME, "container")}
            assert [(info.name, info.state) for info in watch.heartbeats[-1].modules] == [("ticking", "running")]
            assert json.loads(asked(container, "python", "-c", _STATUS)) == {
                "Uid": [str(UID)] * 4,
                "Gid": [str(UID)] * 4,
                "CapBnd": ["0" * 16],
                "CapEff": ["0" * 16],
                "NoNewPrivs": ["1"],
                "Seccomp": ["2"],
            }
            written = json.loads(asked(container, "python", "-c", _WRITES))
            assert written == ["/", "/etc/fleetview-agent", "/opt/fleetview"], "what may not be written"
            assert asked(container, *agent.check).startswith("healthy")
            assert f"acme/plant-7/{NAME}" in asked(container, "fleetview-agent", "check")
            assert container.stop() == 0
            await until(lambda: watch.has_state("offline"), WITHIN_S)
            assert watch.states[-1].reason == "stopped by SIGTERM"


async def test_what_the_agent_keeps_outlives_its_container(
    agent: Service, containers: Engine, secured: Broker, viewer: TlsFiles
) -> None:
    """A configuration from afar was verified in one container; another one begins with it."""
    async with watching(secured.url, tls=viewer) as watch:
        with started(containers, agent) as container:
            document = {"labels": {"ring": "stable"}}
            config = ConfigOffer(version=7, sha256=document_sha256(document), document=document)
            desired = encode(Desired(gen=1, config=config))
            await watch.session.publish(f"fleet/v1/acme/plant-7/{NAME}/desired", desired, qos=1, retain=True)
            await until(
                lambda: any(told.config is not None and told.config.status == "applied" for told in watch.reported), WITHIN_S
            )
            assert container.stop() == 0
            sessions = {birth.session for birth in watch.births}
        with started(containers, agent):
            await until(lambda: watch.heartbeats[-1].session not in sessions, WITHIN_S)
            assert watch.heartbeats[-1].config == 7
            assert watch.births[-1].labels == {"ring": "stable"}


@pytest.fixture
def exporter(containers: Engine, tmp_path: Path, authority: Authority) -> Iterator[Service]:
    folder = tmp_path / "hub"
    files(folder, authority, viewer="viewer")
    belongs_to_the_image(folder)
    with service(containers, "exporter", folder) as found:
        yield found


def test_the_exporter_serves_metrics(exporter: Service, containers: Engine, secured: Broker) -> None:
    port = free_port()
    command = [secured.url if part == SAMPLE_BROKER else part for part in exporter.keys["command"]]
    assert command != exporter.keys["command"]
    with started(containers, exporter, [*command, "--listen", f"127.0.0.1:{port}"]) as container:
        wait_until(lambda: "the link to the broker is up" in container.said, WITHIN_S)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            assert "fleet_export_broker_up 1" in answer.read().decode()
        # It asks on the port that is the image's, which on the network of this machine may be somebody else's.
        check = [part.replace("9109", str(port)) for part in exporter.check]
        assert check != exporter.check
        asked(container, *check)
        assert container.stop() == 0


def test_the_dashboard_starts_in_a_terminal(containers: Engine, broker: Broker) -> None:
    confined = ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    command = [containers.program, "run", "--rm", "--interactive", "--tty", "--network", "host", *confined, "--env", "TERM"]
    with Terminal([*command, "fleetview", "--broker", broker.url]) as terminal:
        terminal.wait("up", WITHIN_S)
        assert terminal.leave() == 0


def test_a_controller_keeps_its_journal_in_the_volume(containers: Engine, broker: Broker) -> None:
    with service(containers, "exporter", Path("/nowhere")) as found:
        volume = f"{found.prefix}agent-state:/var/lib/fleetview"
        run = ["run", "--rm", "--read-only", "--network", "host", "--volume", volume]
        assert containers.asked(*run, "fleetview", "config", "path").strip() == "/etc/fleetview/config.toml"
        containers.asked(*run, "fleetview", "control", "--tenant", "acme", "--broker", broker.url, "--once")
        kept = containers.asked(*run, "--entrypoint", "find", "fleetview", "/var/lib/fleetview", "-name", "acme.db")
        assert kept.strip() == "/var/lib/fleetview/control/acme.db"


def asked(container: Container, *command: str) -> str:
    done = container.run(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
