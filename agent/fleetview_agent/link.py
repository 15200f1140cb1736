"""Keeps the one connection of an agent to its broker, and its presence on it.

    Connecting ──▶ Up ──▶ Backoff(failure) ──▶ Connecting ...        Stopped, from any of them
         └──────▶ Backoff, or Refused(failure) when the broker does not let this device in: asking often would not help

On every connection the agent is born if need be (see `_welcome`), says that it is online, and watches its own presence:
where anything else stands there (the will of a connection that broke, what a clone says), it says so again (wire contract,
rule 10).
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from fleetview_agent.endpoint import BrokerUrl, Failure, FailureKind, LinkError, TlsFiles
from fleetview_agent.hearers import TopicHearers
from fleetview_agent.linkstates import Backoff, Connecting, LinkState, Refused, Stopped, Up
from fleetview_agent.mqtt import Incoming, Session, WillMessage, open_session
from fleetview_agent.pacing import Reassertion, backoff_s
from fleetview_agent.wire import Address, Birth, Channel, State, Topics, WireError, decode, encode

__all__ = ["Destination", "Link", "LinkState", "Up"]

_log = logging.getLogger(__name__)

REFUSED_RETRY_S = 60.0
STABLE_S = 30.0
"""A link that stood for so long begins anew with short waits. Less would let two agents of one id throw each other out at
full speed, each being let in every time."""
PROBE_INTERVAL_S = 30.0
GOODBYE_S = 1.5
"""For `offline` to be acknowledged; within the two seconds that a clean stop may take."""


class _NoGoodbyeError(Exception):
    """Ends a session so that the broker publishes the will."""

    def __init__(self, *, cancelled: bool) -> None:
        super().__init__()
        self.cancelled = cancelled


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a link leads."""

    url: BrokerUrl
    tls: TlsFiles | None
    topics: Topics
    address: Address


