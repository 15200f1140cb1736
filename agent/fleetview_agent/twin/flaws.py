"""Why a configuration cannot run on this device, as far as that is known before it is tried."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from fleetview_agent.config import CHANGEABLE, KEYS, AgentConfig
from fleetview_agent.configload import DOCUMENT, ConfigError
from fleetview_agent.configwords import Problem
from fleetview_agent.modules import registry
from fleetview_agent.modules.process import SpawnError, startable
from fleetview_agent.modules.spec import ModuleSpec
from fleetview_agent.reported import ReleaseTaker

_MOST_PROBLEMS = 3
"""That are told of a configuration; the first ones say enough."""
_RESTART_ONLY = frozenset(KEYS) - CHANGEABLE - {"release", "verify_s"}
"""What a running agent cannot take from its file any more."""


def flaw(before: AgentConfig, after: AgentConfig, releases: ReleaseTaker) -> str | None:
    """Why the one cannot take the place of the other while the agent runs, in words."""
    fixed = sorted(key for key in _RESTART_ONLY if getattr(before, key) != getattr(after, key))
    if fixed:
        return f"{', '.join(fixed)} can only be changed by a restart of the agent"
    if (words := releases.flaw(after)) is not None:
        return words
    specs = after.module_specs
    problems = list(_unstartable({name: specs[name] for name in other_modules(before, after)}))
    return in_words(ConfigError(problems)) if problems else None


def other_modules(before: AgentConfig, after: AgentConfig) -> Collection[str]:
    """The modules that are new with a configuration, or not as they were."""
    specs = after.module_specs
    changed = {name for name, spec in specs.items() if before.module_specs.get(name) != spec}
    return frozenset(changed | (set(registry.touched(before, after)) & specs.keys()))


def in_words(err: ConfigError) -> str:
    """What is wrong, on one line."""
    told = [str(problem) for problem in err.problems[:_MOST_PROBLEMS]]
    more = len(err.problems) - len(told)
    return "; ".join([*told, f"and {more} more"] if more else told)


def _unstartable(specs: Mapping[str, ModuleSpec]) -> Iterator[Problem]:
    for name, spec in specs.items():
        try:
            startable(spec)
        except SpawnError as err:
            yield Problem(DOCUMENT, f"modules.{name}", str(err))
