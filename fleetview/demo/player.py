"""Plays the simulated fleet onto a broker in real time, over one connection: more would cost the broker, and gain nothing.

`fleetview simulate` plays in its own process; the demo runs this module as a child, so that the dashboard's event loop has
only the dashboard to do.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import secrets
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

from fleetview.demo.applogs import write_app_logs
from fleetview.demo.choices import Scenario
from fleetview.demo.outbox import Publication
from fleetview.demo.simulation import Simulation
from fleetview.demo.stage import HISTORY_PLAYED
from fleetview_agent.mqtt import BrokerUrl, FailureKind, LinkError, Session, TlsFiles, open_session
from fleetview_agent.wire import Channel, Desired, DeviceTopic, Topics, WireError, decode

_TICK_S = 0.05
_IN_FLIGHT = 80
"""QoS 1 messages awaiting the broker; below the 100 that the link allows, so that none is queued behind its back."""
_UNSENT_PACKETS = 2_000
"""From here on the player waits for the socket, or a slow broker would fill this machine's memory."""
_JUMP_S = 2.0
"""A wall clock that is off by more has been set, or the machine was asleep."""
_RETRY_S = (0.5, 1.0, 2.0, 5.0)
_KEPT_BATCHES = 2_000
"""Log batches kept while the broker is away; what agents would keep in their spools."""
_GOODBYE_WITHIN_S = 5.0


