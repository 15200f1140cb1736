"""Keeps the dashboard's subscription alive, and hands each message on as one plain call. Publishes for who may."""

from __future__ import annotations

import asyncio
import math
import secrets
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic, time
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from fleetview.config import EVERYTHING, Scope
from fleetview.core.received import Received
from fleetview.feeds.backoff import MAX_BACKOFF_S, REFUSED_RETRY_S, backoff_s
from fleetview.feeds.states import Backoff, Connecting, LinkState, Refused, Up
from fleetview_agent.mqtt import FailureKind, LinkError, Session, open_session
from fleetview_agent.wire import Address, Channel, DeviceTopic, FleetTopic, Message, Topics, WireError, decode

if TYPE_CHECKING:
    from fleetview_agent.endpoint import BrokerUrl, Failure, TlsFiles, WillMessage

Sink = Callable[[Received], object]
"""Takes one message of a device. Called from the socket's reader: what it costs is paid by every message."""

_FILLING_S = 0.5
"""Without a retained message for so long, the burst counts as over for those who only look."""
_STABLE_S = 10.0
"""A link that stood this long starts over with the shortest wait."""
_LITTLE = 2048
"""Bytes a round while something else is urgent: some five heartbeats, a third of a millisecond."""
_MAX_ADDRESSES = 500_000
"""Known by sight; 60 bytes each."""

_DEVICE_CHANNELS = (
    Channel.BIRTH,
    Channel.STATE,
    Channel.HEARTBEAT,
    Channel.DESIRED,
    Channel.REPORTED,
    Channel.LOG_ACK,
    Channel.COMMAND,
    Channel.COMMAND_RESULT,
)
_FLEET_CHANNELS = (Channel.CONTROLLER, Channel.ROLLOUT)
_ONE_LEVEL: dict[str, Channel] = {
    channel.value: channel
    for channel in (*_DEVICE_CHANNELS, Channel.LOG)
    if "/" not in channel and channel != Channel.COMMAND
}
"""The channels that are the last level of their topics, right behind the device."""


class ReceivedFleet(NamedTuple):
    """A message of a tenant's control plane."""

    topic: FleetTopic
    body: Message | WireError | None
    """None for an empty payload; WireError for one that is not valid."""
    payload: bytes
    retained: bool
    mono_s: float
    unix_s: float


@dataclass(slots=True)
class Counts:
    """What came so far; who wants a rate takes the difference of two readings."""

    messages: int = 0
    bytes: int = 0
    """Of payloads."""
    unknown_topics: int = 0
    """Messages whose topic the contract does not know."""
    last_unknown: str | None = None
    """Why, for the latest of them."""
    links: int = 0
    """How often the link came up."""


