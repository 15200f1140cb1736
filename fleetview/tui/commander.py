"""Runs commands, and knows what may be typed: between the table of commands and the app."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from fleetview.core.commandtargets import TargetError, parse_targets
from fleetview.core.query import QueryError
from fleetview.core.seen import Seen
from fleetview.tui import commands, offers
from fleetview.tui.command_desk import ARGUMENT_OF, first_word
from fleetview.tui.commands import Call, CommandError
from fleetview.tui.history import History
from fleetview.tui.pace import PACES
from fleetview.tui.view import View
from fleetview.tui.widgets.filter_line import FilterLine

if TYPE_CHECKING:
    from fleetview.core.device import Device
    from fleetview.core.query.complete import Completion
    from fleetview.tui.app import FleetApp
    from fleetview.tui.widgets.command_bar import CommandBar

_FILTERED = frozenset({"devices", "logs", "alerts"})
_NAMED = 3
"""Devices that are named when several are meant."""


class Commander:
    """The commands of one app."""

    def __init__(self, app: FleetApp, aliases: Mapping[str, str]) -> None:
        self._app = app
        self._aliases = aliases
        self._history = History()
        self._seen = Seen(app.fleet)
        self._known = offers.Known(
            aliases,
            themes=lambda: sorted(app.available_themes),
            devices=lambda: self._seen.in_devices(app.now().mono_s),
            logs=lambda: self._seen.in_logs(app.now().mono_s),
            acts=app.orders.allowed,
        )

    # -- what may be typed

    def bar(self) -> CommandBar:
        """A line to type a command in."""
        from fleetview.tui.widgets.command_bar import CommandBar  # noqa: PLC0415  # imported when first shown

        return CommandBar(
            lambda line, cursor: offers.command_offers(line, cursor, self._known),
            lambda line: commands.read(line, self._aliases),
            self._history,
        )

    def device_offers(self, text: str, cursor: int) -> list[Completion]:
        """What fits in a filter of devices."""
        return offers.device_filter_offers(text, cursor, self._known.devices)

    def log_offers(self, text: str, cursor: int) -> list[Completion]:
        """What fits in a filter of log records."""
        return offers.log_filter_offers(text, cursor, self._known.logs)

    # -- what is run

    async def run(self, bar: CommandBar, call: Call) -> None:
        """Run a command; when it cannot be, the bar stays and says why."""
        try:
            perform = self._prepared(call)
        except CommandError as err:
            bar.complain(str(err))
            return
        await bar.close()
        opened = perform()
        if opened is not None:
            await opened
        if call.command.name in _FILTERED:
            self._app.screen.query_one(FilterLine).put(call.argument)

    def _prepared(self, call: Call) -> Callable[[], Awaitable[None] | None]:
        """What there is to do. Raises CommandError when it cannot be done."""
        app, argument = self._app, call.argument
        if call.command.name in commands.ACTING:
            return self._order(commands.ACTING[call.command.name], argument)
        match call.command.argument:
            case "device":
                return partial(app.open_device, self._device(argument))
            case "theme":
                return partial(self._set_theme, self._theme(argument))
            case "link":
                return partial(self._set_link, argument)
        simple: dict[str, Callable[[], Awaitable[None] | None]] = {
            "devices": app.open_fleet,
            "logs": lambda: app.open_logs(None),
            "alerts": lambda: app.open_alerts(None),
            "metrics": self._metrics,
            "rollouts": app.open_rollouts,
            "keys": app.action_keys,
            "bytes": app.action_bytes,
            "reconnect": app.action_reconnect,
            "quit": app.exit,
        }
        return simple[call.command.name]

    def _order(self, verb: str, argument: str) -> Callable[[], None]:
        """Ask devices for something: those of a filter, or those that the screen is about."""
        app = self._app
        if not app.orders.allowed:
            raise CommandError(app.orders.setup.refused)
        if not verb:
            return app.orders.open
        try:
            name, text = first_word(argument) if verb in ARGUMENT_OF else (None, argument)
            args = {ARGUMENT_OF[verb]: name} if name else {}
            devices, target = app.screen.meant() if isinstance(app.screen, View) and not text else ([], None)
            if text:
                devices, target = parse_targets(text.split(), app.now).chosen(app.fleet.devices), text
        except (TargetError, QueryError) as err:
            raise CommandError(str(err)) from None
        if not devices:
            msg = f"say which devices: {verb.replace('_', ' ')} needs a filter here, such as site:plant-7"
            raise CommandError(msg)
        return partial(app.orders.ask, verb, devices, target, args)

    def _metrics(self) -> Awaitable[None] | None:
        from fleetview.tui.screens.metrics import open_metrics  # noqa: PLC0415  # imported when first shown

        return open_metrics(self._app)

    def _set_link(self, word: str) -> None:
        self._app.set_pace(PACES["slow" if word == "slow" else "fast"])
        self._app.notify(f"link {word}: {commands.LINKS[word]}")

    def _set_theme(self, name: str) -> None:
        self._app.theme = name

    def _theme(self, name: str) -> str:
        if name not in self._app.available_themes:
            msg = f"unknown theme {name[:40]!r}{commands.nearest(name, sorted(self._app.available_themes))}"
            raise CommandError(msg)
        return name

    def _device(self, text: str) -> Device:
        devices = self._app.fleet.devices
        meant = commands.devices_meant(devices, text)
        if len(meant) == 1:
            return devices[meant[0]]
        if not meant:
            msg = f"no device has {text[:40]!r} in its address"
            raise CommandError(msg)
        some = ", ".join(str(address) for address in meant[:_NAMED]) + (", ..." if len(meant) > _NAMED else "")
        msg = f"{len(meant):,} devices have {text[:40]!r} in their address: {some}"
        raise CommandError(msg)
