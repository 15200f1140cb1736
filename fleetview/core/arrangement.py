"""Which devices a table shows, in which order and in which groups: worked out in slices, so that no key waits for it.

With 100,000 devices filtering, sorting and grouping takes a tenth of a second and more. `step` does as much of it as it is
given time for, and what was shown stays until the new rows are whole. All of it is a function of the fleet and of what was
asked; nothing here knows of a screen.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from heapq import merge
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

from fleetview.core.device import Device, Trouble
from fleetview.core.outages import Site
from fleetview.core.roster import Changes, site_of
from fleetview.core.sorting import NONE, SEVERITY, More, grouping, nothing_more, sorting, uses_clock

if TYPE_CHECKING:
    from fleetview.core.fleet import Fleet
    from fleetview.core.query.fields import Clock

_CHUNK = 1024
"""Devices between two looks at the time: a millisecond at most."""
_QUICK = (int, float, str)
"""Sorted by these, 100,000 take 40 ms in one go; in runs that are merged they take twice that."""
_FIRST_RUN = 2048
_LONGEST_RUN = 32_768
"""Longer ones are not sorted in one go: of 100,000 addresses that would take 0.14 s. They are merged, a piece at a time."""
_FEW = 4096
"""Different values to sort by, up to which each is looked at once, and its place among the others taken in its stead."""

_NEW_ROWS, _DONE = object(), object()

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asked to see."""

    predicate: Callable[[Device], bool] | None = None
    sort: str = SEVERITY
    """`severity`, or a field of the filter language."""
    descending: bool = False
    group_by: str | None = None
    """A field of the filter language."""
    faults_only: bool = False


@dataclass(slots=True, eq=False)
class Group:
    """The devices that have a value in common."""

    value: str
    devices: list[Device] = field(default_factory=list)
    counts: dict[Trouble, int] = field(default_factory=dict)

    @property
    def worst(self) -> Trouble:
        """The worst trouble that any of them is in."""
        return min(self.counts)


Row = Device | Site | Group


