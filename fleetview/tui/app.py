"""The dashboard: owns the fleet and its feed, lets time pass, and has the screen on top repaint what changed."""

from __future__ import annotations

import asyncio
import json
import signal
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import PurePath
from time import monotonic, perf_counter, time
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, cast

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.command import CommandPalette
from textual.events import Event, Key
from textual.screen import Screen
from textual.scrollbar import ScrollBar, ScrollBarRender
from textual.widgets import Input

from fleetview.config import Link
from fleetview.core.completeness import half_seen
from fleetview.core.device import Device
from fleetview.core.fleet import Fleet
from fleetview.core.logbook import Entry
from fleetview.core.snapshot import device_snapshot
from fleetview.core.staged import Staged
from fleetview.feeds.states import LinkState, Up
from fleetview.remembered import Remembered
from fleetview.tui.alert_desk import AlertDesk, AlertSetup
from fleetview.tui.alert_servers import glances
from fleetview.tui.command_desk import CommandDesk, CommandSetup
from fleetview.tui.commander import Commander
from fleetview.tui.feed import Feed
from fleetview.tui.fleet_rows import Now, copied_row
from fleetview.tui.glyphs import ASCII, Glyphs
from fleetview.tui.log_rows import copied_record
from fleetview.tui.metrics import Metrics, Monitoring
from fleetview.tui.pace import PACES, Pace
from fleetview.tui.rollouts import RolloutSetup
from fleetview.tui.screens.fleet import FleetScreen
from fleetview.tui.status import Watch, link_view
from fleetview.tui.toolkit import PlainScrollBar, Written, counting, limit_repaints
from fleetview.tui.view import OPENS_INPUT, Place, View, trail
from fleetview.tui.widgets.bars import KeyLine
from fleetview_agent.wire import Address

if TYPE_CHECKING:
    from textual.command import Provider
    from textual.timer import Timer
    from textual.widget import AwaitMount

    from fleetview.tui.widgets.command_bar import CommandBar

_RATE_WINDOW_S = 5.0
_WARM_UP_S = 1.0
_KEY_FIRST_S = 0.15
"""Messages make way for a key for so long: until what it asked for is on the screen, be it a new order of 100,000."""
_MAX_DEPTH = 8
"""Screens on the way back to the fleet: whoever goes further begins a new way there."""
_LOOK_FOR_HALVES_S = 5
_MOST_COPIED = 500
"""Devices: terminals and multiplexers drop a clipboard of megabytes without a word."""
_SIGNALLED = 128
"""What a shell adds to the number of the signal that ended a program."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What the dashboard is told at its start."""

    title: str
    """The fleet's name."""
    broker: str
    """Where it is watched, without a password."""
    glyphs: Glyphs
    theme: str | None = None
    link: Link = "fast"
    aliases: Mapping[str, str] = field(default_factory=dict)
    keymap: Mapping[str, str] = field(default_factory=dict)
    """Other keys by the id of a binding."""
    alerts: AlertSetup = field(default_factory=AlertSetup)
    remembered: Remembered = field(default_factory=Remembered)
    """How the person left the screens."""
    monitoring: Monitoring = field(default_factory=Monitoring)
    rollouts: RolloutSetup = field(default_factory=RolloutSetup)
    commands: CommandSetup = field(default_factory=CommandSetup)


class _Sample(NamedTuple):
    mono_s: float
    messages: int
    bytes: int


class _PerSecond(NamedTuple):
    messages: float
    bytes: float


def wall_clock() -> Now:
    """The moment it is."""
    return Now(monotonic(), time())


def _warm_up() -> None:
    """Build the filter language's parser now, 0.1 s, and not under the first key of the first filter."""
    import fleetview.core.query.complete  # noqa: PLC0415  # not before the first paint
    import fleetview.tui.widgets.command_bar  # noqa: F401, PLC0415  # likewise
    from fleetview.core.query import compile_devices  # noqa: PLC0415

    compile_devices("ok")


def _device_palette() -> type[Provider]:
    from fleetview.tui.palette import DevicePalette  # noqa: PLC0415  # imported when first shown

    return DevicePalette


