"""What is wrong with a configuration, in words: the place, the key, the value, and the nearest name for an unknown one."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleetview_agent.config import KEYS, LogFile, Logs
from fleetview_agent.masking import is_secret, masked
from fleetview_agent.modules.spec import Limits, ModuleSpec, Probe, Triggers
from fleetview_agent.release.settings import Ota
from fleetview_agent.rules.spec import LogAction, Publication, Rule
from fleetview_agent.telemetry.spec import Scrape, Telemetry

ENVIRONMENT_PREFIX = "FLEETVIEW_AGENT_"

_SHOWN = 120


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a configuration."""

    place: str
    """The file, the environment variable or the flag."""
    key: str
    """With dots and indices (`logs.files[0].path`); empty when the file as a whole is meant."""
    words: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.place, self.key, self.words) if part)


def nearest(key: str, known: Sequence[str]) -> str | None:
    """The known name that is most like this one, if any is."""
    return next(iter(difflib.get_close_matches(key.lower(), known, n=1, cutoff=0.6)), None)


def unknown(key: str, value: Any, known: Sequence[str]) -> str:  # noqa: ANN401  (any value can stand at an unknown key)
    """That nobody knows this key, and which was probably meant."""
    near = nearest(key, known)
    hint = f"did you mean {near}?" if near else f"there are: {', '.join(known)}"
    return f"unknown key (value {shown(key, value)}); {hint}"


def shown(key: str, value: Any) -> str:  # noqa: ANN401  (any value, right or wrong)
    """The value of a key for a person to read: not too long, and without what is secret."""
    value = masked(value, key)
    text = "-" if value is None else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


_EXPECTED = {
    "string_type": "a text",
    "string_sub_type": "a text",
    "path_type": "the path of a file",
    "float_type": "a number",
    "int_type": "a whole number",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "finite_number": "a finite number",
}
_TABLES: dict[tuple[str, ...], tuple[str, ...]] = {
    (): KEYS,
    ("logs",): tuple(Logs.model_fields),
    ("logs", "files"): tuple(LogFile.model_fields),
    ("ota",): tuple(Ota.model_fields),
    ("telemetry",): tuple(Telemetry.model_fields),
    ("telemetry", "scrape"): tuple(Scrape.model_fields),
    ("rules",): tuple(Rule.model_fields),
    ("rules", "log"): tuple(LogAction.model_fields),
    ("rules", "publish"): tuple(Publication.model_fields),
    ("modules",): tuple(ModuleSpec.model_fields),
    ("modules", "on"): tuple(Triggers.model_fields),
    ("modules", "limits"): tuple(Limits.model_fields),
    ("modules", "ready"): tuple(Probe.model_fields),
    ("modules", "healthy"): tuple(Probe.model_fields),
}


def problem_of(details: dict[str, Any], origins: Mapping[str, str], path: Path | None) -> Problem:
    """One of pydantic's errors in plain words."""
    where = _without_shape(details["loc"])
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where).removeprefix(".")
    top, leaf = str(where[0]), str(where[-1])
    if details["type"] == "missing":
        if len(where) > 1:
            return Problem(origins[top].removeprefix("file "), key, "missing")
        place = str(path) if path is not None else "configuration"
        return Problem(place, key, f"missing: add it, or set {ENVIRONMENT_PREFIX}{top.upper()}")
    place = origins[top].removeprefix("file ")
    value = details["input"]
    if details["type"] == "extra_forbidden":
        table = tuple(str(part) for part in where[:-1] if not isinstance(part, int))
        if table[:1] == ("modules",):
            table = (table[0], *table[2:])  # the one in between is the module's name
        return Problem(place, key, unknown(leaf, value, _TABLES[table]))
    if top in {"broker_url", "topic_root"} and details["type"] == "value_error":
        return Problem(place, key, _complaint(details))  # these name the value themselves
    if top == "modules" and len(where) > 1:
        top = "env" if "env" in where[2:] else leaf
    secret = next((part for part in map(str, where) if is_secret(part)), None)
    return Problem(place, key, f"{_complaint(details)}, not {shown(secret or top, value)}")


def _without_shape(where: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Where the error stands in the file: pydantic adds which shape it took `modules` for, and that it means a key."""
    where = where[:1] + where[2:] if where[:1] == ("modules",) else where
    return where[:-1] if where[-1:] == ("[key]",) else where


def _complaint(details: dict[str, Any]) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind in _EXPECTED:
        return f"{_EXPECTED[kind]} expected"
    if kind == "literal_error":
        return f"one of {', '.join(context['expected'].split(' or '))} expected"
    if kind == "greater_than_equal":
        return f"at least {context['ge']:g} expected"
    if kind == "less_than_equal":
        return f"at most {context['le']:g} expected"
    if kind == "too_short":
        return "a list expected that is not empty"
    if kind == "value_error":
        return str(context["error"]).rstrip(".")
    return str(details["msg"])
