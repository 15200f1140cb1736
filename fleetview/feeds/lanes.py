"""Blocking calls in threads, a few at a time, without ever making the program wait for them at its end.

Not a ThreadPoolExecutor: the interpreter joins its threads when it leaves, so that one server that hangs would hold up
quitting. A lane is free again only when its thread is really done, not when somebody gave up on it.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

MAX_IN_FLIGHT = 4
MAX_WAITING = 64


class BusyError(Exception):
    """More calls wait for a lane than there may be."""


class Lanes:
    """Runs calls in threads and hands their results to the event loop."""

    def __init__(self, in_flight: int = MAX_IN_FLIGHT, waiting: int = MAX_WAITING) -> None:
        self._free = asyncio.Semaphore(in_flight)
        self._max_waiting = waiting
        self.waiting = 0
        """Calls that wait for a lane."""
        self.in_flight = 0
        """Calls whose thread runs, among them those that were given up."""

    async def run(self, call: Callable[[], T], before: Callable[[], object] = lambda: None) -> T:
        """What the call returns or raises. Raises BusyError at once when too many wait.

        `before` is called here, on the event loop, once a lane is free; what it raises is raised, and no thread starts.
        """
        if self.waiting >= self._max_waiting:
            raise BusyError
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
        try:
            before()
        except BaseException:
            self._free.release()
            raise
        self.in_flight += 1
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def done(result: T | None, error: BaseException | None) -> None:
            self.in_flight -= 1
            # The result first, so that whoever gets the lane knows of it.
            if not future.done():  # or it was given up
                if error is not None:
                    future.set_exception(error)
                else:
                    future.set_result(result)  # type: ignore[arg-type]
            self._free.release()

        def work() -> None:
            result, error = None, None
            try:
                result = call()
            except Exception as err:  # noqa: BLE001 (raised where the call is awaited)
                error = err
            try:
                loop.call_soon_threadsafe(done, result, error)
            except RuntimeError:  # the loop is closed: nobody waits any more
                return

        threading.Thread(target=work, name="fleetview-lane", daemon=True).start()
        return await future
