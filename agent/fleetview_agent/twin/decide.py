"""What becomes of a configuration that is desired. Decisions only: state, event and time make a state and effects.

    pending ──▶ applying ──▶ applied           applied: it was well for the whole window, and is the last good one now
       │            └──────▶ rolled_back       it was not, or was cut short too often: the last good one runs again
       └──▶ rejected                           it is not valid, altered, or too late

Effects are carried out in their order, so that the disk never knows less than it needs to: what runs unverified is written
as such before, and becomes the last good one in one step. Whatever the moment at which the power goes, `boot` finds the last
good one or, after that step, the verified new one. A newer generation ends the trying of an older one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from fleetview_agent.twin.model import (
    Apply,
    Configuration,
    Due,
    Effect,
    Event,
    Failed,
    Keep,
    KeepLastGood,
    Kept,
    Looked,
    OfferRelease,
    RefuseRelease,
    Revert,
    State,
    Stopped,
    Tell,
    Validate,
    Validated,
    Waits,
    Wanted,
    Withdrawn,
    WithdrawRelease,
)
from fleetview_agent.twin.watch import Bad, Good, Sample, Watch, look
from fleetview_agent.wire import ConfigOffer, ConfigReport, Desired, document_sha256, format_time
from fleetview_agent.wire.messages import ConfigStatus

MOST_ATTEMPTS = 2
"""A power cut is no fault of a configuration; an agent that ends twice while it is tried may well be."""
SETTLE_S = 10.0
"""After the start, until a configuration that was cut short is tried again: modules start meanwhile, to be compared with."""
LONGEST_REASON = 600


Step = tuple[State, list[Effect]]


def boot(kept: Kept, last_good: Configuration | None, *, verify_s: float, now_s: float, problem: str | None = None) -> Step:
    """Begin with what the disk has: the last good configuration runs already.

    With a `problem`, which says why it could not, the file on the device runs alone.
    """
    runs = last_good if problem is None else None
    state = State(kept=kept, last_good=runs, running=runs, verify_s=verify_s)
    trying = kept.trying
    if problem is not None and last_good is not None:
        report = ConfigReport(
            version=last_good.version, sha256=last_good.sha256, status="rejected", reason=problem, last_good=None
        )
        state = replace(state, unusable=report)
    elif kept.status is None and last_good is not None:
        state = _with(state, status="applied", version=last_good.version, sha256=last_good.sha256, reason=None)
    if trying is None:
        return state, [_tell(state)] if state.kept != kept else []
    if runs is not None and runs.sha256 == trying.sha256:
        # It had been verified, and kept: only the word of it was not.
        state = _settled(state, "applied", None)
        return state, [Keep(state.kept), _tell(state)]
    if kept.attempts >= MOST_ATTEMPTS:
        words = f"the agent ended {kept.attempts} times while this configuration was being tried"
        state = _settled(state, "rolled_back", words)
        return state, [Keep(state.kept), _tell(state)]
    words = "cut short by a restart of the agent; it is tried again"
    state = _with(state, status="pending", version=trying.version, sha256=trying.sha256, reason=words)
    return replace(state, retry_at_s=now_s + min(SETTLE_S, verify_s)), [_tell(state)]


def step(state: State, event: Event, now_s: float) -> Step:
    """What an event brings."""
    match event:
        case Wanted(desired, at):
            return _wanted(state, desired, at)
        case Withdrawn():
            return _withdrawn(state)
        case Validated() if state.kept.trying is not None and state.watch is None:
            return _validated(state, event, now_s)
        case Waits(words) if state.kept.trying is not None and state.watch is None:
            state = _with(state, reason=words)
            return state, [_tell(state)]
        case Looked(sample) if state.watch is not None:
            return _looked(state, state.watch, sample, now_s)
        case Due() if state.retry_at_s is not None and state.retry_at_s <= now_s and state.kept.trying is not None:
            return replace(state, retry_at_s=None), [Validate(state.kept.trying)]
        case Stopped() if state.watch is not None:
            state = replace(_with(state, attempts=state.kept.attempts - 1), watch=None)  # no fault of what is tried
            return state, [Keep(state.kept)]
        case Failed(words):
            return _given_up(state, words)
    return state, []


def _wanted(state: State, desired: Desired, at: datetime) -> Step:
    kept, epoch, content = state.kept, desired.epoch, _content(desired)
    if epoch is not None and kept.epoch is not None and epoch < kept.epoch:
        return state, [
            Tell(f"generation {desired.gen} is refused: its epoch {epoch} is older than {kept.epoch}", is_bad=True)
        ]
    is_of_newer_epoch = epoch is not None and epoch > (kept.epoch if kept.epoch is not None else -1)
    if desired.gen < kept.gen:
        words = f"generation {desired.gen} is refused: it is older than {kept.gen}"
        state, keeps = _with_epoch(state, epoch)
        return state, [*keeps, Tell(words, is_bad=True)]
    if desired.gen == kept.gen and kept.content is not None:
        if content == kept.content:
            state, keeps = _with_epoch(state, epoch)
            state = replace(state, release=desired.release, has_config=desired.config is not None)
            return _released(state, keeps)
        if not is_of_newer_epoch:
            words = f"generation {desired.gen} is refused: there was one of this number with another content"
            return state, [Tell(words, is_bad=True)]
    return _accepted(state, desired, at, content)


def _accepted(state: State, desired: Desired, at: datetime, content: str) -> Step:
    offer = desired.config
    epoch = desired.epoch if desired.epoch is not None else state.kept.epoch
    refusal = None
    if desired.not_after is not None and desired.not_after <= at:
        refusal = f"not_after {format_time(desired.not_after)} has passed: here it is {format_time(at)}"
    state = replace(
        _with(state, gen=desired.gen, epoch=epoch, content=content, refused=refusal),
        release=desired.release,
        has_config=offer is not None,
        released=None,
    )
    if offer is None:
        words = f"generation {desired.gen} desires no configuration" if refusal is None else refusal
        return _released(state, [Keep(state.kept), Tell(words, is_bad=refusal is not None)])
    document = offer.document
    state = replace(state, unusable=None)
    sha256 = None if document is None else document_sha256(document)
    state = _with(state, version=offer.version, sha256=sha256 or offer.sha256, trying=None, attempts=0)
    refusal = refusal or _flaw(offer, sha256)
    if refusal is not None or document is None or sha256 is None:
        return _ended(state, "rejected", refusal or "it has no document")
    configuration = Configuration(offer.version, sha256, document)
    if state.watch is not None and state.running is not None and state.running.sha256 == sha256:
        state = _with(state, status="applying", reason=None, trying=configuration, attempts=max(1, state.kept.attempts))
        return replace(state, running=configuration), [Keep(state.kept), _tell(state)]
    if state.watch is None and state.last_good is not None and state.last_good.sha256 == sha256:
        state = replace(_settled(state, "applied", None), last_good=configuration, running=configuration)
        return _released(state, [KeepLastGood(configuration), Keep(state.kept), _tell(state)])
    state = _with(state, status="pending", reason=None, trying=configuration)
    # What was being tried runs on until this one is known to be valid, but is not watched any more.
    state = replace(state, watch=None, retry_at_s=None)
    return state, [Keep(state.kept), _tell(state), Validate(configuration)]


def _flaw(offer: ConfigOffer, sha256: str | None) -> str | None:
    if sha256 is None:
        return "it has no document"
    if offer.sha256 is not None and offer.sha256.lower() != sha256:
        return f"the document was altered: its sha256 is {sha256}, but {offer.sha256[:64]} was announced"
    return None


def _validated(state: State, event: Validated, now_s: float) -> Step:
    if event.reason is not None:
        return _ended(state, "rejected", event.reason)
    state = _with(state, status="applying", reason=event.note, attempts=state.kept.attempts + 1)
    watch = Watch(state.before or event.before, event.touched, now_s, now_s + state.verify_s)
    state = replace(state, running=state.kept.trying, watch=watch, before=watch.before, retry_at_s=None)
    return state, [Keep(state.kept), _tell(state), Apply()]


def _looked(state: State, watch: Watch, sample: Sample, now_s: float) -> Step:
    match look(watch, sample, now_s):
        case Bad(reason):
            return _ended(state, "rolled_back", reason)
        case Good():
            good = state.kept.trying
            state = replace(_settled(state, "applied", state.kept.reason), last_good=good, running=good)
            keeps: list[Effect] = [] if good is None else [KeepLastGood(good)]
            return _released(state, [*keeps, Keep(state.kept), _tell(state)])
        case Watch() as watch:
            return replace(state, watch=watch), []


def _withdrawn(state: State) -> Step:
    effects: list[Effect] = [WithdrawRelease()]
    state = replace(state, release=None)
    if state.kept.trying is None or state.watch is not None:
        return state, effects  # what has begun goes on: withdrawn is what was not accepted yet
    state = _settled(state, "rolled_back", "withdrawn before it was tried again")
    return state, [*effects, Keep(state.kept), _tell(state)]


def _given_up(state: State, words: str) -> Step:
    if state.kept.trying is None:
        return state, []
    return _ended(state, "rejected" if state.watch is None else "rolled_back", words)


def _ended(state: State, status: ConfigStatus, reason: str) -> Step:
    """The configuration that was offered last is not to run: the last good one is."""
    is_other = state.running != state.last_good
    state = replace(_settled(state, status, reason), running=state.last_good)
    effects: list[Effect] = [Keep(state.kept), *([Revert()] if is_other else []), _tell(state)]
    return _released(state, effects)


def _settled(state: State, status: ConfigStatus, reason: str | None) -> State:
    state = _with(state, status=status, reason=reason, trying=None, attempts=0)
    return replace(state, watch=None, before=None, retry_at_s=None)


def _released(state: State, effects: Sequence[Effect]) -> Step:
    """Hand the release on once the configuration beside it is good; not at all when that is bad."""
    offer, gen = state.release, state.kept.gen
    if offer is None or state.released == gen:
        return state, list(effects)
    if state.kept.trying is not None:
        return state, list(effects)  # one change at a time, or nobody could tell which of them made the device unwell
    refusal = state.kept.refused
    if refusal is None and state.has_config and state.kept.status != "applied":
        refusal = f"the configuration of generation {gen} is {_words(state)}"
    handed_on = OfferRelease(offer, gen) if refusal is None else RefuseRelease(offer, gen, refusal)
    return replace(state, released=gen, release=None), [*effects, handed_on]


def _with_epoch(state: State, epoch: int | None) -> tuple[State, list[Effect]]:
    if epoch is None or (state.kept.epoch is not None and epoch <= state.kept.epoch):
        return state, []
    state = _with(state, epoch=epoch)
    return state, [Keep(state.kept)]


def _with(state: State, **changes: Any) -> State:  # noqa: ANN401  (fields of Kept)
    if isinstance(reason := changes.get("reason"), str) and len(reason) > LONGEST_REASON:
        changes["reason"] = reason[: LONGEST_REASON - 3] + "..."
    return replace(state, kept=replace(state.kept, **changes))


def _words(state: State) -> str:
    return (state.kept.status or "unknown").replace("_", " ")


def _tell(state: State) -> Tell:
    why = f": {state.kept.reason}" if state.kept.reason else ""
    words = f"configuration {state.kept.version} is {_words(state)}{why}"
    return Tell(words, is_bad=state.kept.status in {"rejected", "rolled_back"})


def _content(desired: Desired) -> str:
    config, release = desired.config, desired.release
    document = None if config is None else config.document
    return document_sha256(
        {
            "config": None if config is None else {"version": config.version, "sha256": config.sha256},
            "document": None if document is None else document_sha256(document),
            "release": None if release is None else release.model_dump(mode="json"),
        }
    )
