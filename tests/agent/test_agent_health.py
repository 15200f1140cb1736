from __future__ import annotations

import os
import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.wait import wait_until

from fleetview_agent.certificate import read_certificate, read_der
from fleetview_agent.durable import write_atomically
from fleetview_agent.health import Evidence, judge
from fleetview_agent.healthcheck import judge_status, verdict
from fleetview_agent.metrics import Vitals, host_info
from fleetview_agent.pacing import BACKOFF_CAP_S, Reassertion, backoff_s
from fleetview_agent.store import InUseError, Status, Store
from fleetview_agent.wire import Heartbeat, ModuleInfo, Resources, encode

if TYPE_CHECKING:
    from pathlib import Path

    from support.tls import Authority

WELL = Resources(cpu=1.0, memory=0.5, disk=0.5, temperature_c=50.0)


@pytest.mark.parametrize(
    ("evidence", "health", "reasons"),
    [
        (Evidence(WELL), "ok", []),
        (Evidence(Resources()), "ok", []),
        (Evidence(Resources(disk=0.899)), "ok", []),
        (Evidence(Resources(disk=0.9)), "degraded", ["disk at 90% (limit 90%)"]),
        (Evidence(Resources(disk=0.97)), "critical", ["disk at 97% (limit 97%)"]),
        (Evidence(Resources(memory=0.95)), "degraded", ["memory at 95% (limit 95%)"]),
        (Evidence(Resources(temperature_c=85.0)), "degraded", ["temperature at 85 °C (limit 85 °C)"]),
        (Evidence(Resources(temperature_c=96.4)), "critical", ["temperature at 96 °C (limit 95 °C)"]),
        (Evidence(WELL, state_problem="no disk"), "degraded", ["no disk"]),
        (Evidence(WELL, log_problems=("a.log cannot be read",)), "degraded", ["a.log cannot be read"]),
        (Evidence(WELL, shipping_problem="logs refused"), "degraded", ["logs refused"]),
        (Evidence(WELL, dropped_since_last=3), "degraded", ["spool full: 3 log records dropped since the last heartbeat"]),
        (Evidence(WELL, sources_held=True, spool_records=41200), "degraded", ["spool full: sources held (41,200 records)"]),
        (Evidence(WELL, modules=(ModuleInfo(name="m", state="stopped", reason="not here"),)), "ok", []),
        (
            Evidence(WELL, modules=(ModuleInfo(name="m", state="backoff", reason="x"),)),
            "degraded",
            ["module m is in backoff: x"],
        ),
        (Evidence(WELL, modules=(ModuleInfo(name="m", state="failed"),)), "critical", ["module m failed"]),
        (
            Evidence(Resources(disk=0.92, memory=0.99), state_problem="no disk"),
            "critical",
            ["memory at 99% (limit 98%)", "disk at 92% (limit 90%)", "no disk"],
        ),
    ],
)
def test_health_follows_from_the_evidence(evidence: Evidence, health: str, reasons: list[str]) -> None:
    assert judge(evidence) == (health, reasons)


@given(st.integers(0, 10_000), st.integers())
def test_backoff_is_bounded_and_jittered(attempt: int, seed: int) -> None:
    bound = min(BACKOFF_CAP_S, 2.0 ** min(attempt, 10))
    assert 0 <= backoff_s(attempt, random.Random(seed)) <= bound


def test_backoff_uses_the_whole_range() -> None:
    rng = random.Random(1)
    waits = [backoff_s(20, rng) for _ in range(1000)]
    assert min(waits) < 0.4
    assert max(waits) > 59
    assert 27 < sum(waits) / len(waits) < 33


@given(st.lists(st.floats(0, 3600), max_size=50))
def test_presence_is_never_asserted_in_a_loop(pauses: list[float]) -> None:
    """However often something else stands there, at most eight times in the first minute and then once a minute."""
    reassertion, now_s, said = Reassertion(), 1000.0, []
    for pause_s in pauses:
        now_s += pause_s
        delay_s = reassertion.delay_s(now_s)
        assert 0 <= delay_s <= Reassertion.CAP_S
        now_s += delay_s
        said.append(now_s)
    for index, moment in enumerate(said):
        assert sum(1 for other in said[index:] if other - moment <= 60) <= 9


def test_presence_is_asserted_at_once_when_it_was_long_quiet() -> None:
    reassertion = Reassertion()
    assert [reassertion.delay_s(now_s) for now_s in (0, 1, 2, 3, 1000, 1001)] == [0, 1, 2, 4, 0, 1]


def status(**changes: Any) -> Status:
    usual: dict[str, Any] = {
        "pid": 7,
        "boot_id": "b",
        "at_s": 100.0,
        "interval_s": 20.0,
        "link": "up",
        "link_since_s": 50.0,
        "link_words": "",
    }
    return Status(**{**usual, **changes})


