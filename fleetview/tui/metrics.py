"""What the screens ask Prometheus: the app owns the questions, so that no screen waits and none dies with an answer.

A screen says at every repaint what it would like to show, and gets what is known; what is missing or too old is asked for,
and the screen on top is repainted when it comes.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from fleetview.core.charts import Span, Window
from fleetview.core.devicecolumns import DeviceColumn
from fleetview.core.panels import DeviceLabels, Panel
from fleetview.core.roster import Changes
from fleetview.core.servers import Health, told
from fleetview.feeds.web import AskError
from fleetview.tui.view import View
from fleetview_agent.endpoint import LinkError

if TYPE_CHECKING:
    from fleetview.core.series import Answer
    from fleetview.tui.app import FleetApp

LEAST_EVERY_S = 5.0
"""No picture is asked for more often."""
STARTING_EVERY_S = 1.0
"""But of a server that is just starting."""
EMPTY_EVERY_S, _YOUNG_S = 2.0, 30.0
"""And what has no answer yet, in the first time: who has just begun to scrape has nothing."""
MOST_EVERY_S = 60.0
"""A picture of a month, too, ends now."""
MAX_KEPT = 128
"""Answers, the longest unused go first."""


class Source(Protocol):
    """Who answers: `feeds.prometheus.Prometheus`."""

    async def range(self, promql: str, start_unix_s: float, end_unix_s: float, step_s: float) -> Answer:
        """Over a range of time."""

    async def instant(self, promql: str) -> Answer:
        """Now."""

    async def names(self) -> tuple[str, ...]:
        """The names of metrics."""

    async def labels(self) -> tuple[str, ...]:
        """The names of labels."""

    def per_minute(self) -> int:
        """Requests within the last minute."""

    def close(self) -> None:
        """Done."""


@dataclass(frozen=True, slots=True)
class Monitoring:
    """What the dashboard is told of Prometheus at its start."""

    connect: Callable[[], Source] | None = None
    """Called when somebody first looks; None where the context has no Prometheus."""
    scrape_interval_s: float = 15.0
    labels: DeviceLabels = field(default_factory=DeviceLabels)
    panels: Sequence[Panel] = ()
    """Empty for the default ones."""
    columns: Sequence[DeviceColumn] = ()
    """Of the fleet table, beside the histories that there always are."""
    window: Window = field(default_factory=Window)
    """Which time a chart shows at first."""
    advice: str | None = None
    """How to come by a Prometheus, where there is an easy way."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of a question."""

    answer: Answer | None = None
    span: Span | None = None
    """What was asked for."""
    problem: str | None = None
    """Why there is no newer answer."""
    asked_mono_s: float = 0.0
    answered_mono_s: float | None = None
    starting: bool = False
    """There is no answer because the server is still starting."""


NOTHING = Found()


class Names(NamedTuple):
    """What may be typed in a query."""

    metrics: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


