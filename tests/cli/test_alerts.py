"""`fleetview alerts`, `silence` and `check` against a real Prometheus and a real Alertmanager."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from email.utils import formatdate
from time import time
from typing import TYPE_CHECKING, Any

import paho.mqtt.publish
import pytest
from support.broker import mosquitto
from support.commands import fleetview
from support.fakes import fake_broker, mute
from support.programs import free_port
from support.servers import Asked, Monitored, answering, monitored, post_alerts, serving
from support.terminal import Terminal

from fleetview.core.alertread import unix_s

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEYS = [
    "name",
    "severity",
    "state",
    "since",
    "tenant",
    "site",
    "device",
    "value",
    "threshold",
    "summary",
    "runbook",
    "silenced_by",
    "inhibited_by",
    "receivers",
    "sources",
    "url",
    "fingerprint",
    "labels",
    "annotations",
]
HOT = ("TooHot", "gw-1")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitored]:
    with monitored(tmp_path_factory.mktemp("monitored")) as running:
        yield running


@pytest.fixture
def servers(real: Monitored) -> dict[str, str]:
    return {"FLEETVIEW_PROMETHEUS": real.prometheus, "FLEETVIEW_ALERTMANAGER": real.alertmanager}


def dead() -> str:
    return f"http://127.0.0.1:{free_port()}"


def by_name(objects: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(item["name"], item["device"]): item for item in objects}


def test_alerts_as_json(servers: dict[str, str]) -> None:
    ran = fleetview("alerts", "--json", **servers)
    assert ran.code == 0
    assert [list(item) for item in ran.objects] == [KEYS] * len(ran.objects)
    found = by_name(ran.objects)
    hot = found[HOT]
    assert (hot["severity"], hot["state"], hot["tenant"], hot["site"]) == ("critical", "firing", "acme", "plant-7")
    assert (hot["value"], hot["threshold"], hot["runbook"]) == (0.97, "> 0.9", "https://runbooks.example/too-hot")
    assert hot["sources"] == ["prometheus", "alertmanager"]
    assert found["TooHot", "gw-3"]["value"] == "+Inf"
    assert found["DiskFills", "gw-1"]["state"] == "pending"
    assert "rule Broken cannot be evaluated" in ran.err


def test_alerts_as_a_table_and_in_a_scope(servers: dict[str, str], real: Monitored) -> None:
    post_alerts(real.alertmanager, {"alertname": "Od\x1b[31md\u202e", "device": "gw-9\r\ngw-8", "site": "plant-9"})
    ran = fleetview("alerts", **servers)
    assert ran.code == 0
    assert not set("\x1b\u202e\r") & set(ran.out)
    header, *rows = ran.out.splitlines()
    assert header.split() == ["SEVERITY", "STATE", "SINCE", "ALERT", "WHERE", "VALUE", "SUMMARY"]
    assert any("0.97 > 0.9  cpu of gw-1 is 0.97" in row and "acme/plant-7/gw-1" in row for row in rows)
    scoped = fleetview("alerts", "--scope", "acme/plant-8", **servers)
    assert [row.split()[4] for row in scoped.out.splitlines()[1:]] == ["acme/plant-8/gw-3"]
    assert "more are outside the scope" in scoped.err


def test_one_source_that_is_not_there_is_exit_3_and_the_other_is_shown(servers: dict[str, str]) -> None:
    ran = fleetview("alerts", "--json", **servers | {"FLEETVIEW_PROMETHEUS": dead()})
    assert ran.code == 3
    assert HOT in by_name(ran.objects)
    assert "cannot be reached: nothing listens there" in ran.err


def test_without_servers_it_is_usage() -> None:
    for arguments in (["alerts"], ["silence", "list"], ["silence", "expire", "abcd"]):
        ran = fleetview(*arguments)
        assert (ran.code, ran.out, "is configured" in ran.err) == (2, "", True)


def silence(servers: dict[str, str], *arguments: str, **environ: str) -> Any:
    return fleetview("silence", *arguments, **servers | environ)


def test_a_silence_from_its_beginning_to_its_end(servers: dict[str, str]) -> None:
    ran = silence(servers, "add", "--device", "acme/plant-7/gw-1", "--for", "2h", "--comment", "new fan", "--author", "ann")
    assert ran.code == 0
    silence_id = ran.out.strip()
    assert 'keeps quiet for 2h 00m: tenant="acme" site="plant-7" device="gw-1"' in ran.err
    assert "1 alert on 1 device now" in ran.err
    hot = by_name(fleetview("alerts", "--json", **servers).objects)[HOT]
    assert (hot["state"], hot["silenced_by"]) == ("silenced", [silence_id])
    (listed,) = silence(servers, "list", "--json").objects
    assert list(listed) == ["id", "state", "starts", "ends", "author", "comment", "matchers"]
    assert (listed["id"], listed["state"], listed["author"], listed["comment"]) == (silence_id, "active", "ann", "new fan")
    assert sorted(listed["matchers"]) == ['device="gw-1"', 'site="plant-7"', 'tenant="acme"']
    table = silence(servers, "list").out.splitlines()
    assert "1h 59m" in table[1] or "2h 00m" in table[1]
    assert silence(servers, "expire", silence_id[:3]).code == 1, "too short to mean one"
    assert silence(servers, "extend", silence_id[:8], "--by", "1h", "--author", "ben").out.strip() == silence_id
    (longer,) = silence(servers, "list", "--json").objects
    assert longer["ends"] > listed["ends"]
    ran = silence(servers, "expire", silence_id)
    assert (ran.code, ran.out) == (0, "")
    assert "ben: new fan" in ran.err, "who extends it answers for it"
    assert silence(servers, "list", "--json").objects == []
    assert [one["state"] for one in silence(servers, "list", "--expired", "--json").objects] == ["expired"]
    assert by_name(fleetview("alerts", "--json", **servers).objects)[HOT]["state"] == "firing"
    again = silence(servers, "expire", silence_id)
    assert (again.code, again.err) == (1, f"fleetview: '{silence_id}': no silence holds with this id\n")


def test_a_person_is_asked_first(servers: dict[str, str]) -> None:
    command = [sys.executable, "-m", "fleetview", "silence", "add", "a=b", "--for", "1h", "--comment", "c"]
    bare = {name: "" for name in os.environ if name.startswith("FLEETVIEW_")}
    for answer, code, silences in (("n\r", 1, 0), ("y\r", 0, 1)):
        with Terminal(command, columns=160, env=bare | servers) as terminal:
            terminal.wait("Do it? [y/N]:")
            assert silence(servers, "list", "--json").objects == [], "it was done before the answer"
            terminal.type(answer)
            assert terminal.process.wait(20) == code
        assert len(silence(servers, "list", "--json").objects) == silences
    assert silence(servers, "expire", *(one["id"] for one in silence(servers, "list", "--json").objects)).code == 0


def test_a_read_only_context_changes_nothing(servers: dict[str, str]) -> None:
    before = silence(servers, "list", "--expired", "--json").out
    for arguments in (
        ["add", "a=b", "--for", "1h", "--comment", "c"],
        ["expire", "abcd"],
        ["extend", "abcd", "--by", "1h"],
    ):
        ran = silence(servers, *arguments, FLEETVIEW_READ_ONLY="yes")
        assert (ran.code, ran.out) == (1, "")
        assert "is read-only (FLEETVIEW_READ_ONLY)" in ran.err
    assert silence(servers, "list", "--expired", "--json").out == before


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        (["a=b", "--comment", "c"], 2, "--for"),
        (["a=b", "--for", "1h"], 2, "--comment"),
        (["a=b", "--for", "1h", "--comment", " "], 2, "--comment: say why"),
        (["a=b", "--for", "soon", "--comment", "c"], 2, "--for: 'soon' is not a duration"),
        (["--for", "1h", "--comment", "c"], 2, "say which alerts"),
        (["a>b", "--for", "1h", "--comment", "c"], 2, "is not a matcher such as"),
        (["--device", "gw-1", "--for", "1h", "--comment", "c"], 2, "--device: "),
        (["a=b", "--for", "1h", "--comment", "c", "--author", " "], 2, "--author: say who"),
        (["a=~.*", "--for", "1h", "--comment", "c"], 1, "refuses the question"),
        (["a=~(", "--for", "1h", "--comment", "c"], 1, "refuses the question"),
    ],
)
def test_silences_that_are_none(servers: dict[str, str], arguments: list[str], code: int, part: str) -> None:
    ran = silence(servers, "add", *arguments)
    assert (ran.code, ran.out, part in ran.err) == (code, "", True), ran.err


def test_an_alertmanager_that_is_not_there_is_exit_3() -> None:
    for arguments in (["list"], ["add", "a=b", "--for", "1h", "--comment", "c"], ["expire", "abcd"]):
        ran = fleetview("silence", *arguments, FLEETVIEW_ALERTMANAGER=dead())
        assert (ran.code, ran.out, "nothing listens there" in ran.err) == (3, "", True)


def test_a_silence_is_as_long_by_the_clock_of_an_alertmanager_that_is_an_hour_ahead() -> None:
    def reply(asked: Asked) -> tuple[int, Any, dict[str, str]]:
        return 200, ({"silenceID": "i"} if asked.method == "POST" else []), {"Date": formatdate(time() + 3600, usegmt=True)}

    with answering(reply) as fake:
        ran = fleetview("silence", "add", "a=b", "--for", "10m", "--comment", "c", FLEETVIEW_ALERTMANAGER=fake.url)
    assert (ran.code, ran.out) == (0, "i\n")
    sent = json.loads(next(one.body for one in fake.asked if one.method == "POST"))
    starts, ends = unix_s(sent["startsAt"]), unix_s(sent["endsAt"])
    assert starts is not None
    assert ends is not None
    assert ends - starts == pytest.approx(600)
    assert starts - time() == pytest.approx(3600, abs=60)


# -- check


def found(*arguments: str, **environ: str) -> dict[str, list[tuple[str, str]]]:
    ran = fleetview("check", "--json", "--broker", f"mqtt://127.0.0.1:{free_port()}", *arguments, **environ)
    by_subject: dict[str, list[tuple[str, str]]] = {}
    for item in ran.objects:
        by_subject.setdefault(item["subject"], []).append((item["level"], item["words"]))
    return by_subject


def test_check_tells_flavour_version_and_health(servers: dict[str, str], real: Monitored) -> None:
    checked = found(**servers)
    ((level, words),) = checked["prometheus"]
    assert level == "ok"
    assert words.startswith("Prometheus 2.")
    assert words.endswith(f" at {real.prometheus} is up, with 1 scrape targets; 2 of at most 240 queries a minute")
    ((level, words),) = checked["alertmanager"]
    assert (level, words.endswith(f" at {real.alertmanager} is up")) == ("ok", True)


def _vector(**more: Any) -> dict[str, Any]:
    data = {"resultType": "vector", "result": [{"metric": {}, "value": [1, "7"]}], "version": "3.0.0"}
    return {"status": "success", "data": data} | more


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (
            _vector(),
            {},
            [("ok", "Prometheus 3.0.0 at {url} is up, with 7 scrape targets; 2 of at most 240 queries a minute")],
        ),
        (
            _vector(isPartial=True, warnings=["store gone"]),
            {},
            [
                (
                    "warning",
                    "Prometheus 3.0.0 at {url} is partial (the answer is partial; store gone), with 7 scrape targets; 2 of at most 240 queries a minute",
                )
            ],
        ),
        (
            _vector(warnings=["old"]),
            {},
            [
                (
                    "warning",
                    "Prometheus 3.0.0 at {url} is up, with 7 scrape targets; 2 of at most 240 queries a minute; it warns: old",
                )
            ],
        ),
        (
            b"<html><title>Log in</title></html>",
            {"Content-Type": "text/html"},
            [
                (
                    "error",
                    'not a Prometheus: {url} answers, but not as Prometheus does: it is a web page, "Log in": a login, or a path prefix is missing',
                )
            ],
        ),
    ],
)
def test_check_tells_what_is_not_as_it_should_be(
    body: Any, headers: dict[str, str], expected: list[tuple[str, str]]
) -> None:
    with serving(200, body, headers) as fake:
        checked = found("--prometheus", fake.url)
    assert checked["prometheus"] == [(level, words.format(url=fake.url)) for level, words in expected]


def test_check_tells_a_clock_that_is_off_by_an_hour() -> None:
    with serving(200, _vector(), {"Date": formatdate(time() + 3600, usegmt=True)}) as fake:
        checked = found("--prometheus", fake.url)
    (_, (level, words)) = checked["prometheus"]
    assert level == "warning"
    assert words.startswith(("its clock is 1h 00m ahead of ours", "its clock is 59m"))


def test_check_is_held_up_by_nobody_who_hangs() -> None:
    with fake_broker(mute) as silent:
        checked = found(
            "--prometheus", f"http://127.0.0.1:{silent.port}", "--alertmanager", f"http://127.0.0.1:{silent.port}"
        )
    assert checked["prometheus"][0][1].startswith("unreachable: Prometheus at")
    assert "did not answer within 4 s" in checked["prometheus"][0][1]
    assert checked["alertmanager"][0][1].startswith("unreachable: Alertmanager at")


@pytest.mark.parametrize("arguments", [["alerts"], ["silence", "list"], ["silence", "add", "-h"]])
def test_none_of_them_loads_textual(servers: dict[str, str], arguments: list[str], tmp_path: Path) -> None:
    code = (
        "import sys; from fleetview.cli import main\ntry: main()\nfinally:"
        " sys.stderr.write('loaded ' + ' '.join(m for m in ('textual', 'rich', 'aiomqtt') if m in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
        env=os.environ | servers,
    )
    assert done.stderr.rpartition("loaded")[2].split() in ([], ["rich"])


def test_devices_are_filtered_by_their_alerts(tmp_path: Path, servers: dict[str, str]) -> None:
    with mosquitto(tmp_path, verbose=False) as broker:
        for device in ("gw-1", "gw-2"):
            birth = json.dumps({"v": 1, "session": "S1", "device": device}).encode()
            paho.mqtt.publish.single(
                f"fleet/v1/acme/plant-7/{device}/birth", birth, qos=1, retain=True, hostname=broker.host, port=broker.port
            )
        where = {"FLEETVIEW_BROKER": broker.url}
        ran = fleetview("devices", "alerts>0 severity:critical", "--json", **where, **servers)
        assert (ran.code, [item["device"] for item in ran.objects]) == (0, ["gw-1"])
        ran = fleetview("devices", "alerts:0", "--json", **where, FLEETVIEW_PROMETHEUS=dead())
        assert (ran.code, ran.objects) == (3, [])
        assert "not all alerts are known: " in ran.err
        ran = fleetview("devices", "alerts>0", **where)
        assert ran.code == 2
        assert "neither Prometheus nor Alertmanager is configured" in ran.err
