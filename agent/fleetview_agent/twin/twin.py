"""Does what `decide` says: validates, applies and watches configurations, keeps them, and reports how far it has got.

All of it happens on the event loop, in one go for each event: only the watching takes time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from fleetview_agent.config import CHANGEABLE, KEYS, AgentConfig
from fleetview_agent.configload import DOCUMENT, ConfigError, Loaded, Source
from fleetview_agent.configwords import Problem
from fleetview_agent.modules import registry
from fleetview_agent.modules.process import SpawnError, startable
from fleetview_agent.modules.spec import ModuleSpec
from fleetview_agent.reported import ReleaseTaker, ReportedState
from fleetview_agent.twin import keep
from fleetview_agent.twin.decide import boot, step
from fleetview_agent.twin.model import (
    Apply,
    Configuration,
    Due,
    Effect,
    Event,
    Failed,
    Keep,
    KeepLastGood,
    Looked,
    OfferRelease,
    RefuseRelease,
    Revert,
    State,
    Tell,
    Validate,
    Validated,
    Waits,
    Wanted,
    Withdrawn,
    WithdrawRelease,
)
from fleetview_agent.twin.watch import Sample
from fleetview_agent.wire import Channel, Desired, WireError, decode

_log = logging.getLogger(__name__)

LOOK_INTERVAL_S = 1.0
"""Between two looks at a device that is being watched, unless a module changes its state."""
_MOST_PROBLEMS = 3
"""That are told of a configuration; the first ones say enough."""
_RESTART_ONLY = frozenset(KEYS) - CHANGEABLE - {"release", "verify_s"}
"""What a running agent cannot take from its file any more."""


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
        self._source = source
        self._host: Host | None = None
        self._woken = asyncio.Event()
        self._reload = False
        self._held = False
        self._deferred: Configuration | None = None
        """What would be tried if the device were not held."""
        self._settled = asyncio.Event()
        found = keep.load(folder)
        problem = None
        self.config = local.config
        """What runs, or will."""
        if found.last_good is not None:
            try:
                self.config = source.load(found.last_good.document).config
            except ConfigError as err:
                problem = f"the last good configuration cannot be laid over the file of this device: {_in_words(err)}"
        self._good = self.config
        self._candidate: AgentConfig | None = None
        self._problems = found.problems
        self._state, self._first = boot(
            found.kept, found.last_good, verify_s=local.config.verify_s, now_s=time.monotonic(), problem=problem
        )

    @property
    def gen(self) -> int | None:
        """The newest generation that was accepted or answered."""
        return self._state.kept.gen or None

    @property
    def version(self) -> int | None:
        """Of the configuration that runs; None while that is the file on the device alone."""
        return None if self._state.running is None else self._state.running.version

    def attach(self, host: Host) -> None:
        """Begin, with what was found on the disk."""
        self._host = host
        for problem in self._problems:
            _log.error(problem)
        try:
            keep.clear_away(self._folder)
        except OSError as err:
            _log.warning("what an earlier run left behind cannot be removed: %s", err)
        self._report()
        self._carry_out(self._state, self._first)

    def received(self, payload: bytes) -> None:
        """Take what arrived on `desired`."""
        if not payload:
            self._happens(Withdrawn())
            return
        try:
            desired = decode(Channel.DESIRED, payload)
        except WireError as err:
            _log.error("what is desired of this device cannot be read, and is ignored: %s", err)
            return
        if isinstance(desired, Desired):
            self._happens(Wanted(desired, datetime.now(UTC)))
            self._woken.set()

    def reload(self) -> None:
        """Read the file on the device anew: at once, or when what is being tried is settled."""
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

    async def run(self) -> None:
        """Watch, for ever."""
        while True:
            self._woken.clear()
            if self._reload and not self._held and self._state.kept.trying is None:
                self._reload = False
                self._reload_file()
            if self._state.watch is not None:
                self._happens(Looked(self._attached.sample()))
            elif self._state.retry_at_s is not None and self._state.retry_at_s <= time.monotonic():
                self._happens(Due())
            try:
                async with asyncio.timeout(self._wait_s()):
                    await self._woken.wait()
            except TimeoutError:
                continue

    def _wait_s(self) -> float | None:
        now_s, state = time.monotonic(), self._state
        if state.watch is not None:
            return min(LOOK_INTERVAL_S, max(0.01, state.watch.until_s - now_s))
        return None if state.retry_at_s is None else max(0.0, state.retry_at_s - now_s)

    @property
    def _attached(self) -> Host:
        if self._host is None:
            msg = "a twin that is attached to no agent"
            raise RuntimeError(msg)
        return self._host

    def _happens(self, event: Event) -> None:
        before = self._state
        self._state, effects = step(before, event, time.monotonic())
        self._carry_out(before, effects)
        if self._state.kept.trying is None:
            self._settled.set()

    def _carry_out(self, before: State, effects: list[Effect]) -> None:
        for effect in effects:
            try:
                self._do(effect)
            except OSError as err:
                words = f"state_dir {self._folder}: {err.strerror or err}"
                _log.error("a step of the twin failed: %s", words)
                if isinstance(effect, KeepLastGood) and before.kept.trying is not None:
                    self._state = before  # it is not kept, so it is not the last good one
                if self._state.kept.trying is not None:
                    self._happens(Failed(words))
                    return

    def _do(self, effect: Effect) -> None:  # noqa: C901  (a table)
        host = self._attached
        match effect:
            case Keep(kept):
                keep.save(self._folder, kept)
            case KeepLastGood(configuration):
                keep.save_last_good(self._folder, configuration)
                self._good = self.config
            case Validate(configuration) if self._held:
                self._deferred = configuration
                self._happens(Waits("waits for another change of the device"))
            case Validate(configuration):
                self._happens(self._validated(configuration))
            case Apply():
                self._run_with(self._candidate or self._good)
            case Revert():
                self._run_with(self._good)
            case Tell(words, is_bad):
                _log.log(logging.WARNING if is_bad else logging.INFO, words, extra={"gen": self._state.kept.gen})
                self._report()
            case OfferRelease(offer, gen):
                host.releases.offered(offer, gen)
            case RefuseRelease(offer, gen, reason):
                host.releases.refused(offer, gen, reason)
            case WithdrawRelease():
                host.releases.withdrawn()

    def _report(self) -> None:
        self._attached.reported.set_config(self._state.report(), self._state.kept.gen)

    def _run_with(self, config: AgentConfig) -> None:
        self._attached.apply(config)
        self.config = config

    def _validated(self, configuration: Configuration) -> Validated:
        try:
            loaded = self._source.load(configuration.document)
        except ConfigError as err:
            return Validated(_in_words(err))
        fixed = _needs_restart(self._good, loaded.config)
        if fixed:
            return Validated(f"the file on the device has another {fixed[0]}: the agent has to be restarted first")
        if (words := self._attached.releases.flaw(loaded.config)) is not None:
            return Validated(words)
        specs = loaded.config.module_specs
        touched = other_modules(self._good, loaded.config)
        problems = list(_unstartable({name: specs[name] for name in touched}))
        if problems:
            return Validated(_in_words(ConfigError(problems)))
        self._candidate = loaded.config
        return Validated(None, _overridden(loaded, configuration), self._attached.sample(), touched)

    # The file on the device

    def _reload_file(self) -> None:
        running = self._state.running
        try:
            loaded = self._source.load(None if running is None else running.document)
        except ConfigError as err:
            _log.error("the configuration is not reloaded, the old one runs on: %s", _in_words(err))
            return
        fixed = _needs_restart(self.config, loaded.config)
        if fixed:
            words = f"{', '.join(fixed)} can only be changed by a restart of the agent"
            _log.error("the configuration is not reloaded, the old one runs on: %s", words)
            return
        changed = [key for key in KEYS if getattr(self.config, key) != getattr(loaded.config, key)]
        try:
            self._run_with(loaded.config)
        except OSError as err:
            _log.error("the configuration is not reloaded, the old one runs on: %s", err.strerror)
            self._run_with(self._good)
            return
        self._good = loaded.config
        self._state = replace(self._state, verify_s=loaded.config.verify_s)
        _log.info("configuration reloaded: %s", ", ".join(changed) or "nothing has changed", extra={"changed": changed})


def other_modules(before: AgentConfig, after: AgentConfig) -> Collection[str]:
    """The modules that are new with a configuration, or not as they were."""
    specs = after.module_specs
    changed = {name for name, spec in specs.items() if before.module_specs.get(name) != spec}
    return frozenset(changed | (set(registry.touched(before, after)) & specs.keys()))


def _unstartable(specs: Mapping[str, ModuleSpec]) -> list[Problem]:
    found = []
    for name, spec in specs.items():
        try:
            startable(spec)
        except SpawnError as err:
            found.append(Problem(DOCUMENT, f"modules.{name}", str(err)))
    return found


def _needs_restart(before: AgentConfig, after: AgentConfig) -> list[str]:
    return sorted(key for key in _RESTART_ONLY if getattr(before, key) != getattr(after, key))


def _overridden(loaded: Loaded, configuration: Configuration) -> str | None:
    """Keys of the document that something on the device sets in another way, which wins."""
    found = [
        f"{key} is set by {loaded.origins[key]} of the device"
        for key, value in configuration.document.items()
        if value is not None and loaded.origins[key] != DOCUMENT
    ]
    return f"{'; '.join(found)}, which wins" if found else None


def _in_words(err: ConfigError) -> str:
    told = [str(problem) for problem in err.problems[:_MOST_PROBLEMS]]
    more = len(err.problems) - len(told)
    return "; ".join([*told, f"and {more} more"] if more else told)