class Connection:
    """The subscription of one dashboard. `run` is the task that keeps it; everything else may be asked at any time."""

    def __init__(
        self,
        url: BrokerUrl,
        sink: Sink,
        *,
        tls: TlsFiles | None = None,
        topics: Topics | None = None,
        scope: Scope = EVERYTHING,
        logs: bool = True,
        on_fleet: Callable[[ReceivedFleet], object] | None = None,
        on_state: Callable[[LinkState], object] | None = None,
        wanted: Callable[[Address], bool] | None = None,
        may_publish: bool = False,
        also: Sequence[str] = (),
        will: WillMessage | None = None,
        connect_timeout_s: float = 5.0,
        keepalive_s: int = 20,
        longest_backoff_s: float = MAX_BACKOFF_S,
        refused_retry_s: float = REFUSED_RETRY_S,
    ) -> None:
        self.url = url
        self.counts = Counts()
        self.state: LinkState = Connecting(1)
        self._sink = sink
        self._tls = tls
        self._topics = topics or Topics()
        self._scope = scope
        self._logs = logs
        self._on_fleet = on_fleet
        self._on_state = on_state
        self._wanted = wanted
        """Of which devices messages are decoded and handed on; None for all."""
        self._unwanted: set[tuple[str, ...]] = set()
        self._may_publish = may_publish
        self._also = also
        """Filters besides."""
        self._will = will
        self._connect_timeout_s = connect_timeout_s
        self._keepalive_s = keepalive_s
        self._longest_backoff_s = longest_backoff_s
        self._refused_retry_s = refused_retry_s
        # A second program with the same id would be thrown out by the first, and so on for ever.
        self._client_id = f"fleetview-{secrets.token_hex(6)}"
        self._prefix = self._topics.root + "/"
        self._known: dict[tuple[str, ...], Address] = {}
        """The addresses that were found to be valid, by their parts: a topic as a key would cost 100 bytes more each."""
        self._last_retained_mono_s = -math.inf
        self._session: Session | None = None
        self._changed = asyncio.Event()
        """Set, and replaced, at each change of state."""
        self._retry = asyncio.Event()
        self._giving_way: asyncio.TimerHandle | None = None

    @property
    def filters(self) -> list[str]:
        """What is subscribed to."""
        tenant, site = self._scope.tenant or "+", self._scope.site or "+"
        channels = (*_DEVICE_CHANNELS, Channel.LOG) if self._logs else _DEVICE_CHANNELS
        return [
            *(self._topics.filter(channel, tenant, site) for channel in channels),
            *(self._topics.filter(channel, tenant) for channel in _FLEET_CHANNELS),
            *self._also,
        ]

    async def run(self) -> NoReturn:
        """Connects, and connects again, until cancelled. Raises only what a sink raised."""
        failures = 0
        while True:
            self._enter(Connecting(failures + 1))
            began = monotonic()
            try:
                failure = await self._one_session()
            except LinkError as err:
                failure = err.failure
            if isinstance(self.state, Up) and monotonic() - began >= _STABLE_S:
                failures = 0
            failures += 1
            await self._pause(failure, failures)

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publishes, until the broker has it. Raises LinkError: no link, refused by the broker, or we are only to read."""
        if not self._may_publish:
            raise LinkError.of(FailureKind.AUTHORISATION, f"read-only: nothing is sent to {self.url.endpoint} from here")
        if not isinstance(self.state, Up) or self._session is None:
            raise LinkError.of(FailureKind.LOST, f"there is no link to {self.url.endpoint}")
        await self._session.publish(topic, payload, qos=1, retain=retain)

    async def up(self) -> None:
        """Returns when the link stands."""
        while not isinstance(self.state, Up):
            await self._changed.wait()

    def retry_now(self) -> None:
        """Ends the wait for the next attempt, because somebody pressed a key."""
        self._retry.set()

    def give_way(self, for_s: float) -> None:
        """For so long take in a few messages at a time: other work comes round sooner, and the rest waits in the socket."""
        if self._giving_way is not None:
            self._giving_way.cancel()
        if self._session is not None:
            self._session.read_at_once(_LITTLE)
            self._giving_way = asyncio.get_running_loop().call_later(for_s, self._session.read_at_once, None)

    async def settled(self, quiet_s: float, max_s: float) -> bool:
        """Waits for the end of the retained burst: subscribed, caught up, and no retained message for `quiet_s`.

        The quiet is for brokers that send what is retained in the background. False when it had not come so far in `max_s`.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(max_s):
                while True:
                    state = self.state
                    if not isinstance(state, Up) or self._session is None:
                        await self._changed.wait()
                        continue
                    with suppress(LinkError):  # then the state changes
                        await self._session.caught_up()
                    rest_s = max(self._last_retained_mono_s, state.since_mono_s) + quiet_s - monotonic()
                    if rest_s <= 0:
                        return True
                    await asyncio.sleep(rest_s)
        return False

    @property
    def filling(self) -> bool:
        """Whether what the broker has retained is still coming."""
        return monotonic() - self._last_retained_mono_s < _FILLING_S

    async def outcome(self) -> Up | Backoff | Refused:
        """How the attempt that is under way ends."""
        while isinstance(state := self.state, Connecting):
            await self._changed.wait()
        return state

    def _enter(self, state: LinkState) -> None:
        self.state = state
        self._changed.set()
        self._changed = asyncio.Event()
        if self._on_state is not None:
            self._on_state(state)

    async def _one_session(self) -> Failure:
        async with open_session(
            self.url,
            tls=self._tls,
            client_id=self._client_id,
            on_message=self._receive,
            will=self._will,
            keepalive_s=self._keepalive_s,
            connect_timeout_s=self._connect_timeout_s,
        ) as session:
            refused = await self._subscribe(session)
            self.counts.links += 1
            self._session = session
            self._enter(Up(monotonic(), session.protocol, refused))
            return await session.wait_closed()

    async def _subscribe(self, session: Session) -> tuple[tuple[str, str], ...]:
        # QoS 0, although agents publish with 1: for a QoS 1 subscriber Mosquitto 2.0.11 queues max_queued_messages, by
        # default 1,000, and drops the rest without a word: of 5,000 retained states 1,020 came. With QoS 0 all 5,000 did.
        # What the screen must not lose is retained, and comes again with the next subscription.
        return tuple(await session.subscribe([(name, 0) for name in self.filters]))

    async def _pause(self, failure: Failure, failures: int) -> None:
        refused = failure.kind is FailureKind.AUTHORISATION
        wait_s = self._refused_retry_s if refused else backoff_s(failures, longest_s=self._longest_backoff_s)
        state = Refused if refused else Backoff
        self._retry.clear()
        self._enter(state(failure, monotonic() + wait_s))
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._retry.wait()

    def _receive(self, topic: str | bytes, payload: bytes, retained: bool) -> None:  # noqa: FBT001 (called by the session)
        counts = self.counts
        counts.messages += 1
        counts.bytes += len(payload)
        now = monotonic()
        if retained:
            self._last_retained_mono_s = now
        if isinstance(topic, str) and topic.startswith(self._prefix):
            *parts, name = topic[len(self._prefix) :].split("/")
            if self._wanted is not None and tuple(parts[:3]) in self._unwanted:
                return
            address, channel = self._known.get(tuple(parts)), _ONE_LEVEL.get(name)
            if address is not None and channel is not None:
                self._sink(Received(address, channel, _decoded(channel, payload), payload, retained, now, time()))
                return
        learnt = self._learn(topic, payload, retained, now)
        if learnt is None:
            return
        address, channel, command_id = learnt
        self._sink(Received(address, channel, _decoded(channel, payload), payload, retained, now, time(), command_id))

    def _learn(self, topic: str | bytes, payload: bytes, retained: bool, now: float) -> DeviceTopic | None:  # noqa: FBT001
        """The device topic, its address kept for next time; None for one that is not, which is dealt with here."""
        try:
            if isinstance(topic, bytes):
                msg = f"topic {topic[:100]!r} is not UTF-8"
                raise WireError(msg)  # noqa: TRY301 (one place counts them)
            parsed = self._topics.parse(topic)
        except WireError as err:
            self.counts.unknown_topics += 1
            self.counts.last_unknown = str(err)
            return None
        if isinstance(parsed, FleetTopic):
            if self._on_fleet is not None:
                body = _decoded(parsed.channel, payload)
                self._on_fleet(ReceivedFleet(parsed, body, payload, retained, now, time()))
            return None
        address = self._known.get(parsed.address)
        if address is None:
            if self._wanted is not None and not self._wanted(parsed.address):
                if len(self._unwanted) >= _MAX_ADDRESSES:
                    self._unwanted.clear()
                self._unwanted.add(tuple(parsed.address))
                return None
            if len(self._known) >= _MAX_ADDRESSES:
                self._known.clear()
            tenant, site, device = parsed.address  # a site's name once in memory, not once per device
            address = Address(sys.intern(tenant), sys.intern(site), device)
            self._known[address] = address
        return parsed._replace(address=address)


def _decoded(channel: Channel, payload: bytes) -> Message | WireError | None:
    if not payload:
        return None
    try:
        return decode(channel, payload)
    except WireError as err:
        return err
