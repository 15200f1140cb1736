"""What an updater does next, and what it reports. Decisions only: time is an argument.

    queued ──▶ downloading ──▶ verifying ──▶ staged ──▶ applying ──▶ checking ──▶ committed
       │            │              │            │           │            │
       │            │              │            │           └────────────┴──▶ going back ──▶ rolled_back
       └────────────┴──────────────┴────────────┴──▶ failed        nothing was changed

`State` is what is remembered over a cut of power, and is written down before any effect is carried out. So whatever happens:
from `applying` on, until `committed` is written down, what runs after a cut is the release before (`boots_into`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fleetview_agent.release.model import (
    Admit,
    Admitted,
    Booted,
    BrokenOff,
    CallOff,
    Clean,
    Did,
    Effect,
    Event,
    Fetch,
    Final,
    GoBack,
    Job,
    Looked,
    Offer,
    Outcome,
    Progressed,
    Prove,
    Refused,
    Rules,
    Stage,
    State,
    Switch,
    Ticked,
    Verify,
    Wanted,
    Withdrawn,
)
from fleetview_agent.wire import ReleaseReport
from fleetview_agent.wire.messages import ReleaseStatus

MOST_CUTS = 3
"""So often may the agent end while a release is tried; then that release is taken for the reason."""

Step = tuple[State, list[Effect]]

_OVERTAKEN = "another release is wanted meanwhile"


def step(state: State, event: Event, now_s: float, rules: Rules) -> Step:
    """What comes of an event: the new state, and what is to be done, in that order."""
    match event:
        case Wanted(gen, offer, problem):
            return _wanted(state, gen, offer, problem)
        case Withdrawn():
            return _withdrawn(state)
        case Booted():
            return _booted(state)
        case _ if state.job is None:
            return state, []  # of an effect that was called off
        case Ticked():
            return _ticked(state, state.job, now_s)
        case _:
            return _came_of_an_effect(state, state.job, event, now_s, rules)


def _came_of_an_effect(state: State, job: Job, event: Event, now_s: float, rules: Rules) -> Step:
    match event:
        case Admitted() | Did():
            return _went_on(state, job, event, now_s)
        case Progressed(fraction) if job.stage == "downloading":
            return _with(state, progress=max(0.0, min(1.0, fraction)), reason=None), []
        case Refused(words):
            return _refused(state, job, words)
        case BrokenOff(words, gained):
            return _broken_off(state, job, words, now_s, rules, gained=gained)
        case Looked() if job.stage == "checking":
            return _looked(state, job, event, now_s, rules)
    return state, []


def _with(state: State, **changes: Any) -> State:  # noqa: ANN401  (fields of Job)
    return state if state.job is None else replace(state, job=replace(state.job, **changes))


def _ticked(state: State, job: Job, now_s: float) -> Step:
    if job.retry_at_s is None or job.retry_at_s > now_s:
        return state, []
    again: Effect = Admit(job.offer) if job.stage == "queued" else Fetch(job.offer)
    return _with(state, retry_at_s=None), [again]


def _begin(state: State, gen: int, offer: Offer) -> Step:
    return replace(state, job=Job(gen, offer), following=None), [Admit(offer)]


def _end(state: State, job: Job, status: Final, reason: str | None = None) -> Step:
    """The job is over."""
    if status == "committed" and state.running != job.offer.version:
        state = replace(state, running=job.offer.version, previous=state.running)
    state = replace(state, job=None, last=Outcome(job.gen, job.offer.version, status, reason))
    effects: list[Effect] = [_clean(state)]
    if state.following is not None:
        state, more = _begin(state, *state.following)
        effects += more
    return state, effects


def _clean(state: State) -> Effect:
    kept = tuple(version for version in (state.running, state.previous) if version is not None)
    drop = state.last.version if state.last is not None and state.last.status != "committed" else None
    return Clean(kept, None if drop in kept else drop)


def _wanted(state: State, gen: int, offer: Offer, problem: str | None) -> Step:
    job = state.job
    if gen <= state.gen:
        return state, []  # known: it is retained, and so comes again with every connection
    if problem is not None and not state.may_have_switched:
        off: list[Effect] = [] if job is None else [CallOff()]
        return replace(state, job=None, following=None, last=Outcome(gen, offer.version, "failed", problem)), off
    if job is None:
        return _begin(state, gen, offer)
    if job.offer.is_same(offer) and job.stage != "going_back":
        return replace(state, job=replace(job, gen=gen, offer=offer), following=None), []
    if not state.may_have_switched:
        state, effects = _begin(state, gen, offer)
        return state, [CallOff(), *effects]
    state = replace(state, following=(gen, offer))
    return _go_back(state, _OVERTAKEN) if job.stage == "checking" else (state, [])


def _withdrawn(state: State) -> Step:
    state = replace(state, following=None)
    if state.job is None or state.may_have_switched:
        return state, []
    return replace(state, job=None), [CallOff()]


def _booted(state: State) -> Step:
    job = state.job
    if job is None:
        return state, [_clean(state)]  # the cut may have come before that was done
    if job.stage == "going_back":
        return _end(state, job, "rolled_back", job.reason)
    if state.following is not None:
        return _begin(state, *state.following)
    cuts = job.cuts + (1 if state.may_have_switched else 0)
    if cuts >= MOST_CUTS:
        return _end(state, job, "rolled_back", f"the agent ended {cuts} times while it was tried")
    again = Job(job.gen, job.offer, cuts=cuts, progress=job.progress)
    return replace(state, job=again), [Admit(job.offer)]


def _went_on(state: State, job: Job, event: Admitted | Did, now_s: float) -> Step:
    match job.stage, event:
        case "queued", Admitted(installed=True) if job.offer.version == state.running:
            return _end(state, job, "committed")
        case "queued", Admitted(installed=True):
            return _staged(state, job)
        case "queued", Admitted():
            return _with(state, stage="downloading", tries=0, reason=None), [Fetch(job.offer)]
        case "downloading", Did():
            return _with(state, stage="verifying", tries=0, progress=1.0, reason=None), [Verify(job.offer)]
        case "verifying", Did():
            return _staged(state, job)
        case "staged", Did():
            return _with(state, stage="applying"), [Switch(job.offer.version)]
        case "applying", Did():
            state = _with(state, stage="checking", begun_s=now_s, well_since_s=None)
            return (state, []) if state.following is None else _go_back(state, _OVERTAKEN)
        case "going_back", Did():
            return _end(state, job, "rolled_back", job.reason)
    return state, []


def _staged(state: State, job: Job) -> Step:
    return _with(state, stage="staged", progress=1.0, reason=None), [Prove(job.offer.version, state.running)]


def _refused(state: State, job: Job, words: str) -> Step:
    if job.stage == "applying":
        return _go_back(state, words)
    if job.stage == "going_back":  # what runs is reported by heartbeats; there is nothing left to go back to
        return _end(state, job, "rolled_back", f"{job.reason}; and going back went wrong: {words}")
    return _end(state, job, "failed", words)


def _broken_off(state: State, job: Job, words: str, now_s: float, rules: Rules, *, gained: bool) -> Step:
    if job.stage not in {"queued", "downloading", "verifying"}:
        return _refused(state, job, words)
    tries = 1 if gained else job.tries + 1
    if tries > rules.retries:
        return _end(state, job, "failed", f"{words}; given up after {tries} tries")
    stage: Stage = "downloading" if job.stage == "verifying" else job.stage  # what had arrived was not what was promised
    return _with(state, stage=stage, tries=tries, reason=words, retry_at_s=now_s + rules.delay_s(tries)), []


def _looked(state: State, job: Job, seen: Looked, now_s: float, rules: Rules) -> Step:
    if seen.trouble is None:
        since_s = now_s if job.well_since_s is None else job.well_since_s
        if now_s - since_s >= rules.verify_s:
            return _end(state, job, "committed")
        return _with(state, well_since_s=since_s, reason=None), []
    if seen.hopeless:
        return _go_back(state, seen.trouble)
    if now_s - job.begun_s >= rules.settle_s + rules.verify_s:
        return _go_back(state, f"not well within {rules.settle_s + rules.verify_s:g} s: {seen.trouble}")
    return _with(state, well_since_s=None, reason=seen.trouble), []


def _go_back(state: State, reason: str) -> Step:
    return _with(state, stage="going_back", reason=reason), [GoBack(state.running)]


def report(state: State) -> ReleaseReport | None:
    """What is reported: of the change that is under way, else how the last one ended; None when there is nothing to say."""
    job, last = state.job, state.last
    status: ReleaseStatus
    progress: float | None = 1.0
    reason = None
    version, previous = state.running, state.previous
    if job is not None:
        status = "checking" if job.stage == "going_back" else job.stage
        version, previous, progress, reason = job.offer.version, state.running, job.progress, job.reason
    elif last is not None:
        status, version, reason = last.status, last.version, last.reason
        previous = state.previous if status == "committed" else state.running
        progress = None if status == "failed" else 1.0
    elif version is not None:
        status = "committed"
    else:
        return None
    return ReleaseReport(version=version, previous=previous, status=status, progress=progress, reason=reason)