class Arrangement:
    """The rows of a table of devices."""

    def __init__(self, fleet: Fleet, now: Clock, more: More = nothing_more) -> None:
        self.rows: list[Row] = []
        """Devices; folded site outages; groups, each followed by its devices when it is unfolded."""
        self.shown = 0
        """Devices that were let through, those in folded groups and outages included."""
        self.groups = 0
        self.unfolded: set[Site | str] = set()
        """The sites that are out, and the values of groups, whose devices are shown."""
        self._fleet = fleet
        self._now = now
        self._more = more
        self._wish = Wish()
        self._ordered: list[Device] = []
        self._groups: list[Group] = []
        self._by_address: list[Device] = []
        self._new: set[Device] = set(fleet.devices.values())
        self._gone: set[Device] = set()
        self._let_through: set[Device] | None = None
        """None while everything is."""
        self._stale = True
        self._job: Iterator[object] | None = None

    @property
    def wish(self) -> Wish:
        """What was asked for last."""
        return self._wish

    @property
    def stale(self) -> bool:
        """Whether the rows are no longer what they should be."""
        return self._stale

    @property
    def working(self) -> bool:
        """Whether new rows are being worked out."""
        return self._job is not None

    def ask(self, wish: Wish) -> None:
        """Work out other rows. Raises QueryError for a field that there is not, and stays what it was then."""
        sorting(wish.sort, self._now, self._more)
        if wish.group_by is not None:
            grouping(wish.group_by, self._now, self._fleet.roster)
        self._wish = wish
        self.begin()

    def note(self, changes: Changes) -> None:
        """Take in what changed: whether the rows are still right, not yet what they become."""
        self._new |= changes.added
        self._new -= changes.removed
        self._gone |= changes.removed
        self._stale = self._stale or self._is_touched_by(changes)

    def look_again(self) -> None:
        """Start over after a time in which nobody told what changed: devices came and went."""
        known, there = set(self._by_address), set(self._fleet.devices.values())
        self._new, self._gone = there - known, known - there
        self.begin()

    def begin(self) -> None:
        """Start over working out the rows."""
        self._stale = False
        self._job = self._work()

    def step(self, enough: Callable[[], bool]) -> bool:
        """Work until the rows are new (then True comes back) or until `enough`, asked once a millisecond."""
        while self._job is not None:
            told = next(self._job, _DONE)
            if told is _DONE:
                self._job = None
            elif told is _NEW_ROWS:
                return True
            elif enough():
                break
        return False

    def toggle(self, row: Row) -> None:
        """Fold or unfold a site outage or a group."""
        if isinstance(row, Device):
            return
        self.unfolded ^= {row.value if isinstance(row, Group) else row}
        self._lay_out()

    def fold_all(self, *, folded: bool) -> None:
        """Fold or unfold all groups, or all site outages where there are no groups."""
        if folded:
            self.unfolded.clear()
        else:
            self.unfolded |= {group.value for group in self._groups} if self._wish.group_by else set(self._fleet.outages)
        self._lay_out()

    def place_of(self, row: Row) -> int | None:
        """Where a row stands; of a device that is folded away, where that stands which hides it. None: nowhere."""
        wanted: list[object] = [row]
        if isinstance(row, Device):
            wanted.append(site_of(row))
        for each in wanted:
            try:
                return self.rows.index(each)  # type: ignore[arg-type]  # 100,000 in a millisecond; an index would take 8 MiB
            except ValueError:
                continue
        value = row.value if isinstance(row, Group) else None
        for place, other in enumerate(self.rows if self._groups else ()):
            if isinstance(other, Group) and (other.value == value or (value is None and row in other.devices)):
                return place
        return None

    def devices(self) -> Iterator[Device]:
        """Every device that is let through, in order, the folded ones included."""
        if self._wish.group_by is None:
            yield from self._ordered
        for group in self._groups:
            yield from group.devices

    # -- whether it is still right

    def _is_touched_by(self, changes: Changes) -> bool:
        wish = self._wish
        if changes.added or changes.removed or changes.outages:
            return True
        if changes.shifted and (wish.sort == SEVERITY or wish.group_by or wish.faults_only):
            return True
        if getattr(wish.predicate, "uses_clock", False) or (changes.touched and uses_clock(wish.sort)):
            return True
        if not changes.touched:
            return False
        if wish.sort not in {SEVERITY, "device", "site", "tenant"} or wish.group_by not in {None, "site", "tenant"}:
            return True
        let_through = self._let_through
        return let_through is not None and any(self._lets(device) != (device in let_through) for device in changes.touched)

    def _lets(self, device: Device) -> bool:
        wish = self._wish
        if wish.faults_only and not device.trouble.needs_attention:
            return False
        return wish.predicate is None or wish.predicate(device)

    # -- working it out

    def _work(self) -> Iterator[object]:
        yield from self._line_up()
        kept: list[Device] = []
        for start in range(0, len(self._by_address), _CHUNK):
            kept += self._kept(self._by_address[start : start + _CHUNK])
            yield None
        wish = self._wish
        key = sorting(wish.sort, self._now, self._more)
        keys: list[Any] = []
        for start in range(0, len(kept), _CHUNK):
            keys += key(kept[start : start + _CHUNK])
            yield None
        places = [place for place, found in enumerate(keys) if found is not None]
        yield None
        if places and not isinstance(keys[places[0]], _QUICK):
            keys = _ranked(keys)
            yield None
        if places and isinstance(keys[places[0]], _QUICK):
            places.sort(key=keys.__getitem__, reverse=wish.descending)
            yield None
        else:
            yield from _sort(places, keys.__getitem__, reverse=wish.descending)
        ordered = [kept[place] for place in places]
        if len(places) < len(kept):  # what has no value stands behind, whichever way it is sorted
            ordered += [device for device, found in zip(kept, keys, strict=True) if found is None]
        yield None
        groups = yield from self._grouped(ordered)
        self._ordered, self._groups = ordered, groups
        self.shown, self.groups = len(ordered), len(groups)
        self._lay_out()
        yield _NEW_ROWS
        everything = wish.predicate is None and not wish.faults_only
        self._let_through = None if everything else set(ordered)

    def _kept(self, devices: list[Device]) -> list[Device]:
        wish = self._wish
        if wish.faults_only:
            devices = [device for device in devices if device.trouble.needs_attention]
        test = getattr(wish.predicate, "test", wish.predicate)
        return devices if test is None else list(filter(test, devices))

    def _line_up(self) -> Iterator[None]:
        """All devices by address: what is equal is then in this order, for every sort that follows is stable."""
        if self._gone:
            self._by_address = [device for device in self._by_address if device not in self._gone]
            self._gone = set()
            yield
        if self._new:
            new = set(self._new)  # taken off only when they stand in line: this work may be given up for another wish
            lined_up = self._by_address + list(new)
            yield from _sort(lined_up, attrgetter("address"), sorted_up_to=len(self._by_address))
            if len(lined_up) > len(self._fleet.devices):  # one that was there from the start is told as added, too
                lined_up = [device for device, _ in groupby(lined_up)]
            self._by_address = lined_up
            self._new -= new

    def _grouped(self, ordered: list[Device]) -> Generator[None, None, list[Group]]:
        wish = self._wish
        if wish.group_by is None:
            return []
        value_of = grouping(wish.group_by, self._now, self._fleet.roster)
        groups: dict[str, Group] = {}
        for start in range(0, len(ordered), _CHUNK):
            for device in ordered[start : start + _CHUNK]:
                value = value_of(device) or NONE
                group = groups.get(value)
                if group is None:
                    group = groups[value] = Group(value)
                group.devices.append(device)
                group.counts[device.trouble] = group.counts.get(device.trouble, 0) + 1
            yield
        found = sorted(groups.values(), key=attrgetter("value"))
        if wish.sort == SEVERITY:
            found.sort(key=lambda group: (group.worst, -group.counts[group.worst]))
        return found

    def _lay_out(self) -> None:
        rows: list[Row] = []
        if self._wish.group_by is not None:
            for group in self._groups:
                rows.append(group)
                if group.value in self.unfolded:
                    rows += group.devices
        elif self._fleet.outages:
            members: dict[Site, list[Device]] = {}
            rest: list[Device] = []
            for device in self._ordered:
                (members.setdefault(site_of(device), []) if device.in_outage else rest).append(device)
            for site in sorted(members):
                rows.append(site)
                if site in self.unfolded:
                    rows += members[site]
            rows += rest
        else:
            rows += self._ordered
        self.rows = rows


