"""What everybody may see of rollouts: their retained snapshots, brought up to date, and taken down when they are old."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleetview.control.journal import Journal, Post
from fleetview.core.rollout.shown_logs import shown_differences
from fleetview.core.rollout.snapshot import message_of, snapshot
from fleetview.core.rollout.state import FINAL, Rollout
from fleetview_agent.wire import Topics, encode

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from fleetview.control.logs import LogEvidence
    from fleetview.control.running import Run

MAX_FINAL = 50
"""So many rollouts of which nothing follows any more stay on the broker; of those before, the journal tells."""
_META = "taken_down_s"


class Showing:
    """The snapshots of a tenant's rollouts."""

    def __init__(self, journal: Journal, topics: Topics, tenant: str, logs: LogEvidence) -> None:
        self._journal, self._topics, self._tenant, self._logs = journal, topics, tenant, logs
        self._taken_down_s = self._kept_s = float(journal.meta(_META) or 0.0)
        """What was final then is not on the broker any more."""

    def posts(self, runs: Collection[Run]) -> Iterator[Post]:
        """What is to be published, so that what everybody sees is up to date."""
        for rollout in self._to_take_down(runs):
            self._taken_down_s = rollout.head.since_s
            yield Post(self._topics.rollout(self._tenant, rollout.id), b"")
        for run in runs:
            if run.shown:
                continue
            run.shown = True
            if not self._is_down(run.rollout):
                yield self._post(run)

    def committed(self) -> None:
        """The journal holds the posts: what they take down is not to be published again. Raises JournalError."""
        if self._kept_s != self._taken_down_s:
            self._kept_s = self._taken_down_s
            self._journal.keep(_META, repr(self._kept_s))

    def _post(self, run: Run) -> Post:
        public = snapshot(run.rollout)
        public.answers = list(run.answers)
        if (differences := self._logs.of(run.rollout.id)) is not None:
            public.log_differences = shown_differences(differences)
            public.log_differences_unlisted = differences.unlisted
            public.log_records_left_out = differences.left_out
        return Post(self._topics.rollout(self._tenant, run.rollout.id), encode(message_of(public), compress=True))

    def _to_take_down(self, runs: Collection[Run]) -> list[Rollout]:
        final = [run.rollout for run in runs if run.rollout.head.status in FINAL]
        if len(final) <= MAX_FINAL:
            return []
        final.sort(key=lambda rollout: rollout.head.since_s)
        return [rollout for rollout in final[:-MAX_FINAL] if not self._is_down(rollout)]

    def _is_down(self, rollout: Rollout) -> bool:
        return rollout.head.status in FINAL and rollout.head.since_s <= self._taken_down_s
