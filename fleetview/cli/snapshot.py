"""What is known of the fleet after listening for a moment: the base of the commands that print and leave."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fleetview.core.fleet import Fleet
from fleetview.feeds.states import Up
from fleetview_agent.endpoint import LinkError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fleetview.config import Context
    from fleetview.feeds.watch import FleetFeed

QUIET_S = 0.5
"""No retained message for so long, and the burst counts as over: several times the round trip of a slow link."""
LONGEST_S = 10.0

Settle = Annotated[
    float | None,
    typer.Option(
        "--settle",
        min=0,
        metavar="S",
        help="Listen for S seconds, so that devices can prove that they are alive. Without it: until all that the broker"
        " has retained is there.",
    ),
]


@asynccontextmanager
async def listening(context: Context, *, logs: bool = False, **options: Any) -> AsyncIterator[FleetFeed]:  # noqa: ANN401
    """A feed whose link is up. Raises LinkError when it does not come up at the first attempt, TlsFileError for a file.

    `options` are those of FleetFeed.
    """
    from fleetview.feeds.watch import FleetFeed  # noqa: PLC0415 (80 ms for those who only want help)

    if context.tls is not None:
        context.tls.context()  # a file that cannot be used is a matter of configuration, not of the broker
    feed = FleetFeed(context, Fleet(), logs=logs, **options)
    running = asyncio.create_task(feed.connection.run(), name="connection")
    try:
        attempt = asyncio.create_task(feed.connection.outcome(), name="outcome")
        await asyncio.wait({running, attempt}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            attempt.cancel()
            running.result()
        state = attempt.result()
        if not isinstance(state, Up):
            raise LinkError(state.failure)
        yield feed
    finally:
        running.cancel()
        await asyncio.wait({running})


async def listen(context: Context, settle_s: float | None) -> tuple[FleetFeed, bool]:
    """A feed that has seen what is retained, and whether it had all come."""
    async with listening(context) as feed:
        if settle_s is None:
            complete = await feed.connection.settled(QUIET_S, LONGEST_S)
        else:
            await asyncio.sleep(settle_s)
            complete = True
        return feed, complete