@pytest.mark.parametrize(
    ("found", "now_s", "healthy", "words"),
    [
        (status(), 110, True, "connected for 60 s"),
        (status(), 161, False, "hangs: no report for 61 s"),
        (status(boot_id="other"), 110, False, "hangs"),
        (status(link="backoff", link_words="nobody listens"), 110, True, "not connected for 60 s: nobody listens"),
        (
            status(link="backoff", at_s=400, link_words="nobody listens"),
            400,
            False,
            "not connected for 350 s: nobody listens",
        ),
        (None, 110, False, "has not reported"),
    ],
)
def test_the_verdict_of_the_health_check(found: Status | None, now_s: float, healthy: bool, words: str) -> None:
    given_verdict = judge_status(found, boot_id="b", now_s=now_s)
    assert given_verdict.healthy is healthy
    assert words in given_verdict.words


def test_the_health_check_knows_whether_an_agent_runs(tmp_path: Path) -> None:
    store = Store(tmp_path, "gw-1")
    assert "no agent runs" in verdict(store, boot_id="b").words
    with store.held():
        assert "has not reported" in verdict(Store(tmp_path, "gw-1"), boot_id="b").words
        with pytest.raises(InUseError, match="another agent runs as 'gw-1'"), Store(tmp_path, "gw-1").held():
            pass
        with Store(tmp_path, "gw-2").held():
            assert "no agent runs" in verdict(Store(tmp_path, "gw-3"), boot_id="b").words
    assert "no agent runs" in verdict(store, boot_id="b").words


def test_state_that_cannot_be_written_is_a_problem_and_not_the_end(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file", "gw-1")
    with store.held():
        assert "cannot be written: Not a directory" in str(store.problem)
    store.save_session("s")
    assert store.last_session() is None
    (tmp_path / "file").unlink()
    store.save_session("s")
    assert store.problem is None
    assert store.last_session() == "s"


def test_an_atomic_write_leaves_nothing_behind_when_it_fails(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_atomically(tmp_path / "a", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_vitals_of_this_machine(tmp_path: Path) -> None:
    now_s = 0.0
    vitals = Vitals(tmp_path / "not" / "there", clock=lambda: now_s)
    first = vitals.resources()
    assert first.cpu is None, "there was no time to measure in"
    assert first.memory is not None
    assert 0 < first.memory < 1
    assert first.disk is not None
    assert 0 < first.disk <= 1

    def is_measured() -> bool:
        nonlocal now_s
        now_s += 2.0
        return vitals.resources().cpu is not None

    wait_until(is_measured)  # the kernel counts in hundredths of a second
    assert vitals.own()["process_resident_memory_bytes"] > 1_000_000
    info = host_info()
    assert info.cpus == os.cpu_count()
    assert info.boot_id


def test_a_machine_that_hides_its_vitals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hidden(*_: object, **__: object) -> None:
        raise FileNotFoundError

    for name in ("cpu_times", "virtual_memory", "disk_usage", "sensors_temperatures"):
        monkeypatch.setattr(psutil, name, hidden)
    now_s = 0.0
    vitals = Vitals(tmp_path, clock=lambda: now_s)
    now_s = 2.0
    assert vitals.resources().model_dump(exclude_unset=True) == {}
    assert host_info().memory_bytes is None
    heartbeat = Heartbeat(session="s", seq=0, timestamp=datetime.now(UTC), health="ok", resources=vitals.resources())
    assert b'"resources":{}' in encode(heartbeat)


def test_the_hottest_plausible_sensor_of_the_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Reading:
        def __init__(self, current: float) -> None:
            self.current = current

    sensors = {"nvme": [Reading(70.0)], "coretemp": [Reading(51.5), Reading(49.0), Reading(-273.0), Reading(65535.0)]}
    monkeypatch.setattr(psutil, "sensors_temperatures", lambda: sensors)
    assert Vitals(tmp_path).resources().temperature_c == 51.5


def test_what_a_certificate_says(authority: Authority) -> None:
    issued = authority.issue("gw-ä")
    facts = read_certificate(issued.cert)
    assert facts.common_name == "gw-ä"
    assert facts.not_after == issued.not_after
    assert len(facts.sha256) == 64


def test_a_file_without_a_certificate_names_itself(tmp_path: Path) -> None:
    path = tmp_path / "agent.crt"
    path.write_text("-----BEGIN CERTIFICATE-----\nbm9uZQ==\n-----END CERTIFICATE-----\n")
    with pytest.raises(ValueError, match=r"agent\.crt holds no certificate"):
        read_certificate(path)


@given(st.binary(max_size=100) | st.binary(max_size=60).map(lambda data: b"\x30" + bytes([len(data)]) + data))
def test_hostile_certificates_raise_nothing_else(der: bytes) -> None:
    with pytest.raises(ValueError):
        read_der(der)


@given(st.data())
def test_a_damaged_certificate_raises_nothing_else(data: st.DataObject) -> None:
    der = bytearray(_der())
    for _ in range(data.draw(st.integers(1, 4))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    try:
        facts = read_der(bytes(der[: data.draw(st.integers(0, len(der)))]))
    except ValueError:
        return
    assert facts.not_after.tzinfo is not None


_made: list[bytes] = []


def _der() -> bytes:
    import ssl
    import tempfile
    from pathlib import Path

    from support.tls import Authority

    if not _made:
        with tempfile.TemporaryDirectory() as folder:
            _made.append(ssl.PEM_cert_to_DER_cert(Authority(Path(folder)).issue("gw-1").cert.read_text()))
    return _made[0]
