"""Asks running modules whether they are ready, and whether they are healthy."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from fleetview_agent.modules.process import SpawnError, kill_group, spawn, status_words
from fleetview_agent.modules.spec import ModuleSpec, Probe, tcp_target
from fleetview_agent.plain_http import asked

FIRST_INTERVAL_S = 0.1
"""In the start period the intervals grow from here, so that what starts fast is soon seen to be ready."""
_REFUSED_FROM = 400


@dataclass(slots=True)
class Tally:
    """When a question is answered for good. No I/O."""

    probe: Probe
    _misses: int = 0
    _asked: int = 0

    def is_over(self, *, yes: bool, since_start_s: float) -> bool:
        """Whether, with this answer, it is no: so many times in a row, not counting the start period."""
        self._asked += 1
        self._misses = 0 if yes or since_start_s < self.probe.start_period_s else self._misses + 1
        return self._misses >= self.probe.retries

    def next_in_s(self, since_start_s: float) -> float:
        """When to ask again."""
        if since_start_s >= self.probe.start_period_s:
            return self.probe.interval_s
        return min(self.probe.interval_s, FIRST_INTERVAL_S * 2.0 ** min(self._asked - 1, 16))


class Question:
    """One probe of one process. Make it before the process is started: a file that is there already proves nothing."""

    def __init__(self, probe: Probe, spec: ModuleSpec, mark: str) -> None:
        self.probe = probe
        self._spec = spec
        self._mark = mark
        self._before = _identity(probe.file) if probe.file is not None else None

    async def answer(self) -> str | None:
        """None for yes; else why not, in words."""
        try:
            async with asyncio.timeout(self.probe.timeout_s):
                return await self._way()()
        except TimeoutError:
            return f"{self._what()} did not answer within {self.probe.timeout_s:g} s"
        except OSError as err:
            return f"{self._what()}: {os.strerror(err.errno) if err.errno else err}"  # asyncio's own words name no reason

    async def until_yes(self, started_s: float) -> str | None:
        """Ask until it is yes (None), or no (why)."""
        tally = Tally(self.probe)
        while True:
            words = await self.answer()
            since_s = time.monotonic() - started_s
            if words is None or tally.is_over(yes=False, since_start_s=since_s):
                return words
            await asyncio.sleep(tally.next_in_s(since_s))

    async def until_no(self, started_s: float) -> str:
        """Ask until it is no; why."""
        tally = Tally(self.probe)
        while True:
            await asyncio.sleep(self.probe.interval_s)
            words = await self.answer()
            if tally.is_over(yes=words is None, since_start_s=time.monotonic() - started_s):
                return words or ""

    def _way(self) -> Callable[[], Awaitable[str | None]]:
        if self.probe.http is not None:
            return self._ask_http
        if self.probe.tcp is not None:
            return self._ask_tcp
        return self._ask_command if self.probe.command is not None else self._look_at_file

    def _what(self) -> str:
        probe = self.probe
        return probe.http or probe.tcp or (probe.command[0] if probe.command else str(probe.file))

    async def _ask_http(self) -> str | None:
        async with asked(self.probe.http or "") as answer:
            if answer.status is None:
                return f"{self.probe.http} did not answer in HTTP"
            return None if answer.status < _REFUSED_FROM else f"{self.probe.http} answered {answer.status}"

    async def _ask_tcp(self) -> str | None:
        host, port = tcp_target(self.probe.tcp or "")
        _, writer = await asyncio.open_connection(host, port)
        writer.close()
        return None

    async def _ask_command(self) -> str | None:
        try:
            process = await spawn(self.probe.command or [], self._spec, self._mark)
        except SpawnError as err:
            return f"{self._what()} {err}"
        try:
            status = await process.wait()
        finally:
            kill_group(process.pid)
            await process.wait()
        return None if status == 0 else f"{self._what()}: {status_words(status)}"

    async def _look_at_file(self) -> str | None:
        now = _identity(self.probe.file or Path())
        if now is None:
            return f"{self.probe.file} is not there"
        return None if now != self._before else f"{self.probe.file} was not made anew since the start"


def _identity(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns
