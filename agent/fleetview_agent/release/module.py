"""The built-in module `ota_updater`: takes releases as long as it lives. What has begun is remembered by the session."""

from __future__ import annotations

from fleetview_agent.modules.builtin import Context


async def run(context: Context) -> None:
    """Take releases, for ever."""
    context.ready()
    await context.agent.take_releases()
