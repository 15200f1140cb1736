"""A device as `twin.decide` sees it: a clock of the test's own, a disk that loses nothing, and power that goes between two steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from fleetview_agent.twin import model
from fleetview_agent.twin.decide import boot, step
from fleetview_agent.twin.watch import Sample
from fleetview_agent.wire import ConfigOffer, ConfigReport, Desired, ModuleInfo, document_sha256

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
VERIFY_S = 20.0
WELL = Sample("ok", modules=[ModuleInfo(name="m", state="running")])
UNWELL = Sample("critical", ["module m failed"], [ModuleInfo(name="m", state="failed", reason="exit status 1")])


def document(name: str, *, valid: bool = True, well: bool = True) -> dict[str, Any]:
    return {"labels": {"name": name}, "valid": valid, "well": well}


def offer(doc: dict[str, Any], version: int = 1, **fields: Any) -> ConfigOffer:
    return ConfigOffer.model_validate({"version": version, "sha256": document_sha256(doc), "document": doc, **fields})


class PowerCutError(Exception):
    """The device is without power."""


@dataclass
class Device:
    """Does what is decided, as the agent would, and what a device would do with it."""

    kept: model.Kept = field(default_factory=model.Kept)
    last_good: model.Configuration | None = None
    """These two are its disk."""
    now_s: float = 1000.0
    clock: datetime = NOW
    runs: model.Configuration | None = None
    told: list[tuple[int, ConfigReport | None]] = field(default_factory=list)
    releases: list[model.Effect] = field(default_factory=list)
    effects: list[model.Effect] = field(default_factory=list)
    cut_after: int | None = None
    """Steps that are still done."""
    disk_is_full: bool = False
    well_since_s: float | None = None
    """Since when what runs is applied and was found well at each look."""

    def __post_init__(self) -> None:
        self.boot()

    def boot(self) -> None:
        self.runs, self.well_since_s, self.cut_after = self.last_good, None, None
        self.state, effects = boot(self.kept, self.last_good, verify_s=VERIFY_S, now_s=self.now_s)
        self.told.append((self.state.kept.gen, self.state.report()))
        self.carry_out(self.state, effects)

    def happens(self, event: model.Event) -> None:
        before = self.state
        self.state, effects = step(before, event, self.now_s)
        self.carry_out(before, effects)

    def carry_out(self, before: model.State, effects: list[model.Effect]) -> None:
        for effect in effects:
            if self.cut_after is not None:
                if self.cut_after == 0:
                    raise PowerCutError
                self.cut_after -= 1
            self.effects.append(effect)
            if self.disk_is_full and isinstance(effect, model.Keep | model.KeepLastGood):
                if isinstance(effect, model.KeepLastGood) and before.kept.trying is not None:
                    self.state = before
                if self.state.kept.trying is not None:
                    self.happens(model.Failed("no space"))
                    return
                continue
            self.do(effect)

    def do(self, effect: model.Effect) -> None:
        match effect:
            case model.Keep(kept):
                self.kept = kept
            case model.KeepLastGood(configuration):
                is_same = self.last_good is not None and self.last_good.sha256 == configuration.sha256
                assert is_same or self.runs is not None
                assert is_same or self.runs.sha256 == configuration.sha256  # type: ignore[union-attr]
                assert is_same or self.well_since_s is not None
                assert is_same or self.now_s - self.well_since_s >= VERIFY_S, "verified for the whole window"  # type: ignore[operator]
                self.last_good = configuration
            case model.Validate(configuration):
                valid = configuration.document["valid"]
                self.happens(model.Validated(None if valid else "not valid", before=self.sample(), touched=["m"]))
            case model.Apply():
                assert self.kept == self.state.kept, "it is on the disk before it runs"
                self.runs, self.well_since_s = self.state.kept.trying, self.now_s
            case model.Revert():
                self.runs, self.well_since_s = self.last_good, None
            case model.Tell():
                self.told.append((self.state.kept.gen, self.state.report()))
            case model.OfferRelease() | model.RefuseRelease() | model.WithdrawRelease():
                self.releases.append(effect)

    def sample(self) -> Sample:
        return WELL if self.runs is None or self.runs.document["well"] else UNWELL

    def passes(self, seconds: float) -> None:
        until_s = self.now_s + seconds
        while self.now_s < until_s:
            self.now_s += min(1.0, until_s - self.now_s)
            if self.state.watch is not None:
                if self.sample() is UNWELL:
                    self.well_since_s = None
                self.happens(model.Looked(self.sample()))
            elif self.state.retry_at_s is not None and self.state.retry_at_s <= self.now_s:
                self.happens(model.Due())

    def wants(self, gen: int, **fields: Any) -> None:
        self.happens(model.Wanted(Desired.model_validate({"gen": gen, **fields}), self.clock))

    def report(self) -> ConfigReport:
        report = self.state.report()
        assert report is not None
        return report

    @property
    def statuses(self) -> list[str | None]:
        return [None if report is None else report.status for _, report in self.told]


def sha256_of(configuration: model.Configuration | None) -> str | None:
    return None if configuration is None else configuration.sha256
