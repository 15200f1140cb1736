"""The commands as people and scripts run them: real processes, a real broker."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import paho.mqtt.publish
import pytest
from support import fakes
from support.broker import mosquitto

from fleetview import __version__
from fleetview_agent.wire import format_time

if TYPE_CHECKING:
    from pathlib import Path

    from support.broker import Broker
    from support.tls import Authority

KEYS = [
    "address",
    "tenant",
    "site",
    "device",
    "connectivity",
    "confirmed",
    "health",
    "reasons",
    "config",
    "release",
    "lifecycle",
    "flags",
    "last_seen_s",
    "session",
    "heartbeat",
    "lost_heartbeats",
    "log_gaps",
    "malformed",
    "clock_skew_s",
    "rollout",
]
SESSION = "01JDA8ZZZZZZZZZZZZZZZZZZZZ"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings of the machine's."""
    for name in [name for name in os.environ if name.startswith("FLEETVIEW_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")


class Ran:
    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr
        assert "Traceback" not in self.err, self.err
        if self.err:
            sys.stdout.write(self.err)  # shown when the test fails

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "fleetview", *arguments]


def fleetview(*arguments: str, **environ: str) -> Ran:
    done = subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=50, check=False, env=os.environ | environ
    )
    return Ran(done)


def heartbeat(**fields: Any) -> bytes:
    beat = {"v": 1, "session": SESSION, "seq": 1, "timestamp": format_time(datetime.now(UTC)), "health": "ok"} | fields
    return json.dumps(beat).encode()


def retain(broker: Broker, *messages: tuple[str, bytes]) -> None:
    paho.mqtt.publish.multiple(
        [{"topic": f"fleet/v1/{topic}", "payload": payload, "qos": 1, "retain": True} for topic, payload in messages],
        hostname=broker.host,
        port=broker.port,
    )


def online(device: str, **beat: Any) -> list[tuple[str, bytes]]:
    state = json.dumps({"v": 1, "session": SESSION, "state": "online", "at": format_time(datetime.now(UTC))}).encode()
    return [(f"{device}/state", state), (f"{device}/heartbeat", heartbeat(**beat))]


@pytest.fixture
def fleet(broker: Broker) -> Broker:
    """Three devices: one fine, one critical, one stopped."""
    offline = {"v": 1, "session": SESSION, "state": "offline", "at": format_time(datetime.now(UTC)), "reason": "maintenance"}
    retain(
        broker,
        *online("acme/plant-1/gw-1", release="1.4.2", resources={"cpu": 0.23, "memory": 0.5}),
        *online("acme/plant-2/gw-2", health="critical", reasons=["\x1b[31mdisk full\u202e"]),
        ("acme/plant-2/gw-3/state", json.dumps(offline).encode()),
    )
    return broker


def test_version() -> None:
    for ran in (fleetview("--version"), fleetview("--broker", "mqtt://x", "--version")):
        assert (ran.code, ran.out, ran.err) == (0, f"fleetview {__version__}\n", "")


def test_devices_as_json(fleet: Broker) -> None:
    ran = fleetview("--broker", fleet.url, "devices", "--json")
    assert (ran.code, ran.err) == (0, "")
    assert [list(item) for item in ran.objects] == [KEYS] * 3
    one, two, three = ran.objects
    assert (one["address"], one["connectivity"], one["confirmed"], one["health"]) == (
        "acme/plant-1/gw-1",
        "online",
        False,
        "ok",
    )
    assert one["heartbeat"]["resources"] == {"cpu": 0.23, "memory": 0.5}
    assert two["reasons"] == ["\x1b[31mdisk full\u202e"]
    assert three["connectivity"] == "offline"


def test_devices_as_a_table(fleet: Broker) -> None:
    ran = fleetview("devices", "--broker", fleet.url)
    assert (ran.code, ran.err) == (0, "fleetview: 3 of 3 devices\n")
    header, *rows = ran.out.splitlines()
    assert header.split() == ["STATE", "HEALTH", "DEVICE", "RELEASE", "CPU", "MEM", "SEEN", "WHY"]
    assert [row.split()[2] for row in rows] == ["acme/plant-2/gw-2", "acme/plant-2/gw-3", "acme/plant-1/gw-1"]
    assert "\x1b" not in ran.out
    assert "\u202e" not in ran.out
    assert "disk full" in rows[0]
    assert "said goodbye: maintenance" in rows[1]


