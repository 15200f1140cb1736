"""Starts the dashboard: the environment that Textual reads at import, the feed, the app."""

from __future__ import annotations

import locale
import os
import shlex
import sys
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fleetview.configfile import ConfigError, nearest
from fleetview.garbage import spare_collections
from fleetview.tui.commands import alias_problems
from fleetview.who import operator, user

if TYPE_CHECKING:
    from fleetview.config import Context
    from fleetview.core.charts import Window
    from fleetview.feeds.commands import Bundle
    from fleetview.feeds.late_rollouts import LateRollouts
    from fleetview.feeds.prometheus import Prometheus
    from fleetview.feeds.states import LinkState
    from fleetview.feeds.watch import FleetFeed
    from fleetview.tui.alert_desk import AlertSetup
    from fleetview.tui.command_desk import CommandSetup, Sender
    from fleetview.tui.rollouts import RolloutSetup

_FEW_COLOURS = frozenset({"linux", "vt100", "vt220", "ansi", "xterm", "screen", "cons25"})


def _prepare_environment(theme: str | None) -> None:
    """What Textual (8.2) reads when it is imported, and takes no notice of later."""
    os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
    os.environ.setdefault("TEXTUAL_SMOOTH_SCROLL", "0")
    # What changed waits for the next frame: at 30 a second, for up to 33 ms. Without a change there is no frame.
    os.environ.setdefault("TEXTUAL_FPS", "120")
    plain = "NO_COLOR" in os.environ or (os.environ.get("TERM") in _FEW_COLOURS and not os.environ.get("COLORTERM"))
    os.environ.setdefault("TEXTUAL_THEME", theme or ("ansi-dark" if plain else "textual-dark"))


def _wants_ascii() -> bool:
    """Whether this terminal cannot be trusted with more than ASCII: the Linux console lacks the glyphs in most fonts."""
    encoding = (sys.stdout.encoding or locale.getpreferredencoding(do_setlocale=False)).lower().replace("-", "")
    return encoding != "utf8" or os.environ.get("TERM") in {"linux", "vt100", "vt220"}


class DashboardFeed:
    """The connection, as the app sees it."""

    def __init__(self, feed: FleetFeed) -> None:
        self._connection = feed.connection

    @property
    def state(self) -> LinkState:
        return self._connection.state

    @property
    def messages(self) -> int:
        return self._connection.counts.messages

    @property
    def filling(self) -> bool:
        return self._connection.filling

    def run(self) -> Coroutine[Any, Any, None]:
        return self._connection.run()

    def retry_now(self) -> None:
        self._connection.retry_now()

    def give_way(self, for_s: float) -> None:
        self._connection.give_way(for_s)


def _one_prometheus(context: Context) -> Callable[[], Prometheus] | None:
    """One for all who ask, made when the first of them does: what is in flight and in a minute is bounded together."""
    access = context.prometheus_access
    if access is None:
        return None

    @cache
    def connect() -> Prometheus:
        from fleetview.feeds.prometheus import Prometheus  # noqa: PLC0415  # the HTTP client, for who has whom to ask

        return Prometheus(access)

    return connect


def _alert_setup(context: Context, prometheus: Callable[[], Prometheus] | None, advice: str | None) -> AlertSetup:
    from fleetview.tui.alert_desk import EVERY_S, LEAST_EVERY_S, AlertFeed, AlertSetup  # noqa: PLC0415

    def feed() -> AlertFeed:
        from fleetview.feeds.alertwatch import AlertWatch  # noqa: PLC0415  # the HTTP client, for who has whom to ask

        return AlertWatch.of(context, None if prometheus is None else prometheus())

    read_only = None
    if context.read_only:
        read_only = f"{context.title} is read-only ({context.origins['read_only']}): silences are not changed from here"
    in_file = context.name is not None and "context" in context.origins  # the demo's stands in no file
    options = f" --context {shlex.quote(context.name)}" if in_file and context.name else ""
    if not in_file and context.alertmanager_access is not None:
        options = f" --alertmanager {shlex.quote(context.alertmanager_access.url)}"
    asked = context.prometheus_access is not None or context.alertmanager_access is not None
    every_s = min(EVERY_S, max(LEAST_EVERY_S, context.scrape_interval_s))  # oftener than it learns it cannot tell
    return AlertSetup(feed if asked else None, read_only, user(), options, every_s=every_s, advice=advice)


