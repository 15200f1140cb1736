"""Runs the telemetry collector: looks at the machine and at applications, and shows both in heartbeats and on `/metrics`."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus

from fleetview_agent.health import Findings
from fleetview_agent.http import Answer, Request, Server, plain
from fleetview_agent.modules.builtin import Context, ModuleError
from fleetview_agent.modules.spec import tcp_target
from fleetview_agent.plain_http import HttpError, page
from fleetview_agent.telemetry import machine
from fleetview_agent.telemetry.exposition import CONTENT_TYPE, Exhibit, Scraped
from fleetview_agent.telemetry.machine import Traffic, Usage
from fleetview_agent.telemetry.scrape import Choice, ScrapeError, figures
from fleetview_agent.telemetry.spec import Scrape, Telemetry

_log = logging.getLogger(__name__)

_MISSES = 3
"""So often in a row an endpoint cannot be read, and it is a reason to call the device degraded."""
_OWN = frozenset({"process_cpu_seconds_total", "process_resident_memory_bytes", "module_log_lines_dropped_total"})
"""Names under which heartbeats tell of the agent itself."""


async def run(context: Context) -> None:
    """The built-in module `telemetry_collector`."""
    settings = context.agent.config().telemetry
    collector = Collector(context, settings)
    server = Server(collector.answer)
    try:
        await _listen(server, settings)
        collector.look()
        context.ready()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(collector.keep_looking(), name="telemetry")
            for entry in settings.scrape:
                tasks.create_task(collector.keep_scraping(entry), name=f"scrape {entry.url}")
    finally:
        await server.close()


async def _listen(server: Server, settings: Telemetry) -> None:
    if settings.listen is None:
        return
    host, port = tcp_target(settings.listen)
    try:
        await server.start(host, port)
    except OSError as err:
        why = os.strerror(err.errno) if err.errno else str(err)
        msg = f"cannot listen on {settings.listen}: {why}; set telemetry.listen to another"
        raise ModuleError(msg) from None
    _log.info("metrics for a local Prometheus on http://%s:%d/metrics", host, port)


class Collector:
    """What the collector knows, and how it comes to that."""

    def __init__(self, context: Context, settings: Telemetry) -> None:
        self._context = context
        self._settings = settings
        self._counters = context.agent.board.counters
        self._exhibit = Exhibit()
        self._machine: Mapping[str, float] = {}
        self._applications: dict[str, Mapping[str, float]] = {}
        """What was chosen from those that can be read, by URL."""
        self._scraped: dict[str, Scraped] = {}
        self._misses: dict[str, tuple[int, str]] = {}
        """How often in a row each could not be read, and why."""
        self._taken: set[tuple[str, str]] = set()
        """URL and name of what was left out because the name is taken: told once."""

    # The machine

    async def keep_looking(self) -> None:
        """Look at the machine, for ever."""
        while True:
            await asyncio.sleep(self._settings.interval_s)
            self.look()

    def look(self) -> None:
        """Look at the machine once."""
        agent = self._context.agent
        modules = agent.modules()
        starts = {info.name: info.restarts for info in modules}
        groups = agent.groups()
        usage = machine.usage(groups)
        traffic = machine.traffic(self._settings.interfaces)
        totals: dict[str, float] = dict(self._exhibit.module_cpu_s)
        for name, used in usage.items():
            series = [((groups[name], starts.get(name, 0)), used.cpu_s)]
            # processes whose parent never asks how they ended take their time along: no reason to count all anew
            total = self._counters.take(f"module_{_plain(name)}_cpu_seconds_total", series, resets=False)
            totals |= {} if total is None else {name: total}
        load = machine.load()
        self._exhibit = Exhibit(agent.vitals(), load, traffic, machine.sensors(), modules, usage, totals, self._scraped)
        figures = dict(self._network(traffic)) | dict(_of_modules(totals, usage))
        self._machine = figures if load is None else {**figures, "load1": load}
        self._show()

    def _network(self, traffic: Mapping[str, Traffic]) -> Iterator[tuple[str, float]]:
        for field in Traffic._fields:
            name = f"network_{field}_total"
            series = [(interface, float(getattr(counts, field))) for interface, counts in traffic.items()]
            total = self._counters.take(name, series)
            if total is not None and traffic:
                yield name, total

    # Applications

    async def keep_scraping(self, entry: Scrape) -> None:
        """Look at what an application shows, for ever."""
        choice = Choice(entry)
        clock = asyncio.get_running_loop().time
        while True:
            began_s = clock()
            words = await self._scrape(entry, choice)
            took_s = clock() - began_s
            self._scraped[entry.url] = Scraped(words is None, round(took_s, 4))
            self._note(entry.url, words)
            self._show()
            await asyncio.sleep(max(0.0, entry.interval_s - took_s))

    async def _scrape(self, entry: Scrape, choice: Choice) -> str | None:
        """Take what an application shows; None, or why that was not possible."""
        try:
            async with asyncio.timeout(entry.timeout_s):
                data = await page(entry.url, accept="text/plain;version=0.0.4", max_bytes=entry.max_bytes)
            chosen = choice.of(data.decode())
        except TimeoutError:
            return f"no answer within {entry.timeout_s:g} s"
        except OSError as err:
            return os.strerror(err.errno) if err.errno else str(err)
        except UnicodeDecodeError:
            return "not UTF-8"
        except (HttpError, ScrapeError) as err:
            return str(err)
        self._applications[entry.url] = figures(chosen, entry.url, self._counters)
        if chosen.left_out:
            extra = {"url": entry.url, "count": chosen.left_out}
            self._once(entry.url, "", "metrics of %s are left out: too many, or no valid names", entry.url, extra=extra)
        return None

    def _note(self, url: str, words: str | None) -> None:
        if words is None:
            if self._misses.pop(url, None) is not None:
                _log.info("metrics of %s can be read again", url)
        else:
            self._applications.pop(url, None)  # what was is not what is
            times, before = self._misses.get(url, (0, ""))
            self._misses[url] = times + 1, words
            if words != before:
                _log.warning("metrics of %s cannot be read: %s", url, words, extra={"url": url})
        degraded = [
            f"metrics of {url} cannot be read: {words}" for url, (times, words) in self._misses.items() if times >= _MISSES
        ]
        self._context.find(Findings(degraded=degraded))

    # What is shown

    def _show(self) -> None:
        shown = dict(self._machine)
        for url, found in self._applications.items():
            for name, value in found.items():
                if name in shown or name in _OWN:
                    self._once(url, name, "%s of %s is left out: the name is taken; set a prefix", name, url)
                else:
                    shown[name] = value
        self._context.show(shown)

    def _once(self, url: str, name: str, words: str, *args: object, extra: Mapping[str, object] | None = None) -> None:
        if (url, name) not in self._taken:
            self._taken.add((url, name))
            _log.warning(words, *args, extra=extra)

    def answer(self, request: Request) -> Answer:
        """What a Prometheus gets."""
        if request.path != "/metrics":
            return plain(HTTPStatus.NOT_FOUND, "metrics are at /metrics")
        return Answer(HTTPStatus.OK, CONTENT_TYPE, iter([self._exhibit.text()]))


def _plain(name: str) -> str:
    """The name of a module as part of a metric's."""
    return re.sub(r"[^a-zA-Z0-9_]", "_", name)


def _of_modules(totals: Mapping[str, float], usage: Mapping[str, Usage]) -> Iterator[tuple[str, float]]:
    for name, seconds in totals.items():
        yield f"module_{_plain(name)}_cpu_seconds_total", round(seconds, 3)
    for name, used in usage.items():
        yield f"module_{_plain(name)}_resident_memory_bytes", used.resident_bytes
