"""What an agent lends to its built-in modules, made of its parts."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fleetview_agent.config import AgentConfig
from fleetview_agent.endpoint import Failure, FailureKind, LinkError
from fleetview_agent.hearers import Hearers
from fleetview_agent.journal import Intake
from fleetview_agent.link import Link, Up
from fleetview_agent.metrics import Recent, Vitals
from fleetview_agent.modules.builtin import Board, Lent
from fleetview_agent.spool import Spool
from fleetview_agent.supervisor import Supervisor


@dataclass(slots=True)
class Lender:
    """The parts of an agent that its built-in modules see. `started_s` is of the monotonic clock."""

    config: Callable[[], AgentConfig]
    folder: Path
    link: Link
    spool: Spool
    intake: Intake
    metrics: Callable[[], Mapping[str, float | None]]
    beat: Callable[[], None]
    take_releases: Callable[[], Awaitable[None]]
    started_s: float
    board: Board = field(default_factory=Board)
    modules_changed: Hearers[[]] = field(default_factory=Hearers)

    def lend_from(self, supervisor: Supervisor) -> Lent:
        """All that is lent."""
        recent = Recent(Vitals(self.folder))
        return Lent(
            config=self.config,
            folder=self.folder,
            board=self.board,
            vitals=recent.resources,
            metrics=self.metrics,
            spool=self.spool.depth,
            uptime_s=lambda: time.monotonic() - self.started_s,
            link_is_up=lambda: isinstance(self.link.state, Up),
            modules=supervisor.infos,
            groups=supervisor.groups,
            on_modules=self.modules_changed.add,
            on_records=self.intake.hearers.add,
            listen=self.link.listen,
            run=supervisor.run_function,
            publish=self._publish,
            restart=supervisor.restart,
            beat=self.beat,
            take_releases=self.take_releases,
            take=self.intake.take,
        )

    async def _publish(self, topic: str, payload: bytes) -> None:
        if not isinstance(self.link.state, Up):
            raise LinkError(Failure(FailureKind.LOST, "there is no link to the broker"))
        await self.link.state.session.publish(topic, payload, qos=1)
