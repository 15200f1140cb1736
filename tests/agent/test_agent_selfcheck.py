"""The agent's own preflight: what the twin carries of it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from support.agents import agent_process, watching
from support.wait import until

from fleetview_agent import selfcheck
from fleetview_agent.config import AgentConfig
from fleetview_agent.preflight import Finding
from fleetview_agent.selfcheck import MOST_CHARACTERS, MOST_FINDINGS, SelfCheck, report
from fleetview_agent.wire import Channel, PreflightReport, Reported, encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from support.broker import Broker

    from fleetview_agent.preflight import Inquiry

NOW = datetime(2026, 11, 22, tzinfo=UTC)
CONFIG = AgentConfig.model_validate({"agent_id": "gw-1", "broker_url": "mqtt://127.0.0.1:1"})


def test_it_is_bounded_and_the_worst_comes_first() -> None:
    many = [Finding(f"w{index}", "warning", "ö" * 1000) for index in range(50)]
    found = [Finding("a", "ok", ""), *many, Finding("e", "error", "short"), Finding("s", "skipped", "")]
    made = report(found, NOW)
    assert (made.ok, made.warnings, made.errors, made.skipped) == (1, 50, 1, 1)
    assert len(made.findings) == MOST_FINDINGS
    assert (made.findings[0].subject, made.findings[0].words) == ("e", "short")
    assert all(len(finding.words) <= MOST_CHARACTERS for finding in made.findings)
    assert len(encode(Reported(session="s", gen=0, preflight=made))) < 10_000


def plays(outcomes: list[Finding | Exception], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Preflight finds these, one each time; whose configuration it was asked for."""
    asked: list[str] = []

    async def preflight(inquiry: Inquiry) -> AsyncIterator[Finding]:
        asked.append(inquiry.config.site)
        outcome = outcomes.pop(0)
        await asyncio.sleep(0)
        if isinstance(outcome, Exception):
            raise outcome
        yield outcome

    monkeypatch.setattr(selfcheck, "preflight", preflight)
    return asked


async def test_it_is_made_after_the_start_and_when_asked_and_outlives_a_defect(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    outcomes: list[Finding | Exception] = [Finding("a", "ok", ""), KeyError("defect"), Finding("a", "error", "bad")]
    asked = plays(outcomes, monkeypatch)
    heard: list[PreflightReport] = []
    check = SelfCheck(CONFIG, heard.append)
    running = asyncio.create_task(check.run(after_s=0))
    await until(lambda: heard)
    check.ask()
    await until(lambda: len(asked) == 2)
    await until(lambda: "defect" in caplog.text)
    check.ask(CONFIG.model_copy(update={"site": "plant-7"}))
    await until(lambda: len(heard) == 2)
    assert not running.done()
    running.cancel()
    assert asked == ["default", "default", "plant-7"]
    assert [report.errors for report in heard] == [0, 1]
    assert check.last is heard[-1]
    assert "preflight: 1 error, 0 ok" in caplog.text


async def test_the_twin_of_a_running_agent_carries_it(tmp_path: Path, broker: Broker) -> None:
    modules = {"web": {"command": ["no-such-program"]}}
    async with watching(broker.url) as watch:

        def last() -> PreflightReport | None:
            reported = [body for body in watch.bodies(Channel.REPORTED) if isinstance(body, Reported)]
            return reported[-1].preflight if reported else None

        with agent_process(tmp_path, broker_url=broker.url, modules=modules):
            await until(lambda: last() is not None, within_s=40)
    found = last()
    assert found is not None
    assert any(finding.subject == "modules" and "no-such-program" in finding.words for finding in found.findings)
    assert not any(finding.subject == "publishing" for finding in found.findings)
    assert not [
        record for record in watch.records.values() if record["level"] == "ERROR" and "preflight" in record["message"]
    ]