class Metrics:
    """The questions of one app."""

    def __init__(self, app: FleetApp, monitoring: Monitoring) -> None:
        self._app = app
        self.monitoring = monitoring
        self.names = Names()
        self._source: Source | None = None
        self._found: OrderedDict[str, Found] = OrderedDict()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._began_mono_s: float | None = None
        """When the first answer came."""

    @property
    def available(self) -> bool:
        """Whether there is somebody to ask."""
        return self.monitoring.connect is not None

    @property
    def per_minute(self) -> int:
        """Requests within the last minute."""
        return 0 if self._source is None else self._source.per_minute()

    @property
    def asking(self) -> int:
        """Questions under way."""
        return len(self._tasks)

    def course(self, query: str, span: Span, back_s: float, *, ask: bool = True) -> Found:
        """What is known of a query over a time that ends so long before now; asked for when that is old."""
        key = f"{query} [{span.end_s - span.begin_s:g}:{span.step_s:g}] -{back_s:g}"
        every_s = max(LEAST_EVERY_S, self.monitoring.scrape_interval_s, min(span.step_s, MOST_EVERY_S))

        def put() -> Awaitable[Answer]:
            return self._connected().range(query, span.begin_s + span.step_s, span.end_s, span.step_s)

        return self._look(key, put, span, every_s, ask=ask)

    def values(self, query: str, *, ask: bool = True) -> Found:
        """What is known of a query as of now."""
        every_s = max(LEAST_EVERY_S, self.monitoring.scrape_interval_s)
        return self._look(query, lambda: self._connected().instant(query), None, every_s, ask=ask)

    def ask_anew(self, query: str) -> None:
        """Forget what is known of a query: somebody asks for it again."""
        for key in [key for key in self._found if key == query or key.startswith(f"{query} [")]:
            del self._found[key]

    def learn_names(self) -> None:
        """Ask for the names that may be typed."""
        if self.available and not self.names.metrics and "names" not in self._tasks:
            self._start("names", self._learn_names())

    async def _learn_names(self) -> None:
        with suppress(AskError):  # then none are offered; a query says why
            source = self._connected()
            self.names = Names(await source.names(), await source.labels())

    def _connected(self) -> Source:
        if self._source is None:
            assert self.monitoring.connect is not None  # noqa: S101 (nobody asks otherwise)
            self._source = self.monitoring.connect()
        return self._source

    def _look(
        self, key: str, put: Callable[[], Awaitable[Answer]], span: Span | None, every_s: float, *, ask: bool
    ) -> Found:
        found = self._found.get(key)
        now = self._app.now().mono_s
        old = found is None or now - found.asked_mono_s >= self._patience_s(found, every_s)
        if ask and old and self.available and key not in self._tasks:
            self._start(key, self._ask(key, put, span, now))
        if found is None:
            return NOTHING
        self._found.move_to_end(key)
        return found

    def _patience_s(self, found: Found, every_s: float) -> float:
        """After how long a question is asked again: where nothing was there yet, sooner."""
        if found.starting:
            return STARTING_EVERY_S
        if found.answer is None or found.answer.series or found.answer.text is not None:
            return every_s
        if self._began_mono_s is not None and self._app.now().mono_s - self._began_mono_s < _YOUNG_S:
            return min(every_s, EMPTY_EVERY_S)
        return min(every_s, max(LEAST_EVERY_S, self.monitoring.scrape_interval_s))

    def _start(self, key: str, work: Coroutine[Any, Any, None]) -> None:
        async def run() -> None:
            try:
                await work
            finally:
                self._tasks.pop(key, None)
            self._repaint()

        self._tasks[key] = asyncio.create_task(run(), name="metrics")

    async def _ask(self, key: str, put: Callable[[], Awaitable[Answer]], span: Span | None, asked_mono_s: float) -> None:
        before = self._found.get(key, NOTHING)
        try:
            answer = await put()
        except AskError as err:
            starting = err.verdict.health is Health.STARTING
            problem = None if starting else told(str(err))
            found = replace(before, problem=problem, asked_mono_s=asked_mono_s, starting=starting)
        except (OSError, ValueError, LinkError) as err:  # a certificate that cannot be read
            found = replace(before, problem=told(f"{type(err).__name__}: {err}"), asked_mono_s=asked_mono_s)
        else:
            found = Found(answer, span, None, asked_mono_s, self._app.now().mono_s)
            self._began_mono_s = self._began_mono_s or found.answered_mono_s
        self._found[key] = found
        self._found.move_to_end(key)
        while len(self._found) > MAX_KEPT:
            self._found.popitem(last=False)

    def _repaint(self) -> None:
        screen = self._app.screen if self._app.is_running else None
        if not isinstance(screen, View) or not screen.is_mounted:
            return
        match screen.place[0]:
            case "charts" | "metrics":
                screen.show_all()
            case "fleet":  # its rows are what they were
                screen.show(Changes(), self._app.now())

    async def close(self) -> None:
        """Leave; what is under way is given up."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1)
        if self._source is not None:
            self._source.close()
