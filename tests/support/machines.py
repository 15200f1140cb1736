"""Machines that are not here, for preflight: files below a root of the test's own, programs on a path, clocks."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fleetview_agent.config import AgentConfig
from fleetview_agent.preflight import Finding, Inquiry, Machine

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from fleetview_agent.preflight.findings import Answer, Level


@dataclass(frozen=True)
class World:
    """A machine of the test's own."""

    root: Path
    inquiry: Inquiry

    def has(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def config_of(folder: Path, **keys: object) -> AgentConfig:
    usual = {"agent_id": "gw-1", "broker_url": "mqtt://hub", "state_dir": str(folder / "state")}
    return AgentConfig.model_validate({**usual, **keys})


def new_world(folder: Path, **keys: object) -> World:
    root, programs = folder / "root", folder / "bin"
    for made in (root / "proc", programs):
        made.mkdir(parents=True, exist_ok=True)
    machine = Machine(root=root, path=str(programs), kernel_clock=lambda: None)
    return World(root, Inquiry(config_of(folder, **keys), machine=machine))


async def asked(check: Callable[[Inquiry], Answer | Awaitable[Answer]], inquiry: Inquiry) -> list[Finding]:
    answer = check(inquiry)
    found = await answer if inspect.isawaitable(answer) else answer
    return [found] if isinstance(found, Finding) else list(found)


async def only(check: Callable[[Inquiry], Answer | Awaitable[Answer]], world: World) -> tuple[Level, str]:
    (finding,) = await asked(check, world.inquiry)
    return finding.level, finding.words
