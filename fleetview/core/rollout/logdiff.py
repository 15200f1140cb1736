"""What updated devices log that others do not: messages as templates, counted for both groups. Pure, and bounded.

A template is the message with all that varies in it replaced by `<*>`: quoted texts, UUIDs, addresses, paths, numbers. That
is the masking with which Drain begins (He et al., "Drain: an online log parsing approach with fixed depth tree", ICWS 2017).
The tree after it is left out: it changes templates by what came before, so counts would depend on the order of arrival.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from fleetview.core.rollout.state import DeviceState, Rollout, Stage
from fleetview.core.text import clean
from fleetview_agent.wire import Address, Level

MAX_TEMPLATES = 1000
"""Of one rollout; records of more are counted only."""
MAX_DEVICES = 100
"""Of one template in one group; more are not told apart."""
MAX_CHARS = 200
MAX_DIFFERENCES = 20
EXPECTED = 3.0
"""Devices of the control group that would have to log a template, were it as common there, before "never" means something: 0
seen of 3 expected has a chance of 5 % (rule of three, Hanley and Lippman-Hand, JAMA 1983)."""
FAR_MORE = 5.0
"""Times as often, by device and time, is far more often."""
LEAST_DEVICES = 2
"""That log it, unless one is updated only: one device may have troubles of its own."""
_ANY = "<*>"
_READ_CHARS = 1000
"""Of a message, at most: what varies is found in those."""

_VARIES = re.compile(
    r"""
      "[^"]*" | (?<!\w)'[^']*' | `[^`]*`
    | \b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b
    | \b[a-z][a-z0-9+.-]{1,15}://[^\s,;)\]}]+
    | (?<![\w.])(?:[a-z]:\\|~?/|\.{1,2}/)[^\s,;:)\]}]+
    | \b[0-9a-f]{2}(?::[0-9a-f]{2}){5}\b
    | \b0x[0-9a-f]+\b
    | \b(?=[0-9a-f]*[0-9])(?=[0-9]*[a-f])[0-9a-f]{7,}\b
    | [+-]?(?<![a-z_])[0-9]+(?:[.,:][0-9]+)*
    """,
    re.VERBOSE | re.IGNORECASE,
)

Group = Literal["updated", "control"]


def template_of(message: str) -> str:
    """The message with what varies replaced by `<*>`, harmless, of 200 characters at most."""
    first = message[:_READ_CHARS]
    return clean(" ".join(_VARIES.sub(_ANY, first).split()))[:MAX_CHARS]


def group_of(rollout: Rollout, device: DeviceState) -> Group | None:
    """In which group a device is now: it runs the change, it runs what it ran before, or neither is certain."""
    if device.goal == "change" and device.stage in {Stage.VERIFYING, Stage.CONVERGED}:
        return "updated"
    # As `gates.is_control`, of later waves only: who of this wave has not been offered the change yet soon will be.
    if device.wave > rollout.head.wave and device.gen == 0 and device.presence == "online" and device.obstacle is None:
        return "control"
    return None


class Key(NamedTuple):
    """What is counted as one."""

    level: Level
    service: str
    template: str


@dataclass(slots=True)
class Count:
    """How often a template was logged in one group, and by which devices."""

    times: int = 0
    devices: set[Address] = field(default_factory=set)

    def take(self, address: Address) -> None:
        self.times += 1
        if len(self.devices) < MAX_DEVICES:
            self.devices.add(address)


@dataclass(slots=True)
class Seen:
    """What is known of one template."""

    updated: Count = field(default_factory=Count)
    control: Count = field(default_factory=Count)
    example: str = ""


@dataclass(slots=True)
class Counted:
    """All that a comparison has counted: what is kept of it."""

    began_s: float | None = None
    """When the first device was updated, seconds since 1970; None: before that, nothing is counted."""
    left_out: int = 0
    """Records of templates beyond `MAX_TEMPLATES`."""
    most_updated: int = 0
    """Devices that were updated at once."""
    compared_s: float = 0.0
    """For how long both groups were there."""
    updated_s: float = 0.0
    """Devices times seconds, of the updated ones and of the others."""
    control_s: float = 0.0
    templates: dict[Key, Seen] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Difference:
    """A template that updated devices log, and others never, or far less often."""

    key: Key
    example: str
    """One message of an updated device, harmless, of 200 characters at most."""
    devices: int
    """Updated ones that logged it; at least, from `MAX_DEVICES` on."""
    times: int
    control_devices: int
    control_times: int
    ratio: float | None
    """How many times as often by device and time; None when the others never logged it."""


@dataclass(frozen=True, slots=True)
class Differences:
    """All that stands out, worst first."""

    found: tuple[Difference, ...]
    unlisted: int
    """More than `MAX_DIFFERENCES`."""
    left_out: int
    """Records of templates beyond `MAX_TEMPLATES`."""
    compared_s: float
    """For how long both groups were there."""

    @property
    def new_errors_on(self) -> int:
        """On how many updated devices the most widespread ERROR is that the others never log."""
        new = (each.devices for each in self.found if each.ratio is None and each.key.level is Level.ERROR)
        return max(new, default=0)


class LogDifference:
    """Counts what the devices of one rollout log, from when the first of them is updated."""

    def __init__(self, counted: Counted | None = None) -> None:
        """`counted`: what another one has counted until now."""
        self.counted = Counted() if counted is None else counted

    @property
    def has_begun(self) -> bool:
        """Whether a device has been updated: before that, nothing is counted."""
        return self.counted.began_s is not None

    def begin(self, at_s: float) -> None:
        """The first device is updated, at this time in seconds since 1970."""
        if self.counted.began_s is None:
            self.counted.began_s = at_s
            self.counted.most_updated = 1

    def watch(self, devices: Mapping[Group, int], for_s: float) -> None:
        """So many devices were in each group for so long: rates are by device and time, both over the same window."""
        if not self.has_begun:
            return
        counted, updated, control = self.counted, devices.get("updated", 0), devices.get("control", 0)
        counted.most_updated = max(counted.most_updated, updated)
        if updated and control:
            counted.compared_s += for_s
        counted.updated_s += updated * for_s
        counted.control_s += control * for_s

    def take(self, group: Group, address: Address, level: Level, service: str, message: str) -> None:
        """Count one record of a device that was in a group when it came."""
        if not self.has_begun:
            return
        templates = self.counted.templates
        key = Key(level, clean(service)[:MAX_CHARS], template_of(message))
        seen = templates.get(key)
        if seen is None:
            if len(templates) >= MAX_TEMPLATES:
                self.counted.left_out += 1
                return
            seen = templates[key] = Seen()
        if group == "control":
            seen.control.take(address)
            return
        seen.updated.take(address)
        example = clean(message[:MAX_CHARS])[:MAX_CHARS]
        if not seen.example or example < seen.example:  # the same one, in whatever order they come
            seen.example = example

    def end(self) -> None:
        """Nothing more will come: only what stands out is still of use."""
        kept = {each.key for each in self._outstanding()}
        self.counted.templates = {key: seen for key, seen in self.counted.templates.items() if key in kept}

    def result(self) -> Differences:
        """What stands out: at least `LEAST_DEVICES` log it, and the others never, or less than a fifth as often.

        Either counts once `EXPECTED` of the others would have logged it, were it as common there. Worst level first, then
        by devices and times.
        """
        found = sorted(self._outstanding(), key=_importance)
        more = max(0, len(found) - MAX_DIFFERENCES)
        return Differences(tuple(found[:MAX_DIFFERENCES]), more, self.counted.left_out, self.counted.compared_s)

    def _outstanding(self) -> Iterator[Difference]:
        updated_s, control_s = self.counted.updated_s, self.counted.control_s
        if updated_s <= 0 or control_s <= 0:
            return
        least = min(LEAST_DEVICES, self.counted.most_updated)
        for key, seen in self.counted.templates.items():
            ours, theirs = seen.updated, seen.control
            if len(ours.devices) < least or len(ours.devices) * control_s / updated_s < EXPECTED:
                continue
            ratio = (ours.times / updated_s) / (theirs.times / control_s) if theirs.times else None
            if ratio is None or ratio >= FAR_MORE:
                yield Difference(key, seen.example, len(ours.devices), ours.times, len(theirs.devices), theirs.times, ratio)


def _importance(each: Difference) -> tuple[int, bool, int, int, Key]:
    return -each.key.level, each.ratio is not None, -each.devices, -each.times, each.key
