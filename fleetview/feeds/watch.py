"""A fleet, and the connection that keeps it up to date: what the dashboard and the headless commands share."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from fleetview.core.fleet import Fleet
from fleetview.feeds.mqtt import Connection
from fleetview.feeds.states import LinkState, Up
from fleetview_agent.wire import Topics

if TYPE_CHECKING:
    from collections.abc import Callable

    from fleetview.config import Context
    from fleetview.core.received import Received
    from fleetview_agent.wire import Address


class FleetFeed:
    """Applies what comes over a context's connection to a fleet, and tells the fleet when nothing can be seen (rule 6)."""

    def __init__(
        self,
        context: Context,
        fleet: Fleet,
        *,
        logs: bool = True,
        on_state: Callable[[LinkState], object] | None = None,
        on_applied: Callable[[Received], object] | None = None,
        wanted: Callable[[Address], bool] | None = None,
        **options: Any,  # noqa: ANN401 (those of Connection)
    ) -> None:
        """Whoever keeps more of a message than the fleet gets it by `on_applied`; `wanted` says of which devices any.

        What is only to be read has a connection that cannot publish.
        """
        self.fleet = fleet
        self._on_state = on_state
        self.on_applied = on_applied
        self._up = False
        self.connection = Connection(
            context.broker,
            self._apply,
            tls=context.tls,
            topics=Topics(context.root),
            scope=context.scope,
            logs=logs,
            on_state=self._link_changed,
            wanted=wanted,
            may_publish=not context.read_only,
            **options,
        )

    def _apply(self, received: Received) -> None:
        if not self._up:
            # The first retained messages come before the last subscription is granted: the link can be seen through already.
            self._up = True
            self.fleet.link_up(received.mono_s)
        self.fleet.apply(received)
        if self.on_applied is not None:
            self.on_applied(received)

    def _link_changed(self, state: LinkState) -> None:
        if isinstance(state, Up):
            self._up = True
            self.fleet.link_up(state.since_mono_s)
        elif self._up:
            self._up = False
            self.fleet.link_down(monotonic())
        if self._on_state is not None:
            self._on_state(state)
