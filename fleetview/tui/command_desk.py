"""What is asked of devices from the screen: which verb, with what, after saying what it means; and what comes of it.

It belongs to the app, not to a screen: what was sent goes on, whoever looks at it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Protocol

from fleetview.core.commandbook import BookFullError, CommandBook, Order
from fleetview.core.commandplan import (
    DEFAULT_EXPIRES_S,
    DEFAULT_LEVEL_S,
    MAX_BUNDLES,
    VERBS,
    PlanError,
    Verb,
    checked_args,
    command_line,
    consequence,
    expires,
    filter_for,
    how_many,
    modules_of,
)
from fleetview.core.device import Device
from fleetview.core.numbers import counted
from fleetview.core.roster import Changes
from fleetview.tui.alert_desk import Plan
from fleetview.tui.spans import visible
from fleetview.tui.view import Place, View
from fleetview_agent.wire import Address

if TYPE_CHECKING:
    from fleetview.feeds.commands import Bundle
    from fleetview.tui.app import FleetApp
    from fleetview_agent.wire.bundles import Pieces

Target = str | Sequence[Address]
"""How the devices are named on a command line: by a filter, or one by one."""
_MODULE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
_LOOK_S = 1.0
PLACE: Place = ("commands", None)
ARGUMENT_OF = {"restart_module": "name", "set_log_level": "level"}
"""What stands first behind a command that is typed."""


class Sender(Protocol):
    """Who sends."""

    @property
    def book(self) -> CommandBook:
        """What was sent."""

    async def order(
        self, verb: str, args: Mapping[str, Any], addresses: Iterable[Address], *, reason: str, expires_s: float
    ) -> Order:
        """Send. Raises BookFullError."""

    async def run(self) -> NoReturn:
        """Until cancelled."""

    async def close(self) -> None:
        """Record what is still open."""

    async def news(self, within_s: float) -> None:
        """Returns when something may have come of a command."""

    def pieces_of(self, order: Order, address: Address) -> Pieces | None:
        """The pieces of a bundle that is on its way."""


@dataclass(frozen=True, slots=True)
class CommandSetup:
    """How commands are sent. None of it where only reading is allowed, or there is no broker to send to."""

    connect: Callable[[Callable[[str], object], Callable[[Bundle], object]], Sender] | None = None
    """Made where the event loop runs, with who is told of problems, and of bundles that are whole."""
    keep: Callable[[Bundle], Path] | None = None
    """Writes a bundle to a file, in a thread. Raises OSError, ValueError."""
    refused: str = "nothing is sent to devices from here"
    """Why not, in words."""
    options: str = ""
    """What the command line needs to mean the same fleet."""


@dataclass(slots=True)
class _Asking:
    """What a person is being asked about."""

    verb: Verb
    devices: Sequence[Device]
    target: Target | None
    args: Mapping[str, str]
    placed: Order | None = None
    """What became of it."""


class CommandDesk:
    """The commands of one app."""

    def __init__(self, app: FleetApp, setup: CommandSetup) -> None:
        self._app = app
        self.setup = setup
        self._sender: Sender | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._told: set[str] = set()
        """Orders of whose end the person was told."""
        self._notes: dict[tuple[str, Address], str] = {}

    @property
    def allowed(self) -> bool:
        """Whether anything can be asked of devices."""
        return self.setup.connect is not None

    @property
    def book(self) -> CommandBook | None:
        """What was sent; None where nothing can be."""
        return None if self._sender is None else self._sender.book

    def start(self) -> None:
        """Be ready to send."""
        if self.setup.connect is not None:
            self._sender = self.setup.connect(self._complain, self._bundle_came)
            self._keep(asyncio.create_task(self._sender.run(), name="commands")).add_done_callback(self._ended)
            self._keep(asyncio.create_task(self._tell(self._sender), name="news of commands"))

    async def stop(self) -> None:
        """Send no more."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=2)
        if self._sender is not None:
            await self._sender.close()

    def note(self, order: Order, address: Address) -> str:
        """What is known of a bundle of diagnostics: where it is, or how much of it has come."""
        note = self._notes.get((order.id, address), "")
        pieces = None if note or self._sender is None else self._sender.pieces_of(order, address)
        if pieces is not None and pieces.arrived:
            return f"{pieces.arrived} of {pieces.expected} pieces have come"
        return note

    # -- asking, step by step

    def ask_verb(self, devices: Sequence[Device], target: Target | None = None) -> None:
        """Choose what is asked of these devices."""
        from fleetview.tui.screens.choose import Choice, ChooseScreen  # noqa: PLC0415  # imported when first shown

        if self._none(devices):
            return
        choices = [Choice(verb.name, verb.name.replace("_", " "), verb.help) for verb in VERBS.values()]

        def chosen(found: list[str] | None) -> None:
            if found:
                self.ask(found[0], devices, target)

        self._app.push_screen(ChooseScreen(f"ask {visible(how_many(devices))}", choices), chosen)

    def ask(
        self, verb: str, devices: Sequence[Device], target: Target | None = None, args: Mapping[str, str] | None = None
    ) -> None:
        """Ask for one thing: which module, if that is to be chosen, and then in numbers whether."""
        if self._none(devices):
            return
        if verb == "restart_module" and not args:
            self._choose_module(devices, target)
        else:
            self._form(VERBS[verb], devices, target, dict(args or {}))

    def _choose_module(self, devices: Sequence[Device], target: Target | None) -> None:
        from fleetview.tui.screens.choose import Choice, ChooseScreen  # noqa: PLC0415  # imported when first shown

        modules = modules_of(devices)
        if not modules:
            self._app.notify("none of them has told of a module", severity="warning")
            return
        states = dict(devices[0].module_states) if len(devices) == 1 else {}
        choices = [
            Choice(name, visible(name), states.get(name) or f"on {number:,} of {counted(len(devices), 'device')}")
            for name, number in modules
        ]

        def chosen(found: list[str] | None) -> None:
            if found:
                self.ask("restart_module", devices, target, {"name": found[0]})

        self._app.push_screen(ChooseScreen("restart which module", choices), chosen)

    def _form(self, verb: Verb, devices: Sequence[Device], target: Target | None, args: Mapping[str, str]) -> None:
        from fleetview.tui.screens.form import Field, FormScreen  # noqa: PLC0415  # imported when first shown

        fields: list[Field] = []
        if verb.name == "set_log_level":
            fields.append(Field("level", "level", args.get("level", "DEBUG"), "DEBUG, INFO, WARN, ERROR"))
            fields.append(Field("for_s", "for", args.get("for_s", f"{DEFAULT_LEVEL_S / 60:g}m"), "15m, 1h; then it reverts"))
        fields.append(Field("reason", "reason", "", "why" if verb.changes else "why; may stay empty"))
        fields.append(Field("expires", "expires", f"{DEFAULT_EXPIRES_S:g}s", "who gets it later does not do it"))

        asking = _Asking(verb, devices, target, args)

        async def plan(form: Mapping[str, str]) -> Plan:
            return self._plan(asking, form)

        title = " ".join([verb.name.replace("_", " "), *(visible(value) for value in args.values())])
        screen = FormScreen(title, fields, plan, first="reason", carry_out=self._carry_out, at_once=not verb.changes)
        self._app.push_screen(screen, lambda done: self.open(asking.placed) if done else None)

    def _plan(self, asking: _Asking, form: Mapping[str, str]) -> Plan:
        """What would be done. Raises PlanError for what is typed wrong."""
        verb, typed = asking.verb, {name: form[name] for name in ("level", "for_s") if name in form}
        args, expires_s, reason = (
            checked_args(verb, {**asking.args, **typed}),
            expires(form["expires"]),
            form["reason"].strip(),
        )
        if verb.changes and not reason:
            msg = "reason: say why"
            raise PlanError(msg)
        if verb.name == "diagnostics" and len(asking.devices) > MAX_BUNDLES:
            msg = f"diagnostics of {len(asking.devices):,} devices are too many at once; {MAX_BUNDLES} are the most"
            raise PlanError(msg)
        known = self._app.fleet.devices
        devices = [known.get(device.address, device) for device in asking.devices]  # as they are by now
        target = asking.target or filter_for(devices, known) or [device.address for device in devices]
        command = command_line(verb, target, args, expires_s=expires_s, reason=reason, options=self.setup.options)
        sender = self._sender

        async def perform() -> str:
            if sender is None:
                raise PlanError(self.setup.refused)
            try:
                addresses = [device.address for device in devices]
                asking.placed = await sender.order(verb.name, args, addresses, reason=reason, expires_s=expires_s)
            except BookFullError as err:
                raise PlanError(str(err)) from None
            return f"{verb.name} is sent to {counted(len(devices), 'device')}"

        return Plan(visible(consequence(devices, verb, args, expires_s)), visible(command), perform)

    def _carry_out(self, plan: Plan) -> asyncio.Task[object]:
        return self._keep(asyncio.create_task(self._carried_out(plan), name="command"))

    async def _carried_out(self, plan: Plan) -> None:
        await plan.perform()

    def _none(self, devices: Sequence[Device]) -> bool:
        """Whether there is nobody to ask, or it is not allowed; the person is told."""
        if not self.allowed:
            self._app.notify(self.setup.refused, severity="warning", markup=False)
        elif not devices:
            self._app.notify("no device is selected", severity="warning")
        return not self.allowed or not devices

    # -- what comes of it

    def open(self, order: Order | None = None) -> None:
        """Show what was sent, the newest first."""
        from fleetview.tui.screens.commands import CommandsScreen  # noqa: PLC0415  # imported when first shown

        self._app.go(PLACE, CommandsScreen)
        screen = self._app.screen
        if order is not None and isinstance(screen, CommandsScreen):
            screen.choose(order)

    async def _tell(self, sender: Sender) -> None:
        """Show what came of commands, as often as the link bears; and say when an order has come to its end unseen."""
        while True:
            await sender.news(_LOOK_S)
            screen = self._app.screen
            shown = screen if isinstance(screen, View) and screen.place == PLACE else None
            if shown is not None and shown.is_mounted:
                shown.show(Changes(), self._app.now())
            self._tell_ends(sender.book, looks=shown is not None)
            self._notes = {key: note for key, note in self._notes.items() if key[0] in sender.book.orders}
            await asyncio.sleep(1 / self._app.pace.ticks_per_s)

    def _tell_ends(self, book: CommandBook, *, looks: bool) -> None:
        for order in book.orders.values():
            if order.open or order.id in self._told:
                continue
            self._told.add(order.id)
            if not looks:
                severity: Literal["warning", "information"] = "warning" if order.unsuccessful else "information"
                self._app.notify(f"{order.verb}: {order.words}", severity=severity, markup=False)
        self._told &= book.orders.keys()

    def _bundle_came(self, bundle: Bundle) -> None:
        self._keep(asyncio.create_task(self._write(bundle), name="bundle"))

    async def _write(self, bundle: Bundle) -> None:
        keep = self.setup.keep
        if keep is None:
            return
        try:
            path = await asyncio.to_thread(keep, bundle)
        except (OSError, ValueError) as err:
            self._complain(f"the diagnostics of {bundle.address} could not be kept: {err}")
            return
        self._notes[bundle.order.id, bundle.address] = f"in {path}"

    def _complain(self, words: str) -> None:
        self._app.notify(visible(words), severity="warning", markup=False)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (err := task.exception()) is not None:
            self._complain(f"commands are not sent any more: {type(err).__name__}: {err}")

    def _keep(self, task: asyncio.Task[Any]) -> asyncio.Task[Any]:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def first_word(text: str) -> tuple[str | None, str]:
    """A module's or level's name in front of a filter, if there is one: `rule_engine site:plant-7`."""
    word, _, rest = text.partition(" ")
    return (word, rest.strip()) if _MODULE.match(word) else (None, text)
