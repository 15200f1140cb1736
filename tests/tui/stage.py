"""The dashboard on a stage: a fleet that is told what tests want, a feed without a broker, a clock that stands."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NoReturn

from textual.pilot import Pilot

from fleetview.config import Link
from fleetview.core.alertbook import AlertBook
from fleetview.core.commandbook import CommandBook, Order
from fleetview.core.device import Device
from fleetview.core.fleet import Fleet
from fleetview.core.logbook import Entry, Logbook
from fleetview.core.received import Received
from fleetview.core.silences import Matcher, Silence
from fleetview.feeds.alertwatch import Affected, Felt
from fleetview.feeds.commands import Bundle
from fleetview.feeds.states import LinkState, Up
from fleetview.remembered import Remembered
from fleetview.tui.alert_desk import AlertSetup
from fleetview.tui.app import FleetApp, Setup
from fleetview.tui.bindings import keymap
from fleetview.tui.command_desk import CommandSetup
from fleetview.tui.fleet_rows import Now
from fleetview.tui.glyphs import UNICODE, Glyphs
from fleetview.tui.metrics import Monitoring
from fleetview.tui.rollouts import RolloutSetup
from fleetview_agent.wire import Address, Channel, CommandResult, Message, WireError, decode, format_time
from fleetview_agent.wire.bundles import Pieces
from fleetview_agent.wire.messages import CommandStatus

STARTED = Now(mono_s=50_000.0, unix_s=datetime(2026, 11, 22, 10, 30, tzinfo=UTC).timestamp())
INTERVAL_S = 10


def address(device: str, site: str = "plant-1", tenant: str = "acme") -> Address:
    return Address(tenant, site, device)


class Told:
    """A fleet that is told things, and the clock by which it is told them."""

    def __init__(self, fleet: Fleet | None = None, now: Now = STARTED) -> None:
        self.now = now
        self.fleet = Fleet() if fleet is None else fleet
        self.fleet.link_up(now.mono_s)
        self._seqs: dict[Address, int] = {}
        self._log_seqs: dict[Address, int] = {}

    def wait(self, seconds: float) -> None:
        """Move the clock; the fleet does not know before somebody tells it."""
        self.now = Now(self.now.mono_s + seconds, self.now.unix_s + seconds)

    def time(self, age_s: float = 0.0) -> str:
        return format_time(datetime.fromtimestamp(self.now.unix_s - age_s, UTC))

    def tell_bytes(self, who: Address, channel: Channel, payload: bytes, *, retained: bool = False) -> None:
        body: Message | WireError | None
        try:
            body = decode(channel, payload) if payload else None
        except WireError as err:
            body = err
        self.fleet.apply(Received(who, channel, body, payload, retained, *self.now))

    def tell(self, who: Address, channel: Channel, fields: Mapping[str, Any], *, retained: bool = False) -> None:
        self.tell_bytes(who, channel, json.dumps({"v": 1, **fields}).encode(), retained=retained)

    def birth(self, who: Address, **more: Any) -> None:
        self._seqs.pop(who, None)
        fields = {"session": "S1", "device": who.device, "heartbeat_interval_s": INTERVAL_S, **more}
        self.tell(who, Channel.BIRTH, fields)

    def heartbeat(self, who: Address, health: str = "ok", *reasons: str, **more: Any) -> None:
        seq = self._seqs[who] = self._seqs.get(who, -1) + 1
        fields = {"session": "S1", "seq": seq, "timestamp": self.time(), "health": health, "reasons": reasons, **more}
        self.tell(who, Channel.HEARTBEAT, fields)

    def state(self, who: Address, state: str, **more: Any) -> None:
        self.tell(who, Channel.STATE, {"session": "S1", "state": state, **more})

    def online(
        self, *devices: str, site: str = "plant-1", health: str = "ok", reasons: tuple[str, ...] = ()
    ) -> list[Device]:
        """Devices that were born and are heard."""
        for name in devices:
            self.birth(address(name, site))
            self.heartbeat(address(name, site), health, *reasons)
        return [self.fleet.devices[address(name, site)] for name in devices]

    def removed(self, who: Address) -> None:
        self.tell_bytes(who, Channel.BIRTH, b"")

    def log(self, who: Address, *messages: str, level: str = "INFO", age_s: float = 0.0, skip: int = 0, **more: Any) -> None:
        first = self._log_seqs.get(who, 0) + skip
        records = [
            {"timestamp": self.time(age_s), "service": "uplink", "level": level, "message": message, **more}
            for message in messages
        ]
        self._log_seqs[who] = first + len(records)
        self.tell(who, Channel.LOG, {"stream": "L1", "first_seq": first, "records": records})


def entry(message: str = "link down", **more: Any) -> Entry:
    """A log record as it is kept."""
    told = Told(Fleet(Logbook()))
    told.log(address("gw-1"), message, **more)
    return next(iter(told.fleet.logbook))


@dataclass
class FakeFeed:
    """A feed whose link is as tests say."""

    state: LinkState
    messages: int = 0
    retried: int = 0
    gave_way_s: float = 0.0
    filling: bool = False

    async def run(self) -> None:
        await asyncio.Event().wait()

    def retry_now(self) -> None:
        self.retried += 1

    def give_way(self, for_s: float) -> None:
        self.gave_way_s += for_s


@dataclass
class FakeAlerts:
    """Prometheus and Alertmanager as tests say. What is changed is written down."""

    book: AlertBook
    affects: Affected = field(default_factory=lambda: Affected(3, 2))
    problem: Exception | None = None
    """What every question but the regular one comes to."""
    hangs: bool = False
    wants_groups: bool = False
    rounds: int = 0
    retried: int = 0
    closed: bool = False
    changed: list[tuple[Any, ...]] = field(default_factory=list)

    async def refresh(self) -> AlertBook:
        self.rounds += 1
        if self.hangs:
            await asyncio.Event().wait()
        return self.book

    async def feel(self, book: AlertBook) -> Felt:
        return Felt(book, False)

    async def affected(self, matchers: Iterable[Matcher]) -> Affected:
        assert tuple(matchers)
        if self.problem is not None:
            raise self.problem
        return self.affects

    async def silence(self, matchers: Iterable[Matcher], lasting_s: float, author: str, comment: str) -> str:
        self.changed.append(("silence", *map(str, matchers), lasting_s, author, comment))
        return "5f6c-new"

    async def extend(self, silence: Silence, by_s: float, author: str) -> str:
        self.changed.append(("extend", silence.id, by_s, author))
        return silence.id

    async def expire(self, silence: Silence) -> None:
        self.changed.append(("expire", silence.id))

    def retry_now(self) -> None:
        self.retried += 1

    def close(self) -> None:
        self.closed = True


@dataclass
class FakeSender:
    """Devices that are asked, and answer when a test says so."""

    told: Told
    book: CommandBook = field(default_factory=CommandBook)
    on_problem: Callable[[str], object] = lambda _: None
    on_bundle: Callable[[Bundle], object] = lambda _: None
    closed: bool = False
    pieces: dict[Address, Pieces] = field(default_factory=dict)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def connect(self, on_problem: Callable[[str], object], on_bundle: Callable[[Bundle], object]) -> FakeSender:
        self.on_problem, self.on_bundle = on_problem, on_bundle
        return self

    async def order(
        self, verb: str, args: Mapping[str, Any], addresses: Iterable[Address], *, reason: str, expires_s: float
    ) -> Order:
        now, number = self.told.now, len(self.book.orders) + self.book.forgotten + 1
        order = self.book.begin(
            f"c{number}", verb, args, addresses, by="ana@laptop", reason=reason, expires_s=expires_s, unix_s=now.unix_s
        )
        for each in order.requests:
            self.book.sent(order, each, now.mono_s, now.unix_s, "S1")
        return order

    def answer(self, device: str, status: CommandStatus, message: str = "", site: str = "plant-1") -> None:
        """To the last order."""
        result = CommandResult(status=status, message=message)
        assert self.book.take(address(device, site), list(self.book.orders)[-1], result, self.told.now.mono_s)
        self._news.set()

    def advance(self) -> None:
        self.book.advance(self.told.now.mono_s)
        self._news.set()

    async def run(self) -> NoReturn:
        while True:
            await asyncio.Event().wait()

    async def close(self) -> None:
        self.closed = True

    async def news(self, within_s: float) -> None:
        await self._news.wait()
        self._news.clear()

    def pieces_of(self, order: Order, address: Address) -> Pieces | None:
        return self.pieces.get(address)


_QUIET_ROUNDS = 2  # a screen that comes fills itself after its first refresh, and draws that with the next


class Stage:
    """The app under a pilot."""

    def __init__(self, told: Told, app: FleetApp, feed: FakeFeed, pilot: Pilot[int]) -> None:
        self.told = told
        self.app = app
        self.feed = feed
        self.pilot = pilot

    async def tick(self, seconds: float = 0.0) -> None:
        """Let time pass, and have what changed drawn."""
        self.told.wait(seconds)
        self.app.tick()
        await self._settle()

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self._settle()

    async def _settle(self) -> None:
        """Until nothing is left to do: the pilot takes a process that a loaded machine keeps from running for an idle one."""
        await self.pilot.pause()
        quiet = 0
        while quiet < _QUIET_ROUNDS:
            arranging = any(worker.group == "arrange" and not worker.is_finished for worker in self.app.workers)
            quiet = 0 if arranging else quiet + 1
            await self.pilot.pause(0)

    async def type(self, text: str) -> None:
        await self.press(*("space" if char == " " else char for char in text))

    @property
    def rows(self) -> list[str]:
        """What stands on the screen."""
        rows = self.app.screen._compositor.render_strips()
        return ["".join(segment.text for segment in strip).rstrip() for strip in rows]

    @property
    def text(self) -> str:
        return "\n".join(self.rows)

    async def see(self, words: str) -> None:
        """Wait until some words stand on the screen: Textual shows notifications and the palette's finds when it gets to it."""
        async with asyncio.timeout(10):
            while words not in self.text:
                await self.pilot.pause(0.01)

    def row_of(self, words: str) -> int:
        """The row in which some words stand first."""
        found = [y for y, row in enumerate(self.rows) if words in row]
        assert found, f"{words!r} is not on the screen:\n{self.text}"
        return found[0]

    def order(self, *devices: str) -> list[str]:
        """These devices in the order of their rows."""
        return sorted(devices, key=self.row_of)


