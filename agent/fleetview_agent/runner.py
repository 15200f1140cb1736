"""The agent as a process: event loop and signals."""

from __future__ import annotations

import asyncio
import signal
import sys
from functools import partial

from fleetview_agent.agent import Agent
from fleetview_agent.config import AgentConfig
from fleetview_agent.store import Store

_SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP")


def run(config: AgentConfig, store: Store) -> None:
    """Run an agent until a signal asks it to stop."""
    asyncio.run(_run(config, store))


async def _run(config: AgentConfig, store: Store) -> None:
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[str] = loop.create_future()
    agent = Agent(config, store, stderr=sys.stderr)

    def stop_once(reason: str) -> None:
        if not stop.done():
            stop.set_result(reason)

    if sys.platform != "win32":  # where loops know no signal handlers, and Ctrl-C ends the loop by itself
        for name in _SIGNALS:
            loop.add_signal_handler(signal.Signals[name], partial(stop_once, f"stopped by {name}"))
    await agent.run(stop)
