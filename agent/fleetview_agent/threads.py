"""Calls that may hang without end, such as a resolver without a network or a file on a server that is gone.

In daemon threads of their own: the loop's executor is joined at exit, and would keep the program from ending for as long.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def in_daemon_thread(work: Callable[[], T], timeout_s: float, *, name: str) -> T:
    """What `work` returns or raises. Raises TimeoutError when it does neither in time; it is then left to itself."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def deliver(result: T | None, err: BaseException | None) -> None:
        if done.done():
            return
        if err is not None:
            done.set_exception(err)
        else:
            done.set_result(result)  # type: ignore[arg-type]  # None only where that is what `work` returned

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except Exception as err:  # noqa: BLE001  (raised where it is awaited)
            error = err
        try:
            loop.call_soon_threadsafe(deliver, result, error)
        except RuntimeError:  # the loop is closed: nobody asks any more
            return

    threading.Thread(target=run, name=name, daemon=True).start()
    async with asyncio.timeout(timeout_s):
        return await done
