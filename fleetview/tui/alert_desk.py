"""Keeps what Prometheus and Alertmanager tell up to date for the app, and carries out what is to be changed there.

It belongs to the app, not to a screen: a question under way does not end because somebody pressed Escape.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from fleetview.core.ages import age
from fleetview.core.alertbook import AlertBook, Badge, marking
from fleetview.core.silences import Matcher, Silence, parse_duration, parse_matchers
from fleetview.tui.spans import visible
from fleetview_agent.endpoint import LinkError
from fleetview_agent.wire import Address

if TYPE_CHECKING:
    from fleetview.tui.app import FleetApp

EVERY_S = 15.0
LEAST_EVERY_S = 5.0
SLOW_EVERY_S = 60.0
FEEL_EVERY_S = 2.0
"""Between two rounds: that a server is gone is to be seen within five seconds."""


class Affects(Protocol):
    """What a silence would keep quiet now."""

    @property
    def alerts(self) -> int:
        """How many alerts."""

    @property
    def devices(self) -> int:
        """Of how many devices."""


class Felt(Protocol):
    """What is known between two rounds."""

    @property
    def book(self) -> AlertBook:
        """The same one as before, unless a server came or went."""

    @property
    def is_back(self) -> bool:
        """Whether somebody is worth asking again."""


class AlertFeed(Protocol):
    """Who is asked. All but `refresh` raise an exception in words when there is no answer."""

    wants_groups: bool
    """Whether Alertmanager's groups are asked for too."""

    async def refresh(self) -> AlertBook:
        """What there is now."""

    async def feel(self, book: AlertBook) -> Felt:
        """Whether those who told this are still there."""

    async def affected(self, matchers: Iterable[Matcher]) -> Affects:
        """What a silence would keep quiet now."""

    async def silence(self, matchers: Iterable[Matcher], lasting_s: float, author: str, comment: str) -> str:
        """Set a silence."""

    async def extend(self, silence: Silence, by_s: float, author: str) -> str:
        """Let a silence end later."""

    async def expire(self, silence: Silence) -> None:
        """End a silence."""

    def retry_now(self) -> None:
        """Ask at once who is being left alone."""

    def close(self) -> None:
        """Give the connections back."""


@dataclass(frozen=True, slots=True)
class AlertSetup:
    """How alerts are come by, and what may be done about them from here."""

    feed: Callable[[], AlertFeed] | None = None
    """Made where the event loop runs; None when neither Prometheus nor Alertmanager is configured."""
    read_only: str | None = None
    """Why nothing is changed from here, in words."""
    author: str = ""
    """Who sits here."""
    options: str = ""
    """What the command line needs to mean the same Alertmanager."""
    every_s: float = EVERY_S
    """Between two rounds, where the link is fast."""
    advice: str | None = None
    """How to come by who is not there, where there is an easy way."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A change, thought through."""

    consequence: str
    command: str
    """That does the same."""
    perform: Callable[[], Awaitable[str]]
    """Does it, and says what was done."""