@asynccontextmanager
async def dashboard(
    told: Told,
    *,
    size: tuple[int, int] = (120, 36),
    glyphs: Glyphs = UNICODE,
    state: LinkState | None = None,
    theme: str | None = None,
    link: Link = "fast",
    aliases: Mapping[str, str] | None = None,
    keys: Mapping[str, str] | None = None,
    remembered: Remembered | None = None,
    alerts: AlertSetup | None = None,
    monitoring: Monitoring | None = None,
    rollouts: RolloutSetup | None = None,
    commands: CommandSetup | None = None,
) -> AsyncIterator[Stage]:
    """The dashboard, drawn once, with its own ticks off: time passes when a test says so."""
    feed = FakeFeed(state or Up(told.now.mono_s - 65, "5"))
    setup = Setup(
        "plant",
        "broker.example:8883",
        glyphs,
        theme,
        link=link,
        aliases=aliases or {},
        keymap=keymap(keys or {}),
        alerts=alerts or AlertSetup(),
        remembered=remembered or Remembered(),
        monitoring=monitoring or Monitoring(),
        rollouts=rollouts or RolloutSetup(),
        commands=commands or CommandSetup(),
    )
    app = FleetApp(told.fleet, feed, setup, clock=lambda: told.now)
    async with app.run_test(size=size, notifications=True) as pilot:
        for timer in app._timers:
            timer.pause()
        stage = Stage(told, app, feed, pilot)
        await stage.tick()
        yield stage
