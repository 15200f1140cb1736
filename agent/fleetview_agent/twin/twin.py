"""Does what `decide` says: validates, applies and watches configurations, keeps them, and reports how far it has got.

All of it happens on the event loop, in one go for each event: only the watching takes time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from fleetview_agent.config import KEYS, AgentConfig
from fleetview_agent.configload import DOCUMENT, ConfigError, Loaded, Source
from fleetview_agent.reported import ReleaseTaker, ReportedState
from fleetview_agent.twin import keep, model
from fleetview_agent.twin.decide import boot, step
from fleetview_agent.twin.flaws import flaw, in_words, other_modules
from fleetview_agent.twin.local import LocalFile
from fleetview_agent.twin.watch import Bad, Sample, Watch
from fleetview_agent.wire import Channel, Desired, WireError, decode

_log = logging.getLogger(__name__)

LOOK_INTERVAL_S = 1.0
"""Between two looks at a device that is being watched, unless a module changes its state."""


@dataclass(frozen=True, slots=True)
class Host:
    """The agent, as far as its twin needs it."""

    apply: Callable[[AgentConfig], None]
    """Make this configuration run. Raises OSError."""
    sample: Callable[[], Sample]
    reported: ReportedState
    releases: ReleaseTaker


class Twin:
    """The twin of one session. `config` is what the agent begins with; `attach` it, then `run`."""

    def __init__(self, folder: Path, source: Source, local: Loaded) -> None:
        self._folder = folder
        self._file = LocalFile(folder, source, local, now_s=time.monotonic())
        self._host: Host | None = None
        self._woken = asyncio.Event()
        self._reload = False
        self._held = False
        self._deferred: model.Configuration | None = None
        """What would be tried if the device were not held."""
        self._settled = asyncio.Event()
        found = keep.load(folder)
        problem = None
        self.config = self._file.base.config
        """What runs, or will."""
        if found.last_good is not None:
            try:
                self.config = self._file.source.load(found.last_good.document).config
            except ConfigError as err:
                problem = f"the last good configuration cannot be laid over the file of this device: {in_words(err)}"
        self._good = self.config
        self._candidate: AgentConfig | None = None
        self._problems = found.problems
        self._state, self._first = boot(
            found.kept, found.last_good, verify_s=self.config.verify_s, now_s=time.monotonic(), problem=problem
        )

    @property
    def gen(self) -> int | None:
        """The newest generation that was accepted or answered."""
        return self._state.kept.gen or None

    @property
    def version(self) -> int | None:
        """Of the configuration that runs; None while that is the file on the device alone."""
        return None if self._state.running is None else self._state.running.version

    @property
    def problems(self) -> list[str]:
        """What is wrong, in words, for the health of the device."""
        return [] if self._file.problem is None else [self._file.problem]

    def attach(self, host: Host) -> None:
        """Begin, with what was found on the disk."""
        self._host = host
        for problem in self._problems:
            _log.error(problem)
        self._file.attach()
        try:
            keep.clear_away(self._folder)
        except OSError as err:
            _log.warning("what an earlier run left behind cannot be removed: %s", err)
        self._report()
        self._carry_out(self._state, self._first)

    def received(self, payload: bytes) -> None:
        """Take what arrived on `desired`."""
        if not payload:
            self._happens(model.Withdrawn())
            return
        try:
            desired = decode(Channel.DESIRED, payload)
        except WireError as err:
            _log.error("what is desired of this device cannot be read, and is ignored: %s", err)
            return
        if isinstance(desired, Desired):
            self._happens(model.Wanted(desired, datetime.now(UTC)))
            self._woken.set()

    def reload(self) -> None:
        """Read the file on the device anew: at once, or when what is being tried is settled. See `local`."""
        self._reload = True
        if self._state.kept.trying is not None:
            _log.info("the file is read again once the configuration that is being tried is settled")
        self._woken.set()

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """For whoever else changes the device: waits until no configuration is tried; and none is, as long as this is held.

        Of two changes at once each would be blamed for what the other does.
        """
        while self._held or self._state.kept.trying is not None:
            self._settled.clear()
            await self._settled.wait()
        self._held = True
        try:
            yield
        finally:
            self._let_go()

    def _let_go(self) -> None:
        self._held = False
        self._settled.set()
        waiting, self._deferred = self._deferred, None
        if waiting is not None and waiting == self._state.kept.trying:
            self._happens(self._validated(waiting))
        self._woken.set()

    def news(self) -> None:
        """A module has changed its state: look again."""
        self._woken.set()

    def stop(self) -> None:
        """The agent stops. What is being tried is tried again when it starts."""
        self._file.stop()
        self._happens(model.Stopped())

    async def run(self) -> None:
        """Watch, for ever."""
        while True:
            self._woken.clear()
            now_s = time.monotonic()
            is_due = self._file.retry_at_s is not None and self._file.retry_at_s <= now_s
            is_free = not self._held or self._file.watch is not None
            if (self._reload or is_due) and is_free and self._state.kept.trying is None:
                self._reload = False
                self._reload_file(now_s)
            elif self._file.watch is not None:
                self._look_at_file(now_s)
            if self._state.watch is not None:
                self._happens(model.Looked(self._attached.sample()))
            elif self._state.retry_at_s is not None and self._state.retry_at_s <= time.monotonic():
                self._happens(model.Due())
            try:
                async with asyncio.timeout(self._wait_s()):
                    await self._woken.wait()
            except TimeoutError:
                continue

    def _wait_s(self) -> float | None:
        now_s, state = time.monotonic(), self._state
        watch = state.watch or self._file.watch
        if watch is not None:
            return min(LOOK_INTERVAL_S, max(0.01, watch.until_s - now_s))
        due = [due_s for due_s in (state.retry_at_s, self._file.retry_at_s) if due_s is not None]
        # What is due and has to wait is woken for when it need not any more.
        return min((max(0.01, due_s - now_s) for due_s in due if due_s > now_s), default=None)

    @property
    def _attached(self) -> Host:
        if self._host is None:
            msg = "a twin that is attached to no agent"
            raise RuntimeError(msg)
        return self._host

    def _happens(self, event: model.Event) -> None:
        before = self._state
        self._state, effects = step(before, event, time.monotonic())
        if isinstance(event, model.Wanted) and event.desired.release is not None and self._state.kept.gen != before.kept.gen:
            self._attached.releases.announced(event.desired.release)
        self._carry_out(before, effects)
        if self._state.kept.trying is None:
            self._settled.set()
            self._woken.set()  # the file may have waited for this

    def _carry_out(self, before: model.State, effects: list[model.Effect]) -> None:
        for effect in effects:
            try:
                self._do(effect)
            except OSError as err:
                words = f"state_dir {self._folder}: {err.strerror or err}"
                _log.error("a step of the twin failed: %s", words)
                if isinstance(effect, model.KeepLastGood) and before.kept.trying is not None:
                    self._state = before  # it is not kept, so it is not the last good one
                if self._state.kept.trying is not None:
                    self._happens(model.Failed(words))
                    return

    def _do(self, effect: model.Effect) -> None:  # noqa: C901  (a table)
        host = self._attached
        match effect:
            case model.Keep(kept):
                keep.save(self._folder, kept)
            case model.KeepLastGood(configuration):
                keep.save_last_good(self._folder, configuration)
                self._good = self.config
            case model.Validate(configuration) if self._held:
                self._deferred = configuration
                self._happens(model.Waits("waits for another change of the device"))
            case model.Validate(configuration):
                self._happens(self._validated(configuration))
            case model.Apply():
                self._run_with(self._candidate or self._good)
            case model.Revert():
                self._run_with(self._good)
            case model.Tell(words, is_bad):
                _log.log(logging.WARNING if is_bad else logging.INFO, words, extra={"gen": self._state.kept.gen})
                self._report()
            case model.OfferRelease(offer, gen):
                host.releases.offered(offer, gen)
            case model.RefuseRelease(offer, gen, reason):
                host.releases.refused(offer, gen, reason)
            case model.WithdrawRelease():
                host.releases.withdrawn()

    def _report(self) -> None:
        self._attached.reported.set_config(self._state.report(), self._state.kept.gen)

    def _run_with(self, config: AgentConfig) -> None:
        self._attached.apply(config)
        self.config = config

    def _validated(self, configuration: model.Configuration) -> model.Validated:
        try:
            loaded = self._file.source.load(configuration.document)
        except ConfigError as err:
            return model.Validated(in_words(err))
        if (words := flaw(self._good, loaded.config, self._attached.releases)) is not None:
            return model.Validated(words)
        self._candidate = loaded.config
        touched = other_modules(self._good, loaded.config)
        return model.Validated(None, _overridden(loaded, configuration), self._attached.sample(), touched)

    # The file on the device

    def _reload_file(self, now_s: float) -> None:
        """Try what it says now; in place of what it said before, if that is still being tried."""
        running = self._state.running
        try:
            loaded = self._file.read(None if running is None else running.document)
            words = flaw(self._good, loaded.config, self._attached.releases)
        except ConfigError as err:
            words = in_words(err)
        if words is not None:
            self._file.refused(words)
            _log.error("the configuration is not reloaded, the old one runs on: %s", words)
            return
        watched = self._file.watch
        if watched is not None and loaded.config == self.config:
            _log.info("the configuration of the file is being tried already")
            return
        changed = _changed(self._good, loaded.config)
        if not changed:
            is_told = watched is None and self._file.problem is None
            self._file.accept(loaded)
            if not is_told:
                self._run_with(loaded.config)  # which also has preflight look again
            self._file_is_good(loaded, changed)
            return
        verify_s, touched = loaded.config.verify_s, other_modules(self._good, loaded.config)
        before = self._attached.sample() if watched is None else watched.before
        try:
            self._file.begin(loaded, Watch(before, touched, now_s, now_s + verify_s))
        except OSError as err:
            words = f"state_dir {self._folder}: {err.strerror or err}"
            _log.error("the configuration is not reloaded, the old one runs on: %s", words)
            return
        self._held = True
        extra = {"changed": changed}
        _log.info("the configuration of the file is tried for %g s: %s", verify_s, ", ".join(changed), extra=extra)
        try:
            self._run_with(loaded.config)
        except OSError as err:
            self._take_file_back(err.strerror or str(err))

    def _look_at_file(self, now_s: float) -> None:
        found, tried = self._file.look(self._attached.sample(), now_s), self._file.tried
        if isinstance(found, Bad):
            self._take_file_back(found.reason)
        elif found is not None and tried is not None:
            self._file_is_good(tried, _changed(self._good, tried.config))

    def _file_is_good(self, loaded: Loaded, changed: list[str]) -> None:
        self._file.accept(loaded)
        self._good = self.config = loaded.config
        self._state = replace(self._state, verify_s=loaded.config.verify_s)
        _log.info("configuration reloaded: %s", ", ".join(changed) or "nothing has changed", extra={"changed": changed})
        self._let_go()

    def _take_file_back(self, reason: str) -> None:
        self._file.take_back(reason)
        words = "what ran before runs again, until the file says something else, or SIGHUP asks once more"
        _log.warning("the configuration of the file is rolled back: %s; %s", reason, words)
        try:
            self._run_with(self._good)
        except OSError as err:
            _log.error("what ran before does not run again as it should: %s", err.strerror or err)
        self._let_go()


def _changed(before: AgentConfig, after: AgentConfig) -> list[str]:
    return [key for key in KEYS if getattr(before, key) != getattr(after, key)]


def _overridden(loaded: Loaded, configuration: model.Configuration) -> str | None:
    """Keys of the document that something on the device sets in another way, which wins."""
    found = [
        f"{key} is set by {loaded.origins[key]} of the device"
        for key, value in configuration.document.items()
        if value is not None and loaded.origins[key] != DOCUMENT
    ]
    return f"{'; '.join(found)}, which wins" if found else None
