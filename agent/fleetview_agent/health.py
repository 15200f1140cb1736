"""How an agent judges itself and its machine: decisions only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fleetview_agent.wire import Health, ModuleInfo, Resources


class _Bound(NamedTuple):
    name: str
    what: str
    degraded: float
    critical: float
    unit: str = "%"


# From 90 % on ext4 slows down, and log rotation soon fails. At 95 % of memory the kernel begins to reclaim what it needs to
# run programs; at 98 % it kills. Boards throttle from 80 to 85 degrees Celsius, and switch off at 95 to 105.
_BOUNDS = (
    _Bound("disk", "disk", 0.90, 0.97),
    _Bound("memory", "memory", 0.95, 0.98),
    _Bound("temperature_c", "temperature", 85.0, 95.0, " °C"),
)


@dataclass(frozen=True, slots=True)
class Findings:
    """What a built-in module found out about the device: reasons for its health, in words."""

    critical: Sequence[str] = ()
    degraded: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the judgement rests on."""

    resources: Resources
    modules: Sequence[ModuleInfo] = ()
    findings: Sequence[Findings] = ()
    log_problems: Sequence[str] = ()
    """Log files that cannot be read, in words."""
    state_problem: str | None = None
    """Why state cannot be saved, in words."""
    shipping_problem: str | None = None
    """Why the broker does not take logs, in words."""
    dropped_since_last: int = 0
    """Log records that were dropped since the last heartbeat."""
    spool_records: int = 0
    sources_held: bool = False
    """The spool is so full that log files are not read on."""


class Judgement(NamedTuple):
    """Health, and the reasons for anything but `ok`, worst first."""

    health: Health
    reasons: list[str]


def judge(evidence: Evidence) -> Judgement:
    """The health that this evidence speaks for."""
    critical, degraded = _vitals(evidence.resources)
    for module in evidence.modules:
        why = f": {module.reason}" if module.reason else ""
        if module.state == "failed":
            critical.append(f"module {module.name} failed{why}")
        elif module.state == "backoff":
            degraded.append(f"module {module.name} is in backoff{why}")
    for found in evidence.findings:
        critical += found.critical
        degraded += found.degraded
    if evidence.state_problem is not None:
        degraded.append(evidence.state_problem)
    degraded += evidence.log_problems
    if evidence.shipping_problem is not None:
        degraded.append(evidence.shipping_problem)
    if evidence.dropped_since_last:
        degraded.append(f"spool full: {evidence.dropped_since_last} log records dropped since the last heartbeat")
    if evidence.sources_held:
        degraded.append(f"spool full: sources held ({evidence.spool_records:,} records)")
    health: Health = "critical" if critical else "degraded" if degraded else "ok"
    return Judgement(health, critical + degraded)


def _vitals(resources: Resources) -> tuple[list[str], list[str]]:
    critical: list[str] = []
    degraded: list[str] = []
    for bound in _BOUNDS:
        value = getattr(resources, bound.name)
        if value is None or value < bound.degraded:
            continue
        scale = 100 if bound.unit == "%" else 1
        limit = bound.critical if value >= bound.critical else bound.degraded
        words = f"{bound.what} at {value * scale:.0f}{bound.unit} (limit {limit * scale:.0f}{bound.unit})"
        (critical if value >= bound.critical else degraded).append(words)
    return critical, degraded
