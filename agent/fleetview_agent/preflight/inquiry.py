"""What the checks work on: the configuration, the machine, and what one of them leaves for those that rest on it."""

from __future__ import annotations

import glob
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from fleetview_agent.config import AgentConfig
from fleetview_agent.preflight.machine import Machine
from fleetview_agent.store import Store


@dataclass(slots=True)
class Inquiry:
    """One preflight."""

    config: AgentConfig
    version: int | None = None
    """Of the configuration from afar that lies over the file; None without one."""
    machine: Machine = field(default_factory=Machine)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    addresses: list[str] = field(default_factory=list)
    """Of the broker's host. Left by name resolution."""
    log_files: int = 0
    """That are followed. Left by the look at them."""

    @property
    def store(self) -> Store:
        """Where the agent keeps its state."""
        return Store(self.config.state_dir or Path(), self.config.agent_id)

    @property
    def agent_runs(self) -> bool:
        """Whether the agent runs on this machine by now, so that what is taken may be taken by itself."""
        try:
            return self.store.is_held()
        except OSError:
            return False

    def followed(self, pattern: str) -> list[str]:
        """The log files that a pattern stands for."""
        return sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207  (Path.glob takes no absolute pattern)
