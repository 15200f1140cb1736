"""When a rule fires, and when it is over. Decisions only: time is an argument.

idle ──▶ active      `when` holds, and the cooldown since it last fired is over: it fires
active ──▶ idle      `until` holds and `when` does not; without `until`: `when` does not hold
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from fleetview_agent.health import Findings
from fleetview_agent.rules.evaluate import Memory, Moment
from fleetview_agent.rules.parse import parse
from fleetview_agent.rules.spec import Rule
from fleetview_agent.rules.tree import Condition, numbers
from fleetview_agent.spool import Record


@dataclass(frozen=True, slots=True)
class Fired:
    """A rule has fired: do what it says."""

    rule: Rule
    values: dict[str, float | str | None]
    """What its numbers were."""


@dataclass(frozen=True, slots=True)
class WasOver:
    """A rule that had fired is over."""

    rule: Rule
    after_s: float


Outcome = Fired | WasOver


class _Running:
    def __init__(self, rule: Rule, modules: Collection[str]) -> None:
        self.rule = rule
        self.when = Memory(parse(rule.when, modules))
        self.until = None if rule.until is None else Memory(parse(rule.until, modules))
        self.is_active = False
        self.fired_s = float("-inf")

    def advance(self, moment: Moment) -> Outcome | None:
        holds = self.when.holds(moment)
        ends = self.until.holds(moment) if self.until is not None else holds is False
        if self.is_active:
            if ends and holds is not True:
                self.is_active = False
                return WasOver(self.rule, moment.now_s - self.fired_s)
        elif holds and moment.now_s - self.fired_s >= self.rule.cooldown_s:
            self.is_active, self.fired_s = True, moment.now_s
            return Fired(self.rule, self.when.values(moment))
        return None


class RuleBook:
    """All rules of a device. Raises RuleError for a condition that cannot be read."""

    def __init__(self, rules: Sequence[Rule], modules: Collection[str]) -> None:
        self._running = [_Running(rule, modules) for rule in rules]
        self._listening = [
            memory for each in self._running for memory in (each.when, each.until) if memory is not None and memory.listens
        ]

    @property
    def listens(self) -> bool:
        """Whether it has to be told of log records."""
        return bool(self._listening)

    def note(self, record: Record, now_s: float) -> bool:
        """Take note of a log record; whether a condition counts it."""
        return bool([memory for memory in self._listening if memory.note(record, now_s)])

    def advance(self, moment: Moment) -> list[Outcome]:
        """What this moment brings, in the order of the rules. To be asked in order of time."""
        return [outcome for each in self._running if (outcome := each.advance(moment)) is not None]

    @property
    def active(self) -> int:
        """How many have fired and are not over."""
        return sum(each.is_active for each in self._running)

    def findings(self) -> Findings:
        """What the rules that are active say of the device's health."""
        active = [each.rule for each in self._running if each.is_active]
        return Findings(
            critical=tuple(rule.words for rule in active if rule.health == "critical"),
            degraded=tuple(rule.words for rule in active if rule.health == "degraded"),
        )

    def conditions(self) -> Iterator[Condition]:
        """All conditions."""
        for each in self._running:
            yield each.when.condition
            if each.until is not None:
                yield each.until.condition

    def asks_for(self, kind: type) -> bool:
        """Whether a condition compares a number of this kind."""
        return any(isinstance(number, kind) for condition in self.conditions() for number in numbers(condition))