def _ranked(keys: list[Any]) -> list[Any]:
    """Where there are few different keys, the place of each among them: a number, equal for keys that are equal.

    By identity, for versions are remembered: the hash of 100,000 nested tuples takes 0.2 s.
    """
    distinct = {id(key): key for key in keys if key is not None}
    if len(distinct) > _FEW:
        return keys
    ranks: dict[int, int] = {}
    before, rank = None, -1
    for name in sorted(distinct, key=distinct.__getitem__):
        rank += distinct[name] != before
        before, ranks[name] = distinct[name], rank
    return [None if key is None else ranks[id(key)] for key in keys]


def _sort(items: list[T], key: Callable[[T], Any], *, reverse: bool = False, sorted_up_to: int = 0) -> Iterator[None]:
    """Sort in place, stably, in steps: short runs first, then runs of four. Each step takes a few milliseconds."""
    size = _FIRST_RUN
    while True:
        for start in range(sorted_up_to if size < len(items) else 0, len(items), size):
            items[start : start + size] = sorted(items[start : start + size], key=key, reverse=reverse)
            yield
        if size >= len(items):
            return
        if size >= _LONGEST_RUN:
            break
        size *= 4
    starts = [0, *range(sorted_up_to or size, len(items), size)]
    runs = [items[start:end] for start, end in zip(starts, [*starts[1:], len(items)], strict=True)]
    merged: list[T] = []
    for place, item in enumerate(merge(*runs, key=key, reverse=reverse)):
        merged.append(item)
        if place % _CHUNK == 0:
            yield
    items[:] = merged
