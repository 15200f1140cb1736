"""Health of a simulated device from its facts, with the reasons in plain words, as the contract asks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fleetview_agent.wire import Health, ModuleInfo

_DISK = (0.90, 0.97)
_MEMORY = (0.95, 0.985)
_TEMPERATURE_C = (85.0, 95.0)
_FAILING = (0.01, 0.10)
"""Share of requests that fail. Of each pair the first is degraded and the second critical."""
_CERTIFICATE_DAYS = (14.0, 2.0)


@dataclass(frozen=True, slots=True)
class Facts:
    """All that health follows from."""

    cpu: float
    memory: float
    disk: float
    temperature_c: float
    failing: float
    """Share of requests that fail."""
    certificate_days: float
    spool_records: int
    spool_is_full: bool
    modules: list[ModuleInfo]


def _grade(value: float, bounds: tuple[float, float]) -> Health:
    degraded, critical = bounds
    return "critical" if value >= critical else "degraded" if value >= degraded else "ok"


def _module_findings(modules: list[ModuleInfo]) -> Iterator[tuple[Health, str]]:
    for module in modules:
        why = f": {module.reason}" if module.reason else ""
        match module.state:
            case "failed":
                yield "critical", f"module {module.name} failed after {module.restarts} restarts{why}"
            case "backoff":
                yield "degraded", f"module {module.name} is in backoff{why}"
            case _:
                pass


def _findings(facts: Facts) -> Iterator[tuple[Health, str]]:
    yield from _module_findings(facts.modules)
    yield _grade(facts.failing, _FAILING), f"{facts.failing:.1%} of requests fail".replace("%", " %")
    yield _grade(facts.disk, _DISK), f"disk {facts.disk:.0%} full".replace("%", " %")
    yield _grade(facts.memory, _MEMORY), f"memory {facts.memory:.0%} in use".replace("%", " %")
    yield _grade(facts.temperature_c, _TEMPERATURE_C), f"processor at {facts.temperature_c:.0f} C"
    if facts.spool_is_full:
        yield "degraded", f"spool full: sources held ({facts.spool_records:,} records)"
    soon, now = _CERTIFICATE_DAYS
    if facts.certificate_days <= soon:
        days = max(0, round(facts.certificate_days))
        yield "critical" if facts.certificate_days <= now else "degraded", f"certificate expires in {days} days"


def judge(facts: Facts) -> tuple[Health, list[str]]:
    """The worst of the findings, and all that are not ok, the worst first."""
    found = [(health, words) for health, words in _findings(facts) if health != "ok"]
    found.sort(key=lambda finding: finding[0] != "critical")
    return (found[0][0] if found else "ok"), [words for _, words in found]
