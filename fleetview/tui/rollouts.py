"""What the app knows of rollouts, and how it steers them: what an order would do is said first."""

from __future__ import annotations

import shlex
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from fleetview.tui.alert_desk import Plan
from fleetview.tui.spans import visible

if TYPE_CHECKING:
    from fleetview.core.rollout.board import Board, Key
    from fleetview.core.rollout.snapshot import ShownAnswer
    from fleetview_agent.wire.messages import RolloutVerb

WATCH_S = 60.0
NEEDS_REASON = frozenset({"skip", "abort", "rollback"})


class RolloutFeed(Protocol):
    """Who tells of rollouts, and takes orders."""

    @property
    def board(self) -> Board:
        """What is known."""

    @property
    def changes(self) -> int:
        """Counts up with whatever is told."""

    def order(self, key: Key, verb: RolloutVerb, reason: str, **fields: Any) -> Awaitable[ShownAnswer]:  # noqa: ANN401
        """Give an order; raises an exception in words when there is no answer."""

    def watch(self, key: Key, until: datetime) -> Awaitable[None]:
        """Say that somebody looks."""


@dataclass(frozen=True, slots=True)
class RolloutSetup:
    """How rollouts are come by, and what may be done about them from here."""

    feed: RolloutFeed | None = None
    read_only: str | None = None
    """Why nothing is changed from here, in words."""
    options: str = ""
    """What the command line needs to mean the same fleet."""

    @property
    def board(self) -> Board:
        """What is known."""
        from fleetview.core.rollout.board import Board  # noqa: PLC0415  # 60 ms that the first picture does not wait for

        return Board() if self.feed is None else self.feed.board

    @property
    def changes(self) -> int:
        """Counts up with whatever is told."""
        return 0 if self.feed is None else self.feed.changes


def plan_of(setup: RolloutSetup, key: Key, verb: RolloutVerb) -> Callable[[Mapping[str, str]], Awaitable[Plan]]:
    """How a form becomes an order."""

    async def plan(form: Mapping[str, str]) -> Plan:
        if setup.read_only is not None or setup.feed is None:
            raise ValueError(setup.read_only or "rollouts are not steered from here")
        feed, shown = setup.feed, setup.board.rollouts.get(key)
        consequence = None if shown is None else shown.public.verbs.get(verb)
        if shown is None or consequence is None:
            msg = f"{verb} would do nothing now: the rollout is {shown.public.status.value if shown else 'no more'}"
            raise ValueError(msg)
        reason = form.get("reason", "").strip()
        if verb in NEEDS_REASON and not reason:
            msg = "reason: say why; it stands in the record"
            raise ValueError(msg)
        fields: dict[str, Any] = {"revision": shown.public.revision}
        command = f"fleetview rollout {verb}{setup.options} {shlex.quote(key.id)}"
        if verb == "skip":
            fields["confirm"] = form.get("confirm", "").strip()
            command += f" --confirm {shlex.quote(fields['confirm'])}"
            if fields["confirm"] != key.id:
                msg = f"id: type {key.id}: the gate is passed without proof"
                raise ValueError(msg)
        if verb == "resume" and any(pause.reason == "approval" for pause in shown.public.pauses):
            fields["reasons"] = ("approval",)
            command += " --removes approval"
        command += f" --reason {shlex.quote(reason)}" if reason else ""

        async def perform() -> str:
            answer = await feed.order(key, verb, reason, **fields)
            return f"{verb}: {'taken' if answer.taken else 'refused'}: {visible(answer.text)}"

        return Plan(visible(consequence), command, perform)

    return plan


async def say_watching(setup: RolloutSetup, key: Key) -> None:
    """Tell who runs a rollout that somebody looks at it; nobody is told from a read-only context."""
    if setup.feed is not None and setup.read_only is None:
        await setup.feed.watch(key, datetime.now(UTC) + timedelta(seconds=WATCH_S))
