"""Which value of the agent's configuration holds where a flag, the environment and a file differ, and what is wrong with it.

A flag beats the environment, the environment the file, the file the default. All that is wrong is reported at once, each
with its place, key, value and, for a name that nobody knows, the nearest that is one: who mends a device by hand in the
field should not need a second try.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from fleetview_agent.certificate import read_certificate
from fleetview_agent.config import FILE_KEYS, KEYS, SYSTEM_STORE, AgentConfig, Deployment, LogFile, Logs
from fleetview_agent.configfile import ConfigSyntaxError, parse

ENVIRONMENT_PREFIX = "FLEETVIEW_AGENT_"
CONFIG_VARIABLE = "FLEETVIEW_AGENT_CONFIG"
SYSTEM_CONFIG = Path("/etc/fleetview-agent/agent.toml")

_SHOWN = 120
_KUBERNETES = re.compile(r"(SERVICE_(HOST|PORT)|PORT)(_.*)?")
"""Kubernetes sets FLEETVIEW_AGENT_SERVICE_HOST and the like in every container beside a service called fleetview-agent."""


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


class ConfigError(Exception):
    """The configuration cannot be used. `problems` says all that is wrong with it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration, and where its values come from."""

    config: AgentConfig
    origins: Mapping[str, str]
    """By key: `flag --set`, `environment FLEETVIEW_AGENT_...`, `file agent.toml` or `default`."""

    def lines(self) -> list[str]:
        """The effective values for a person to read, passwords masked."""
        return [f"{key} = {_shown(key, getattr(self.config, key))}    # {self.origins[key]}" for key in KEYS]


def default_state_dir(environ: Mapping[str, str], *, root: bool) -> Path:
    """Where state lives unless the configuration says otherwise."""
    if root:
        return Path("/var/lib/fleetview-agent")
    base = environ.get("XDG_STATE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".local" / "state") / "fleetview-agent"


def detect_deployment(environ: Mapping[str, str], *, filesystem_root: Path = Path("/")) -> Deployment:
    """How this agent seems to be run, from the marks that container engines and function hosts leave."""
    if "AWS_LAMBDA_FUNCTION_NAME" in environ or "FUNCTIONS_WORKER_RUNTIME" in environ or "K_SERVICE" in environ:
        return "function"
    marks = (".dockerenv", "run/.containerenv")
    if "KUBERNETES_SERVICE_HOST" in environ or any((filesystem_root / mark).exists() for mark in marks):
        return "container"
    return "static"


def load(
    path: Path | None, *, environ: Mapping[str, str] | None = None, flags: Sequence[str] = (), root: bool | None = None
) -> Loaded:
    """The configuration of the file at `path` (None: no file), overridden by `environ` and by flags of `KEY=VALUE`.

    Raises ConfigError with all that is wrong.
    """
    environ = os.environ if environ is None else environ
    root = _is_root() if root is None else root
    values: dict[str, Any] = {}
    origins = dict.fromkeys(KEYS, "default")
    problems: list[Problem] = []
    if path is not None:
        _read_file(path, values, origins, problems)
    _read_environment(environ, values, origins, problems)
    _read_flags(flags, values, origins, problems)
    values.setdefault("state_dir", default_state_dir(environ, root=root))
    values.setdefault("deployment", detect_deployment(environ))
    if isinstance(cert := values.get("tls_cert"), str) and cert:
        values.setdefault("tls_key", str(Path(cert).parent / "agent.key"))
        values.setdefault("tls_ca", str(Path(cert).parent / "ca.crt"))
    try:
        config = AgentConfig.model_validate(values)
    except ValidationError as err:
        raise ConfigError(problems + [_problem(dict(details), origins, path) for details in err.errors()]) from None
    if not problems:
        problems += _certificate_problems(config, origins)
    if problems:
        raise ConfigError(problems)
    return Loaded(config, origins)


def find_file(named: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The file to read: the named one, that of FLEETVIEW_AGENT_CONFIG, the system's if it is there, or none."""
    if named is not None:
        return named
    if environ.get(CONFIG_VARIABLE):
        return Path(environ[CONFIG_VARIABLE])
    return SYSTEM_CONFIG if SYSTEM_CONFIG.exists() else None


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _read_file(path: Path, values: dict[str, Any], origins: dict[str, str], problems: list[Problem]) -> None:
    place = str(path)
    try:
        table = parse(path.read_bytes().decode(), ending=path.suffix)
    except OSError as err:
        raise ConfigError([Problem(place, "", f"cannot be read: {err.strerror}")]) from None
    except UnicodeDecodeError as err:
        raise ConfigError([Problem(place, "", f"not UTF-8: byte {err.object[err.start]:#x} at {err.start}")]) from None
    except ConfigSyntaxError as err:
        raise ConfigError([Problem(place, "", str(err))]) from None
    for key, value in table.items():
        if key not in KEYS:
            problems.append(Problem(place, key, _unknown(key, value, KEYS)))
            continue
        values[key] = _beside(path, key, value)
        origins[key] = f"file {place}"


def _beside(path: Path, key: str, value: Any) -> Any:  # noqa: ANN401  (what a file holds, not validated yet)
    """Paths in a file are relative to its folder: the agent's working directory is nothing that its author knows."""
    if key in FILE_KEYS and isinstance(value, str) and value and not (key == "tls_ca" and value == SYSTEM_STORE):
        return str(path.parent / value)
    if key == "logs" and isinstance(value, dict) and isinstance(value.get("files"), list):
        return {**value, "files": [_log_file_beside(path, entry) for entry in value["files"]]}
    return value


