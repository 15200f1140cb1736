"""Every binding there is, read off the classes without starting the app: for `--keys`, and for checking a keymap."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, groupby

from textual.binding import Binding
from textual.dom import DOMNode
from textual.keys import key_to_character

from fleetview.config import Display
from fleetview.configfile import ConfigError, nearest
from fleetview.tui.toolkit import KEY_NAMES, is_key, key_name

FOLLOWING = {
    "overlay.keys": "app.keys",
    "overlay.commands": "app.commands",
    "overlay.quit": "app.quit",
    "choose.commands": "app.commands",
}
"""What does the same in a box, where the app's keys do not work: it goes along when that one gets other keys."""
_NEVER_SENT = {"ctrl+i": "tab", "ctrl+j": "enter", "ctrl+m": "enter", "ctrl+h": "backspace"}
"""What terminals cannot tell from another key."""
HEADINGS = {
    "app": "everywhere",
    "overview": "on the figures above the fleet",
    "jump": "while a name to go to is typed",
    "choose": "in a list to choose from",
    "list": "in every list and document",
    "filter": "while a filter is typed",
    "typing": "while anything is typed",
    "command": "while a command is typed",
    "overlay": "in every box",
    "record": "in the box of a record",
    "form": "in a form",
    "device": "on the screen of a device",
    "charts": "on charts",
    "commands": "on the commands that were sent",
    "metrics": "on the metrics of the fleet",
    "promql": "while a query is typed",
    "rollouts": "on the list of rollouts",
    "rollout": "on one rollout",
}


@dataclass(frozen=True, slots=True)
class Bound:
    """A binding as it is declared."""

    name: str
    keys: tuple[str, ...]
    tooltip: str

    @property
    def group(self) -> str:
        """Where it belongs: `list.up` to `list`."""
        return self.name.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Place:
    """Classes whose keys work at the same time."""

    name: str
    classes: tuple[type[DOMNode], ...]
    typing: bool = False
    """Letters are typed there, and are no keys."""


def places() -> tuple[Place, ...]:
    """Everywhere that keys work. Imports every screen."""
    from fleetview.tui.app import FleetApp  # noqa: PLC0415  # only for those who ask
    from fleetview.tui.screens.alert import AlertScreen  # noqa: PLC0415
    from fleetview.tui.screens.alerts import AlertsScreen  # noqa: PLC0415
    from fleetview.tui.screens.charts import ChartPage, DeviceChartsScreen  # noqa: PLC0415
    from fleetview.tui.screens.choose import ChooseScreen  # noqa: PLC0415
    from fleetview.tui.screens.commands import CommandsScreen, OrderList  # noqa: PLC0415
    from fleetview.tui.screens.device import DeviceScreen, Document  # noqa: PLC0415
    from fleetview.tui.screens.fleet import FleetScreen  # noqa: PLC0415
    from fleetview.tui.screens.form import FormInput, FormScreen  # noqa: PLC0415
    from fleetview.tui.screens.keys import KeysScreen  # noqa: PLC0415
    from fleetview.tui.screens.logs import LogScreen  # noqa: PLC0415
    from fleetview.tui.screens.metrics import MetricsScreen  # noqa: PLC0415
    from fleetview.tui.screens.record import RecordScreen, RecordTree  # noqa: PLC0415
    from fleetview.tui.screens.rollouts import RolloutList, RolloutPage, RolloutScreen, RolloutsScreen  # noqa: PLC0415
    from fleetview.tui.widgets.alert_list import AlertList  # noqa: PLC0415
    from fleetview.tui.widgets.command_bar import CommandInput  # noqa: PLC0415
    from fleetview.tui.widgets.filter_line import FilterInput, FilterLine  # noqa: PLC0415
    from fleetview.tui.widgets.fleet_table import FleetTable  # noqa: PLC0415
    from fleetview.tui.widgets.histogram import HistogramChart  # noqa: PLC0415
    from fleetview.tui.widgets.jump import JumpLine  # noqa: PLC0415
    from fleetview.tui.widgets.lines import LineList  # noqa: PLC0415
    from fleetview.tui.widgets.log_list import LogList  # noqa: PLC0415
    from fleetview.tui.widgets.overview import OverviewBar  # noqa: PLC0415
    from fleetview.tui.widgets.prompt import Prompt, PromptInput  # noqa: PLC0415
    from fleetview.tui.widgets.promql_line import PromqlInput, PromqlLine  # noqa: PLC0415

    return (
        Place("the fleet's screen", (FleetApp, FleetScreen, FleetTable)),
        Place("the figures above it", (FleetApp, OverviewBar)),
        Place("a name to go to", (FleetApp, JumpLine), typing=True),
        Place("a list to choose from", (ChooseScreen, LineList)),
        Place("a device's screen", (FleetApp, DeviceScreen, Document)),
        Place("the alerts screen", (FleetApp, AlertsScreen, AlertList)),
        Place("the box of an alert", (AlertScreen, Document)),
        Place("a form", (FormScreen, FormInput), typing=True),
        Place("the charts of a device", (FleetApp, DeviceChartsScreen, ChartPage)),
        Place("the metrics of the fleet", (FleetApp, MetricsScreen, ChartPage)),
        Place("a query", (FleetApp, PromqlLine, PromqlInput), typing=True),
        Place("the list of rollouts", (FleetApp, RolloutsScreen, RolloutList)),
        Place("one rollout", (FleetApp, RolloutScreen, RolloutPage)),
        Place("the commands that were sent", (FleetApp, CommandsScreen, OrderList)),
        Place("the log screen", (FleetApp, LogScreen, LogList)),
        Place("the histogram of a log", (FleetApp, HistogramChart)),
        Place("a question of a log", (FleetApp, Prompt, PromptInput), typing=True),
        Place("the box of a record", (RecordScreen, RecordTree)),
        Place("the box of keys", (KeysScreen, Document)),
        Place("a filter", (FleetApp, FilterLine, FilterInput), typing=True),
        Place("a command", (FleetApp, CommandInput), typing=True),
    )


