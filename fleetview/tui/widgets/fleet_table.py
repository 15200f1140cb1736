"""The fleet as a table: worst first or as asked, the cursor pinned to a device, outages and groups folded to one row."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

from textual import events
from textual.message import Message

from fleetview.core.alertbook import Badge
from fleetview.core.arrangement import Arrangement, Group, Row
from fleetview.core.device import Device
from fleetview.core.fleet import Fleet
from fleetview.core.roster import Changes, NameSizes
from fleetview.core.sorting import nothing_more
from fleetview.tui.columns import Columns, Now, layout
from fleetview.tui.fleet_rows import device_row, group_row, outage_row
from fleetview.tui.glyphs import Glyphs
from fleetview.tui.spans import EMPTY, Line
from fleetview.tui.widgets.lines import LineList
from fleetview_agent.wire import Address

if TYPE_CHECKING:
    from fleetview.tui.app import FleetApp
    from fleetview.tui.device_columns import DeviceColumns

QUIET_S = 2.0
"""Rows stay where they are until the person has not moved for this long."""
RESORT_S = 1.0
_RESORT_COSTS = 10
"""Rows are worked out anew at most for a tenth of the time: of 100,000 devices that takes 0.2 s."""
_SLICE_S = 0.006
"""Work on the rows between two looks at keys and messages."""
_AFTER_A_KEY_S = 0.04
"""The work stands still for so long after a key. It comes to the screen over some ten turns of the event loop, and would
have to wait for as many slices."""


class FleetTable(LineList):
    """The devices that a filter lets through."""

    app: FleetApp

    class DeviceChosen(Message):
        """A device was opened."""

        def __init__(self, device: Device) -> None:
            super().__init__()
            self.device = device

    class HeaderClicked(Message):
        """The title of a column was clicked."""

        def __init__(self, column: str) -> None:
            super().__init__()
            self.column = column

    class Arranged(Message):
        """There are new rows."""

    def __init__(
        self,
        fleet: Fleet,
        glyphs: Glyphs,
        now: Callable[[], Now],
        badge_of: Callable[[Address], Badge | None] = lambda _: None,
        more: DeviceColumns | None = None,
    ) -> None:
        super().__init__(id="fleet-table")
        self.selection: set[Device] = set()
        """The devices that were selected one by one, whether they are shown or not."""
        self._fleet = fleet
        self._glyphs = glyphs
        self._now = now
        self._badge_of = badge_of
        self._more = more
        self._arrangement = Arrangement(fleet, now, nothing_more if more is None else more.sorter)
        self._chosen_columns: Sequence[str] | None = None
        self._columns: Columns | None = None
        self._head: tuple[object, Line] = (None, EMPTY)
        self._sized_for: tuple[NameSizes, int] = (NameSizes(), 0)
        self._pinned: Row | None = None
        self._to_top = False
        self._moved_mono = -QUIET_S
        self._began_mono = -RESORT_S
        self._cost_s = 0.0
        self._started_s = 0.0

    # -- what is shown

    @property
    def selected(self) -> Row | None:
        """What the cursor is on."""
        rows = self._arrangement.rows
        return rows[self.cursor] if self.cursor < len(rows) else None

    @property
    def arrangement(self) -> Arrangement:
        """The rows, and what was asked for. To be read only."""
        return self._arrangement

    def ask(self, **wish: Any) -> None:  # noqa: ANN401  # the fields of Wish
        """Filter, sort or group otherwise. Raises QueryError for a field that there is not."""
        self._arrangement.ask(replace(self._arrangement.wish, **wish))
        # Who sorts wants to see what comes first then, and not where the device has gone that the cursor was on.
        self._to_top = self._to_top or not wish.keys() <= {"predicate", "faults_only"}
        self._start()

    @property
    def more_columns(self) -> list[str]:
        """The columns shown that are filled from elsewhere."""
        columns = self._columns
        return [] if columns is None else [name for name, _ in columns.widths if name in columns.more]

    def choose_columns(self, names: Sequence[str] | None) -> None:
        """Show these columns; None for those that there is room for."""
        self._chosen_columns = names
        self._columns = None
        self._shown = {}
        self.repaint()

    def in_sight(self, around: int = 0) -> list[Device]:
        """The devices of the rows that are shown, and of so many above and below them."""
        top = self.scroll_offset.y
        rows = self._arrangement.rows[max(0, top - around) : top + self.page + around]
        return [row for row in rows if isinstance(row, Device)]

    def show(self, changes: Changes, now: Now) -> None:
        """Take in what changed."""
        if self._more is not None:
            by = self._arrangement.wish.sort
            wanted = [*self.more_columns, by] if by in self._more.specs else self.more_columns
            self._more.look(wanted, self.in_sight, now)
        table = self._arrangement
        table.note(changes)
        self.selection -= changes.removed
        quiet = now.mono_s - self._moved_mono >= QUIET_S
        due = now.mono_s - self._began_mono >= max(RESORT_S, _RESORT_COSTS * self._cost_s)
        if table.stale and not table.working and ((quiet and due) or changes.removed or not table.rows):
            table.begin()
            self._start()
        else:
            self.repaint()

    def rebuild(self) -> None:
        """Show all anew, after a time in which nobody told what changed."""
        if self.selection:
            self.selection &= set(self._fleet.devices.values())
        self._arrangement.look_again()
        self._start()

    # -- working out the rows

    def _start(self) -> None:
        self._began_mono, self._cost_s = self._now().mono_s, 0.0
        self._started_s = perf_counter()
        if not self._go_on():
            self.run_worker(self._in_slices, group="arrange", exclusive=True)  # type: ignore[arg-type]  # Textual 8.2 types it so

    async def _in_slices(self) -> None:
        while not self._go_on():  # noqa: ASYNC110  # nothing is waited for
            await asyncio.sleep(self._owed_to_a_key_s())  # keys and messages first

    def _owed_to_a_key_s(self) -> float:
        since_s = perf_counter() - self.app.key_at_s
        return max(0.0, _AFTER_A_KEY_S - since_s) if self.app.key_at_s > self._started_s else 0.0

    def _go_on(self) -> bool:
        began = perf_counter()
        done = self._arrangement.step(lambda: perf_counter() - began >= _SLICE_S)
        self._cost_s += perf_counter() - began
        if done:
            self._take_over()
        return not self._arrangement.working

    def _take_over(self) -> None:
        """Put the cursor where its device is now."""
        if self._to_top:
            self._to_top, self._pinned, self.cursor = False, None, 0
            self.scroll_to(y=0, animate=False, force=True)
        before, offset = self.cursor, self.scroll_offset.y
        table = self._arrangement
        place = None if self._pinned is None else table.place_of(self._pinned)
        self.cursor = min(before, max(0, len(table.rows) - 1)) if place is None else place
        self._shown = {}
        self.set_rows_changed()
        if self.cursor != before and 0 <= before - offset < self.page:
            self.scroll_to(y=max(0, offset + self.cursor - before), animate=False, force=True)
        self.refresh()
        self.post_message(self.Arranged())

    # -- selecting, folding, finding

    def select_row(self) -> None:
        """Select what the cursor is on, or no longer; a group or an outage with all its devices."""
        row = self.selected
        if row is None:
            return
        devices = set(self._devices_of(row))
        self.selection = self.selection - devices if devices <= self.selection else self.selection | devices
        self.move_cursor(self.cursor + 1)
        self.repaint()

    def select_all(self) -> None:
        """Select every device that the filter lets through; none, when all of them were selected."""
        shown = set(self._arrangement.devices())
        self.selection = self.selection - shown if shown <= self.selection else self.selection | shown
        self.repaint()

    def chosen(self) -> list[Device]:
        """The devices that are selected, or those that the cursor is on: one, or all of a group or an outage."""
        found = self.selection or (set(self._devices_of(self.selected)) if self.selected is not None else set())
        return sorted(found, key=lambda device: device.address)

    def select_none(self) -> None:
        """Nothing is selected any more."""
        self.selection = set()
        self.repaint()

    def _devices_of(self, row: Row) -> Iterable[Device]:
        if isinstance(row, Device):
            return (row,)
        if isinstance(row, Group):
            return row.devices
        outage = self._fleet.outages.get(row)
        return () if outage is None else outage.devices

    def fold_all(self) -> None:
        """Fold everything, or unfold everything where all is folded."""
        self._arrangement.fold_all(folded=bool(self._arrangement.unfolded))
        self._take_over()

    def jump(self, text: str) -> bool:
        """To the next row whose name begins so, or else holds it. Says whether there is one."""
        rows, wanted = self._arrangement.rows, text.lower()
        for test in (str.startswith, str.__contains__):
            for step in range(len(rows)):
                place = (self.cursor + step) % len(rows)
                if test(_name(rows[place]), wanted):
                    self.move_cursor(place)
                    self.on_line_list_moved()
                    return True
        return False

    # -- LineList

    def row_count(self) -> int:
        return len(self._arrangement.rows)

    def columns(self, width: int) -> Columns:
        """The columns for a width; a scrollbar that comes or goes changes it without a resize."""
        roster = self._fleet.roster
        sizes = (roster.name_sizes, len(roster.tenants))
        if self._columns is None or self._columns.of_width != width or self._sized_for != sizes:
            self._sized_for = sizes
            self._columns = layout(
                width, *self._sized_for, self._chosen_columns, {} if self._more is None else self._more.specs
            )
        return self._columns

    def header(self, width: int) -> Line:
        wish, columns = self._arrangement.wish, self.columns(width)
        key = (columns, wish.sort, wish.descending)
        if self._head[0] != key:  # asked for once a row
            arrow = self._glyphs.down if wish.descending else self._glyphs.up
            self._head = (key, columns.head(wish.sort, arrow))
        return self._head[1]

    def row(self, index: int, width: int) -> Line:
        row, now = self._arrangement.rows[index], self._now()
        if isinstance(row, Device):
            indent = row.in_outage and not self._arrangement.wish.group_by
            badge, chosen = self._badge_of(row.address), row in self.selection
            drawn = None if self._more is None else self._more.cell
            return device_row(
                row, self.columns(width), now, self._glyphs, indent=indent, selected=chosen, badge=badge, drawn=drawn
            )
        if isinstance(row, Group):
            folded = row.value not in self._arrangement.unfolded
            selected = sum(device in self.selection for device in row.devices) if self.selection else 0
            return group_row(
                row, self._arrangement.wish.group_by or "", width, self._glyphs, folded=folded, selected=selected
            )
        outage = self._fleet.outages.get(row)
        if outage is None:
            return EMPTY
        return outage_row(outage, width, now, self._glyphs, folded=row not in self._arrangement.unfolded)

    def on_cursor_moved(self) -> None:
        self._pinned = self.selected
        self._to_top = False  # whoever moves meanwhile knows better

    def on_line_list_moved(self) -> None:
        self._moved_mono = self._now().mono_s
        self._pinned = self.selected

    def on_line_list_chosen(self, event: LineList.Chosen) -> None:
        event.stop()
        row = self._arrangement.rows[event.index]
        self._pinned = row
        if isinstance(row, Device):
            self.post_message(self.DeviceChosen(row))
        else:
            self._arrangement.toggle(row)
            self._take_over()

    def on_click(self, event: events.Click) -> None:
        if event.y == 0 and (name := self.columns(self.width).at(event.x)) is not None:
            event.prevent_default()
            self.post_message(self.HeaderClicked(name))


def _name(row: Row) -> str:
    if isinstance(row, Device):
        return row.address.device.lower()
    return (row.value if isinstance(row, Group) else row.name).lower()