def _log_file_beside(path: Path, entry: Any) -> Any:  # noqa: ANN401  (as above)
    if isinstance(entry, dict) and isinstance(entry.get("path"), str) and entry["path"]:
        return {**entry, "path": str(path.parent / entry["path"])}
    return entry


def _read_environment(
    environ: Mapping[str, str], values: dict[str, Any], origins: dict[str, str], problems: list[Problem]
) -> None:
    for variable in sorted(environ):
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable == CONFIG_VARIABLE:
            continue
        rest = variable.removeprefix(ENVIRONMENT_PREFIX)
        key = rest.lower()
        if key in KEYS:
            values[key] = _from_text(key, environ[variable])
            origins[key] = f"environment {variable}"
        elif _KUBERNETES.fullmatch(rest) is None:
            near = _nearest(key, KEYS)
            hint = f"; did you mean {ENVIRONMENT_PREFIX}{near.upper()}?" if near else f"; there are: {', '.join(KEYS)}"
            problems.append(Problem(f"environment {variable}", "", f"unknown key {key!r}{hint}"))


def _read_flags(flags: Sequence[str], values: dict[str, Any], origins: dict[str, str], problems: list[Problem]) -> None:
    for flag in flags:
        key, equals, text = flag.partition("=")
        if not equals:
            problems.append(Problem("flag --set", "", f"KEY=VALUE expected, not {flag!r}"))
        elif key not in KEYS:
            problems.append(Problem("flag --set", key, _unknown(key, text, KEYS)))
        else:
            values[key] = _from_text(key, text)
            origins[key] = "flag --set"


def _from_text(key: str, text: str) -> Any:  # noqa: ANN401  (validated with all other values)
    """The value that an environment variable or a flag stands for; a text that is none is left for validation to name."""
    if key == "heartbeat_interval":
        try:
            return float(text)
        except ValueError:
            return text
    if key == "modules" and not text.lstrip().startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    if key == "labels" and not text.lstrip().startswith("{"):
        pairs = [part.partition("=") for part in text.split(",") if part.strip()]
        return {name.strip(): value.strip() for name, equals, value in pairs} if all(pair[1] for pair in pairs) else text
    if key in {"modules", "labels", "logs"}:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return text
        return {"files": value} if key == "logs" and isinstance(value, list) else value
    return text


def _nearest(key: str, known: Sequence[str]) -> str | None:
    return next(iter(difflib.get_close_matches(key.lower(), known, n=1, cutoff=0.6)), None)


def _unknown(key: str, value: Any, known: Sequence[str]) -> str:  # noqa: ANN401  (any value can stand at an unknown key)
    near = _nearest(key, known)
    hint = f"did you mean {near}?" if near else f"there are: {', '.join(known)}"
    return f"unknown key (value {_shown(key, value)}); {hint}"


def _shown(key: str, value: Any) -> str:  # noqa: ANN401  (any value, right or wrong)
    if isinstance(value, BaseModel):
        value = value.model_dump(exclude_none=True)
    if isinstance(value, Path):
        value = str(value)
    if key == "broker_url" and isinstance(value, str):
        value = re.sub(r"(//[^:/@]*):.*@", r"\1:***@", value)
    elif any(word in key for word in ("password", "secret", "token")):
        value = "***"
    text = "-" if value is None else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


_EXPECTED = {
    "string_type": "a text",
    "string_sub_type": "a text",
    "path_type": "the path of a file",
    "float_type": "a number",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "finite_number": "a finite number",
}
_TABLES: dict[tuple[str, ...], tuple[str, ...]] = {
    (): KEYS,
    ("logs",): tuple(Logs.model_fields),
    ("logs", "files"): tuple(LogFile.model_fields),
}


def _problem(details: dict[str, Any], origins: Mapping[str, str], path: Path | None) -> Problem:
    """One of pydantic's errors in plain words."""
    where: tuple[str | int, ...] = details["loc"]
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
        return Problem(place, key, _unknown(leaf, value, _TABLES[table]))
    if top in {"broker_url", "topic_root"} and details["type"] == "value_error":
        return Problem(place, key, _complaint(details))  # these name the value themselves
    return Problem(place, key, f"{_complaint(details)}, not {_shown(top, value)}")


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
    if kind == "value_error":
        return str(context["error"]).rstrip(".")
    return str(details["msg"])


def _certificate_problems(config: AgentConfig, origins: Mapping[str, str]) -> list[Problem]:
    """What the certificate contradicts. One that is not there (yet) contradicts nothing: the link will name it."""
    if config.tls_cert is None or not config.broker.encrypted:
        return []
    try:
        name = read_certificate(config.tls_cert).common_name
    except OSError:
        return []
    except ValueError as err:
        return [Problem(origins["tls_cert"].removeprefix("file "), "tls_cert", str(err))]
    if name == config.agent_id:
        return []
    words = (
        f"{config.agent_id!r} is not whom the certificate names: the CN in {config.tls_cert} is {name!r};"
        " use that as agent_id, or the certificate of this device"
    )
    return [Problem(origins["agent_id"].removeprefix("file "), "agent_id", words)]
