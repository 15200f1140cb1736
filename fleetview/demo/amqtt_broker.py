"""The broker for machines without mosquitto: amqtt, in a process of its own. Prints its port, and serves until SIGTERM.

Its own process, because it takes most of a core at a few thousand messages a second, and its own module, because amqtt
is an optional dependency that only this process imports.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from functools import partial

from amqtt.broker import Broker
from amqtt.session import Session

_LISTENER = "default"
_CONFIG = {
    # An external listener, because amqtt binds a port by itself but does not tell which one port 0 became.
    "listeners": {_LISTENER: {"type": "external", "bind": "external"}},
    "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
}


class _Broker(Broker):  # type: ignore[misc]  # amqtt 0.12 is not typed
    """amqtt, without its habit of sending everything to everybody.

    amqtt 0.12.1 sends each client that connects the retained messages of *every* subscription of *any* client, and does so
    while it walks the table of subscriptions, so that a client that subscribes meanwhile ends the other's connection with
    "dictionary changed size during iteration". `tests/demo/test_amqtt.py` fails when amqtt mends it.
    """

    async def _publish_retained_messages_for_subscription(self, subscription: tuple[str, int], session: Session) -> None:
        subscribers = self.subscriptions.get(subscription[0], [])
        if any(subscriber is session for subscriber, _ in subscribers):
            await super()._publish_retained_messages_for_subscription(subscription, session)


async def serve() -> None:
    """Serves on a free port of 127.0.0.1 until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    broker = _Broker(_CONFIG)
    await broker.start()
    server = await asyncio.start_server(partial(broker.stream_connected, listener_name=_LISTENER), "127.0.0.1", 0)
    print(f"listening on port {server.sockets[0].getsockname()[1]}", flush=True)  # noqa: T201  # the parent reads it
    await stop.wait()
    server.close()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(broker.shutdown(), 1)


if __name__ == "__main__":
    logging.disable(logging.ERROR)  # it reports every client that goes away
    asyncio.run(serve())
