"""Waiting for a condition, in place of sleeping: quick when all is well, and failing in words when not."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_WITHIN_S = 20.0


async def until(condition: Callable[[], object], within_s: float = _WITHIN_S) -> None:
    """Returns when the condition holds, while the event loop runs."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 (what is waited for is often in another process)
            await asyncio.sleep(0.005)


def wait_until(condition: Callable[[], object], within_s: float = _WITHIN_S) -> None:
    """Returns when the condition holds; for tests without an event loop."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.01)