def _command_setup(context: Context, feed: FleetFeed) -> CommandSetup:
    from fleetview.tui.command_desk import CommandSetup  # noqa: PLC0415

    if context.read_only:
        why = f"{context.title} is read-only ({context.origins['read_only']}): nothing is asked of devices from here"
        return CommandSetup(refused=why)
    from fleetview import paths  # noqa: PLC0415

    def connect(on_problem: Callable[[str], object], on_bundle: Callable[[Bundle], object]) -> Sender:
        from fleetview.audit import Audit  # noqa: PLC0415
        from fleetview.feeds.commands import CommandSender  # noqa: PLC0415
        from fleetview_agent.wire import Topics  # noqa: PLC0415

        audit = Audit(paths.state_dir(), f"{context.title} ({context.broker.endpoint})")
        sender = CommandSender(
            feed, Topics(context.root), by=operator(), audit=audit, on_problem=on_problem, on_bundle=on_bundle
        )
        feed.on_applied = sender.received
        return sender

    def keep(bundle: Bundle) -> Path:
        from fleetview.feeds.bundles import keep_bundle  # noqa: PLC0415

        return keep_bundle(paths.state_dir() / "diagnostics", bundle)

    return CommandSetup(connect, keep, options=_options(context))


def _options(context: Context) -> str:
    """What the command line needs to mean the same fleet."""
    # The demo's context has a name, but stands in no file.
    named = context.name is not None and bool(context.origins)
    return f" --context {shlex.quote(str(context.name))}" if named else f" --broker {shlex.quote(str(context.broker))}"


def _rollout_setup(context: Context, feed: FleetFeed, desk: LateRollouts) -> RolloutSetup:
    from fleetview.tui.rollouts import RolloutSetup  # noqa: PLC0415

    if context.read_only:
        why = f"{context.title} is read-only ({context.origins['read_only']}): rollouts are not steered from here"
        return RolloutSetup(desk, why)
    desk.connection = feed.connection
    return RolloutSetup(desk, options=_options(context))


def run_dashboard(context: Context, *, window: Window | None = None, advice: str | None = None) -> int:
    """Run the dashboard until the person leaves it. Returns the exit code. Raises ConfigError before anything is drawn.

    Charts show `window` at first; `advice` says in one line how to come by the servers that are not there.
    """
    display = context.display
    _prepare_environment(display.theme)
    from textual.theme import BUILTIN_THEMES  # noqa: PLC0415

    from fleetview import paths  # noqa: PLC0415
    from fleetview.core.charts import Window  # noqa: PLC0415
    from fleetview.core.fleet import Fleet  # noqa: PLC0415  # after the environment is set, and only for the dashboard
    from fleetview.core.logbook import Logbook  # noqa: PLC0415
    from fleetview.feeds.late_rollouts import LateRollouts  # noqa: PLC0415
    from fleetview.feeds.watch import FleetFeed  # noqa: PLC0415
    from fleetview.remembered import Remembered  # noqa: PLC0415
    from fleetview.tui.app import FleetApp, Setup  # noqa: PLC0415
    from fleetview.tui.glyphs import ASCII, UNICODE  # noqa: PLC0415
    from fleetview.tui.metrics import Monitoring  # noqa: PLC0415
    from fleetview_agent.wire import Topics  # noqa: PLC0415

    problems = [f"{display.file}: {problem}" for problem in alias_problems(display.aliases)]
    if display.theme is not None and display.theme not in BUILTIN_THEMES:
        origin = context.origins.get("theme", "--theme")
        problems.append(f"{origin}: unknown theme {display.theme!r}{nearest(display.theme, BUILTIN_THEMES)}")
    if problems:
        raise ConfigError(problems)
    keymap: dict[str, str] = {}
    if display.keys:
        from fleetview.tui.bindings import checked_keymap  # noqa: PLC0415  # imports every screen

        keymap = checked_keymap(display)
    spare_collections()
    fleet = Fleet(Logbook() if context.log_bytes is None else Logbook(context.log_bytes))
    prometheus = _one_prometheus(context)
    glyphs = ASCII if display.ascii or _wants_ascii() else UNICODE
    setup = Setup(
        context.title,
        context.broker.endpoint,
        glyphs,
        link=display.link,
        aliases=display.aliases,
        keymap=keymap,
        alerts=_alert_setup(context, prometheus, advice),
        remembered=Remembered(paths.state_dir() / "views.json", context.title),
        monitoring=Monitoring(
            prometheus,
            context.scrape_interval_s,
            context.device_labels,
            context.panels,
            columns=context.columns,
            window=window or Window(),
            advice=advice,
        ),
    )
    rollouts = LateRollouts(Topics(context.root), operator())
    feed = FleetFeed(context, fleet, on_fleet=rollouts.received)
    setup = replace(
        setup,
        commands=_command_setup(context, feed),
        rollouts=_rollout_setup(context, feed, rollouts),
    )
    app = FleetApp(fleet, DashboardFeed(feed), setup)
    return app.run(mouse=not display.no_mouse) or app.return_code or 0
