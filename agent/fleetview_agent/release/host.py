"""Releases as a part of the agent: what the updater needs of the modules, the twin and the heartbeats, and they of it."""

from __future__ import annotations

import contextlib
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from fleetview_agent.config import AgentConfig
from fleetview_agent.modules.spec import ModuleSpec
from fleetview_agent.release import manifest
from fleetview_agent.release.errors import RefusedError
from fleetview_agent.release.manifest import Manifest
from fleetview_agent.release.shelf import Shelf
from fleetview_agent.release.updater import Trouble, Updater
from fleetview_agent.reported import NoUpdater, ReportedState
from fleetview_agent.twin.watch import Sample, Watch, Wrong, counted, wrong
from fleetview_agent.wire import ReleaseOffer, ReleaseReport

_log = logging.getLogger(__name__)

MODULE = "ota_updater"


@dataclass(frozen=True, slots=True)
class Parts:
    """What the agent gives."""

    config: Callable[[], AgentConfig]
    """That runs at this moment."""
    sample: Callable[[], Sample]
    apply: Callable[[], None]
    """Let the modules be what `specs` says now."""
    alone: Callable[[], contextlib.AbstractAsyncContextManager[None]]
    """Keeps configurations from being tried meanwhile."""


class Releases:
    """The releases of one session. It is what the twin hands offers to, and the device of the updater."""

    def __init__(self, config: AgentConfig, folder: Path, reported: ReportedState, *, rng: random.Random) -> None:
        shelf = Shelf(config.ota.folder or folder / "releases")
        recovered = shelf.recover()
        self._release = recovered.release
        self._reported = reported
        self._parts: Parts | None = None
        self._watch: Watch | None = None
        self._clash: str | None = None
        self._updater = Updater(
            config.ota,
            shelf,
            recovered,
            self,
            verify_s=config.verify_s,
            rng=rng,
            on_report=self._report,
        )

    def attach(self, parts: Parts) -> None:
        """Begin to report. Before that, `specs` alone may be asked for."""
        self._parts = parts
        for problem in self.problems:
            _log.error(problem)
        self._report()

    async def run(self) -> None:
        """Take releases, for ever."""
        await self._updater.run()

    @property
    def running(self) -> str | None:
        """The release whose modules run."""
        return None if self._release is None else self._release.version

    @property
    def problems(self) -> list[str]:
        """What is wrong, in words, for the health of the device."""
        return [*self._updater.problems, *([self._clash] if self._clash is not None else [])]

    def specs(self, config: AgentConfig) -> Mapping[str, ModuleSpec]:
        """The modules of the device: those of its configuration, and of the release that runs."""
        try:
            specs = manifest.together(config.module_specs, self._release)
        except RefusedError as err:
            self._clash = f"the modules of release {self.running} do not run: {err}"
            return config.module_specs
        self._clash = None
        return specs

    def flaw(self, config: AgentConfig) -> str | None:
        """Why this configuration cannot be together with the release that runs."""
        try:
            manifest.together(config.module_specs, self._release)
        except RefusedError as err:
            return f"it cannot be together with release {self.running}: {err}"
        return None

    def _report(self) -> None:
        self._reported.set_release(self._updater.report())

    # What the twin hands over

    def announced(self, offer: ReleaseOffer) -> None:
        """See `reported.ReleaseTaker`."""
        report = ReleaseReport(version=offer.version, previous=self.running, status="queued", progress=0.0)
        self._reported.set_release(report)

    def offered(self, offer: ReleaseOffer, gen: int) -> None:
        """See `reported.ReleaseTaker`."""
        if self._is_taken:
            self._updater.offered(offer, gen)
            return
        words = f"{MODULE} is not among the modules of this device, so that nobody takes releases"
        NoUpdater(self._reported).refused(offer, gen, words)

    def refused(self, offer: ReleaseOffer, gen: int, reason: str) -> None:
        """See `reported.ReleaseTaker`."""
        taker = self._updater if self._is_taken else NoUpdater(self._reported)
        taker.refused(offer, gen, reason)

    def withdrawn(self) -> None:
        """See `reported.ReleaseTaker`."""
        self._updater.withdrawn()
        self._report()  # in place of what was announced

    # The device, as the updater sees it

    @property
    def _attached(self) -> Parts:
        if self._parts is None:
            msg = "releases that are attached to no agent"
            raise RuntimeError(msg)
        return self._parts

    @property
    def _is_taken(self) -> bool:
        """Whether somebody takes releases."""
        return MODULE in self._attached.config().module_specs

    def fits(self, release: Manifest) -> None:
        """See `updater.Device`."""
        manifest.together(self._attached.config().module_specs, release)

    def run_release(self, release: Manifest | None) -> None:
        """See `updater.Device`."""
        self._release = release
        self._attached.apply()

    def begin_check(self) -> None:
        """See `updater.Device`."""
        self._watch = Watch(self._attached.sample(), (), time.monotonic(), float("inf"))

    def news(self) -> None:
        """A module has changed its state: between two looks it may fail more than once."""
        if self._watch is not None:
            self._look(self._watch)

    def trouble(self) -> Trouble | None:
        """See `updater.Device`."""
        if self._watch is None:
            return None
        found = self._look(self._watch)
        return None if found is None else Trouble(found.words, found.for_good)

    def _look(self, watch: Watch) -> Wrong | None:
        sample = self._attached.sample()
        touched = frozenset(self._release.modules) if self._release is not None else frozenset()
        self._watch = counted(replace(watch, touched=touched), sample)
        return wrong(self._watch, sample)

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """See `updater.Device`."""
        async with self._attached.alone():
            try:
                yield
            finally:
                self._watch = None