def bindings_of(*classes: type[DOMNode]) -> Iterator[Bound]:
    """The bindings that these classes and what they come from declare, of fleetview's own."""
    for owner in classes:
        for base in owner.__mro__:
            if not base.__module__.startswith("fleetview."):
                continue
            for binding in vars(base).get("BINDINGS", ()):
                if isinstance(binding, Binding) and binding.id is not None:
                    keys = tuple(key_name(key.strip()) for key in binding.key.split(","))
                    yield Bound(binding.id, keys, binding.tooltip)


def all_bindings() -> dict[str, Bound]:
    """Every binding by its id, in the order of the places where they work."""
    return {bound.name: bound for place in places() for bound in bindings_of(*place.classes)}


def keymap(keys: Mapping[str, str]) -> dict[str, str]:
    """The keymap for the toolkit: without blanks, which it takes for a part of the key, and with what goes along."""
    found = {name: ",".join(_listed(text)) for name, text in keys.items()}
    for follower, leader in FOLLOWING.items():
        if leader in found and follower not in found:
            found[follower] = found[leader]
    return found


def checked_keymap(display: Display) -> dict[str, str]:
    """The keymap of a configuration. Raises ConfigError, with everything that is wrong with it."""
    if problems := keymap_problems(display.keys):
        raise ConfigError(f"{display.file}: {problem}" for problem in problems)
    return keymap(display.keys)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(key_name(key.strip()) for key in text.split(","))


def keymap_problems(keys: Mapping[str, str]) -> list[str]:
    """What is wrong with a configuration's keys, each named by its place in the file."""
    known = all_bindings()
    found: list[str] = []
    for name, text in keys.items():
        if name not in known:
            found.append(f"keys.{name}: unknown binding{nearest(name, known)}; `fleetview --keys` lists all")
        else:
            found += (f"keys.{name}: {problem}" for key in text.split(",") if (problem := _problem_of(key.strip())))
    return found or _clashes(keymap(keys), keys)


def _problem_of(key: str) -> str | None:
    if not key:
        return "a key is missing; keys are separated by commas, and the comma itself is called comma"
    name = key_name(key)
    if name in _NEVER_SENT:
        return f"{key!r} never arrives: terminals send it for {_NEVER_SENT[name]}"
    base = name.removeprefix("shift+")
    if base != name and len(base) == 1 and base.isalpha():
        return f"{key!r} is called {base.upper()!r}"
    if is_key(name):
        return None
    return f"{key!r} is not the name of a key{nearest(key.lower(), sorted(KEY_NAMES)) if len(key) > 1 else ''}".partition(
        "; known:"
    )[0]


def _clashes(changed: Mapping[str, str], written: Mapping[str, str]) -> list[str]:
    found: dict[str, None] = {}
    for place in places():
        bound = {one.name: one for one in bindings_of(*place.classes)}
        for first, second in combinations(bound, 2):
            if _common(place, bound[first].keys, bound[second].keys):
                continue  # by default the nearer one answers, and is meant to
            both = [tuple(changed[name].split(",")) if name in changed else bound[name].keys for name in (first, second)]
            for key in _common(place, *both):
                ours, other = (first, second) if first in written else (second, first)
                words = f"keys.{ours}: {key!r} is also the key of {other} ({bound[other].tooltip})"
                found.setdefault(f"{words}; change one of them", None)
    return list(found)


def _common(place: Place, ours: tuple[str, ...], theirs: tuple[str, ...]) -> list[str]:
    return [key for key in ours if key in theirs and not (place.typing and key_to_character(key) is not None)]


def key_lines(display: Display) -> Iterator[str]:
    """Every binding as a line: its id, its keys as configured, what it does; under where it works. Raises ConfigError."""
    changed = checked_keymap(display)
    rows = [
        (bound.group, name, " ".join(changed[name].split(",") if name in changed else bound.keys), bound.tooltip)
        for name, bound in all_bindings().items()
    ]
    size = max(len(row[1]) for row in rows)
    shown = max(len(row[2]) for row in rows)
    groups = list(dict.fromkeys(row[0] for row in rows))
    rows.sort(key=lambda row: groups.index(row[0]))
    for group, members in groupby(rows, key=lambda row: row[0]):
        yield HEADINGS.get(group, f"on the {group} screen")
        for _, name, listed, tooltip in members:
            yield f"  {name.ljust(size)}  {listed.ljust(shown)}  {tooltip}"
