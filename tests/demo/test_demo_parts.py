"""The small pure parts of the demo: health, load, spool, application logs, and real agents on stage."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.agents import watching
from support.programs import require
from support.wait import until

from fleetview.demo.applogs import app_line, write_app_logs
from fleetview.demo.character import Character, plant_load
from fleetview.demo.health import Facts, judge
from fleetview.demo.spool import Spool
from fleetview.demo.stage import on_stage
from fleetview_agent.wire import Level, LogBatch, ModuleInfo, normalize

if TYPE_CHECKING:
    from pathlib import Path

WELL = Facts(
    cpu=0.3,
    memory=0.5,
    disk=0.5,
    temperature_c=50.0,
    failing=0.001,
    certificate_days=200,
    spool_records=3,
    spool_is_full=False,
    modules=[ModuleInfo(name="rule_engine", state="running", version="1.4.2", restarts=0)],
)


def facts(**changes: object) -> Facts:
    return Facts(**{name: changes.get(name, getattr(WELL, name)) for name in Facts.__slots__})  # type: ignore[arg-type]


def module(state: str, restarts: int, reason: str | None = None) -> list[ModuleInfo]:
    return [ModuleInfo.model_validate({"name": "rule_engine", "state": state, "restarts": restarts, "reason": reason})]


@pytest.mark.parametrize(
    ("changes", "health", "reasons"),
    [
        ({}, "ok", []),
        (
            {"modules": module("backoff", 3, "exit status 1")},
            "degraded",
            ["module rule_engine is in backoff: exit status 1"],
        ),
        (
            {"modules": module("failed", 5, "exit status 1")},
            "critical",
            ["module rule_engine failed after 5 restarts: exit status 1"],
        ),
        ({"modules": module("starting", 1)}, "ok", []),
        ({"disk": 0.9}, "degraded", ["disk 90 % full"]),
        ({"disk": 0.98}, "critical", ["disk 98 % full"]),
        ({"memory": 0.96}, "degraded", ["memory 96 % in use"]),
        ({"temperature_c": 92.4}, "degraded", ["processor at 92 C"]),
        ({"failing": 0.041}, "degraded", ["4.1 % of requests fail"]),
        ({"failing": 0.2}, "critical", ["20.0 % of requests fail"]),
        ({"certificate_days": 6.1}, "degraded", ["certificate expires in 6 days"]),
        (
            {"spool_is_full": True, "spool_records": 41200},
            "degraded",
            ["spool full: sources held (41,200 records)"],
        ),
        (
            {"disk": 0.98, "modules": module("backoff", 1)},
            "critical",
            ["disk 98 % full", "module rule_engine is in backoff"],
        ),
    ],
)
def test_health_follows_from_the_facts(changes: dict[str, object], health: str, reasons: list[str]) -> None:
    assert judge(facts(**changes)) == (health, reasons)


@given(seed=st.integers(0, 10_000), start=st.floats(0, 2e9))
def test_load_is_smooth_and_within_bounds(seed: int, start: float) -> None:
    character = Character.draw(Random(seed), shift_s=0, distance_ms=8)
    cpus = [character.cpu(start + 5 * step) for step in range(40)]
    assert all(0 < cpu < 1 for cpu in cpus)
    assert all(abs(after - before) < 0.12 for before, after in pairwise(cpus))


def test_a_plant_is_busy_by_day() -> None:
    midnight = datetime(2026, 11, 22, tzinfo=UTC).timestamp()
    assert plant_load(midnight + 10 * 3600) > 4 * plant_load(midnight + 2 * 3600)


@given(st.lists(st.one_of(st.just("append"), st.just("take"), st.integers(1, 300)), max_size=60))
def test_every_record_is_sent_once_or_owned_up_to(actions: list[str | int]) -> None:
    """Conservation: what was written is sent or counted in a gap record, and the numbers have no other hole."""
    spool = Spool("stream", 100)
    written = 0
    dropped = 0
    sent: list[LogBatch] = []
    for action in [*actions, "take"]:
        if action == "append":
            for _ in range(37):
                spool.append({"n": written}, 0.0)
                written += 1
        elif isinstance(action, int):
            spool.drop(action)
            dropped += action
        else:
            sent += spool.take("2026-11-22T11:28:40.120Z")
    numbers: list[int] = []
    values: list[int] = []
    for batch in sent:
        assert batch.first_seq is not None
        for offset, record in enumerate(batch.records):
            if record.get("event") == "gap":
                assert record["first_seq"] + record["count"] == batch.first_seq + offset
                numbers += range(record["first_seq"], record["first_seq"] + record["count"])
            else:
                values.append(record["n"])
            numbers.append(batch.first_seq + offset)
    assert numbers == list(range(100, 100 + len(numbers)))
    assert values == sorted(set(values))
    assert len(values) + spool.dropped == written + dropped
    assert spool.records == 0


def test_application_lines_are_in_dialects_that_read_well() -> None:
    rng = Random(1)
    now = datetime(2026, 11, 22, 11, 28, 40, 120_000, UTC)
    levels = set()
    for count in range(60):
        for dialect in (0, 1):
            record = normalize(json.loads(app_line(dialect, rng, now)), int(now.timestamp() * 1000) + count)
            assert record.time_ms == int(now.timestamp() * 1000)
            assert record.message
            levels.add(record.level)
    assert {Level.INFO, Level.DEBUG, Level.WARN} <= levels
    assert app_line(2, rng, now).partition(": ")[0] in {"INFO", "DEBUG", "WARN", "ERROR"}


async def test_application_log_is_emptied_in_place_and_given_up_when_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleetview.demo.applogs._PAUSE_S", (0.001, 0.002))
    monkeypatch.setattr("fleetview.demo.applogs._LARGEST_BYTES", 500)
    kept, gone = tmp_path / "kept.log", tmp_path / "gone.log"
    kept.touch()
    stop = asyncio.Event()
    inode = kept.stat().st_ino
    sizes: list[int] = []
    writing = asyncio.create_task(write_app_logs([kept, gone], stop))

    def shrunk() -> bool:
        sizes.append(kept.stat().st_size)
        return any(after < before for before, after in pairwise(sizes))

    await until(shrunk)
    stop.set()
    await writing
    assert kept.stat().st_ino == inode
    assert max(sizes) < 1000
    assert not gone.exists()


async def test_real_agents_report_and_ship_on_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    require("mosquitto")
    monkeypatch.setattr("fleetview.demo.agents._DELAY_S", 0.0)
    # Neither may reach the demo's agents.
    monkeypatch.setenv("FLEETVIEW_AGENT_BROKER_URL", "mqtt://127.0.0.1:1")
    monkeypatch.setenv("FLEETVIEW_AGENT_SITE", "elsewhere")
    with on_stage(devices=3) as stage:
        async with watching(stage.broker.url) as watch:
            names = {"edge-agent-001", "edge-agent-002", "edge-agent-003"}
            await until(lambda: names <= {birth.device for birth in watch.births})
            await until(lambda: names <= {topic.split("/")[4] for topic, _, _ in watch.messages if "/lab/" in topic})
            await until(lambda: any(record["service"] == "metrology" for record in watch.records.values()))
            # Gates of rollouts judge by the requests of each device, these among them.
            await until(
                lambda: names <= {topic.split("/")[4] for topic, said, _ in watch.messages if b"requests_total" in said}
            )
        assert not list(stage.troubles())
