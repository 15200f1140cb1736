"""A plan from a file, YAML or TOML, and all that is wrong with it: each with its place in the file and the nearest key."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from fleetview.core.query.errors import nearest
from fleetview.core.rollout.plan import Deadlines, Evidence, GatePlan, Plan, WavePlan
from fleetview.core.rollout.target import ConfigTarget, ReleaseTarget, Strict, Target

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails
    from yaml import MappingNode, SafeLoader

MAX_PLAN_BYTES = 256 * 1024
"""A configuration in it has to fit into a message, which is no larger."""
_SHOWN_CHARS = 60
_EXPECTED = {
    "string_type": "a text in quotes",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "dict_type": "a table",
    "tuple_type": "a list",
    "datetime_type": "a time with its zone, such as 2026-11-22T10:00:00Z,",
    "timezone_aware": "a time with its zone, such as 2026-11-22T10:00:00Z,",
}


class PlanError(ValueError):
    """A plan cannot be used. Holds everything that is wrong with it, one sentence each."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def parse_plan(text: str, name: str = "plan.yaml") -> Plan:
    """The plan in a file's text; TOML if `name` ends in .toml, otherwise YAML (JSON is YAML too). Raises PlanError.

    `name` is what errors call the file.
    """
    if len(text.encode(errors="surrogatepass")) > MAX_PLAN_BYTES:
        raise PlanError([f"{name}: larger than {MAX_PLAN_BYTES // 1024} KiB: let its release be a URL, not a part of it"])
    data = _toml(text, name) if name.lower().endswith(".toml") else _yaml(text, name)
    if not isinstance(data, dict):
        raise PlanError([f"{name}: a table of keys expected, such as name, target and select"])
    return validate_plan(data, name)


def validate_plan(data: dict[Any, Any], name: str = "plan") -> Plan:
    """The plan in values as a file has them. Raises PlanError."""
    try:
        return Plan.model_validate(data)
    except ValidationError as err:
        problems = dict.fromkeys(f"{name}: {_in_words(error)}" for error in err.errors(include_url=False))
        raise PlanError(problems) from None


def _toml(text: str, name: str) -> object:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as err:
        raise PlanError([f"{name} is not TOML: {str(err)[:1].lower()}{str(err)[1:]}"]) from None


def _yaml(text: str, name: str) -> object:
    import yaml  # noqa: PLC0415 (30 ms for those who read a plan)

    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            # A few lines of them stand for gigabytes, and nobody sees what a device will get.
            raise PlanError([f"{name}: an alias (*name): write out what it stands for"])
        return yaml.load(text, Loader=_loader())  # noqa: S506 (a SafeLoader)
    except yaml.MarkedYAMLError as err:
        mark = err.problem_mark
        where = "" if mark is None else f" (line {mark.line + 1}, column {mark.column + 1})"
        raise PlanError([f"{name} is not YAML: {err.problem or err.context}{where}"]) from None
    except (yaml.YAMLError, RecursionError, ValueError) as err:
        if isinstance(err, PlanError):
            raise
        raise PlanError([f"{name} is not YAML: {str(err).splitlines()[0][:200]}"]) from None


def _loader() -> type[SafeLoader]:
    import yaml  # noqa: PLC0415 (see above)

    class Loader(yaml.SafeLoader):
        """Without this the last of two equal keys would silently win."""

        def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
            seen: set[str] = set()
            for key, _ in node.value:
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is there twice", key.start_mark)
                seen.add(key.value)
            return super().construct_mapping(node, deep=deep)

    return Loader


def _table_at(place: Sequence[str]) -> type[Strict] | None:
    """The shape of the table that stands there."""
    match place:
        case []:
            return Plan
        case ["target" | "previous"]:
            return Target
        case ["target" | "previous", "config"]:
            return ConfigTarget
        case ["target" | "previous", "release"]:
            return ReleaseTarget
        case ["waves", _]:
            return WavePlan
        case ["gates", _]:
            return GatePlan
        case ["deadlines"]:
            return Deadlines
        case ["evidence"]:
            return Evidence
    return None


def _in_words(error: ErrorDetails) -> str:
    place = [str(part) for part in error["loc"]]
    where = ".".join(place)
    if error["type"] == "extra_forbidden":
        return f"{where}: unknown key {place[-1]!r}{_hint(place)}"
    if error["type"] == "missing":
        return f"{where}: missing{_described(place)}"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "value_error":
        shown = "" if isinstance(error["input"], dict | list) or not where else f", not {_shown(error['input'])}"
        return f"{where}: {message}{shown if 'expected' in message else ''}" if where else message
    if (expected := _EXPECTED.get(error["type"])) is not None:
        return f"{where}: {expected} expected, not {_shown(error['input'])}"
    return f"{where}: {message[:1].lower()}{message[1:]}, not {_shown(error['input'])}"


def _hint(place: Sequence[str]) -> str:
    table = _table_at(place[:-1])
    if table is None:
        return ""
    likely = nearest(place[-1], table.model_fields)
    return f"; did you mean {likely!r}?" if likely else f"; known: {', '.join(table.model_fields)}"


def _described(place: Sequence[str]) -> str:
    table = _table_at(place[:-1])
    field = table.model_fields.get(place[-1]) if table is not None else None
    return f"; {field.description}" if field is not None and field.description else ""


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "..."
