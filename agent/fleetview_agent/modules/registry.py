"""Modules that are part of the agent, and so need no `command`: their names, and where each begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fleetview_agent import __version__
from fleetview_agent.modules.spec import ModuleSpec


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A module that is part of the agent."""

    program: str | None
    """`package.module:function` of a `builtin.Program`, imported when it is first started: what is not configured costs no
    memory. None: this version knows the name only, and reports the module as `stopped`."""
    keys: tuple[str, ...] = ()
    """Of the configuration, beside its own table: a change of one of these restarts it."""


BUILT_IN: Mapping[str, BuiltIn] = {
    "telemetry_collector": BuiltIn("fleetview_agent.telemetry.collector:run", ("telemetry",)),
    "rule_engine": BuiltIn("fleetview_agent.rules.engine:run", ("rules", "publish_topics")),
    "ota_updater": BuiltIn("fleetview_agent.release.module:run", ("ota",)),
}


def why_not_run(name: str, spec: ModuleSpec) -> str | None:
    """Why this version does not run a module, in words; None when it does."""
    if spec.command is not None or BUILT_IN[name].program is not None:
        return None
    return f"fleetview-agent {__version__} does not run {name}"


def touched(before: object, after: object) -> list[str]:
    """The modules that have to be restarted when one configuration takes the place of another: keys of theirs differ."""
    return [
        name
        for name, built_in in BUILT_IN.items()
        if any(getattr(before, key) != getattr(after, key) for key in built_in.keys)
    ]
