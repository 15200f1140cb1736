"""The states of a rollout as a table, to be checked against the page of semantics in one look.

draft ─▶ [awaiting_approval] ─▶ scheduled ─▶ running ─▶ succeeded | succeeded_with_stragglers
running ◀─▶ paused{reasons}        running, paused ─▶ aborting ─▶ aborted
running, paused, aborted, succeeded ─▶ rolling_back ─▶ rolled_back | rollback_failed
any that is not final ─▶ superseded
inside running, for each wave:  dispatching ─▶ applying ─▶ baking ─▶ judging ─▶ next wave | paused | rolling_back
"""

from __future__ import annotations

from collections.abc import Mapping

from fleetview.core.rollout.state import FINAL, Phase, Status
from fleetview_agent.wire.messages import RolloutVerb

_S = Status

STATUSES: Mapping[Status, frozenset[Status]] = {
    _S.DRAFT: frozenset({_S.AWAITING_APPROVAL, _S.SCHEDULED, _S.ABORTED}),
    _S.AWAITING_APPROVAL: frozenset({_S.SCHEDULED, _S.ABORTED}),
    _S.SCHEDULED: frozenset({_S.RUNNING, _S.ABORTED}),
    _S.RUNNING: frozenset({_S.PAUSED, _S.SUCCEEDED, _S.SUCCEEDED_WITH_STRAGGLERS, _S.ABORTING, _S.ROLLING_BACK}),
    _S.PAUSED: frozenset({_S.RUNNING, _S.ABORTING, _S.ROLLING_BACK}),
    _S.ABORTING: frozenset({_S.ABORTED}),
    _S.ABORTED: frozenset({_S.ROLLING_BACK}),
    _S.SUCCEEDED: frozenset({_S.ROLLING_BACK}),
    _S.SUCCEEDED_WITH_STRAGGLERS: frozenset({_S.ROLLING_BACK}),
    _S.ROLLING_BACK: frozenset({_S.ROLLED_BACK, _S.ROLLBACK_FAILED}),
    _S.ROLLED_BACK: frozenset(),
    _S.ROLLBACK_FAILED: frozenset(),
    _S.SUPERSEDED: frozenset(),
}
"""From each status to which others; besides, any that is not final to superseded. Before anything was offered, abort goes
straight to aborted: there is nothing to withdraw."""

PHASES: Mapping[Phase, frozenset[Phase]] = {
    Phase.DISPATCHING: frozenset({Phase.APPLYING, Phase.DISPATCHING}),
    Phase.APPLYING: frozenset({Phase.BAKING, Phase.DISPATCHING}),
    Phase.BAKING: frozenset({Phase.JUDGING, Phase.DISPATCHING}),
    Phase.JUDGING: frozenset({Phase.DISPATCHING, Phase.BAKING}),
}
"""From each phase of a wave to which others. Back to dispatching: the next wave, or a retry; from there itself, a wave that
adds no device is over at once. Back to baking: resumed, the same wave is judged again."""

VERBS: Mapping[RolloutVerb, frozenset[Status]] = {
    "pause": frozenset({_S.RUNNING, _S.PAUSED}),
    "resume": frozenset({_S.PAUSED, _S.AWAITING_APPROVAL}),
    "retry": frozenset({_S.RUNNING, _S.PAUSED}),
    "skip": frozenset({_S.RUNNING, _S.PAUSED}),
    "abort": frozenset({_S.DRAFT, _S.AWAITING_APPROVAL, _S.SCHEDULED, _S.RUNNING, _S.PAUSED}),
    "rollback": frozenset({_S.RUNNING, _S.PAUSED, _S.ABORTED, _S.SUCCEEDED, _S.SUCCEEDED_WITH_STRAGGLERS}),
}
"""In which status each verb is taken."""


def leads(status: Status, to: Status) -> bool:
    """Whether there is a way from one status to another."""
    return to in STATUSES[status] or (to is Status.SUPERSEDED and status not in FINAL)