def test_filters_and_scope(fleet: Broker) -> None:
    environ = {"FLEETVIEW_BROKER": fleet.url}
    assert [item["device"] for item in fleetview("devices", "--json", "health:critical,degraded", **environ).objects] == [
        "gw-2"
    ]
    assert [item["device"] for item in fleetview("devices", "--json", "site:plant-2 -gw-3", **environ).objects] == ["gw-2"]
    assert [item["device"] for item in fleetview("devices", "--json", "--scope", "acme/plant-1", **environ).objects] == [
        "gw-1"
    ]
    # What stands after the command wins over what stands before it, and that over the environment.
    ran = fleetview(
        "--scope", "acme/plant-1", "devices", "--json", "--scope", "acme/plant-2", FLEETVIEW_SCOPE="x", **environ
    )
    assert [item["device"] for item in ran.objects] == ["gw-2", "gw-3"]
    assert fleetview("devices", "--json", "site:nowhere", **environ).code == 0


def test_one_device(fleet: Broker) -> None:
    wrong = {"subject": "clock", "level": "warning", "words": "nothing keeps it in step"}
    reported = {"v": 1, "session": SESSION, "gen": 0, "preflight": {"ok": 19, "warnings": 1, "findings": [wrong]}}
    retain(fleet, ("acme/plant-2/gw-2/reported", json.dumps(reported).encode()))
    ran = fleetview("device", "acme/plant-2/gw-2", "--broker", fleet.url)
    assert ran.code == 0
    assert "disk full" in ran.out
    assert "\x1b" not in ran.out
    detail = fleetview("device", "gw-2", "--json", "--broker", fleet.url).objects[0]
    assert list(detail)[: len(KEYS)] == KEYS
    assert any("disk full" in reason["text"] for reason in detail["why"])
    assert "preflight: 1 warning, 19 ok" in ran.out
    assert "warning  clock  nothing keeps it in step" in ran.out
    assert detail["reported"]["preflight"]["warnings"] == 1
    unknown = fleetview("device", "acme/plant-2/gw-22", "--broker", fleet.url)
    assert (unknown.code, unknown.out) == (1, "")
    assert "did you mean acme/plant-2/gw-2" in unknown.err
    assert fleetview("device", "no/address", "--broker", fleet.url).code == 2


def test_logs_as_they_arrive(broker: Broker) -> None:
    with subprocess.Popen(
        command("logs", "--follow", "--json", "level:error", "--broker", broker.url),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            line = ""
            while not line:
                # Not retained, so it is said until somebody listens.
                batch = {"stream": "S", "first_seq": 7, "records": [record("INFO", "fine"), record("ERROR", "failed")]}
                paho.mqtt.publish.single(
                    "fleet/v1/acme/plant-1/gw-1/log", json.dumps(batch), qos=1, hostname=broker.host, port=broker.port
                )
                line = _line_within(process, 0.5)
            entry = json.loads(line)
            assert (entry["address"], entry["level"], entry["message"], entry["seq"]) == (
                "acme/plant-1/gw-1",
                "ERROR",
                "failed",
                8,
            )
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (process.returncode, err) == (130, "")


def test_logs_are_in_order_and_say_what_is_missing(broker: Broker) -> None:
    with subprocess.Popen(
        command("logs", "--follow", "level>=warn", "--broker", broker.url),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            said = ""
            seq = 0
            while "newer" not in said:
                now = datetime.now(UTC)
                late, new = (
                    {**record("ERROR", word), "timestamp": format_time(now - timedelta(milliseconds=age))}
                    for word, age in (("older", 100), ("newer", 0))
                )
                # A gap before a record that the filter hides is still a gap.
                batches = [
                    ("gw-1", {"stream": "S", "first_seq": seq, "records": [record("INFO", "hidden")]}),
                    ("gw-1", {"stream": "S", "first_seq": seq + 6, "records": [record("INFO", "hidden")]}),
                    ("gw-2", {"records": [new]}),
                    ("gw-3", {"records": [late]}),
                ]
                paho.mqtt.publish.multiple(
                    [(f"fleet/v1/acme/plant-1/{name}/log", json.dumps(batch), 1, False) for name, batch in batches],
                    hostname=broker.host,
                    port=broker.port,
                )
                seq += 7
                while some := _said_within(process, 1.0):
                    said += some
            lines = said.splitlines()
            last = [line.split()[-1] for line in lines if "ERROR" in line]
            assert last == ["older", "newer"] * (len(last) // 2)
            assert any("5 records of acme/plant-1/gw-1 missing (nobody owned up to it)" in line for line in lines)
            assert "\x1b" not in said
        finally:
            process.kill()


def test_logs_end_when_nobody_reads_them_although_nothing_is_said(broker: Broker) -> None:
    with subprocess.Popen(
        command("logs", "--follow", "--broker", broker.url), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 0


def _said_within(process: subprocess.Popen[str], seconds: float) -> str:
    import select

    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], seconds)
    return os.read(process.stdout.fileno(), 1 << 16).decode() if ready else ""


def _line_within(process: subprocess.Popen[str], seconds: float) -> str:
    import select

    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], seconds)
    return process.stdout.readline() if ready else ""


