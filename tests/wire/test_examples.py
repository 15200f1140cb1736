"""The payloads that stand in the contract, what must be there, and what must not be written."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from fleetview_agent.wire import (
    MODELS,
    Birth,
    Channel,
    Command,
    Heartbeat,
    LogBatch,
    Message,
    ModuleInfo,
    ReleaseReport,
    Reported,
    Resources,
    State,
    WireError,
    decode,
    encode,
    format_time,
)

NOW = datetime(2026, 11, 22, 10, 30, tzinfo=UTC)
EXAMPLES: list[tuple[Channel, str]] = [
    (
        Channel.BIRTH,
        """{"v":1, "session":"01JDA8", "device":"edge-agent-001", "started_at":"2026-11-22T10:30:00.000Z",
     "heartbeat_interval_s":30, "agent":{"version":"0.1.0"}, "deployment":"container",
     "host":{"arch":"aarch64","os":"Debian GNU/Linux 12","kernel":"6.1.0-18","cpus":4,"memory_bytes":4127195136,
             "hostname":"gw-17","boot_id":"c0ffee"},
     "modules":["telemetry_collector","rule_engine","ota_updater"], "labels":{"region":"eu","ring":"canary"},
     "certificate":{"sha256":"ab12","not_after":"2027-01-31T00:00:00.000Z"}}""",
    ),
    (
        Channel.STATE,
        """{"v":1, "session":"01JDA8", "state":"online", "at":"2026-11-22T10:30:00.000Z", "reason":null, "wake_by":null}""",
    ),
    (Channel.STATE, """{"v":1, "session":"01JDA8", "state":"lost", "reason":null, "wake_by":null}"""),
    (
        Channel.HEARTBEAT,
        """{"v":1, "session":"01JDA8", "seq":118, "timestamp":"2026-11-22T11:28:41.204Z", "uptime_s":3541.2,
     "health":"degraded", "reasons":["module rule_engine is in backoff"],
     "resources":{"cpu":0.23,"memory":0.51,"disk":0.70,"temperature_c":51.5},
     "modules":[{"name":"telemetry_collector","state":"running","version":"1.4.2","restarts":0},
                {"name":"rule_engine","state":"backoff","version":"1.4.2","restarts":3,"reason":"exit status 1"}],
     "metrics":{"requests_total":10234,"request_errors_total":3,"request_duration_p95_seconds":0.041},
     "logs":{"debug":0,"info":120,"warn":3,"error":1},
     "spool":{"records":12,"bytes":3401,"oldest_s":4.2,"dropped":0},
     "link":{"rtt_ms":23.1,"reconnects":2},
     "release":"1.4.2", "config":12, "gen":42}""",
    ),
    (
        Channel.LOG,
        """{"v":1, "stream":"01JD9Z", "first_seq":1024, "records":[
      {"timestamp":"2026-11-22T11:28:40.120Z","service":"user-auth","level":"ERROR",
       "trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","message":"Authentication failed","user":"u-17"},
      {"timestamp":"2026-11-22T11:28:40.120Z","service":"fleetview-agent","level":"WARN",
       "message":"dropped 37 records: spool full","event":"gap","first_seq":1,"count":37,"reason":"spool_full"}]}""",
    ),
    (
        Channel.DESIRED,
        """{"v":1, "gen":43, "epoch":7, "rollout":"telemetry-1.5.0", "not_after":null,
     "config":{"version":12,"sha256":"aa","document":{"a":1}},
     "release":{"version":"1.5.0","url":"https://example.com/r","sha256":"bb","size":48213}}""",
    ),
    (
        Channel.REPORTED,
        """{"v":1, "session":"01JDA8", "gen":43, "at":"2026-11-22T10:30:00.000Z",
     "config":{"version":12,"sha256":"aa","status":"applied","reason":null,"last_good":12},
     "release":{"version":"1.5.0","previous":"1.4.2","status":"checking","progress":1.0,"reason":null}}""",
    ),
    (
        Channel.COMMAND,
        """{"v":1, "verb":"restart_module", "args":{"name":"rule_engine"}, "expires_at":"2026-11-22T10:30:00.000Z",
     "by":"ana@laptop"}""",
    ),
    (Channel.COMMAND_RESULT, """{"v":1, "status":"succeeded", "message":"done", "at":"2026-11-22T10:30:00.000Z"}"""),
    (Channel.LOG_ACK, """{"v":1, "stream":"01JD9Z", "through":4711}"""),
    (Channel.CONTROLLER, """{"v":1,"id":"control-1","epoch":7,"since":"2026-11-22T10:30:00.000Z"}"""),
    (Channel.ROLLOUT, """{"v":1,"state":"running","waves":[{"converged":31}]}"""),
    (Channel.ROLLOUT_COMMAND, """{"v":1,"verb":"pause"}"""),
]
REQUIRED: dict[Channel, dict[str, Any]] = {
    Channel.BIRTH: {"device": "d"},
    Channel.STATE: {"session": "s", "state": "online"},
    Channel.HEARTBEAT: {"session": "s", "seq": 0, "timestamp": "2026-11-22T11:28:41.204Z"},
    Channel.LOG_ACK: {"stream": "s", "through": 0},
    Channel.DESIRED: {"gen": 0},
    Channel.REPORTED: {"session": "s", "gen": 0},
    Channel.COMMAND: {"verb": "ping", "expires_at": "2026-11-22T11:28:41.204Z"},
    Channel.COMMAND_RESULT: {"status": "failed"},
}
"""What the contract marks with an asterisk."""


@pytest.mark.parametrize(("channel", "payload"), EXAMPLES)
def test_every_example_of_the_contract_is_read_with_all_its_fields(channel: Channel, payload: str) -> None:
    message = decode(channel, payload.encode())
    assert type(message) is MODELS[channel]
    if channel is Channel.STATE and '"lost"' in payload:
        assert "at" not in message.model_fields_set
    assert json.loads(encode(message)) == json.loads(payload)


def test_there_is_an_example_of_every_channel() -> None:
    assert {channel for channel, _ in EXAMPLES} == set(Channel)


@pytest.mark.parametrize("channel", list(REQUIRED))
def test_a_reader_needs_the_marked_fields_and_no_others(channel: Channel) -> None:
    needed = REQUIRED[channel]
    assert type(decode(channel, json.dumps(needed).encode())) is MODELS[channel]
    for name in needed:
        with pytest.raises(WireError, match=f"^{name}: missing"):
            decode(channel, json.dumps({key: value for key, value in needed.items() if key != name}).encode())


@pytest.mark.parametrize(
    ("channel", "change", "where"),
    [
        (Channel.BIRTH, {"heartbeat_interval_s": 0}, "heartbeat_interval_s"),
        (Channel.BIRTH, {"heartbeat_interval_s": 1e-320}, "heartbeat_interval_s"),
        (Channel.BIRTH, {"heartbeat_interval_s": "30"}, "heartbeat_interval_s"),
        (Channel.BIRTH, {"deployment": "vm"}, "deployment"),
        (Channel.BIRTH, {"labels": {"a": 1}}, "labels.a"),
        (Channel.STATE, {"state": "dead"}, "state"),
        (Channel.STATE, {"session": ""}, "session"),
        (Channel.STATE, {"session": "s" * 129}, "session"),
        (Channel.STATE, {"session": 7}, "session"),
        (Channel.STATE, {"v": 2}, "v"),
        (Channel.STATE, {"at": "yesterday"}, "at"),
        (Channel.HEARTBEAT, {"seq": -1}, "seq"),
        (Channel.HEARTBEAT, {"seq": 2**63}, "seq"),
        (Channel.HEARTBEAT, {"seq": "118"}, "seq"),
        (Channel.HEARTBEAT, {"seq": True}, "seq"),
        (Channel.HEARTBEAT, {"seq": 1.5}, "seq"),
        (Channel.HEARTBEAT, {"timestamp": None}, "timestamp"),
        (Channel.HEARTBEAT, {"health": "fine"}, "health"),
        (Channel.HEARTBEAT, {"modules": [{"name": "a", "state": "asleep"}]}, "modules.0.state"),
        (Channel.HEARTBEAT, {"metrics": {"a": "1"}}, "metrics.a"),
    ],
)
def test_a_field_that_is_there_must_be_what_the_contract_says(channel: Channel, change: dict[str, Any], where: str) -> None:
    with pytest.raises(WireError, match=f"^{where}: "):
        decode(channel, json.dumps({**REQUIRED[channel], **change}).encode())


def test_times_are_read_with_any_offset_and_written_in_utc_with_milliseconds() -> None:
    for text in ("2026-11-22T12:30:00.5+02:00", "2026-11-22T10:30:00.500Z", "2026-11-22T10:30:00.500999"):
        state = decode(Channel.STATE, json.dumps({"session": "s", "state": "online", "at": text}).encode())
        assert json.loads(encode(state))["at"] == "2026-11-22T10:30:00.500Z"
    assert format_time(NOW) == "2026-11-22T10:30:00.000Z"


def _heartbeat(**change: Any) -> Heartbeat:
    return Heartbeat(**{"session": "s", "seq": 0, "timestamp": NOW, "health": "ok", **change})


def _batch(**record: Any) -> LogBatch:
    whole = {"timestamp": "t", "service": "s", "level": "INFO", "message": "m", **record}
    return LogBatch(stream="s", first_seq=0, records=[{key: value for key, value in whole.items() if value is not None}])


@pytest.mark.parametrize(
    ("message", "breach"),
    [
        (Birth(device="d", heartbeat_interval_s=30), "session"),
        (Birth(device="d", session="s"), "heartbeat_interval_s"),
        (State(session="s", state="lost", at=NOW), "at"),
        (State(session="s", state="online"), "at"),
        (State(session="s", state="offline", at=NOW), "reason"),
        (State(session="s", state="offline", at=NOW, reason=""), "reason"),
        (State(session="s", state="sleeping", at=NOW), "wake_by"),
        (_heartbeat(health=None), "health"),
        (_heartbeat(health="degraded"), "reasons"),
        (_heartbeat(health="critical"), "reasons"),
        (_heartbeat(metrics={"requests-total": 1.0}), "requests-total"),
        (_heartbeat(metrics={"0a": 1.0}), "0a"),
        (_heartbeat(metrics={"a": None}), "metrics"),
        (_heartbeat(resources=Resources(cpu=1.01)), "resources.cpu"),
        (_heartbeat(resources=Resources(disk=-0.01)), "resources.disk"),
        (_heartbeat(modules=[ModuleInfo(name="m")]), "state"),
        (Reported(session="s", gen=1, release=ReleaseReport(progress=1.2)), "release.progress"),
        (Command(verb="reboot", expires_at=NOW), "reboot"),
        (_batch(level="WARNING"), "WARNING"),
        (_batch(level="error"), "level"),
        (_batch(service=None), "service"),
        (_batch(timestamp=17), "timestamp"),
        (LogBatch(first_seq=0, records=[]), "stream"),
        (LogBatch(stream="s", records=[]), "first_seq"),
    ],
)
def test_what_breaks_the_contract_is_not_written(message: Message, breach: str) -> None:
    with pytest.raises(WireError, match=breach):
        encode(message)


def test_what_json_cannot_hold_is_not_written() -> None:
    for hostile in ("\ud800", b"\xff", object(), 10**5000):
        with pytest.raises(WireError, match="command: cannot be written"):
            encode(Command(verb="ping", expires_at=NOW, args={"a": hostile}))


def test_numbers_that_are_none_are_written_as_null() -> None:
    written = json.loads(encode(Command(verb="ping", expires_at=NOW, args={"a": float("nan"), "b": float("inf")})))
    assert written["args"] == {"a": None, "b": None}


def test_fractions_and_reasons_at_the_edge_are_written() -> None:
    encode(_heartbeat(resources=Resources(cpu=0.0, memory=1.0, disk=None), health="degraded", reasons=["disk full"]))
    encode(State(session="s", state="lost"))