class AlertDesk:
    """The alerts of one app."""

    def __init__(self, app: FleetApp, setup: AlertSetup) -> None:
        self._app = app
        self.setup = setup
        self.book: AlertBook | None = None
        """What was told last; None before that."""
        self.broken: str | None = None
        """Why nobody asks any more."""
        self._feed: AlertFeed | None = None
        self._tasks: set[asyncio.Task[object]] = set()
        self._asked_for = asyncio.Event()

    @property
    def configured(self) -> bool:
        """Whether there is anybody to ask."""
        return self.setup.feed is not None

    @property
    def every_s(self) -> float:
        """Between two rounds."""
        return SLOW_EVERY_S if self._app.pace.link == "slow" else self.setup.every_s

    def start(self) -> None:
        """Ask from now on."""
        if self.setup.feed is not None:
            try:
                self._feed = self.setup.feed()
            except LinkError as err:  # a file with a certificate that cannot be used: the fleet is there all the same
                self.broken = f"nobody asks for alerts: {visible(str(err))}"
                return
            for work in (self._run(self._feed), self._feel(self._feed)):
                self._keep(asyncio.create_task(work, name="alerts")).add_done_callback(self._ended)

    async def stop(self) -> None:
        """Ask no more."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=2)
        if self._feed is not None:
            self._feed.close()

    def ask_now(self) -> None:
        """Somebody does not want to wait."""
        if self._feed is not None:
            self._feed.retry_now()
            self._asked_for.set()

    def want_groups(self, *, wanted: bool) -> None:
        """Ask for Alertmanager's groups too while somebody looks at them."""
        if self._feed is not None and self._feed.wants_groups != wanted:
            self._feed.wants_groups = wanted
            if wanted:
                self._asked_for.set()

    async def _run(self, feed: AlertFeed) -> None:
        while True:
            self._asked_for.clear()
            self.book = await feed.refresh()
            for _ in marking(self._app.fleet, self.book):
                await asyncio.sleep(0)  # keys and messages first
            with suppress(TimeoutError):
                async with asyncio.timeout(self.every_s):
                    await self._asked_for.wait()

    async def _feel(self, feed: AlertFeed) -> None:
        while True:
            await asyncio.sleep(FEEL_EVERY_S)
            before = self.book
            if before is None:
                continue
            felt = await feed.feel(before)
            if self.book is before:  # or a round ended meanwhile, and knows better
                self.book = felt.book
            if felt.is_back:
                self._asked_for.set()

    def _ended(self, task: asyncio.Task[object]) -> None:
        if not task.cancelled() and (err := task.exception()) is not None:
            # A bug; the fleet is worth more than its alerts, but silence must not look like quiet.
            self.broken = f"nobody asks for alerts any more: {type(err).__name__}: {visible(str(err))[:200]}"

    def _keep(self, task: asyncio.Task[object]) -> asyncio.Task[object]:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def badge(self, address: Address) -> Badge | None:
        """What the row of a device says."""
        return None if self.book is None else self.book.badge(address, self._app.now().mono_s)

    # -- changing silences

    async def plan_silence(self, form: Mapping[str, str]) -> Plan:
        """A new silence. Raises ValueError for what is typed wrong, and what the feed raises."""
        matchers = parse_matchers(form["matchers"])
        seconds = parse_duration(form["for"].strip())
        author, comment = _said(form, "author", "who does it"), _said(form, "comment", "why")
        feed = self._asked()
        found = await feed.affected(matchers)

        async def perform() -> str:
            made = await feed.silence(matchers, seconds, author, comment)
            return f"silenced for {age(seconds)}: {visible(made)}"

        words = shlex.join(map(str, matchers))
        command = f"fleetview silence add{self.setup.options} {words} --for {form['for'].strip()}"
        command += f" --author {shlex.quote(author)} --comment {shlex.quote(comment)}"
        return Plan(f"keeps quiet for {age(seconds)}: {_counted(found)} now, and all that come", command, perform)

    async def plan_extension(self, silence: Silence, form: Mapping[str, str]) -> Plan:
        """A silence that ends later. Raises as the others do."""
        text = form["by"].strip()
        seconds = parse_duration(text)
        author = _said(form, "author", "who does it")
        feed = self._asked()
        found = await feed.affected(silence.matchers)

        async def perform() -> str:
            return f"ends {age(seconds)} later: {visible(await feed.extend(silence, seconds, author))}"

        left = age(silence.ends_unix_s + seconds - self._app.now().unix_s)
        command = f"fleetview silence extend{self.setup.options} {shlex.quote(silence.id)} --by {text}"
        command += f" --author {shlex.quote(author)}"
        words = f"quiet for {left} from now, {age(seconds)} longer than so far: {_counted(found)}"
        return Plan(words, command, perform)

    async def plan_end(self, silence: Silence, form: Mapping[str, str]) -> Plan:  # noqa: ARG002  # there is nothing to type
        """A silence that ends now. Raises as the others do."""
        feed = self._asked()
        found = await feed.affected(silence.matchers)

        async def perform() -> str:
            await feed.expire(silence)
            return f"ended: {visible(silence.id)}"

        command = f"fleetview silence expire{self.setup.options} {shlex.quote(silence.id)}"
        words = f"told again, unless another silence is over it: {_counted(found)}"
        return Plan(words, command, perform)

    def carry_out(self, plan: Plan) -> asyncio.Task[object]:
        """Do it, and say what came of it, whether or not somebody still waits."""
        return self._keep(asyncio.create_task(self._carried_out(plan), name="silence"))

    async def _carried_out(self, plan: Plan) -> None:
        self._app.notify(await plan.perform(), markup=False)
        self.ask_now()

    def _asked(self) -> AlertFeed:
        if self.setup.read_only is not None:
            raise ValueError(self.setup.read_only)
        if self._feed is None:
            msg = "no Alertmanager is configured"
            raise ValueError(msg)
        return self._feed


def _said(form: Mapping[str, str], name: str, what: str) -> str:
    text = form[name].strip()
    if not text:
        msg = f"{name}: say {what}"
        raise ValueError(msg)
    return text


def _counted(found: Affects) -> str:
    alerts, devices = found.alerts, found.devices
    return f"{alerts:,} alert{'s' * (alerts != 1)} on {devices:,} device{'s' * (devices != 1)}"