def record(level: str, message: str) -> dict[str, str]:
    return {"timestamp": format_time(datetime.now(UTC)), "service": "s", "level": level, "message": message}


def test_a_closed_pipe_ends_it_quietly(broker: Broker) -> None:
    retain(
        broker, *(message for number in range(600) for message in online(f"acme/plant-1/gw-{number}", reasons=["x" * 200]))
    )
    with subprocess.Popen(
        command("devices", "--json", "--broker", broker.url), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_no_broker_is_exit_3() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    for arguments in (["devices"], ["device", "gw-1"], ["logs"]):
        ran = fleetview("--broker", f"mqtt://127.0.0.1:{port}", *arguments)
        assert (ran.code, ran.out) == (3, "")
        assert ran.err == f"fleetview: 127.0.0.1:{port} refused the connection: no broker listens there\n"


def test_wrong_usage_is_exit_2(tmp_path: Path) -> None:
    cases = [
        (["devices", "--bogus"], "--bogus"),
        (["frobnicate"], "frobnicate"),
        (["device"], "ADDRESS"),
        (["devices", "--broker", "foo"], "--broker: 'foo' is not a broker URL"),
        (["devices", "heath:ok"], "did you mean 'health'"),
        (["devices", "--settle", "x"], "settle"),
        (["logs", "--since", "soon"], "--since: 'soon' is no time; write 15m (ago), 14:05"),
        (["devices", "--context", "x"], "unknown context 'x'"),
        (
            ["devices", "--broker", "mqtts://localhost:1", "--cafile", str(tmp_path / "absent.pem")],
            "absent.pem cannot be read",
        ),
    ]
    for arguments, part in cases:
        ran = fleetview(*arguments)
        assert (ran.code, ran.out, part in ran.err) == (2, "", True), (arguments, ran.err)


def test_check(fleet: Broker, authority: Authority, tmp_path: Path) -> None:
    ran = fleetview("check", "--json", "--broker", fleet.url)
    assert ran.code == 0
    levels = {item["subject"]: item["level"] for item in ran.objects}
    assert levels == dict.fromkeys(
        ["config", "broker", "subscription", "roster", "prometheus", "alertmanager", "history", "terminal"], "ok"
    )
    text = fleetview("check", "--broker", fleet.url, "--prometheus", "http://127.0.0.1:1", "--cafile", "ca.pem")
    assert text.code == 1
    assert "3 devices below fleet/v1" in text.out, text.out
    assert "Prometheus at http://127.0.0.1:1 cannot be reached" in text.out
    assert "warning  tls" in text.out
    empty = fleetview("check", "--json", "--broker", fleet.url, "--root", "other")
    assert (empty.code, [item["level"] for item in empty.objects if item["subject"] == "roster"]) == (0, ["warning"])


def test_check_names_what_is_refused(tmp_path: Path) -> None:
    with mosquitto(tmp_path, anonymous=False) as broker:
        ran = fleetview("check", "--json", "--broker", broker.url)
    assert ran.code == 1
    assert [item["words"].endswith("in (not authorized)") for item in ran.objects if item["level"] == "error"] == [True]
    with fakes.fake_broker(fakes.refuses_subscriptions) as fake:
        ran = fleetview("check", "--json", "--broker", fake.url)
    assert ran.code == 1
    assert sum("was not granted" in item["words"] for item in ran.objects) == 11


def test_config(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[contexts.plant]\nbroker = "mqtts://ana:s3cret@h"\ncafile = "ca.pem"\n')
    environ = {"FLEETVIEW_CONFIG": str(path)}
    assert fleetview("config", "path", **environ).out == f"{path}\n"
    shown = json.loads(fleetview("config", "show", "--json", "--scope", "acme", **environ).out)
    assert shown["broker"] == {"value": "mqtts://ana:***@h:8883", "origin": f"{path}: contexts.plant.broker"}
    assert shown["cafile"]["value"] == str(tmp_path / "ca.pem")
    assert shown["scope"] == {"value": "acme", "origin": "--scope"}
    assert shown["panels"] == {"value": None, "origin": "default"}
    with path.open("a") as file:
        file.write('[[contexts.plant.panels]]\ntitle = "busy"\nquery = "up"\n[[columns]]\nname = "inlet"\nquery = "t"\n')
        file.write('[keys]\n"fleet.logs" = "l,f2"\n[aliases]\ncrit = "devices health:critical"\n')
    shown = json.loads(fleetview("config", "show", "--json", **environ).out)
    assert shown["panels"] == {"value": "busy", "origin": f"{path}: contexts.plant.panels"}
    assert shown["columns"] == {"value": "inlet", "origin": f"{path}: columns"}
    assert shown["keys"] == {"value": "fleet.logs: l,f2", "origin": f"{path}: keys"}
    assert shown["aliases"] == {"value": "crit", "origin": f"{path}: aliases"}
    assert "ContextTable" in json.loads(fleetview("config", "schema").out)["$defs"]
    assert "s3cret" not in fleetview("config", "show", **environ).out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--version"],
        ["devices"],
        ["device", "gw-1"],
        ["logs", "--settle", "0"],
        ["check"],
        ["config", "show"],
        ["simulate", "-h"],
        ["export", "--shard", "2/2"],
    ],
)
def test_no_headless_command_loads_textual(broker: Broker, arguments: list[str]) -> None:
    code = (
        "import sys; from fleetview.cli import main; sys.argv = ['fleetview', *sys.argv[1:]]; main();"
        " sys.stderr.write('loaded ' + ' '.join(m for m in ('textual', 'rich', 'typer') if m in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
        env=os.environ | {"FLEETVIEW_BROKER": broker.url},
    )
    loaded = done.stderr.rpartition("loaded")[2].split()
    assert "textual" not in loaded
    if arguments == ["--version"]:
        assert loaded == [], "--version must stay fast"


def test_keys_and_aliases_that_cannot_be_are_errors_before_the_screen_starts(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    environ = {"FLEETVIEW_CONFIG": str(file)}
    file.write_text('[keys]\nfleet.lgs = "l"\n')
    for arguments in (["--keys"], []):
        found = fleetview(*arguments, **environ)
        assert (found.code, found.out) == (2, "")
        assert f"{file}: keys.fleet.lgs: unknown binding; did you mean 'fleet.logs'?" in found.err
    file.write_text('[aliases]\ncrit = "devces x"\n')
    found = fleetview(**environ)
    assert (found.code, found.out) == (2, "")
    assert f"{file}: aliases.crit: unknown command 'devces'; did you mean 'devices'?" in found.err
    file.write_text('theme = "nrod"\n')
    assert f"{file}: theme: unknown theme 'nrod'; did you mean 'nord'?" in fleetview(**environ).err


def test_keys_are_printed_as_configured(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('default_context = "nowhere"\n[keys]\nfleet.logs = "f2"\n')
    found = fleetview("--keys", FLEETVIEW_CONFIG=str(file))
    assert found.code == 0
    assert re.search(r"fleet\.logs +f2 +The logs of the device", found.out)