class FleetApp(App[int]):
    """The dashboard. Its return value is the exit code."""

    # Textual (8.2) does not load the style sheet of the screen that it starts with.
    CSS_PATH: ClassVar[list[str | PurePath]] = ["app.tcss", "screens/fleet.tcss"]
    TITLE = "fleetview"
    COMMAND_PALETTE_BINDING = ""  # the binding below stands for it, with an id and words of its own
    COMMANDS = App.COMMANDS | {_device_palette}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "colon", "command", "commands", key_display=":", id="app.commands", tooltip="Run a command", priority=OPENS_INPUT
        ),
        Binding("q", "quit", "quit", id="app.quit", tooltip="Leave fleetview"),
        Binding("question_mark", "keys", "keys", key_display="?", id="app.keys", tooltip="The keys that work right now"),
        Binding("ctrl+r", "reconnect", "reconnect", show=False, id="app.reconnect", tooltip="Try the broker again at once"),
        Binding("ctrl+t", "bytes", "bytes", show=False, id="app.bytes", tooltip="Show what goes to the terminal"),
        Binding("ctrl+p", "command_palette", "find", show=False, id="app.palette", tooltip="Find a device"),
    ]

    def __init__(self, fleet: Fleet, feed: Feed, setup: Setup, clock: Callable[[], Now] = wall_clock) -> None:
        super().__init__()
        self.fleet = fleet
        self.glyphs = setup.glyphs
        self.remembered = setup.remembered
        self.key_at_s = 0.0
        """When a key was pressed last, by `perf_counter`: long work makes way for it."""
        self._feed = feed
        self._setup = setup
        self._clock = clock
        self._feed_task: asyncio.Task[None] | None = None
        self.pace = PACES[setup.link]
        self.shows_bytes = False
        self.desk = AlertDesk(self, setup.alerts)
        self.orders = CommandDesk(self, setup.commands)
        self.commander = Commander(self, setup.aliases)
        self.metrics = Metrics(self, setup.monitoring)
        self.rollouts = setup.rollouts
        self.staged = Staged()
        self.written = Written()
        self.driver_class = counting(self.driver_class, self.written)
        self._ticker: Timer | None = None
        self._step = -1
        self._state: LinkState | None = None
        self._blind_since: float | None = None
        self._rates: deque[_Sample] = deque(maxlen=int(_RATE_WINDOW_S) + 1)
        self._half_seen = 0

    def now(self) -> Now:
        """The moment it is."""
        return self._clock()

    def get_default_screen(self) -> Screen[Any]:
        return FleetScreen()

    def on_mount(self) -> None:
        self.set_keymap(dict(self._setup.keymap))
        self.set_class(self.glyphs is ASCII, "-ascii")
        ScrollBar.renderer = PlainScrollBar if self.glyphs is ASCII else ScrollBarRender
        if self._setup.theme is not None:
            self.theme = self._setup.theme
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            with suppress(NotImplementedError, RuntimeError):  # not on Windows, and not in a thread of its own
                loop.add_signal_handler(number, self.exit, _SIGNALLED + number)
        self._feed_task = asyncio.create_task(self._feed.run(), name="feed")
        self._feed_task.add_done_callback(self._feed_ended)
        self.set_pace(self.pace)
        self.call_after_refresh(self.orders.start)
        self.call_after_refresh(self.desk.start)  # with 0.2 s of imports: the first picture does not wait for them
        self.set_timer(_WARM_UP_S, _warm_up)

    async def on_unmount(self) -> None:
        await self.desk.stop()
        await self.orders.stop()
        await self.metrics.close()
        if self._feed_task is not None and not self._feed_task.done():
            self._feed_task.cancel()
            await asyncio.wait([self._feed_task], timeout=2)

    def _feed_ended(self, task: asyncio.Task[None]) -> None:
        # The feed lives as long as the app; when it falls over, that is a bug, and must not look like a quiet fleet.
        if not task.cancelled() and (err := task.exception()) is not None:
            self.panic(f"fleetview: the feed ended: {type(err).__name__}: {err}")

    def set_pace(self, pace: Pace) -> None:
        """Repaint as often as the link bears."""
        self.pace = pace
        limit_repaints(self.screen_stack, pace.repaints_per_s)
        if self._ticker is not None:
            self._ticker.stop()
        self._ticker = self.set_interval(1 / pace.ticks_per_s, self.tick)
        self._rates.clear()

    def tick(self) -> None:
        """Let time pass, and have what changed repainted."""
        now = self.now()
        self.fleet.advance(*now)
        self.staged.look(self.fleet, self.rollouts.board)
        changes = self.fleet.drain()
        step, state = int(now.mono_s / self.pace.figures_every_s), self._feed.state
        if state != self._state:
            self._state = state
            self._blind_since = None if isinstance(state, Up) else self._blind_since or now.mono_s
            self._step = -1  # a link that comes or goes is news at any pace
        if step != self._step:
            self._step = step
            self._rates.append(_Sample(now.mono_s, self._feed.messages, self.written.bytes))
            if int(now.mono_s) % _LOOK_FOR_HALVES_S == 0 and not self.is_filling:
                self._half_seen = half_seen(self.fleet)
        elif not changes:
            return
        for screen in reversed(self.screen_stack):
            if isinstance(screen, View):
                if screen.is_mounted:  # one that is just coming up shows all by itself
                    screen.show(changes, now)
                break

    async def on_event(self, event: Event) -> None:
        if isinstance(event, Key):
            self.key_at_s = perf_counter()
            self._feed.give_way(_KEY_FIRST_S)
        await super().on_event(event)

    @property
    def is_filling(self) -> bool:
        """Whether what the broker has retained is still coming."""
        return self._feed.filling

    # -- what the status lines show

    def watching(self) -> Watch:
        """The state of watching."""
        now, book = self.now(), self.desk.book
        return Watch(
            fleet=self.fleet,
            now=now,
            context=self._setup.title,
            broker=self._setup.broker,
            link=link_view(self._feed.state, now),
            messages_per_s=self._per_s().messages,
            blind_since_mono=self._blind_since,
            trail=trail(self.screen_stack[1:]),
            coarse=self.pace.coarse,
            half_seen=self._half_seen,
            alerts=glances(book, self.desk.broken, now, self.glyphs),
            switch=None if book is None else book.switch,
        )

    @property
    def bytes_per_s(self) -> float:
        """Bytes that went to the terminal, of late."""
        return self._per_s().bytes

    def _per_s(self) -> _PerSecond:
        if len(self._rates) < 2 or self._rates[-1].mono_s <= self._rates[0].mono_s:  # noqa: PLR2004
            return _PerSecond(0.0, 0.0)
        first, last = self._rates[0], self._rates[-1]
        took = last.mono_s - first.mono_s
        return _PerSecond((last.messages - first.messages) / took, (last.bytes - first.bytes) / took)

    # -- going places

    def open_fleet(self) -> AwaitMount | None:
        """Show all devices."""
        return self.go(("fleet", None), FleetScreen)

    def open_device(self, device: Device) -> AwaitMount | None:
        """Show one device."""
        from fleetview.tui.screens.device import DeviceScreen  # noqa: PLC0415  # imported when first shown

        return self.go(("device", device.address), lambda: DeviceScreen(device))

    def open_logs(self, address: Address | None) -> AwaitMount | None:
        """Show the logs of a device, or of all."""
        from fleetview.tui.screens.logs import LogScreen  # noqa: PLC0415  # imported when first shown

        return self.go(("logs", address), lambda: LogScreen(address))

    def open_alerts(self, address: Address | None) -> AwaitMount | None:
        """Show the alerts of a device, or of all."""
        from fleetview.tui.screens.alerts import AlertsScreen  # noqa: PLC0415  # imported when first shown

        return self.go(("alerts", address), lambda: AlertsScreen(address))

    def open_rollouts(self) -> AwaitMount | None:
        """Show the rollouts."""
        from fleetview.tui.screens.rollouts import RolloutsScreen  # noqa: PLC0415  # imported when first shown

        return self.go(("rollouts", None), RolloutsScreen)

    def go(self, place: Place, make: Callable[[], View]) -> AwaitMount | None:
        """Go back to a screen that leads here, or on to a new one. Whoever needs that one ready awaits it."""
        known = [
            index for index, screen in enumerate(self.screen_stack) if isinstance(screen, View) and screen.place == place
        ]
        depth = max((index for index, screen in enumerate(self.screen_stack) if isinstance(screen, View)), default=0)
        top = known[-1] if known else depth if depth < _MAX_DEPTH else 0
        while len(self.screen_stack) > top + 1:
            self.pop_screen()
        return None if known else self.push_screen(make())

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "command" and isinstance(self.screen.focused, Input):
            return False  # it is typed there
        return super().check_action(action, parameters)

    async def action_command(self) -> None:
        if not self.screen.query("CommandBar"):
            await self.screen.mount(self.commander.bar())

    async def on_command_bar_asked(self, event: CommandBar.Asked) -> None:
        await self.commander.run(event.bar, event.call)

    def action_bytes(self) -> None:
        self.shows_bytes = not self.shows_bytes
        for keys in self.screen.query(KeyLine):
            keys.repaint()

    def action_keys(self) -> None:
        from fleetview.tui.screens.keys import KeysScreen  # noqa: PLC0415  # imported when first shown

        if not isinstance(self.screen, KeysScreen):
            self.push_screen(KeysScreen(self.screen))

    def action_reconnect(self) -> None:
        self._feed.retry_now()
        self.desk.ask_now()

    def copy_device(self, device: Device, *, as_json: bool) -> None:
        """Put a device on the clipboard of the terminal (OSC 52)."""
        now = self.now()
        snapshot = device_snapshot(device, now.mono_s) if as_json else None
        text = copied_row(device, now) if snapshot is None else json.dumps(snapshot, ensure_ascii=False)
        self.copy_to_clipboard(text)
        self.notify(f"copied {'JSON' if as_json else 'the row'} of {device.address.device}, {len(text):,} characters")

    def copy_devices(self, devices: list[Device], *, as_json: bool) -> None:
        """Put several devices on the clipboard, a line each."""
        now = self.now()
        lines = [
            json.dumps(device_snapshot(device, now.mono_s), ensure_ascii=False) if as_json else copied_row(device, now)
            for device in devices[:_MOST_COPIED]
        ]
        self.copy_to_clipboard("\n".join(lines))
        left_out = f", the first {len(lines):,} of {len(devices):,}" if len(lines) < len(devices) else ""
        self.notify(f"copied {'JSON' if as_json else 'the rows'} of {len(lines):,} devices{left_out}")

    def copy_record(self, entry: Entry, *, as_json: bool) -> None:
        """Put a log record on the clipboard of the terminal (OSC 52)."""
        text = json.dumps(entry.fields(), ensure_ascii=False) if as_json else copied_record(entry)
        self.copy_to_clipboard(text)
        self.notify(f"copied {'JSON' if as_json else 'the line'} of the record, {len(text):,} characters")

    def action_command_palette(self) -> None:
        if not CommandPalette.is_open(cast("App[object]", self)):
            self.push_screen(CommandPalette(placeholder="a device, by any part of its address; or a command"))

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        yield SystemCommand("Theme", "Other colours", self.action_change_theme)
        yield SystemCommand("Quit", "Leave fleetview", self.action_quit)
        yield from (command for command in super().get_system_commands(screen) if command.title == "Screenshot")
        yield SystemCommand("Keys", "The keys that work right now", self.action_keys)
        yield SystemCommand("Logs", "The logs of the whole fleet", lambda: self.open_logs(None))
        yield SystemCommand("Alerts", "What fires, of the whole fleet", lambda: self.open_alerts(None))
        yield SystemCommand("Rollouts", "What is being changed, and how far it is", self.open_rollouts)
        yield SystemCommand("Reconnect", "Try the broker again at once", self.action_reconnect)
