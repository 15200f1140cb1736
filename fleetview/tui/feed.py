"""What the app knows of what keeps its fleet up to date: a connection, a replay, or what a test puts there."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Protocol

from fleetview.feeds.states import LinkState


class Feed(Protocol):
    """What keeps the fleet up to date."""

    @property
    def state(self) -> LinkState:
        """How the link stands."""

    @property
    def messages(self) -> int:
        """Messages so far."""

    @property
    def filling(self) -> bool:
        """Whether what the broker has retained is still coming."""

    def run(self) -> Coroutine[Any, Any, None]:
        """Feed the fleet until cancelled."""

    def retry_now(self) -> None:
        """Do not wait for the next attempt."""

    def give_way(self, for_s: float) -> None:
        """For so long take in little at a time."""
