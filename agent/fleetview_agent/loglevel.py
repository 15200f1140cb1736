"""The level of the agent's own log: as configured, or for a while as an operator asked.

An override is kept in memory only. Its point is that nobody has to remember it, and the surest way back is a restart; a
clock that is wrong after a power cut, as on devices without a battery for it, could not even tell when it was to end.
"""

from __future__ import annotations

import asyncio
import logging

from fleetview_agent import journal

_log = logging.getLogger(__name__)


class LogLevel:
    """Which records of the agent's own are kept. Belongs to the event loop."""

    def __init__(self, configured: str) -> None:
        self._configured = configured
        self._override: str | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def current(self) -> str:
        """The level that holds now."""
        return self._override or self._configured

    def configure(self, level: str) -> None:
        """Another level stands in the configuration; it holds at once, or when the override ends."""
        self._configured = level
        if self._override is None:
            journal.set_level(level)

    def override(self, level: str, for_s: float, by: str) -> None:
        """Another level for so long; it takes the place of an override that still held."""
        self.close()
        self._override = level
        self._timer = asyncio.get_running_loop().call_later(for_s, self._revert, by)
        journal.set_level(level)

    def _revert(self, by: str) -> None:
        level, self._override, self._timer = self._override, None, None
        journal.set_level("INFO")  # for this one word, whatever the two levels are
        _log.info("log level is %s again", self._configured, extra={"was": level, "command": by})
        journal.set_level(self._configured)

    def close(self) -> None:
        """No override any more, and nothing of it to come."""
        if self._timer is not None:
            self._timer.cancel()
        self._override, self._timer = None, None
