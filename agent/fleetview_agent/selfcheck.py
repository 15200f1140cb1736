"""Preflight by the agent itself: after its start, and whenever somebody wants to know. The twin carries the result."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from fleetview_agent.config import AgentConfig
from fleetview_agent.preflight import Finding, Inquiry, preflight
from fleetview_agent.wire import PreflightFinding, PreflightReport

_log = logging.getLogger(__name__)

AFTER_START_S = 5.0
"""Or after another configuration. By then modules listen and the agent is connected; a booting machine has better to do."""
MOST_FINDINGS = 16
MOST_CHARACTERS = 240
"""Of one finding. So that all is at most 5 KiB, of the 256 that a message may have."""


def report(found: Sequence[Finding], at: datetime) -> PreflightReport:
    """What preflight found as the contract has it: numbers, and in words what is wrong, errors first."""
    levels = [finding.level for finding in found]
    wrong = [*(each for each in found if each.level == "error"), *(each for each in found if each.level == "warning")]
    return PreflightReport(
        at=at,
        ok=levels.count("ok"),
        warnings=levels.count("warning"),
        errors=levels.count("error"),
        skipped=levels.count("skipped"),
        findings=[_shortened(finding) for finding in wrong[:MOST_FINDINGS]],
    )


def _shortened(finding: Finding) -> PreflightFinding:
    words = finding.words if len(finding.words) <= MOST_CHARACTERS else finding.words[: MOST_CHARACTERS - 1] + "…"
    return PreflightFinding(subject=finding.subject, level="error" if finding.level == "error" else "warning", words=words)


class SelfCheck:
    """Keeps the last result, and makes a new one when asked."""

    def __init__(self, config: AgentConfig, on_report: Callable[[PreflightReport], None] = lambda _: None) -> None:
        self._config = config
        self._on_report = on_report
        self._wanted = asyncio.Event()
        self.last: PreflightReport | None = None
        """None until the first is done."""

    def ask(self, config: AgentConfig | None = None) -> None:
        """Make a new one, of another configuration if there is one; `on_report` hears of it."""
        self._config = config or self._config
        self._wanted.set()

    async def now(self) -> PreflightReport:
        """Make a new one and wait for it."""
        found = [finding async for finding in preflight(Inquiry(self._config))]
        self.last = report(found, datetime.now(UTC))
        self._tell(self.last)
        self._on_report(self.last)
        return self.last

    async def run(self, after_s: float = AFTER_START_S) -> None:
        """Make the first one after a while, and others so long after they were asked for, without end."""
        while True:
            await asyncio.sleep(after_s)
            self._wanted.clear()
            try:
                await self.now()
            except Exception:  # noqa: BLE001  (a defect here is no reason for an agent to end)
                _log.exception("preflight ended in a defect")
            await self._wanted.wait()

    @staticmethod
    def _tell(found: PreflightReport) -> None:
        words = f"preflight: {found.summary()}"
        wrong = [f"{each.subject}: {each.words}" for each in found.findings]
        level = logging.WARNING if found.errors else logging.INFO
        _log.log(level, words, extra={"findings": wrong} if wrong else None)
