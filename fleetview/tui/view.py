"""What every screen of the dashboard has in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

from textual.binding import Binding
from textual.screen import Screen
from textual.widgets import Input

from fleetview.core.device import Device
from fleetview.core.roster import Changes
from fleetview.tui.widgets.bars import KeyLine
from fleetview_agent.wire import Address

if TYPE_CHECKING:
    from fleetview.tui.app import FleetApp
    from fleetview.tui.fleet_rows import Now

OPENS_INPUT = True
"""Bindings that open a line to type in are looked up with priority: the app does that itself, before it gives the next key
to whatever has the focus then. Else the letters of who types fast, or pastes, are taken for keys of the list."""
_OPENING = frozenset({"filter", "jump", "find", "time", "export", "ask"})
_ACTS = frozenset({"order", "order_for", "orders"})
"""What is asked of devices: where only reading is allowed, there are no such keys."""
Place = tuple[
    Literal["fleet", "device", "logs", "alerts", "charts", "metrics", "commands", "rollouts", "rollout"],
    Address | tuple[str, str] | None,
]


def opens_filter(name: str, tooltip: str) -> Binding:
    """`/` on a screen with a filter line: the binding with this id."""
    return Binding("slash", "filter", "filter", key_display="/", id=name, tooltip=tooltip, priority=OPENS_INPUT)


def trail(screens: Iterable[Screen[Any]]) -> tuple[str, ...]:
    """How one came to the last of these screens: `gw-0042`, `logs`."""
    crumbs: list[str] = []
    for screen in screens:
        if isinstance(screen, View):
            crumb = screen.crumb
            before = crumbs[-1] if crumbs else ""
            crumbs.append(crumb.removesuffix(f" of {before}"))
    return tuple(crumbs)


class View(Screen[None]):
    """A screen that is told once per tick what changed."""

    app: FleetApp

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in _OPENING and isinstance(self.focused, Input):
            return False  # it is typed there
        if action in _ACTS and not self.app.orders.allowed:
            return False
        return super().check_action(action, parameters)

    def meant(self) -> tuple[list[Device], str | None]:
        """The devices that a command without a filter is for, and the filter that means just these, if there is one."""
        return [], None

    @property
    def place(self) -> Place:
        """What this screen shows: there is one of each at most on the way back to the fleet."""
        raise NotImplementedError

    @property
    def crumb(self) -> str:
        """What this screen is called in the trail that leads to it."""
        raise NotImplementedError

    def show(self, changes: Changes, now: Now) -> None:
        """Repaint what changed."""
        raise NotImplementedError

    def show_all(self) -> None:
        """Repaint all: what changed while another screen was on top was not told."""
        self.show(Changes(), self.app.now())

    def on_descendant_focus(self) -> None:
        for keys in self.query(KeyLine):
            keys.repaint()  # other keys work there

    def on_screen_resume(self) -> None:
        self.call_after_refresh(self._come_back)

    def _come_back(self) -> None:
        if self in self.app.screen_stack:  # on the way back over several screens, those in between are gone by now
            self.show_all()