class Player:
    """Plays one simulation onto one broker."""

    def __init__(
        self,
        simulation: Simulation,
        url: BrokerUrl,
        *,
        tls: TlsFiles | None = None,
        topics: Topics | None = None,
        narrate: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._simulation = simulation
        self._url = url
        self._tls = tls
        self._topics = topics or Topics()
        self._narrate = narrate
        self._client_id = f"fleetview-simulate-{secrets.token_hex(4)}"
        self._began_mono_s = 0.0
        self._missed: deque[Publication] = deque(maxlen=_KEPT_BATCHES)
        self.played = 0
        """Messages handed to the broker."""

    async def play(self, stop: asyncio.Event, *, patient: bool = False) -> None:
        """Plays until `stop`. A broker that goes away is waited for; with `patient` also one that is not there at first.

        Raises LinkError when the broker refuses, or cannot be reached at first.
        """
        self._began_mono_s = time.monotonic()
        failures = 0
        while not stop.is_set():
            before = self.played
            try:
                await self._play_session(stop)
            except LinkError as err:
                final = err.failure.kind in {FailureKind.AUTHORISATION, FailureKind.CERTIFICATE, FailureKind.HOSTNAME}
                if final or not (self.played or patient):
                    raise
                failures = failures + 1 if self.played == before else 1
                wait_s = _RETRY_S[min(failures, len(_RETRY_S)) - 1]
                self._narrate(f"{err.failure.words}; trying again in {wait_s:g} s")
                await _until(stop, wait_s)

    async def say_goodbye(self, reason: str) -> None:
        """Every device that is online says `offline`, as an agent does on a clean stop. Raises LinkError."""
        await self._play_once(self._simulation.goodbyes(reason))

    async def forget(self) -> None:
        """Takes the fleet's retained messages off the broker. Raises LinkError."""
        await self._play_once(self._simulation.forgotten())

    async def _play_once(self, publications: Iterable[Publication]) -> None:
        # Bounded, for a broker that takes nothing must not hold up the person who pressed Ctrl-C.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE_WITHIN_S), self._session() as session:
                await self._deliver(session, publications)

    def _session(self) -> contextlib.AbstractAsyncContextManager[Session]:
        return open_session(self._url, tls=self._tls, client_id=self._client_id, on_message=self._hear)

    def _hear(self, topic: str | bytes, payload: bytes, retained: bool) -> None:  # noqa: FBT001  # called by the session
        """A command or an offer, or what a broker sends that was not asked for. A retained command is never carried out."""
        if isinstance(topic, bytes):
            return
        with contextlib.suppress(WireError):
            found = self._topics.parse(topic)
            if not isinstance(found, DeviceTopic):
                return
            if found.channel is Channel.COMMAND and found.command_id is not None and not retained:
                self._simulation.hear(found.address, found.command_id, payload)
            elif found.channel is Channel.DESIRED and payload:
                desired = decode(Channel.DESIRED, payload)
                if isinstance(desired, Desired):
                    self._simulation.offer(found.address, desired)

    async def _play_session(self, stop: asyncio.Event) -> None:
        async with self._session() as session:
            tenants = {device.address.tenant for device in self._simulation.devices}
            # Where that is not granted, the fleet just does not answer.
            asked = (Channel.COMMAND, Channel.DESIRED)
            filters = [(self._topics.filter(channel, tenant), 1) for tenant in sorted(tenants) for channel in asked]
            await session.subscribe(filters)
            now_s = self._now_s()
            self._missed.extend(sent for sent in self._simulation.until(now_s) if sent.channel is Channel.LOG)
            await self._deliver(session, self._simulation.absent())
            self._narrate(HISTORY_PLAYED)
            await self._deliver(session, self._simulation.present())
            await self._deliver(session, [self._missed.popleft() for _ in range(len(self._missed))])
            while not stop.is_set():
                await self._deliver(session, self._simulation.until(self._now_s()))
                await _until(stop, max(_TICK_S, min(1.0, self._simulation.next_due_s - self._now_s())))

    def _now_s(self) -> float:
        """Seconds since the simulation's beginning. Moves the simulation's wall clock when the machine's has jumped."""
        now_s = time.monotonic() - self._began_mono_s
        jump_s = time.time() - (self._simulation.start_unix_s + now_s)
        if abs(jump_s) > _JUMP_S:
            self._simulation.start_unix_s += jump_s
        return now_s

    async def _deliver(self, session: Session, publications: Iterable[Publication]) -> None:
        """Publishes all, with many QoS 1 messages on the way at once: one by one, each would cost a round trip."""
        slots = asyncio.Semaphore(_IN_FLIGHT)

        async def publish(topic: str, sent: Publication) -> None:
            try:
                await session.publish(topic, sent.payload(), qos=1, retain=sent.retain)
            finally:
                slots.release()

        try:
            async with asyncio.TaskGroup() as group:
                for sent in publications:
                    topic = self._topics.device(sent.address, sent.channel, sent.command_id)
                    if sent.at_least_once:
                        await slots.acquire()
                        group.create_task(publish(topic, sent))
                        await asyncio.sleep(0)  # it starts now, or a heartbeat said later would overtake it
                    else:
                        session.publish_nowait(topic, sent.payload(), retain=sent.retain)
                    self.played += 1
                    await _drained(session)
        except ExceptionGroup as group_error:
            # Every message on the way fails with the link; the first says why.
            links, others = group_error.split(LinkError)
            if others is not None or links is None:
                raise
            raise _first(links) from None


async def _drained(session: Session) -> None:
    while session.unsent > _UNSENT_PACKETS:  # noqa: ASYNC110  # the session has no event for it
        await asyncio.sleep(_TICK_S)


def _first(group: ExceptionGroup[LinkError]) -> LinkError:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if not isinstance(error, LinkError):
        raise error
    return error


async def _until(event: asyncio.Event, seconds: float) -> None:
    """Waits for the event, but not longer."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)


def stop_on_signals(stop: asyncio.Event) -> None:
    """Sets the event on SIGINT, SIGTERM and SIGHUP."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)


def _to_the_stage(words: str) -> None:
    print(words, flush=True)  # noqa: T201  # the demo reads it


async def _main(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    stop_on_signals(stop)
    simulation = Simulation(
        seed=options.seed, devices=options.devices, scenario=Scenario(options.scenario), start_unix_s=time.time()
    )
    player = Player(simulation, BrokerUrl.parse(options.broker), narrate=_to_the_stage)
    async with asyncio.TaskGroup() as group:
        group.create_task(player.play(stop, patient=True))
        group.create_task(write_app_logs(options.app_log, stop))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Plays the demo's simulated fleet; started by `fleetview demo`.")
    parser.add_argument("--broker", required=True)
    parser.add_argument("--devices", type=int, required=True)
    parser.add_argument("--scenario", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--app-log", type=Path, action="append", default=[])
    try:
        asyncio.run(_main(parser.parse_args()))
    except* LinkError as errors:
        sys.exit(str(errors.exceptions[0]))
