"""What an operator is about to ask of devices: the verbs, their arguments, and the consequence in numbers.

Pure, and without the toolkit: the command line and the dashboard ask with the same words.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleetview.core.ages import age
from fleetview.core.device import Connectivity, Device
from fleetview.core.numbers import counted
from fleetview.core.query.values import duration_s
from fleetview.core.text import clean
from fleetview_agent.wire import Address

LEVELS = ("DEBUG", "INFO", "WARN", "ERROR")
DEFAULT_EXPIRES_S = 60.0
MIN_EXPIRES_S, MAX_EXPIRES_S = 1.0, 86_400.0
DEFAULT_LEVEL_S = 900.0
MAX_LEVEL_S = 86_400.0
MAX_ARG_CHARS = 256
_MOST_NAMED = 24
"""Addresses in a command that is shown."""
MAX_BUNDLES = 64
"""Bundles of diagnostics that are put together at once: 24 MiB at most."""


@dataclass(frozen=True, slots=True)
class Verb:
    """Something that devices can be asked for."""

    name: str
    help: str
    changes: bool
    """Whether it changes anything: then a reason is wanted."""
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


VERBS: Mapping[str, Verb] = {
    verb.name: verb
    for verb in (
        Verb("ping", "is the agent there, and since when does it run", changes=False),
        Verb("restart_module", "end a module, and start it again", changes=True, required=("name",)),
        Verb("set_log_level", "another level of the agent's log, for a while", True, ("level",), ("for_s",)),
        Verb("diagnostics", "configuration, modules, vitals, last logs and checks", changes=False),
    )
}


class PlanError(ValueError):
    """What was asked for cannot be, in words."""


def verb_named(name: str) -> Verb:
    """The verb. Raises PlanError."""
    verb = VERBS.get(name)
    if verb is None:
        msg = f"unknown verb {name[:40]!r}; there are: {', '.join(VERBS)}"
        raise PlanError(msg)
    return verb


def checked_args(verb: Verb, given: Mapping[str, str]) -> dict[str, Any]:
    """The arguments as the wire has them. Raises PlanError."""
    known = (*verb.required, *verb.optional)
    for name, text in given.items():
        if name not in known:
            there = f"it takes {', '.join(known)}" if known else "it takes none"
            msg = f"{verb.name} has no argument {name[:40]!r}; {there}"
            raise PlanError(msg)
        if not text.strip() or len(text) > MAX_ARG_CHARS:
            msg = f"{name}: a value of 1 to {MAX_ARG_CHARS} characters expected"
            raise PlanError(msg)
    if missing := [name for name in verb.required if name not in given]:
        msg = f"{verb.name} needs {missing[0]}"
        raise PlanError(msg)
    found: dict[str, Any] = {name: text.strip() for name, text in given.items()}
    if verb.name == "set_log_level":
        found["level"] = _level(found["level"])
        found["for_s"] = seconds(found.get("for_s", f"{DEFAULT_LEVEL_S:g}s"), "for_s", 1.0, MAX_LEVEL_S)
    return found


def _level(text: str) -> str:
    if text.upper() not in LEVELS:
        msg = f"level: one of {', '.join(LEVELS)} expected, not {text[:40]!r}"
        raise PlanError(msg)
    return text.upper()


def seconds(text: str, name: str, least_s: float, most_s: float) -> float:
    """A duration such as `90s`, `15m` or `900`. Raises PlanError."""
    found = duration_s(text.strip())
    if found is None:
        msg = f"{name}: a duration such as 60s or 15m expected, not {text[:40]!r}"
        raise PlanError(msg)
    if not least_s <= found <= most_s:
        msg = f"{name}: {age(least_s)} to {age(most_s)} expected, not {text[:40]!r}"
        raise PlanError(msg)
    return found


def expires(text: str) -> float:
    """Seconds until a command expires. Raises PlanError."""
    return seconds(text, "expires", MIN_EXPIRES_S, MAX_EXPIRES_S)


# -- the consequence in numbers

_GONE = (Connectivity.OFFLINE, Connectivity.LOST, Connectivity.SLEEPING, Connectivity.UNSEEN)


def how_many(devices: Sequence[Device]) -> str:
    """`31 devices at 4 sites`; of one device its name."""
    if len(devices) == 1:
        return devices[0].address.device
    sites = {(device.address.tenant, device.address.site) for device in devices}
    return f"{counted(len(devices), 'device')} at {counted(len(sites), 'site')}"


def where(devices: Sequence[Device]) -> str:
    """`31 devices at 4 sites, 2 of them offline`; of one device its address."""
    states = Counter(device.connectivity for device in devices)
    gone, stale = sum(states[state] for state in _GONE), states[Connectivity.STALE]
    if len(devices) == 1:
        state = devices[0].connectivity
        return f"{devices[0].address}{'' if state is Connectivity.ONLINE else f', which is {state.value}'}"
    words = how_many(devices)
    if gone:
        words += f", {gone:,} of them offline"
    if stale:
        words += f", {stale:,} {'' if gone else 'of them '}stale"
    return words


def what(verb: Verb, args: Mapping[str, Any]) -> str:
    """`restarts module rule_engine`: how a sentence begins."""
    match verb.name:
        case "ping":
            return "pings the agent"
        case "restart_module":
            return f"restarts module {clean(str(args['name']))}"
        case "set_log_level":
            return f"sets the agent's log level to {args['level']} for {age(args['for_s'])}"
        case _:
            return "gathers diagnostics"


def consequence(devices: Sequence[Device], verb: Verb, args: Mapping[str, Any], expires_s: float) -> str:
    """What it would do, in numbers, with what stands against it."""
    words = [f"{what(verb, args)} on {where(devices)}"]
    gone = sum(device.connectivity in _GONE for device in devices)
    if gone:
        words.append(f"who is offline gets it on coming back within {age(expires_s)}, or not at all")
    if verb.name == "restart_module":
        told = [device for device in devices if device.module_states]
        without = sum(all(name != args["name"] for name, _ in device.module_states) for device in told)
        if without:
            words.append(f"{counted(without, 'has', 'have')} no module of this name")
    ahead = sum((device.clock_skew_s or 0.0) >= expires_s for device in devices)
    if ahead:
        words.append(
            f"{counted(ahead, 'has a clock', 'have clocks')} so far ahead that it has expired there: let it last longer"
        )
    return "; ".join(words)


def modules_of(devices: Iterable[Device]) -> list[tuple[str, int]]:
    """The names of modules on these devices, each with how many have it; those that are in trouble first, then by name."""
    numbers: Counter[str] = Counter()
    worst: Counter[str] = Counter()
    for device in devices:
        for name, state in device.module_states:
            numbers[name] += 1
            worst[name] += state in {"failed", "backoff"}
    return sorted(numbers.items(), key=lambda item: (-worst[item[0]], item[0]))


def filter_for(devices: Sequence[Device], known: Mapping[Address, Device]) -> str | None:
    """A filter that means just these of all that are known: all, or whole sites. None when there is none so short."""
    if len(devices) == 1:
        return None
    if len(devices) == len(known):
        return "device:*"
    sites = {device.address.site for device in devices}
    if len(devices) == sum(address.site in sites for address in known):
        return f"site:{','.join(sorted(sites))}"
    return None


def command_line(
    verb: Verb,
    target: str | Sequence[Address],
    args: Mapping[str, Any],
    *,
    expires_s: float,
    reason: str,
    options: str = "",
) -> str:
    """The command that does the same; `target` is a filter, or the devices one by one, of which the first are named."""
    if isinstance(target, str):
        words = shlex.quote(target)
    else:
        words = " ".join(str(each) for each in target[:_MOST_NAMED])
        words += f" ... and {len(target) - _MOST_NAMED:,} more addresses" if len(target) > _MOST_NAMED else ""
    parts = [f"fleetview command{options} {verb.name} {words}"]
    parts += (f"--arg {shlex.quote(f'{name}={_text(value)}')}" for name, value in args.items())
    if expires_s != DEFAULT_EXPIRES_S:
        parts.append(f"--expires {expires_s:g}s")
    if reason:
        parts.append(f"--reason {shlex.quote(reason)}")
    return " ".join(parts)


def _text(value: object) -> str:
    return f"{value:g}s" if isinstance(value, float) else str(value)