class Link:
    """The connection of one agent session. `run` keeps it until `stop`."""

    def __init__(
        self,
        destination: Destination,
        birth: Birth,
        *,
        rng: random.Random,
        on_state: Callable[[LinkState], None] = lambda _: None,
        more: Mapping[str, Incoming] | None = None,
        probe_interval_s: float = PROBE_INTERVAL_S,
    ) -> None:
        if birth.session is None:
            msg = "a birth without a session"
            raise ValueError(msg)
        self._to = destination
        self._session_id = birth.session
        self._birth = encode(birth)
        self._rng = rng
        self._on_state = on_state
        self._probe_interval_s = probe_interval_s
        self._more = more or {}
        """What else is subscribed to, and who hears it; each is a topic, or ends in `/+`."""
        self._listened = TopicHearers()
        self._subscribing: set[asyncio.Task[object]] = set()
        topics, address = destination.topics, destination.address
        self._birth_topic = topics.device(address, Channel.BIRTH)
        self._state_topic = topics.device(address, Channel.STATE)
        self.state: LinkState = Connecting()
        self.connections = 0
        self.rtt_ms: float | None = None
        """Of the last question that the broker answered."""
        self._stop_reason: str | None = None
        self._stopping = asyncio.Event()
        self._came_up = asyncio.Event()
        self._contested = asyncio.Event()
        self._reassertion = Reassertion()
        self._birth_acknowledged = False
        self._birth_changed = asyncio.Event()
        self._birth_seen = False
        self._online_said = False
        self._clone: str | None = None
        """The session of another agent that says it is this device."""
        self._last_words = ""

    @property
    def reconnects(self) -> int:
        """How often the connection was made anew in this session."""
        return max(0, self.connections - 1)

    async def up(self, other_than: Session | None = None) -> Session:
        """The connection that stands, or the next one that will (one other than `other_than`)."""
        while not isinstance(self.state, Up) or self.state.session is other_than:
            await self._came_up.wait()
        return self.state.session

    def is_up(self, session: Session) -> bool:
        """Whether this is the connection that stands."""
        return isinstance(self.state, Up) and self.state.session is session

    def register(self, birth: Birth) -> None:
        """Say another birth of this session: what it tells of the device has changed."""
        self._birth = encode(birth)
        self._birth_acknowledged = False
        self._birth_changed.set()

    def listen(self, topic: str, hearer: Callable[[str, bytes], None]) -> Callable[[], None]:
        """Hear of what is not retained, on this and later connections, until what is returned is called."""
        if self._listened.is_new(topic) and isinstance(self.state, Up):
            task = asyncio.create_task(self._subscribe_late(self.state.session, topic), name=f"subscription to {topic}")
            self._subscribing.add(task)
            task.add_done_callback(self._subscribing.discard)
        return self._listened.add(topic, hearer)

    async def _subscribe_late(self, session: Session, topic: str) -> None:
        with suppress(LinkError):  # the next connection subscribes to it anyway
            self._warn_of(await session.subscribe([(topic, 1)]))

    def stop(self, reason: str) -> None:
        """Make `run` say goodbye with this reason, and return."""
        self._stop_reason = reason
        self._stopping.set()

    async def run(self) -> None:
        """Keep the connection until `stop`."""
        keeper = asyncio.create_task(self._keep(), name="link")
        stopping = asyncio.create_task(self._stopping.wait(), name="link stop")
        try:
            await asyncio.wait({keeper, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if self._online_said:  # it sees the request by itself, and says goodbye
                await asyncio.wait({keeper}, timeout=GOODBYE_S + 0.3)
        finally:
            stopping.cancel()
            keeper.cancel()
            await asyncio.wait({keeper, stopping})
        self._become(Stopped())
        if not keeper.cancelled() and (err := keeper.exception()) is not None:
            raise err

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        attempt = 0
        while not self._stopping.is_set():
            self._become(Connecting())
            began_s = loop.time()
            try:
                failure = await self._connection()
            except LinkError as err:
                failure = err.failure
            if self._stopping.is_set():
                return
            if isinstance(self.state, Up) and loop.time() - began_s >= STABLE_S:
                attempt = 0
            wait_s = self._wait_after(failure, attempt)
            attempt += 1
            await asyncio.sleep(wait_s)

    def _wait_after(self, failure: Failure, attempt: int) -> float:
        state: Backoff | Refused
        if failure.kind is FailureKind.AUTHORISATION:
            state = Refused(failure, self._rng.uniform(REFUSED_RETRY_S, 2 * REFUSED_RETRY_S))
        else:
            state = Backoff(failure, backoff_s(attempt, self._rng))
        level = logging.DEBUG if failure.words == self._last_words else logging.WARNING
        self._last_words = failure.words
        _log.log(
            level, "no link: %s", failure.words, extra={"kind": failure.kind.value, "retry_in_s": round(state.retry_in_s, 1)}
        )
        self._become(state)
        return state.retry_in_s

    def _become(self, state: LinkState) -> None:
        self.state = state
        self._on_state(state)
        if isinstance(state, Up):
            woken, self._came_up = self._came_up, asyncio.Event()
            woken.set()

    # One connection

    async def _connection(self) -> Failure:
        """One connection from its beginning to its end, and why it ended. Raises LinkError."""
        self._birth_seen = False
        self._contested.clear()
        will = WillMessage(self._state_topic, encode(State(session=self._session_id, state="lost")))
        try:
            async with open_session(
                self._to.url, tls=self._to.tls, client_id=str(self._to.address), on_message=self._on_message, will=will
            ) as session:
                return await self._session(session)
        except _NoGoodbyeError as err:
            if err.cancelled:
                raise asyncio.CancelledError from None
            return Failure(FailureKind.LOST, f"{self._to.url.endpoint} did not acknowledge the goodbye")
        finally:
            self._online_said = False

    async def _session(self, session: Session) -> Failure:
        try:
            await self._welcome(session)
            failure = await self._while_up(session)
            if self._stopping.is_set():
                await self._goodbye(session)
        except TimeoutError:
            raise _NoGoodbyeError(cancelled=False) from None
        except asyncio.CancelledError:
            # Ended so, the session would tell the broker goodbye, and `online` would stand there for ever.
            raise _NoGoodbyeError(cancelled=True) from None
        return failure

    async def _welcome(self, session: Session) -> None:
        """Birth and presence.

        Birth is said once per session. It is said again only when nobody acknowledged it, or when the broker no longer has
        it: one without persistence forgets what was retained when it is restarted, and readers that come later would never
        learn what this device is. Whether it has it is known once it has acknowledged something said after subscribing.
        """
        own = (self._birth_topic, self._state_topic, *self._more)
        self._warn_of(await session.subscribe([(name, 1) for name in (*own, *self._listened.topics)]))
        if not self._birth_acknowledged:
            self._birth_changed.clear()
            await session.publish(self._birth_topic, self._birth, qos=1, retain=True)
            self._birth_acknowledged = self._birth_seen = True
        await self._say_online(session)
        if not self._birth_seen:
            _log.info("the broker had forgotten this device: registering it again")
            await session.publish(self._birth_topic, self._birth, qos=1, retain=True)
        self.connections += 1
        self._last_words = ""
        _log.info(
            "connected to %s", self._to.url.endpoint, extra={"protocol": session.protocol, "reconnects": self.reconnects}
        )
        self._become(Up(session))

    @staticmethod
    def _warn_of(refused: Sequence[tuple[str, str]]) -> None:
        for topic, reason in refused:
            _log.warning("the broker does not let this device read a topic", extra={"topic": topic, "why": reason})

    async def _say_online(self, session: Session) -> None:
        self._online_said = True
        payload = encode(State(session=self._session_id, state="online", at=datetime.now(UTC)))
        began_s = asyncio.get_running_loop().time()
        await session.publish(self._state_topic, payload, qos=1, retain=True)
        self._measured(began_s)

    def _measured(self, began_s: float) -> None:
        self.rtt_ms = round((asyncio.get_running_loop().time() - began_s) * 1000, 2)

    async def _while_up(self, session: Session) -> Failure:
        """Wait until the connection ends, or a stop is asked for; meanwhile keep presence right and measure."""
        closed = asyncio.create_task(session.wait_closed(), name="link closed")
        stopping = asyncio.create_task(self._stopping.wait(), name="link stop")
        keepers = {
            asyncio.create_task(self._guard_presence(session), name="link presence"),
            asyncio.create_task(self._probe(session), name="link probe"),
            asyncio.create_task(self._keep_registered(session), name="link birth"),
        }
        tasks: set[asyncio.Task[Failure] | asyncio.Task[bool] | asyncio.Task[None]] = {closed, stopping, *keepers}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        for keeper in keepers:
            if not keeper.cancelled() and (err := keeper.exception()) is not None:
                raise err
        if closed.cancelled():
            return Failure(FailureKind.LOST, f"the link to {self._to.url.endpoint} was closed here")
        return closed.result()

    async def _goodbye(self, session: Session) -> None:
        reason = self._stop_reason or "stopped"
        payload = encode(State(session=self._session_id, state="offline", at=datetime.now(UTC), reason=reason))
        async with asyncio.timeout(GOODBYE_S):
            await session.publish(self._state_topic, payload, qos=1, retain=True)

    async def _keep_registered(self, session: Session) -> None:
        while True:
            await self._birth_changed.wait()
            self._birth_changed.clear()
            await session.publish(self._birth_topic, self._birth, qos=1, retain=True)
            self._birth_acknowledged = True

    async def _probe(self, session: Session) -> None:
        """Measure the round trip now and then.

        MQTT has no question with an answer but the keepalive, which paho keeps to itself. So the agent subscribes once more
        to its own state: two small packets; and the broker sends what it holds for it, which shows whether that is right.
        """
        while True:
            await asyncio.sleep(self._probe_interval_s)
            began_s = asyncio.get_running_loop().time()
            await session.subscribe([(self._state_topic, 1)])
            self._measured(began_s)

    # Presence

    def _on_message(self, topic: str | bytes, payload: bytes, retained: bool) -> None:  # noqa: FBT001  (mqtt.Incoming)
        if topic == self._state_topic:
            self._on_own_state(payload)
        elif topic == self._birth_topic and self._is_own(Channel.BIRTH, payload):
            self._birth_seen = True
        elif isinstance(topic, str) and (listener := self._listener(topic)) is not None:
            listener(topic, payload, retained)
        elif isinstance(topic, str) and not retained:
            self._listened.tell(topic, payload)

    def _listener(self, topic: str) -> Incoming | None:
        return self._more.get(topic) or self._more.get(topic.rpartition("/")[0] + "/+")

    def _is_own(self, channel: Channel, payload: bytes) -> bool:
        try:
            message = decode(channel, payload)
        except WireError:
            return False
        return getattr(message, "session", None) == self._session_id

    def _on_own_state(self, payload: bytes) -> None:
        if not self._online_said or self._stopping.is_set():
            return  # what the last session left behind, or our own goodbye
        try:
            state = decode(Channel.STATE, payload)
        except WireError:
            state = None
        if isinstance(state, State) and state.session == self._session_id and state.state == "online":
            return
        if isinstance(state, State) and state.session != self._session_id and state.state == "online":
            self._clone = state.session
        self._contested.set()

    async def _guard_presence(self, session: Session) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._contested.wait()
            await asyncio.sleep(self._reassertion.delay_s(loop.time()))
            self._contested.clear()
            if self._clone is not None:
                words = "another agent runs with the id of this device: give each its own agent_id"
                _log.error(words, extra={"device": str(self._to.address), "other_session": self._clone})
                self._clone = None
            await self._say_online(session)
