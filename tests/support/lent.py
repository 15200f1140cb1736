"""What an agent lends to its built-in modules, for tests without an agent."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fleetview_agent.config import AgentConfig
from fleetview_agent.hearers import Hearers
from fleetview_agent.modules.builtin import Board, Lent
from fleetview_agent.spool import Depth, Record
from fleetview_agent.wire import Resources

if TYPE_CHECKING:
    from pathlib import Path


def lent(folder: Path, **parts: Any) -> Lent:
    """A device without a link and without modules, where `parts` does not say otherwise."""
    usual = Lent(
        config=lambda: AgentConfig(agent_id="gw-1", broker_url="mqtt://localhost"),
        folder=folder,
        board=Board(),
        vitals=Resources,
        metrics=dict,
        spool=lambda: Depth(0, 0, None, 0),
        uptime_s=lambda: 0.0,
        link_is_up=lambda: True,
        modules=list,
        on_modules=Hearers[[]]().add,
        on_records=Hearers[Sequence[Record]]().add,
        groups=dict,
        listen=lambda _topic, _hearer: lambda: None,
        run=lambda _name, _trigger, _details: None,
        publish=_nowhere,
        restart=lambda _: None,
        beat=lambda: None,
        take_releases=_for_ever,
        take=lambda _: None,
    )
    return replace(usual, **parts)


async def _for_ever() -> None:
    await asyncio.Future()


async def _nowhere(topic: str, payload: bytes) -> None:
    return None
