"""The fleet as a table: worst first, the cursor pinned to a device, site outages folded to one row."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from textual.message import Message

from fleetview.core.device import Device
from fleetview.core.fleet import Fleet
from fleetview.core.outages import Site
from fleetview.core.roster import Changes, site_of
from fleetview.core.trouble import trouble_of
from fleetview.tui.fleet_rows import Columns, Now, device_row, layout, outage_row
from fleetview.tui.glyphs import Glyphs
from fleetview.tui.spans import EMPTY, Line
from fleetview.tui.widgets.lines import LineList

QUIET_S = 2.0
"""Rows stay where they are until the person has not moved for this long."""
RESORT_S = 1.0

Row = Device | Site
Key = tuple[int, str, str, str]


def sort_key(device: Device) -> Key:
    """Worst first, then by address."""
    tenant, site, name = device.address
    return (trouble_of(device), tenant, site, name)


class FleetTable(LineList):
    """The devices that a filter lets through."""

    class DeviceChosen(Message):
        """A device was opened."""

        def __init__(self, device: Device) -> None:
            super().__init__()
            self.device = device

    def __init__(self, fleet: Fleet, glyphs: Glyphs, now: Callable[[], Now]) -> None:
        super().__init__(id="fleet-table")
        self._fleet = fleet
        self._glyphs = glyphs
        self._now = now
        self._rows: list[Row] = []
        self._index: dict[Row, int] = {}
        self._keys: dict[Device, Key] = {}
        self._unfolded: set[Site] = set()
        self._predicate: Callable[[Device], bool] | None = None
        self._columns: Columns | None = None
        self._pinned: Row | None = None
        self._moved_mono = -QUIET_S
        self._sorted_mono = -RESORT_S
        self._stale_order = True

    # -- what is shown

    @property
    def selected(self) -> Row | None:
        """What the cursor is on."""
        return self._rows[self.cursor] if self.cursor < len(self._rows) else None

    @property
    def shown(self) -> int:
        """Devices that the filter lets through, those in folded outages included."""
        return len(self._keys)

    def set_filter(self, predicate: Callable[[Device], bool] | None) -> None:
        """Show only the devices for which this holds."""
        self._predicate = predicate
        self._rebuild(self._now())

    def show(self, changes: Changes, now: Now) -> None:
        """Take in what changed."""
        # Some filters change their answer by the clock alone, such as seen>5m.
        by_clock = getattr(self._predicate, "uses_clock", False)
        if by_clock or changes.added or changes.removed or changes.outages or self._order_changed(changes.touched):
            self._stale_order = True
        quiet = now.mono_s - self._moved_mono >= QUIET_S and now.mono_s - self._sorted_mono >= RESORT_S
        if self._stale_order and (quiet or changes.removed or not self._rows):
            self._rebuild(now)
        else:
            self.repaint()

    def rebuild(self) -> None:
        """Show all anew."""
        self._rebuild(self._now())

    def _order_changed(self, touched: Iterable[Device]) -> bool:
        for device in touched:
            known = self._keys.get(device)
            if known is not None and known != sort_key(device):
                return True
            if self._predicate is not None and (known is None) == self._predicate(device):
                return True
        return False

    def _rebuild(self, now: Now) -> None:
        self._stale_order = False
        self._sorted_mono = now.mono_s
        before, offset = self.cursor, self.scroll_offset.y
        predicate = self._predicate
        self._keys = {
            device: sort_key(device) for device in self._fleet.devices.values() if predicate is None or predicate(device)
        }
        self._columns = None
        ordered = sorted(self._keys, key=self._keys.__getitem__)
        self._rows = [*self._outage_rows(ordered), *(device for device in ordered if not device.in_outage)]
        self._index = {row: index for index, row in enumerate(self._rows)}
        if self._pinned is not None:
            self.cursor = self._place_of(self._pinned, min(before, max(0, len(self._rows) - 1)))
        else:
            self.cursor = min(before, max(0, len(self._rows) - 1))
        self._shown = {}
        self.set_rows_changed()
        if self.cursor != before and 0 <= before - offset < self.page:
            self.scroll_to(y=max(0, offset + self.cursor - before), animate=False, force=True)
        self.refresh()

    def _place_of(self, row: Row, otherwise: int) -> int:
        """Where a row stands now; for a device in a folded outage, where the outage stands."""
        if isinstance(row, Device) and row not in self._index:
            row = site_of(row)
        return self._index.get(row, otherwise)

    def _outage_rows(self, ordered: list[Device]) -> Iterable[Row]:
        members: dict[Site, list[Device]] = {}
        for device in ordered:
            if device.in_outage:
                members.setdefault(site_of(device), []).append(device)
        for site, devices in sorted(members.items()):
            yield site
            if site in self._unfolded:
                yield from devices

    # -- LineList

    def row_count(self) -> int:
        return len(self._rows)

    def columns(self, width: int) -> Columns:
        """The columns for a width; a scrollbar that comes or goes changes it without a resize."""
        if self._columns is None or self._columns.of_width != width:
            # Of all devices: the columns must not jump when a filter takes the longest name away.
            self._columns = layout(width, self._fleet.devices.values())
        return self._columns

    def header(self, width: int) -> Line:
        return self.columns(width).head()

    def row(self, index: int, width: int) -> Line:
        row, now = self._rows[index], self._now()
        if isinstance(row, Device):
            return device_row(row, self.columns(width), now, self._glyphs, indent=row.in_outage)
        outage = self._fleet.outages.get(row)
        if outage is None:
            return EMPTY
        return outage_row(outage, width, now, self._glyphs, folded=row not in self._unfolded)

    def on_cursor_moved(self) -> None:
        self._pinned = self.selected

    def on_line_list_moved(self) -> None:
        self._moved_mono = self._now().mono_s
        self._pinned = self.selected

    def on_line_list_chosen(self, event: LineList.Chosen) -> None:
        event.stop()
        row = self._rows[event.index]
        if isinstance(row, Device):
            self._pinned = row
            self.post_message(self.DeviceChosen(row))
        else:
            self._unfolded ^= {row}
            self._pinned = row
            self._rebuild(self._now())
