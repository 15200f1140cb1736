"""The agent as a process: event loop and signals."""

from __future__ import annotations

import asyncio
import signal
import sys
from functools import partial

from fleetview_agent.agent import Agent
from fleetview_agent.configload import Loaded, Source
from fleetview_agent.store import Store
from fleetview_agent.twin.twin import Twin

_SIGNALS = ("SIGTERM", "SIGINT")


def run(source: Source, local: Loaded, store: Store) -> None:
    """Run an agent until a signal asks it to stop. `local` is what the source said when nothing was laid over it."""
    asyncio.run(_run(source, local, store))


async def _run(source: Source, local: Loaded, store: Store) -> None:
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[str] = loop.create_future()
    agent = Agent(Twin(store.folder, source, local), store, stderr=sys.stderr)

    def stop_once(reason: str) -> None:
        if not stop.done():
            stop.set_result(reason)

    if sys.platform != "win32":  # where loops know no signal handlers, and Ctrl-C ends the loop by itself
        for name in _SIGNALS:
            loop.add_signal_handler(signal.Signals[name], partial(stop_once, f"stopped by {name}"))
        loop.add_signal_handler(signal.SIGHUP, agent.reload)
    await agent.run(stop)
