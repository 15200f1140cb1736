"""One event at a time: the decisions of a rollout."""

from __future__ import annotations

from fleetview.core.rollout.events import Event, Outcome
from fleetview.core.rollout.plan import Plan
from fleetview.core.rollout.state import Head, Rollout


def create(plan: Plan, by: str, now_s: float) -> Rollout:
    """A new rollout, as a draft. Its first Tick asks for its members, or for approval."""
    head = Head(id=plan.name, by=by, created_s=now_s, digest=plan.digest, since_s=now_s, now_s=now_s)
    return Rollout(plan, head)


def step(rollout: Rollout, event: Event, now_s: float) -> Outcome:
    """Let one event happen. The rollout is changed in place: 10,000 devices are not copied for each heartbeat.

    Never raises for what devices, metrics or operators say. `now_s` is seconds since 1970; one that goes back counts as no
    time passed.
    """
    raise NotImplementedError
